"""What was asked and answered, and what of it is open, kept in SQLite."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from bot.conversation.exchange import Attempt, Conversation, Exchange, OpenQuestion, State, scrubbed
from bot.errors import HistoryFailed
from bot.storage.database import Database
from bot.storage.database_file import DatabaseFile
from bot.storage.erasure import (
    DELETION_PENDING,
    ERASED_TEXT,
    HOURLY_REWRITE_BYTES,
    IS_OPEN,
    TOKEN_CLEARED,
    Erasure,
)
from bot.storage.facts import Facts, ModelStore
from bot.storage.places import Places, upsert_place
from bot.storage.preferences import Preferences
from bot.storage.usage import UsageStore

log = logging.getLogger(__name__)

PAGE_ROWS: Final = 64
_COLUMNS: Final = (
    "message_id, channel_id, place_id, author_id, author, question, embedded, quoted,"
    " quoted_id, quoted_author_id, files, reply, cut, tokens, token,"
    " pressed_id, locale"
)
_PLACE: Final = "guild_id, parent_id, private_to"
# A thread's own rows and, before them, its parent's up to the message that started it. Each arm's
# rows come sorted out of the index: a page costs what a page holds, however long the history. What
# opened a thread that was reset is gone from its channel too.
_CONTEXT: Final = f"""
    SELECT {_COLUMNS} FROM exchanges
    WHERE channel_id = :channel AND private_to = :person
        AND message_id > :forgotten AND message_id < :before
        AND author_id <> 0 AND reply <> '' AND state NOT IN ('received', 'answering')
        AND NOT EXISTS (SELECT 1 FROM resets r
            WHERE r.channel_id = exchanges.message_id AND r.before_id > exchanges.message_id)
    UNION ALL
    SELECT {_COLUMNS} FROM exchanges
    WHERE channel_id = :parent AND private_to = 0
        AND message_id <= :channel AND message_id < :before
        AND message_id > max(:forgotten, :parent_forgotten)
        AND author_id <> 0 AND reply <> '' AND state NOT IN ('received', 'answering')
        AND NOT EXISTS (SELECT 1 FROM resets r
            WHERE r.channel_id = exchanges.message_id AND r.before_id > exchanges.message_id)
    ORDER BY message_id DESC LIMIT :rows
"""
_NOT_RESET: Final = """(private_to <> 0 OR NOT EXISTS
    (SELECT 1 FROM resets WHERE before_id > exchanges.message_id
        AND resets.channel_id IN (exchanges.channel_id, exchanges.message_id)))"""

NEWEST_ID: Final = 2**63 - 1
# Set if an earlier run had no time to erase copies of forgotten text from between the rows.
COPIES: Final = "copies"
ERASING_SECONDS: Final = 2.0  # at shutdown, which waits for it
AGAIN_SECONDS: Final = 0.1


class History:
    """The store of all conversations. Every method raises HistoryFailed when the file fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.erasure = Erasure(database)
        self.preferences = Preferences(database)
        self.facts = Facts(database)
        self.models = ModelStore(database)
        self.places = Places(database)
        self.usage = UsageStore(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Self]:
        """Open the store in the file *path*; raises HistoryUnusable."""
        with DatabaseFile.hold(path) as file:
            async with cls.of(file) as history:
                yield history

    @classmethod
    @asynccontextmanager
    async def of(cls, file: DatabaseFile) -> AsyncIterator[Self]:
        """Open the store in a file that is held; raises HistoryUnusable."""
        async with Database.of(file) as database:
            history = cls(database)
            await history._erase_at_the_start()
            try:
                yield history
            finally:
                await history._erase_at_the_end()

    def stop_waiting(self) -> None:
        """Wait no longer for other programs that lock the file: the bot is to end."""
        self._database.stop_waiting()

    async def _erase_at_the_start(self) -> None:
        """Erase what the last run forgot but did not erase."""
        try:
            if await self.facts.get(COPIES):
                self.erasure.mark_pending()
        except HistoryFailed as error:
            log.warning("Cannot read whether the last run left forgotten text: %s", error)
        self.erasure.pending.set()
        why_not = await self.erasure.why_not_erased()
        if why_not is not None:  # A full disk can still be read.
            log.warning("Cannot erase forgotten text yet: %s", why_not)

    async def _erase_at_the_end(self) -> None:
        """Erase what was forgotten before closing the file; log if there is no time."""
        erasure = self.erasure
        if not (erasure.pending.is_set() or erasure.may_have_copies):
            return
        self.stop_waiting()
        erasure.pending.set()
        why_not: str | None = "it takes too long"
        with suppress(TimeoutError):
            async with asyncio.timeout(ERASING_SECONDS):
                while erasure.pending.is_set():
                    why_not = await erasure.why_not_erased(HOURLY_REWRITE_BYTES)
                    if why_not is not None:
                        await asyncio.sleep(AGAIN_SECONDS)
        try:
            copies = "yes" if erasure.may_have_copies else ""
            if copies != (await self.facts.get(COPIES) or ""):
                await self.facts.set(COPIES, copies)
        except HistoryFailed as error:
            why_not = why_not or str(error)
        if erasure.pending.is_set() or erasure.may_have_copies:
            reason = why_not or f"the file is over {HOURLY_REWRITE_BYTES // 1_000_000} MB"
            log.warning("Left forgotten text in the database file: %s", reason)

    async def receive(self, exchange: Exchange) -> bool:
        """Store a question before anything else is done with it.

        False when it was seen before, or was asked before its place was last reset.
        """
        place = exchange.conversation
        # What a command asks outside of servers may be in a place that the bot can never read.
        places = (
            () if exchange.token is not None and place.guild_id is None else (upsert_place(place),)
        )
        stored, *_ = await self._database.change_all(
            (
                """
                INSERT INTO exchanges (message_id, channel_id, place_id, guild_id, parent_id,
                    author_id, author, question, embedded, quoted, quoted_id, quoted_author_id,
                    files, state, private_to, token, locale)
                SELECT :message, :channel, :place, :guild, :parent,
                    :author_id, :author, :question, :embedded, :quoted, :quoted_id,
                    :quoted_author_id, :files, 'received', :private_to, :token, :locale
                WHERE :private_to <> 0 OR NOT EXISTS
                    (SELECT 1 FROM resets WHERE channel_id = :channel AND before_id > :message)
                ON CONFLICT DO NOTHING
                """,
                _named(exchange),
            ),
            *places,
        )
        return stored == 1

    async def store_resolved(self, exchange: Exchange) -> None:
        """Store what had to be looked up after the question was received."""
        place = exchange.conversation
        await self._database.change_all(
            (
                """
                UPDATE exchanges SET place_id = :place, parent_id = :parent, quoted = :quoted,
                    quoted_id = :quoted_id, quoted_author_id = :quoted_author_id
                WHERE message_id = :message AND author_id <> 0
                """,
                _named(exchange),
            ),
            upsert_place(place),
        )

    async def store_files(self, exchange: Exchange, *, quoted_before: str) -> None:
        """Store what the files of a question say, and those that it quotes.

        What it quotes stays as it is where it is not as it was *before* these were read.
        """
        await self._database.change(
            """
            UPDATE exchanges SET files = :files, quoted = iif(quoted = :before, :quoted, quoted)
            WHERE message_id = :message AND author_id <> 0
            """,
            files=exchange.files,
            before=scrubbed(quoted_before),
            quoted=scrubbed(exchange.quoted),
            message=exchange.message_id,
        )

    async def reject(self, message_id: int) -> None:
        """Record that a question is not answered, and keep no word of it."""
        await self._database.change(
            f"""
            UPDATE exchanges SET {ERASED_TEXT}, {TOKEN_CLEARED}, state = 'failed'
            WHERE message_id = ?
            """,
            message_id,
        )
        self.erasure.pending.set()

    async def begin(self, exchange: Exchange) -> Attempt | None:
        """Begin the next attempt at a question, as it is stored by now.

        If only one person sees the answer to *exchange*, that is stored with it. Returns None if
        the question was forgotten, reset or answered meanwhile. A question that could not be stored
        when it came is stored now.
        """
        return await self._attempt(exchange) or (
            await self._attempt(exchange) if await self.receive(exchange) else None
        )

    async def _attempt(self, exchange: Exchange) -> Attempt | None:
        rows = await self._database.fetch(
            f"""
            UPDATE exchanges SET attempts = attempts + 1,
                state = CASE state WHEN 'received' THEN 'answering' ELSE state END,
                private_to = max(private_to, ?)
            WHERE message_id = ? AND {IS_OPEN} AND unshown IS NOT '{DELETION_PENDING}'
            RETURNING {_COLUMNS}, {_PLACE}, attempts, unshown, state
            """,
            exchange.conversation.person_id,
            exchange.message_id,
        )
        if not rows:
            return None
        *columns, attempts, unshown, state = rows[0]
        notices = None if unshown is None else tuple(json.loads(unshown))
        return Attempt(_with_place(columns), attempts, notices, State(state))

    async def raise_attempts(self, message_id: int, attempts: int) -> None:
        """Let the next attempt at a question come after at least *attempts*."""
        await self._database.change(
            "UPDATE exchanges SET attempts = max(attempts, ?) WHERE message_id = ?",
            attempts,
            message_id,
        )

    async def undo_attempt(self, message_id: int) -> None:
        """Take back an attempt: that it failed is not the question's fault.

        The first one stays: it may have begun a message.
        """
        await self._database.change(
            f"""
            UPDATE exchanges SET attempts = iif(unshown IS NULL, max(attempts - 1, 1), 1)
            WHERE message_id = ? AND {IS_OPEN}
            """,
            message_id,
        )

    async def context(
        self, conversation: Conversation, *, before_id: int = NEWEST_ID, token_budget: int
    ) -> list[Exchange]:
        """Return the newest complete exchanges before *before_id*, oldest first.

        Reads until their estimates exceed *token_budget*; the first one may not fit any more.
        """
        person_id = conversation.person_id
        resets = {} if person_id else await self._resets_of(conversation)
        newest_first: list[Exchange] = []
        while token_budget >= 0:
            rows = await self._database.fetch(
                _CONTEXT,
                channel=conversation.channel_id,
                person=person_id,
                parent=None if person_id else conversation.parent_id,
                forgotten=resets.get(conversation.channel_id, -1),
                parent_forgotten=resets.get(conversation.parent_id, -1),
                before=before_id,
                rows=PAGE_ROWS,
            )
            for row in rows:
                exchange = _exchange(row, conversation)
                newest_first.append(exchange)
                token_budget -= exchange.tokens
                before_id = exchange.message_id
                if token_budget < 0:
                    break
            if len(rows) < PAGE_ROWS:
                break
        return newest_first[::-1]

    async def _resets_of(self, conversation: Conversation) -> dict[int | None, int]:
        """Return the last id that is forgotten in a channel, and in the one above it."""
        return {
            channel_id: before_id - 1
            for channel_id, before_id in await self._database.fetch(
                "SELECT channel_id, before_id FROM resets WHERE channel_id IN (?, ?)",
                conversation.channel_id,
                conversation.parent_id,
            )
        }

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
        """Record that a message shows no part of a reply any more."""
        await self._database.change("DELETE FROM parts WHERE part_id = ?", part_id)

    async def parts_of(self, message_id: int) -> tuple[int, ...]:
        """Return the messages that show the reply to *message_id*, in order."""
        rows = await self._database.fetch(
            "SELECT part_id FROM parts WHERE message_id = ? ORDER BY part_id", message_id
        )
        return tuple(int(row[0]) for row in rows)

    async def question_of(self, part_id: int) -> int | None:
        """Return which question the message *part_id* answers, None where it shows no reply."""
        rows = await self._database.fetch("SELECT message_id FROM parts WHERE part_id = ?", part_id)
        return int(rows[0][0]) if rows else None

    async def shown_in(self, part_id: int, conversation: Conversation) -> Exchange | None:
        """Return the exchange whose reply the message *part_id* shows, if *conversation* sees it.

        That is one of those that `context` returns for what all see there.
        """
        rows = await self._database.fetch(
            f"""
            SELECT {_COLUMNS}, {_PLACE} FROM exchanges
            WHERE message_id = (SELECT message_id FROM parts WHERE part_id = :part)
                AND author_id <> 0 AND reply <> '' AND state NOT IN ('received', 'answering')
                AND private_to = 0
                AND (channel_id = :channel OR channel_id = :parent AND message_id <= :channel)
                AND NOT EXISTS (SELECT 1 FROM resets r WHERE r.before_id > exchanges.message_id
                    AND r.channel_id IN (:channel, exchanges.channel_id, exchanges.message_id))
            """,
            part=part_id,
            channel=conversation.channel_id,
            parent=conversation.parent_id,
        )
        return _with_place(rows[0]) if rows else None

    async def knows(self, message_id: int) -> bool:
        """Whether a message is a question, a part of a reply, or quoted by a question."""
        return bool(
            await self._database.fetch(
                """
                SELECT 1 FROM exchanges WHERE message_id = :message
                UNION ALL SELECT 1 FROM parts WHERE part_id = :message
                UNION ALL SELECT 1 FROM exchanges WHERE quoted_id = :message LIMIT 1
                """,
                message=message_id,
            )
        )

    async def find(self, message_id: int) -> Exchange | None:
        """Return the exchange of *message_id*, None where there is none or it was forgotten."""
        rows = await self._database.fetch(
            f"SELECT {_COLUMNS}, {_PLACE} FROM exchanges"
            f" WHERE message_id = ? AND author_id <> 0 AND {_NOT_RESET}",
            message_id,
        )
        return _with_place(rows[0]) if rows else None

    async def is_open(self, message_id: int) -> bool:
        """Whether a question did not come to its end."""
        return bool(
            await self._database.fetch(
                f"SELECT 1 FROM exchanges WHERE message_id = ? AND {IS_OPEN}", message_id
            )
        )

    async def was_received(self, message_id: int) -> bool:
        """Whether *message_id* was seen before, forgotten since or not."""
        return bool(
            await self._database.fetch("SELECT 1 FROM exchanges WHERE message_id = ?", message_id)
        )

    async def quoting(self, message_id: int) -> list[Exchange]:
        """Return the exchanges whose question replies to somebody else's *message_id*."""
        rows = await self._database.fetch(
            f"SELECT {_COLUMNS}, {_PLACE} FROM exchanges WHERE quoted_id = ?", message_id
        )
        return [_with_place(row) for row in rows]

    async def by_author(self, author_id: int) -> AsyncIterator[Exchange]:
        """Return what somebody asked, in whatever place, newest first, a page at a time."""
        before_id = NEWEST_ID
        while True:
            rows = await self._database.fetch(
                f"""
                SELECT {_COLUMNS}, {_PLACE} FROM exchanges
                WHERE author_id = ? AND author_id <> 0 AND message_id < ?
                ORDER BY message_id DESC LIMIT ?
                """,
                author_id,
                before_id,
                PAGE_ROWS,
            )
            for row in rows:
                exchange = _with_place(row)
                before_id = exchange.message_id
                yield exchange
            if len(rows) < PAGE_ROWS:
                return

    async def amend(self, exchange: Exchange) -> None:
        """Store what became of the question, what it holds and quotes, and the estimate."""
        await self._database.change(
            """
            UPDATE exchanges SET question = ?, embedded = ?, quoted = ?, files = ?, tokens = ?
            WHERE message_id = ? AND author_id <> 0
            """,
            scrubbed(exchange.question),
            scrubbed(exchange.embedded),
            scrubbed(exchange.quoted),
            exchange.files,
            exchange.tokens,
            exchange.message_id,
        )
        self.erasure.mark_pending()

    async def complete(
        self, exchange: Exchange, state: State, notices: Sequence[str] | None = None
    ) -> bool:
        """Store the reply of *exchange* and how it ended; an answer may turn out not to be shown.

        *notices* are pending under it until `mark_shown`; None if nothing is to be shown. A reply
        that only one person sees becomes theirs in the statement that makes it part of the history.
        Returns False, and stores nothing, if the question was forgotten meanwhile.
        """
        changed = await self._database.change(
            f"""
            UPDATE exchanges SET reply = :reply, cut = :cut, tokens = :tokens, state = :state,
                unshown = :unshown, attempts = min(attempts, 1),
                private_to = max(private_to, :person)
            WHERE message_id = :message AND author_id <> 0
                AND (state IN ('received', 'answering') OR state = 'answered' AND :state = 'failed')
                AND {_NOT_RESET}
            """,
            reply=scrubbed(exchange.reply),
            cut=exchange.cut,
            tokens=exchange.tokens,
            state=state,
            unshown=None if notices is None else json.dumps(notices),
            person=exchange.conversation.person_id,
            message=exchange.message_id,
        )
        return changed == 1

    async def begin_regeneration(self, message_id: int, notice: str) -> Exchange | None:
        """Record that the reply to *message_id* is being regenerated; return the stored exchange.

        If the program ends before `complete_regeneration` or `mark_shown`, the stored reply is
        shown again with *notice* under it. None if there is no reply, or if it is still open.
        """
        rows = await self._database.fetch(
            f"""
            UPDATE exchanges SET unshown = ?, attempts = 0
            WHERE message_id = ? AND author_id <> 0 AND NOT {IS_OPEN} AND {_NOT_RESET}
            RETURNING {_COLUMNS}, {_PLACE}
            """,
            json.dumps([notice]),
            message_id,
        )
        return _with_place(rows[0]) if rows else None

    async def set_reply_token(self, exchange: Exchange) -> None:
        """Let the press of *exchange* stand for the command that asked, until `mark_shown`."""
        await self._database.change(
            "UPDATE exchanges SET pressed_id = ?, token = ?, locale = ?"
            " WHERE message_id = ? AND author_id <> 0",
            exchange.pressed_id,
            exchange.token,
            exchange.locale,
            exchange.message_id,
        )

    async def complete_regeneration(
        self, exchange: Exchange, state: State, notices: Sequence[str]
    ) -> bool:
        """Store the reply that takes the place of an earlier one; the rest is as in `complete`."""
        changed = await self._database.change(
            f"""
            UPDATE exchanges SET reply = :reply, cut = :cut, tokens = :tokens, state = :state,
                unshown = :unshown
            WHERE message_id = :message AND author_id <> 0 AND unshown IS NOT NULL AND {_NOT_RESET}
            """,
            reply=scrubbed(exchange.reply),
            cut=exchange.cut,
            tokens=exchange.tokens,
            state=state,
            unshown=json.dumps(notices),
            message=exchange.message_id,
        )
        self.erasure.mark_pending()
        return changed == 1

    async def mark_shown(self, message_id: int) -> None:
        """Record that people see all there is to see of the reply to *message_id*."""
        await self._database.change(
            f"""
            UPDATE exchanges SET unshown = NULL, attempts = 0, {TOKEN_CLEARED}
            WHERE message_id = ? AND unshown IS NOT '{DELETION_PENDING}'
            """,
            message_id,
        )

    async def mark_reply_deleted(self, message_id: int) -> None:
        """Record that nothing is shown any more of the reply to a forgotten question."""
        await self._database.change_all(
            (
                f"""
                UPDATE exchanges SET unshown = NULL, attempts = 0, {TOKEN_CLEARED}
                WHERE message_id = ?
                """,
                (message_id,),
            ),
            (
                """
                DELETE FROM parts WHERE message_id IN
                    (SELECT message_id FROM exchanges WHERE message_id = ? AND author_id = 0)
                """,
                (message_id,),
            ),
        )

    async def open_questions(self) -> list[OpenQuestion]:
        """Return the questions that did not come to their end, oldest first."""
        rows = await self._database.fetch(
            f"""
            SELECT {_COLUMNS}, {_PLACE}, attempts, unshown,
                (SELECT group_concat(part_id) FROM parts WHERE parts.message_id = e.message_id)
            FROM exchanges e WHERE {IS_OPEN} ORDER BY message_id
            """
        )
        return [
            OpenQuestion(
                exchange=_with_place(columns),
                attempts=attempts,
                parts=tuple(sorted(map(int, (parts or "").split(",")))) if parts else (),
                complete=unshown is not None,
                withdrawn=unshown == DELETION_PENDING,
            )
            for *columns, attempts, unshown, parts in rows
        ]

    async def recent_questions(self, since_id: int) -> list[tuple[int, int, int | None]]:
        """Return which messages asked since *since_id* and are not forgotten, oldest first.

        Each as its message id, the channel in which it was asked, and the guild.
        """
        rows = await self._database.fetch(
            "SELECT message_id, channel_id, guild_id FROM exchanges"
            " WHERE message_id >= ? AND author_id <> 0 AND token IS NULL ORDER BY message_id",
            since_id,
        )
        return [(int(row[0]), int(row[1]), row[2]) for row in rows]


def _named(exchange: Exchange) -> dict[str, object]:
    place = exchange.conversation
    return {
        "message": exchange.message_id,
        "channel": place.channel_id,
        "place": exchange.place_id,
        "guild": place.guild_id,
        "parent": place.parent_id,
        "author_id": exchange.author_id,
        "author": scrubbed(exchange.author),
        "question": scrubbed(exchange.question),
        "embedded": scrubbed(exchange.embedded),
        "quoted": scrubbed(exchange.quoted),
        "quoted_id": exchange.quoted_id,
        "quoted_author_id": exchange.quoted_author_id,
        "files": exchange.files,
        "private_to": place.person_id,
        "token": exchange.token,
        "locale": exchange.locale,
    }


def _with_place(row: Sequence[Any]) -> Exchange:
    *columns, guild_id, parent_id, person_id = row
    return _exchange(columns, Conversation(columns[1], parent_id, guild_id, person_id))


def _exchange(row: Sequence[Any], conversation: Conversation) -> Exchange:
    message_id, channel_id, place_id, author_id, author, question, *rest = row
    embedded, quoted, quoted_id, quoted_author_id, files, reply, cut, *rest = rest
    tokens, token, pressed_id, locale = rest
    return Exchange(
        message_id=message_id,
        conversation=conversation
        if conversation.channel_id == channel_id
        else Conversation(channel_id, guild_id=conversation.guild_id),
        place_id=place_id,
        author_id=author_id,
        author=author,
        question=question,
        embedded=embedded,
        quoted=quoted,
        quoted_id=quoted_id,
        quoted_author_id=quoted_author_id,
        files=files,
        reply=reply,
        cut=bool(cut),
        tokens=tokens,
        token=token,
        pressed_id=pressed_id,
        locale=locale,
    )
