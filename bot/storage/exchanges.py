"""Write exchanges: questions, attempts, replies, and what of them is still to be shown."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

from bot.conversation.exchange import Attempt, Exchange, FromInteraction, State, scrubbed
from bot.errors import HistoryFailed, HistoryInDoubt
from bot.storage.database import Database
from bot.storage.erasure import Erasure
from bot.storage.exchange_queries import ExchangeQueries
from bot.storage.exchange_rows import (
    COLUMNS,
    IS_NOT_RESET,
    IS_NOT_WITHDRAWN,
    IS_OPEN,
    IS_UNANSWERED,
    RECEIVED_COLUMNS,
    RECEIVED_PARAMETERS,
    TOKEN_CLEARED,
    exchange_of,
    parameters_of,
)
from bot.storage.facts import Facts, ModelStore
from bot.storage.places import Places, RecordedPlaces
from bot.storage.preferences import Preferences
from bot.storage.retention import erase_at_end, erase_at_start
from bot.storage.spending import SpendingStore
from bot.storage.usage import UsageStore

CHECKED: Final = "checked"  # a fact: when the database last worked again after a failure
CHECK_SECONDS: Final = 2.0
_INSERT: Final = f"""
    INSERT INTO exchanges (state, {RECEIVED_COLUMNS})
    SELECT :state, {RECEIVED_PARAMETERS}
    WHERE CAST(:private_to AS BIGINT) <> 0 OR NOT EXISTS (SELECT 1 FROM resets
        WHERE channel_id = :channel_id AND before_id > :message_id)
    ON CONFLICT DO NOTHING
"""
_REPLY: Final = "reply = :reply, cut = :cut, tokens = :tokens, state = :state, unshown = :unshown"
_ONE_ATTEMPT_AT_MOST: Final = "attempts = CASE WHEN attempts > 1 THEN 1 ELSE attempts END"
# An exchange that only one person sees stays so.
_MADE_PRIVATE: Final = """
    private_to = CASE WHEN private_to < :private_to THEN :private_to ELSE private_to END
"""


class History(ExchangeQueries):
    """The store of all exchanges, with the stores beside it in the same database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        recorded = RecordedPlaces()
        self.erasure = Erasure(database, recorded)
        self.preferences = Preferences(database, self.erasure)
        self.facts = Facts(database)
        self.models = ModelStore(database)
        self.places = Places(database, recorded)
        self.usage = UsageStore(database)
        self.spending = SpendingStore(database)

    @classmethod
    @asynccontextmanager
    async def over(cls, database: Database) -> AsyncIterator[Self]:
        """Yield the store in an open database; erase at the start and at the end what is due."""
        history = cls(database)
        await erase_at_start(history.erasure, history.facts)
        try:
            yield history
        finally:
            await erase_at_end(database, history.erasure, history.facts)

    def stop_waiting(self) -> None:
        """From now on, fail at once instead of waiting for the database: the bot is stopping."""
        self._database.stop_waiting()

    async def size_bytes(self) -> int:
        """Return the size of the database; raises HistoryFailed."""
        return await self._database.size_bytes()

    async def works(self) -> bool:
        """Whether the database works. After a failure, this writes something to find out."""
        if self._database.is_failing:
            with suppress(HistoryFailed, TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self.facts.set(CHECKED, str(int(time.time())))
        return not self._database.is_failing

    async def receive(self, exchange: Exchange) -> bool:
        """Store a question; False if it came before, or was asked before a reset of its channel."""
        return await self._store_new(exchange, State.RECEIVED)

    async def reject(self, exchange: Exchange) -> bool:
        """Record the id of a rejected question, without its text; return the same as `receive`.

        The record keeps backfill from finding the question.
        """
        origin = exchange.origin
        without_text = Exchange(
            message_id=exchange.message_id,
            conversation=exchange.conversation,
            place_id=exchange.place_id,
            author_id=0,
            author="",
            question="",
            origin=FromInteraction("") if isinstance(origin, FromInteraction) else origin,
        )
        return await self._store_new(without_text, State.FAILED)

    async def _store_new(self, exchange: Exchange, state: State) -> bool:
        try:
            return await self._insert(exchange, state)
        except HistoryInDoubt:
            if not await self.is_untouched(exchange.message_id, state):
                raise
            return True

    async def _insert(self, exchange: Exchange, state: State) -> bool:
        conversation = exchange.conversation
        # A command outside of servers may be used in a place that the bot can never read.
        by_command = isinstance(exchange.origin, FromInteraction)
        unreadable = by_command and conversation.guild_id is None
        named = parameters_of(exchange) | {"state": state}
        if unreadable:
            return await self._database.change(_INSERT, **named) == 1
        return await self.places.change_with(_INSERT, conversation, **named) == 1

    async def is_untouched(self, message_id: int, state: State) -> bool:
        """Whether a question is stored as it was inserted, and its answer has not begun."""
        sql = "SELECT 1 FROM exchanges WHERE message_id = ? AND state = ? AND attempts = 0"
        return bool(await self._database.fetch(sql, message_id, state))

    async def store_resolved(self, exchange: Exchange) -> None:
        """Store what was looked up after the question was received: its place and its quote."""
        await self.places.change_with(
            """
            UPDATE exchanges SET place_id = :place_id, parent_id = :parent_id,
                quoted = :quoted, quoted_id = :quoted_id, quoted_author_id = :quoted_author_id
            WHERE message_id = :message_id AND author_id <> 0
            """,
            exchange.conversation,
            **parameters_of(exchange),
        )

    async def store_files(self, exchange: Exchange, *, quoted_before: str) -> None:
        """Store the text of a question's files, and that of the files that it quotes.

        The quote is left alone if it is no longer *quoted_before*: it was edited meanwhile.
        """
        await self._update(
            "files = :files, quoted = CASE WHEN quoted = :before THEN :quoted ELSE quoted END",
            exchange,
            before=scrubbed(quoted_before),
        )

    async def amend(self, exchange: Exchange) -> None:
        """Store an edited question: its text, embeds, quote and files, and the new estimate."""
        await self._update(
            "question = :question, embedded = :embedded, quoted = :quoted, files = :files,"
            " tokens = :tokens",
            exchange,
        )
        self.erasure.mark_pending()

    async def begin(self, exchange: Exchange) -> Attempt | None:
        """Begin the next attempt at a question, as it is stored by now.

        Also marks the row private if *exchange* is. A question that could not be stored when it
        came is stored now. Returns None if it was forgotten, reset or answered meanwhile.
        """
        return await self._attempt(exchange) or (
            await self._attempt(exchange) if await self.receive(exchange) else None
        )

    async def _attempt(self, exchange: Exchange) -> Attempt | None:
        rows = await self._database.fetch(
            f"""
            UPDATE exchanges SET attempts = attempts + 1,
                state = CASE state WHEN 'received' THEN 'answering' ELSE state END,
                {_MADE_PRIVATE}
            WHERE message_id = :message_id AND {IS_OPEN} AND {IS_NOT_WITHDRAWN}
            RETURNING {COLUMNS}, attempts, unshown, state
            """,
            private_to=exchange.conversation.person_id,
            message_id=exchange.message_id,
        )
        if not rows:
            return None
        *columns, attempts, unshown, state = rows[0]
        notices = None if unshown is None else tuple(json.loads(unshown))
        return Attempt(exchange_of(columns), attempts, notices, State(state))

    async def mark_attempted(self, message_id: int) -> None:
        """Record that there was an attempt at a question, which could not be recorded then."""
        await self._database.change(
            "UPDATE exchanges SET attempts = 1 WHERE message_id = ? AND attempts < 1", message_id
        )

    async def undo_attempt(self, message_id: int) -> None:
        """Do not count the last attempt at a question, which failed for another reason.

        The first attempt still counts, because it may have posted a message.
        """
        await self._database.change(
            f"""
            UPDATE exchanges SET attempts =
                CASE WHEN unshown IS NULL AND attempts > 1 THEN attempts - 1 ELSE 1 END
            WHERE message_id = ? AND {IS_OPEN}
            """,
            message_id,
        )

    async def set_place(self, message_id: int, place_id: int) -> None:
        """Record that the answer appears in another place than was planned."""
        await self._database.change(
            "UPDATE exchanges SET place_id = ? WHERE message_id = ?", place_id, message_id
        )

    async def add_part(self, message_id: int, part_id: int) -> None:
        """Record a message that shows a part of the reply to *message_id*."""
        await self._database.change(
            f"""
            INSERT INTO parts SELECT ?, message_id FROM exchanges
            WHERE message_id = ? AND (author_id <> 0 OR {IS_OPEN}) ON CONFLICT DO NOTHING
            """,
            part_id,
            message_id,
        )

    async def remove_part(self, part_id: int) -> None:
        """Record that a message no longer shows a part of a reply."""
        await self._database.change("DELETE FROM parts WHERE part_id = ?", part_id)

    async def complete(
        self, exchange: Exchange, state: State, notices: Sequence[str] | None = None
    ) -> bool:
        """Store the reply of *exchange* and how it ended.

        *notices* are to be shown under it: a list, even an empty one, keeps the exchange open until
        `mark_shown`; None closes it now. Also marks the row private if *exchange* is. An answered
        exchange may be completed again as failed, if the answer cannot be shown. Returns False, and
        stores nothing, if the question was forgotten meanwhile.
        """
        return await self._update(
            f"{_REPLY}, {_ONE_ATTEMPT_AT_MOST}, {_MADE_PRIVATE}",
            exchange,
            f"({IS_UNANSWERED} OR state = 'answered' AND :state = 'failed') AND {IS_NOT_RESET}",
            state=state,
            unshown=None if notices is None else json.dumps(notices),
        )

    async def end_without_reply(self, exchange: Exchange) -> None:
        """Record that a question failed, and that nothing more is to be shown for it."""
        await self.complete(exchange, State.FAILED)
        await self.mark_shown(exchange.message_id)

    async def begin_regeneration(self, message_id: int, notice: str) -> Exchange | None:
        """Record that the reply to *message_id* is being regenerated; return the stored exchange.

        If the program ends before `complete_regeneration` or `mark_shown`, the stored reply is
        shown again with *notice* under it. None if there is no reply, or if it is still open.
        """
        rows = await self._database.fetch(
            f"""
            UPDATE exchanges SET unshown = ?, attempts = 0
            WHERE message_id = ? AND author_id <> 0 AND NOT {IS_OPEN} AND {IS_NOT_RESET}
            RETURNING {COLUMNS}
            """,
            json.dumps([notice]),
            message_id,
        )
        return exchange_of(rows[0]) if rows else None

    async def complete_regeneration(
        self, exchange: Exchange, state: State, notices: Sequence[str]
    ) -> bool:
        """Store the reply that replaces an earlier one; otherwise the same as `complete`."""
        is_stored = await self._update(
            _REPLY,
            exchange,
            f"unshown IS NOT NULL AND {IS_NOT_RESET}",
            state=state,
            unshown=json.dumps(notices),
        )
        self.erasure.mark_pending()
        return is_stored

    async def forget_unexpected_shards(self) -> None:
        """Let the guild alone say which shard answers a question: the shards were renumbered."""
        await self._database.change("UPDATE exchanges SET shard = NULL WHERE shard IS NOT NULL")

    async def set_reply_token(self, exchange: Exchange) -> None:
        """Store the token of the latest button press, through which the reply is now shown."""
        await self._update(
            "token = :token, pressed_id = :pressed_id, locale = :locale, shard = :shard", exchange
        )

    async def _update(
        self, values: str, exchange: Exchange, condition: str = "true", **more: object
    ) -> bool:
        """Set *values* of an exchange that is stored and not forgotten; False if there is none."""
        changed = await self._database.change(
            f"UPDATE exchanges SET {values}"
            f" WHERE message_id = :message_id AND author_id <> 0 AND {condition}",
            **parameters_of(exchange),
            **more,
        )
        return changed == 1

    async def mark_shown(self, message_id: int) -> None:
        """Record that the reply to *message_id* is shown whole, with its notices."""
        await self._database.change(
            f"""
            UPDATE exchanges SET unshown = NULL, attempts = 0, {TOKEN_CLEARED}
            WHERE message_id = ? AND {IS_NOT_WITHDRAWN}
            """,
            message_id,
        )

    async def mark_reply_deleted(self, message_id: int) -> None:
        """Record that the reply to a forgotten question is no longer shown anywhere."""
        await self._database.change_all(
            f"""
            UPDATE exchanges SET unshown = NULL, attempts = 0, {TOKEN_CLEARED}
            WHERE message_id = :message_id
            """,
            """
            DELETE FROM parts WHERE message_id IN
                (SELECT message_id FROM exchanges WHERE message_id = :message_id AND author_id = 0)
            """,
            message_id=message_id,
        )
