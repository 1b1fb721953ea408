"""The newest message id that a shard processed: where backfill starts after an absence."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from bot.conversation.snowflakes import earlier, snowflake_at
from bot.errors import HistoryFailed
from bot.inbox.edits import ASKING_EDIT_SECONDS
from bot.shards import ONLY_SHARD, Shard
from bot.storage.facts import Facts

log = logging.getLogger(__name__)

WATERMARK_FACT: Final = "heard"  # a stored row: the name stays as older versions wrote it
FIRST_MESSAGE_FACT: Final = "first heard"
WRITE_SECONDS: Final = 30.0  # docs/decisions/009: rarely, since all share the disk
# Events overtake each other, and a process may die between an event and its storing.
MARGIN_SECONDS: Final = 120.0
AHEAD_SECONDS: Final = 3600.0  # Clocks differ by less: an id from later than that is made up.


class MissedRange(NamedTuple):
    """Which messages of a place may be missing: those after *after_id*, and edited older ones.

    An edit may make a question of an older message, back to *edited_after_id*.
    """

    after_id: int
    edited_after_id: int

    @classmethod
    def after(cls, after_id: int, *, oldest_id: int) -> "MissedRange":
        """Return the range after *after_id*, which has nothing before *oldest_id*."""
        after_id = max(after_id, oldest_id)
        return cls(after_id, max(earlier(after_id, ASKING_EDIT_SECONDS), oldest_id))


class Watermark:
    """The newest processed message id, written to the database now and then.

    While it is pinned it does not advance: an older message may be missing. *first_id* is the
    id of a message at the time of the first connection ever, None before that. Older messages are
    not for the bot. It is written at once, because the next process may connect before any message
    was processed.
    """

    def __init__(
        self, facts: Facts, now: Callable[[], float] = time.time, *, shard: Shard = ONLY_SHARD
    ) -> None:
        self._facts = facts
        self._now = now
        self._name = shard.fact(WATERMARK_FACT)
        self._first_name = shard.fact(FIRST_MESSAGE_FACT)
        self._newest = 0
        self._written = 0
        self._pinned_at: int | None = None
        self.first_id: int | None = None
        self._initialising = asyncio.Lock()
        self.absences = 0

    async def load(self) -> None:
        """Read the watermark of the last run; it is 0 before the first. Raises HistoryFailed."""
        stored = await self._stored(self._name) or 0
        self._newest = self._written = min(stored, self._latest_possible())
        self.first_id = await self._stored_first()

    async def initialise(self) -> None:
        """Record when the bot connected for the first time, unless that is recorded."""
        async with self._initialising:
            if self.first_id is not None:
                return
            first_id = snowflake_at(self._now())
            try:
                self.first_id = await self._stored_first()
                if self.first_id is None:
                    await self._facts.set(self._first_name, str(first_id))
                    self.first_id = first_id
            except HistoryFailed as error:
                log.warning("Cannot record the first connection: %s", error)

    async def _stored_first(self) -> int | None:
        first_id = await self._stored(self._first_name)
        is_older = first_id is None and await self._stored(self._name) is not None
        return 0 if is_older else first_id  # A database from before this was recorded.

    async def _stored(self, name: str) -> int | None:
        value = await self._facts.get(name)
        return int(value) if value is not None and value.isdecimal() else None

    @property
    def position(self) -> int:
        """The id up to which every message has been processed."""
        return self._newest if self._pinned_at is None else self._pinned_at

    def advance(self, message_id: int) -> None:
        """Note that a message was processed."""
        if self._newest < message_id <= self._latest_possible():
            self._newest = message_id

    def pin(self) -> None:
        """Keep the watermark where it is: an absence began, and messages may be missing."""
        self.absences += 1
        if self._pinned_at is None:
            self._pinned_at = self._newest

    def unpin(self, absences: int) -> None:
        """Let the watermark advance, if there was no absence after the first *absences*."""
        if absences == self.absences:
            self._pinned_at = None

    def _latest_possible(self) -> int:
        return snowflake_at(self._now() + AHEAD_SECONDS)

    async def write(self) -> None:
        """Write the watermark, if it advanced."""
        position = self.position
        if position > self._written:
            try:
                await self._facts.set(self._name, str(position))
            except HistoryFailed as error:
                log.warning("Cannot record watermark %d: %s", position, error)
            else:
                self._written = position

    async def keep_written(self) -> None:
        """Write the watermark from time to time, for ever."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()
