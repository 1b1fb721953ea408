"""Forget exchanges at once, and erase their text from the file as soon as possible."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Final

from bot.errors import HistoryFailed
from bot.storage.database import Database
from bot.storage.exchange_rows import (
    DELETION_PENDING,
    IS_NOT_WITHDRAWN,
    IS_OPEN,
    IS_UNANSWERED,
    TOKEN_CLEARED,
)
from bot.storage.places import RecordedPlaces
from bot.storage.usage import ANONYMISE_USAGE

# SQLite rewrites 5 MB in 25 ms (measured), while everything else waits. A file above the first
# limit is rewritten once an hour, one above the second never: decision 009.
REWRITE_BYTES: Final = 16_000_000
HOURLY_REWRITE_BYTES: Final = 256_000_000
ERASE_ROWS: Final = 500  # A batch takes some 10 ms (measured); other work runs between batches.
FORGET_PLACES: Final = 500  # in a batch, for the same reason

_CANCELLED: Final = f"state = CASE WHEN {IS_UNANSWERED} THEN 'cancelled' ELSE state END"
_WITHOUT_WORDS: Final = """
    author_id = 0, author = '', question = '', embedded = '', quoted = '', quoted_id = NULL,
    quoted_author_id = NULL, files = '', reply = '', tokens = 0
"""
_ERASED: Final = f"{_WITHOUT_WORDS}, {_CANCELLED}"

# CROSS JOIN makes SQLite look up the exchanges of the few resets instead of reading all exchanges.
_FORGOTTEN: Final = """
    SELECT e.message_id FROM resets r CROSS JOIN exchanges e
        WHERE e.channel_id = r.channel_id AND e.private_to = 0 AND e.message_id < r.before_id
            AND e.author_id <> 0
    UNION ALL
    SELECT e.message_id FROM resets r CROSS JOIN exchanges e
        WHERE e.message_id = r.channel_id AND e.message_id < r.before_id
            AND e.author_id <> 0
"""

# How many exchanges a reset forgets, without those that an earlier reset forgot.
_COUNT_RESET: Final = """
    SELECT count(*) FROM exchanges WHERE message_id IN (
        SELECT message_id FROM exchanges WHERE channel_id = :channel
            AND private_to IN (0, :person) AND message_id < :before AND author_id <> 0
        UNION SELECT :channel)
    AND author_id <> 0 AND reply <> '' AND message_id < :before
    AND (private_to <> 0 OR message_id >=
        coalesce((SELECT before_id FROM resets WHERE channel_id = :channel), 0))
"""

_THESE: Final = "(SELECT value FROM json_each(:places) AS place)"
# A reset never moves back.
_LATER_RESET: Final = """
    ON CONFLICT (channel_id) DO UPDATE SET before_id = excluded.before_id
        WHERE resets.before_id < excluded.before_id
"""
_FORGET_PLACES: Final = (
    # Up to the newest question, or if there is none, up to the message that opened a thread.
    f"""
    INSERT INTO resets SELECT value, 1 + coalesce((SELECT max(message_id) FROM exchanges
        WHERE channel_id = value AND private_to = 0 AND author_id <> 0 AND message_id > value),
        value)
    FROM json_each(:places) AS place WHERE true
    {_LATER_RESET}
    """,
    f"""
    UPDATE exchanges SET unshown = NULL, {TOKEN_CLEARED}, {_CANCELLED}
    WHERE {IS_OPEN} AND (channel_id IN {_THESE} OR message_id IN {_THESE})
    """,
    f"DELETE FROM system_prompts WHERE scope = 'channel' AND scope_id IN {_THESE}",
    f"DELETE FROM models WHERE scope = 'channel' AND scope_id IN {_THESE}",
    f"DELETE FROM usage WHERE channel_id IN {_THESE}",
    f"DELETE FROM places WHERE place_id IN {_THESE}",
    f"""
    DELETE FROM parts WHERE message_id IN {_THESE} OR message_id IN
        (SELECT message_id FROM exchanges WHERE channel_id IN {_THESE} AND author_id <> 0)
    """,
    # A reset forgets what everybody sees; what one person alone sees is erased at once.
    f"""
    UPDATE exchanges SET {_ERASED}
    WHERE channel_id IN {_THESE} AND private_to > 0 AND author_id <> 0
    """,
)


class Erasure:
    """Forgets exchanges and erases their text. Every method raises HistoryFailed.

    While *pending* is set, the file may still hold forgotten text. SQLite may also have left copies
    of it between the rows, where a row was before it was moved; *may_have_copies* says so. Only a
    rewrite of the file removes these.
    """

    def __init__(self, database: Database, recorded: RecordedPlaces) -> None:
        self._database = database
        self._recorded = recorded
        self.pending = asyncio.Event()
        self.may_have_copies = False
        self._pending_since = 0.0

    @property
    def is_due(self) -> bool:
        """Whether anything is left to erase."""
        return self.pending.is_set() or self.may_have_copies

    def mark_pending(self) -> None:
        """Note that text was forgotten or replaced."""
        self.may_have_copies = True
        self._pending_since = self._pending_since or time.monotonic()
        self.pending.set()

    def pending_seconds(self) -> float:
        """Return how long forgotten text has been waiting to be erased, 0 if there is none."""
        return time.monotonic() - self._pending_since if self._pending_since else 0.0

    async def reset(
        self, channel_id: int, before_id: int, notice: str, *, person_id: int = 0
    ) -> int:
        """Forget what was asked in *channel_id* before *before_id*; return how many exchanges.

        From now on they are neither read nor answered; `erase` removes their text. Answers that
        are not shown whole yet end with *notice*. What *person_id* alone sees there goes as well.
        """
        named = {"channel": channel_id, "before": before_id, "person": person_id}
        [(count,)] = await self._database.fetch(_COUNT_RESET, **named)
        await self._database.change_all(
            f"INSERT INTO resets VALUES (:channel, :before) {_LATER_RESET}",
            f"""
            UPDATE exchanges SET state = 'cancelled', unshown = :unshown
            WHERE {IS_OPEN} AND :channel IN (channel_id, message_id)
                AND private_to IN (0, :person)
                AND message_id < :before AND {IS_NOT_WITHDRAWN}
            """,
            f"""
            UPDATE exchanges SET {_ERASED} WHERE channel_id = :channel AND private_to > 0
                AND private_to = :person AND message_id < :before AND author_id <> 0
            """,
            **named,
            unshown=json.dumps([notice]),
        )
        self.mark_pending()
        return int(count)

    async def forget(self, message_id: int) -> bool:
        """Forget a question with its reply; False if there was none. `erase` removes the text.

        Its id stays, so that the question is not answered if it arrives again. The ids of its parts
        stay until `History.mark_reply_deleted`.
        """
        [changed] = await self._database.change_all(
            f"""
            UPDATE exchanges SET {_ERASED}, unshown = '{DELETION_PENDING}'
            WHERE message_id = :message AND {IS_NOT_WITHDRAWN}
                AND (author_id <> 0 OR unshown IS NOT NULL OR EXISTS
                    (SELECT 1 FROM parts WHERE parts.message_id = exchanges.message_id))
            """,
            message=message_id,
        )
        if changed:
            self.mark_pending()
        return changed == 1

    async def withhold(self, message_id: int, notices: Sequence[str] | None = None) -> bool:
        """Forget a question with its reply; return False if it is not stored.

        Its id stays, as for `forget`. It is open until `History.mark_shown` if *notices* are to be
        shown in place of the reply.
        """
        changed = await self._database.change(
            f"""
            UPDATE exchanges SET {_WITHOUT_WORDS}, cut = 0, state = 'failed', unshown = :unshown
            WHERE message_id = :message AND author_id <> 0
            """,
            message=message_id,
            unshown=None if notices is None else json.dumps(notices),
        )
        self.mark_pending()
        return changed == 1

    async def forget_places(self, place_ids: Sequence[int]) -> None:
        """Forget the questions and answers of these deleted places; `erase` removes the text.

        The question that opened a thread goes with the thread. System prompts, models and usage of
        the places are deleted at once.
        """
        unique = [*dict.fromkeys(place_ids)]  # PostgreSQL writes no row twice in one statement.
        for start in range(0, len(unique), FORGET_PLACES):
            places = json.dumps(unique[start : start + FORGET_PLACES])
            try:
                await self._database.change_all(*_FORGET_PLACES, places=places)
            finally:  # It may have deleted places even if the connection to the database was lost.
                self._recorded.clear()
            self.mark_pending()

    async def forget_guild(self, guild_id: int) -> None:
        """Delete a guild with its system prompt, its model and its usage."""
        await self._database.change_all(
            "DELETE FROM guilds WHERE guild_id = :guild",
            "DELETE FROM system_prompts WHERE scope = 'guild' AND scope_id = :guild",
            "DELETE FROM models WHERE scope = 'guild' AND scope_id = :guild",
            "DELETE FROM usage WHERE guild_id = :guild",
            guild=guild_id,
        )
        self.mark_pending()

    async def forget_person(self, person_id: int) -> int:
        """Forget a person's exchanges, and where others quote them; return how many exchanges.

        Messages at Discord stay there, except for unfinished answers. The usage is anonymised.
        """
        forgotten, *_ = await self._database.change_all(
            f"""
            UPDATE exchanges SET {_ERASED},
                unshown = CASE WHEN {IS_OPEN} THEN '{DELETION_PENDING}' END
            WHERE author_id = :person AND author_id <> 0
            """,
            """
            UPDATE exchanges SET quoted = '', quoted_id = NULL, quoted_author_id = NULL
            WHERE quoted_author_id = :person
            """,
            *ANONYMISE_USAGE,
            person=person_id,
        )
        self.mark_pending()
        return forgotten

    async def forget_before(self, before_id: int) -> None:
        """Forget the exchanges before *before_id*, except for open ones."""
        forget = f"""
            UPDATE exchanges SET {_ERASED} WHERE message_id IN
                (SELECT message_id FROM exchanges WHERE message_id < ? AND author_id <> 0
                    AND NOT {IS_OPEN} LIMIT {ERASE_ROWS})
        """
        while await self._database.change(forget, before_id):
            self.mark_pending()

    async def try_erase(self, max_bytes: int = REWRITE_BYTES) -> str | None:
        """Erase what was forgotten; return why that is not possible now, or None if it is done."""
        try:
            erased = await self.erase(max_bytes)
        except HistoryFailed as error:
            return str(error)
        return None if erased else "another program reads the database"

    async def erase(self, max_bytes: int = REWRITE_BYTES) -> bool:
        """Erase text and names of all forgotten exchanges; ids and states stay.

        A file of at most *max_bytes* is rewritten. False if another program is reading the file,
        which keeps the overwritten text in SQLite's write-ahead log.
        """
        while ids := await self._database.fetch(f"{_FORGOTTEN} LIMIT {ERASE_ROWS}"):
            await self._database.change_all(
                f"""
                UPDATE exchanges SET {_ERASED}
                WHERE message_id IN (SELECT value FROM json_each(:ids) AS question)
                """,
                ids=json.dumps([message_id for (message_id,) in ids]),
            )
            self.mark_pending()
        if self.pending.is_set():
            self.pending.clear()
            emptied = False
            try:
                await self._database.truncate_log()  # even if the rewrite fails
                await self._rewrite(max_bytes)
                emptied = await self._database.truncate_log()
            finally:
                if not emptied:
                    self.pending.set()
        if not self.pending.is_set():
            self._pending_since = 0.0
        return not self.pending.is_set()

    async def rewrite_large_file(self) -> None:
        """Rewrite the file if it may hold copies of forgotten text, even if it is large."""
        if await self._rewrite(HOURLY_REWRITE_BYTES):
            self.pending.set()

    async def _rewrite(self, max_bytes: int) -> bool:
        """Rewrite a file of at most *max_bytes* if it may hold copies; return whether it did."""
        if not self.may_have_copies or await self._database.size_bytes() > max_bytes:
            return False
        self.may_have_copies = False
        try:
            await self._database.rewrite()
        except BaseException:
            self.may_have_copies = True
            raise
        return True

    async def delete_ids_before(self, before_id: int) -> None:
        """Delete the ids of forgotten exchanges before *before_id*: they cannot arrive again."""
        await self._database.change_all(
            """
            DELETE FROM parts WHERE message_id IN (SELECT message_id FROM exchanges
                WHERE author_id = 0 AND message_id < :before AND unshown IS NULL)
            """,
            """
            DELETE FROM exchanges WHERE author_id = 0 AND message_id < :before AND unshown IS NULL
            """,
            """
            DELETE FROM resets WHERE before_id < :before
                AND NOT EXISTS (SELECT 1 FROM places WHERE place_id = resets.channel_id)
                AND NOT EXISTS (SELECT 1 FROM exchanges WHERE message_id = resets.channel_id)
                AND NOT EXISTS (SELECT 1 FROM exchanges
                    WHERE channel_id = resets.channel_id AND author_id <> 0)
            """,
            before=before_id,
        )
