"""Store questions and parts of replies; what the database does not take is kept in memory."""

import logging
from typing import Final

from bot.bounded import BoundedDict
from bot.conversation.exchange import Exchange
from bot.errors import HistoryFailed, ReplyDelayed
from bot.log_events import as_event
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

MAX_UNSAVED: Final = 10_000  # questions, and replies with parts, that are kept in memory


class Unsaved:
    """Stores questions and parts of replies, and keeps those that the database did not take.

    Of a question that was answered anyway, only the id is kept, to ignore a repeated event.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._ids = BoundedDict[int, None](MAX_UNSAVED)
        self._unanswered: dict[int, Exchange] = {}
        self._parts: dict[int, list[int]] = {}

    async def receive(self, exchange: Exchange) -> bool:
        """Store a question; False if it came before, but True if it cannot be stored."""
        try:
            is_new = await self._history.receive(exchange)
        except HistoryFailed as error:
            log.warning(
                "Cannot store question %d: %s",
                *(exchange.message_id, error),
                extra=as_event(
                    "question_not_stored",
                    question=exchange.message_id,
                    place=exchange.place_id,
                    guild=exchange.conversation.guild_id,
                    person=exchange.author_id,
                ),
            )
            self._ids[exchange.message_id] = None
            return True
        if is_new:
            log.debug(
                "Stored question %d",
                exchange.message_id,
                extra=as_event(
                    "question_received",
                    question=exchange.message_id,
                    place=exchange.place_id,
                    guild=exchange.conversation.guild_id,
                    person=exchange.author_id,
                ),
            )
        return is_new

    async def reject(self, exchange: Exchange) -> bool:
        """Record an ignored question, so that backfill skips it; False if it came before."""
        try:
            return await self._history.reject(exchange)
        except HistoryFailed as error:
            log.warning("Cannot record question %d: %s", exchange.message_id, error)
            return True

    async def fail(self, exchange: Exchange) -> None:
        """Record that a question cannot be answered."""
        try:
            await self._history.end_without_reply(exchange)
        except HistoryFailed as error:
            log.warning("Cannot record question %d as failed: %s", exchange.message_id, error)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._ids

    def drop_parts(self, message_id: int) -> None:
        """Forget the parts of a reply that is complete."""
        self._parts.pop(message_id, None)

    def keep(self, exchange: Exchange) -> None:
        """Keep a question that was not answered, if it could not be stored."""
        if exchange.message_id in self._ids and len(self._unanswered) < MAX_UNSAVED:
            self._unanswered[exchange.message_id] = exchange
        else:
            self.drop_parts(exchange.message_id)

    async def store(self) -> bool:
        """Store the unanswered questions, to be resumed; whether any. Raises HistoryFailed."""
        waiting = dict(self._unanswered)
        for message_id, exchange in waiting.items():
            await self._history.receive(exchange)
            await self._history.mark_attempted(message_id)
            for part_id in self._parts.get(message_id, ()):
                await self._history.add_part(message_id, part_id)
            self.drop_parts(message_id)
            self._unanswered.pop(message_id, None)
        return bool(waiting)

    def record_of(self, message_id: int) -> "PartRecord":
        """Return the record of the parts of the reply to a question."""
        return PartRecord(message_id, self._history, self._parts)


class PartRecord:
    """Records the parts of one reply in *history*, or in *unsaved* while that fails."""

    def __init__(self, exchange_id: int, history: History, unsaved: dict[int, list[int]]) -> None:
        self.exchange_id = exchange_id
        self._history = history
        self._unsaved = unsaved

    async def add(self, message_id: int) -> None:
        """Record a message that was posted."""
        try:
            await self._history.add_part(self.exchange_id, message_id)
        except HistoryFailed as error:
            if len(self._unsaved) < MAX_UNSAVED:
                self._unsaved.setdefault(self.exchange_id, []).append(message_id)
            log.warning(
                "Cannot record part %d of answer %d: %s", message_id, self.exchange_id, error
            )

    async def remove(self, message_id: int) -> None:
        """Record that a message will be deleted; raises ReplyDelayed if that fails."""
        unsaved = self._unsaved.get(self.exchange_id, [])
        if message_id in unsaved:
            unsaved.remove(message_id)
            return
        try:
            await self._history.remove_part(message_id)
        except HistoryFailed as error:
            raise ReplyDelayed(f"cannot record part {message_id} as deleted: {error}") from error
