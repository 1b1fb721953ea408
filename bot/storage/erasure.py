"""Forget what was said: at once for whoever asks, and in the file as soon as it can be."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from bot.errors import HistoryFailed
from bot.storage.database import Database, Statement
from bot.storage.usage import anonymise_usage

REWRITE_BYTES: Final = 16_000_000  # SQLite writes 5 MB in 25 ms anew; all else waits meanwhile.
HOURLY_REWRITE_BYTES: Final = 256_000_000
ERASE_ROWS: Final = 500  # A batch takes some 10 ms, so that other work gets its turn in between.
PLACES: Final = 500  # The same, of places that are gone.
DELETION_PENDING: Final = "withdrawn"  # in the place of notices: what was shown is to be deleted
# '' of what an interaction had; the NULL of a message stays
TOKEN_CLEARED: Final = "token = substr(token, 1, 0), locale = ''"
IS_OPEN: Final = "(state IN ('received', 'answering') OR unshown IS NOT NULL)"

ERASED_TEXT: Final = (
    "author_id = 0, author = '', question = '', embedded = '', quoted = '', quoted_id = NULL,"
    " quoted_author_id = NULL, files = '', reply = '', tokens = 0"
)
_ERASED: Final = f"""
    {ERASED_TEXT},
    state = CASE WHEN state IN ('received', 'answering') THEN 'cancelled' ELSE state END
"""

# CROSS JOIN: from the few resets to what they end, not through all that is stored.
_FORGOTTEN: Final = """
    SELECT e.message_id FROM resets r CROSS JOIN exchanges e
        ON e.channel_id = r.channel_id AND e.private_to = 0 AND e.message_id < r.before_id
        WHERE e.author_id <> 0
    UNION ALL
    SELECT e.message_id FROM resets r CROSS JOIN exchanges e
        ON e.message_id = r.channel_id AND e.message_id < r.before_id
        WHERE e.author_id <> 0
"""

_THESE: Final = "(SELECT value FROM json_each(:places))"
_FORGET_PLACES: Final = (
    """
    INSERT INTO resets SELECT value, max(value, coalesce((SELECT max(message_id) FROM exchanges
        WHERE channel_id = value AND private_to = 0 AND author_id <> 0), 0)) + 1
    FROM json_each(:places) WHERE true
    ON CONFLICT DO UPDATE SET before_id = max(before_id, excluded.before_id)
    """,
    f"""
    UPDATE exchanges SET unshown = NULL, {TOKEN_CLEARED},
        state = CASE WHEN state IN ('received', 'answering') THEN 'cancelled' ELSE state END
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
    # A reset is a boundary of what all see: what one person alone sees is erased at once.
    f"""
    UPDATE exchanges SET {_ERASED}
    WHERE channel_id IN {_THESE} AND private_to > 0 AND author_id <> 0
    """,
)


class Erasure:
    """What is forgotten of the exchanges. Every method raises HistoryFailed.

    While *pending* is set, words that are forgotten may still stand in the file. What was
    overwritten may also stand between rows, where SQLite moved a row from: only a file that is
    rewritten is free of that. *may_have_copies*: such copies may exist.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.pending = asyncio.Event()
        self.may_have_copies = False

    def mark_pending(self) -> None:
        """Note that something was forgotten, or replaced."""
        self.may_have_copies = True
        self.pending.set()

    async def reset(
        self, channel_id: int, before_id: int, notice: str, *, person_id: int = 0
    ) -> int:
        """Forget what was asked in *channel_id* before *before_id*; return how many exchanges.

        From now on they are neither read nor answered; `erase` removes their text. What is not
        shown whole yet is to end with *notice*. What *person_id* alone sees there goes as well.
        """
        named = {"channel": channel_id, "before": before_id, "person": person_id}
        [(count,)] = await self._database.fetch(
            """
            SELECT count(*) FROM exchanges WHERE message_id IN (
                SELECT message_id FROM exchanges WHERE channel_id = :channel
                    AND private_to IN (0, :person) AND message_id < :before AND author_id <> 0
                UNION SELECT :channel)
            AND author_id <> 0 AND reply <> '' AND message_id < :before
            AND (private_to <> 0 OR message_id >=
                coalesce((SELECT before_id FROM resets WHERE channel_id = :channel), 0))
            """,
            **named,
        )
        await self._database.change_all(
            _boundary(channel_id, before_id),
            (
                f"""
                UPDATE exchanges SET state = 'cancelled', unshown = :unshown
                WHERE {IS_OPEN} AND :channel IN (channel_id, message_id)
                    AND private_to IN (0, :person)
                    AND message_id < :before AND unshown IS NOT '{DELETION_PENDING}'
                """,
                {**named, "unshown": json.dumps([notice])},
            ),
            (
                f"""
                UPDATE exchanges SET {_ERASED} WHERE channel_id = :channel AND private_to > 0
                    AND private_to = :person AND message_id < :before AND author_id <> 0
                """,
                named,
            ),
        )
        self.mark_pending()
        return int(count)

    async def forget(self, message_id: int) -> bool:
        """Forget a question with its reply; False where there was none. See `erase`.

        Its id stays, so that it is not answered when it comes again, and those of its parts until
        `History.mark_reply_deleted` says that these are deleted.
        """
        [changed] = await self._database.change_all(
            (
                f"""
                UPDATE exchanges SET {_ERASED}, unshown = '{DELETION_PENDING}'
                WHERE message_id = ? AND unshown IS NOT '{DELETION_PENDING}'
                    AND (author_id <> 0 OR unshown IS NOT NULL OR EXISTS
                        (SELECT 1 FROM parts WHERE parts.message_id = exchanges.message_id))
                """,
                (message_id,),
            )
        )
        if changed:
            self.mark_pending()
        return changed == 1

    async def forget_places(self, place_ids: Sequence[int]) -> None:
        """Forget what was said in these places, which are gone; `erase` removes it.

        A thread's opening question goes with it. System prompts, models and
        what was used there go at once.
        """
        for start in range(0, len(place_ids), PLACES):
            places = {"places": json.dumps(place_ids[start : start + PLACES])}
            await self._database.change_all(*[(sql, places) for sql in _FORGET_PLACES])
            self.mark_pending()

    async def forget_person(self, author_id: int) -> int:
        """Forget what somebody asked in all places, and where others quote them; return how much.

        What they and the bot wrote at Discord stays there, but for answers that are not whole. What
        they used counts for nobody.
        """
        forgotten, *_ = await self._database.change_all(
            (
                f"""
                UPDATE exchanges SET {_ERASED},
                    unshown = CASE WHEN {IS_OPEN} THEN '{DELETION_PENDING}' END
                WHERE author_id = ? AND author_id <> 0
                """,
                (author_id,),
            ),
            (
                """
                UPDATE exchanges SET quoted = '', quoted_id = NULL, quoted_author_id = NULL
                WHERE quoted_author_id = ?
                """,
                (author_id,),
            ),
            *anonymise_usage(author_id),
        )
        self.mark_pending()
        return forgotten

    async def expire(self, before_id: int) -> None:
        """Forget what was asked before *before_id* and is over."""
        expired = 1
        while expired:
            expired = await self._database.change(
                f"""
                UPDATE exchanges SET {_ERASED} WHERE message_id IN
                    (SELECT message_id FROM exchanges WHERE message_id < ? AND author_id <> 0
                        AND NOT {IS_OPEN} LIMIT {ERASE_ROWS})
                """,
                before_id,
            )
            if expired:
                self.mark_pending()

    async def why_not_erased(self, most_bytes: int = REWRITE_BYTES) -> str | None:
        """Erase what was forgotten; return why that is not possible now, or None if it is done."""
        try:
            erased = await self.erase(most_bytes)
        except HistoryFailed as error:
            return str(error)
        return None if erased else "another program reads the database"

    async def erase(self, most_bytes: int = REWRITE_BYTES) -> bool:
        """Erase text and names of all that was forgotten; ids and states stay.

        A file of at most *most_bytes* is rewritten. False if another program is reading the file:
        that keeps the overwritten text in the log.
        """
        while ids := await self._database.fetch(f"{_FORGOTTEN} LIMIT {ERASE_ROWS}"):
            marks = ",".join("?" * len(ids))
            forgotten = [message_id for (message_id,) in ids]
            await self._database.change_all(
                (f"UPDATE exchanges SET {_ERASED} WHERE message_id IN ({marks})", forgotten)
            )
            self.mark_pending()
        if self.pending.is_set():
            self.pending.clear()
            emptied = False
            try:
                await self._database.truncate_log()  # Also where the file cannot be written anew.
                await self._rewrite(most_bytes)
                emptied = await self._database.truncate_log()
            finally:
                if not emptied:
                    self.pending.set()
        return not self.pending.is_set()

    async def tidy(self) -> None:
        """Write a larger file anew, too, if something was forgotten."""
        if await self._rewrite(HOURLY_REWRITE_BYTES):
            self.pending.set()

    async def _rewrite(self, most_bytes: int) -> bool:
        """Write a file of at most so many bytes anew, where that is of use; whether it was."""
        if not self.may_have_copies or await self._database.size_bytes() > most_bytes:
            return False
        self.may_have_copies = False
        try:
            await self._database.rewrite()
        except BaseException:
            self.may_have_copies = True
            raise
        return True

    async def prune(self, before_id: int) -> None:
        """Drop what is left of forgotten exchanges before *before_id*: nobody asks for it again."""
        await self._database.change_all(
            (
                """
                DELETE FROM parts WHERE message_id IN (SELECT message_id FROM exchanges
                    WHERE author_id = 0 AND message_id < ? AND unshown IS NULL)
                """,
                (before_id,),
            ),
            (
                """
                DELETE FROM exchanges
                WHERE author_id = 0 AND message_id < ? AND unshown IS NULL
                """,
                (before_id,),
            ),
            (
                """
                DELETE FROM resets WHERE before_id < ?
                    AND NOT EXISTS (SELECT 1 FROM places WHERE place_id = resets.channel_id)
                    AND NOT EXISTS (SELECT 1 FROM exchanges WHERE message_id = resets.channel_id)
                    AND NOT EXISTS (SELECT 1 FROM exchanges
                        WHERE channel_id = resets.channel_id AND author_id <> 0)
                """,
                (before_id,),
            ),
        )


def _boundary(channel_id: int, before_id: int) -> Statement:
    """Return what makes all in a channel before *before_id* forgotten."""
    return (
        """
        INSERT INTO resets VALUES (?, ?)
        ON CONFLICT DO UPDATE SET before_id = max(before_id, excluded.before_id)
        """,
        (channel_id, before_id),
    )
