"""Record answers in the history; they are shown even if the database fails."""

import logging
from collections.abc import Sequence
from typing import Final

from bot.assistant.answer import Answer
from bot.conversation.exchange import Attempt, Exchange, State
from bot.errors import HistoryFailed, ReplyDelayed
from bot.log_events import as_event
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

NOT_RECORDED: Final = 0  # the number of an attempt; recorded ones count from 1


class Recorder:
    """Records how far answers came; logs it if the database fails."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def begin(self, exchange: Exchange) -> Attempt | None:
        """Begin the next attempt at a question; None if it was deleted or has ended.

        If it could not be recorded it has the number NOT_RECORDED.
        """
        try:
            return await self._history.begin(exchange)
        except HistoryFailed as error:
            log.warning("Cannot record the attempt at question %d: %s", exchange.message_id, error)
            return Attempt(exchange, number=NOT_RECORDED, pending_notices=None)

    async def record_end(self, exchange: Exchange, state: State, notices: Sequence[str]) -> None:
        """Record how a question ended that has no new reply."""
        try:
            await self._history.complete(exchange, state, notices)
        except HistoryFailed as error:
            log.warning("Cannot record the end of question %d: %s", exchange.message_id, error)

    async def record_reply(
        self, answer: Answer, exchange: Exchange, state: State, notices: Sequence[str]
    ) -> bool:
        """Record a reply and that it must be shown; False if the database failed."""
        try:
            if not answer.received:
                await self._history.receive(exchange)
            # The latter replaces a reply that was stored whole but never shown, too.
            if answer.job.action or not await self._history.complete(exchange, state, notices):
                await self._history.complete_regeneration(exchange, state, notices)
        except HistoryFailed as error:
            log.warning(
                "Cannot record answer %d: %s",
                *(exchange.message_id, error),
                extra=as_event("answer_not_recorded", question=exchange.message_id),
            )
            return False
        return True

    async def withhold(self, exchange: Exchange, notices: Sequence[str]) -> bool:
        """Erase a flagged question with its reply; False if the database failed."""
        try:
            if not await self._history.erasure.withhold(exchange.message_id, notices):
                await self._history.reject(exchange)
        except HistoryFailed as error:
            log.warning("Cannot erase flagged question %d: %s", exchange.message_id, error)
            return False
        return True

    async def mark_shown(self, exchange: Exchange) -> None:
        """Record that people see the whole reply; if not, it is shown again after a restart."""
        try:
            await self._history.mark_shown(exchange.message_id)
        except HistoryFailed as error:
            log.warning("Cannot record answer %d as shown: %s", exchange.message_id, error)

    async def postpone(self, exchange: Exchange, why: ReplyDelayed) -> None:
        """Record that an attempt does not count, because Discord could not show the reply."""
        log.warning(
            "Postpone question %d: %s",
            *(exchange.message_id, why),
            extra=as_event("question_postponed", question=exchange.message_id),
        )
        await self.undo_attempt(exchange)

    async def undo_attempt(self, exchange: Exchange) -> None:
        """Record that an attempt does not count: the question is not the reason for its end."""
        try:
            await self._history.undo_attempt(exchange.message_id)
        except HistoryFailed as error:
            log.warning("Cannot record question %d as postponed: %s", exchange.message_id, error)
