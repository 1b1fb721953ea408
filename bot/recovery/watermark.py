"""Up to which message all was heard: where catching up begins after the bot was away."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bot.conversation.snowflakes import earlier, snowflake_at
from bot.errors import HistoryFailed
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

FACT: Final = "heard"
FIRST_FACT: Final = "first heard"
WRITE_SECONDS: Final = 30.0
# Events overtake each other, and one may be heard and not stored when the process dies.
MARGIN_SECONDS: Final = 120.0
AHEAD_SECONDS: Final = 3600.0  # An id from further in the future than clocks differ is made up.


@dataclass(frozen=True, slots=True)
class Gap:
    """What may be missing in a place: what came after *after_id*, and edits of what came before.

    These go back to *edited_after_id*: an edit may make an older message a question.
    """

    after_id: int
    edited_after_id: int

    @classmethod
    def behind(cls, after_id: int, *, oldest_id: int, edits_seconds: float) -> "Gap":
        """Return the gap behind *after_id*, in which nothing before *oldest_id* counts."""
        after_id = max(after_id, oldest_id)
        return cls(after_id, max(earlier(after_id, edits_seconds), oldest_id))


class Heard:
    """The mark: the newest message that was heard, as it was last written.

    While it is frozen it stays where it is, whatever is heard: something older may be missing.
    *first_id* is the first message that was ever heard, None before that: the mark is written now
    and then, and without one nothing would say that older messages are not for the bot.
    """

    def __init__(self, history: History, now: Callable[[], float] = time.time) -> None:
        self._history = history
        self._now = now
        self._newest = 0
        self._written = 0
        self._frozen_at: int | None = None
        self.first_id: int | None = None
        self._turn = asyncio.Lock()
        self.absences = 0

    async def load(self) -> None:
        """Take up the mark of the last run; it is 0 before the first."""
        mark = await self._stored(FACT) or 0
        self._newest = self._written = min(mark, self._latest_possible())
        self.first_id = await self._stored_first()

    async def begin(self, message_id: int) -> None:
        """Note the first message ever, before anything is done about it; nobody overtakes."""
        async with self._turn:
            if self.first_id is not None:
                return
            try:
                self.first_id = await self._stored_first()
                if self.first_id is None:
                    await self._history.facts.set(FIRST_FACT, str(message_id))
                    self.first_id = message_id
            except HistoryFailed as error:
                log.warning("From when on messages were heard is not stored: %s", error)

    async def _stored_first(self) -> int | None:
        first_id = await self._stored(FIRST_FACT)
        is_older = first_id is None and await self._stored(FACT) is not None
        return 0 if is_older else first_id  # A database from before this was noted.

    async def _stored(self, name: str) -> int | None:
        value = await self._history.facts.get(name)
        return int(value) if value is not None and value.isdecimal() else None

    @property
    def mark(self) -> int:
        """Up to where all was heard."""
        return self._newest if self._frozen_at is None else self._frozen_at

    def hear(self, message_id: int) -> None:
        """Note that a message was heard."""
        if self._newest < message_id <= self._latest_possible():
            self._newest = message_id

    def freeze(self) -> None:
        """Keep the mark where it is: from here on something may be missing."""
        self.absences += 1
        if self._frozen_at is None:
            self._frozen_at = self._newest

    def thaw(self, absences: int) -> None:
        """Let the mark follow what is heard: what was missing in the first *absences* is there."""
        if absences == self.absences:
            self._frozen_at = None

    def _latest_possible(self) -> int:
        return snowflake_at(self._now() + AHEAD_SECONDS)

    async def write(self) -> None:
        """Write the mark, if it moved."""
        mark = self.mark
        if mark > self._written:
            try:
                await self._history.facts.set(FACT, str(mark))
            except HistoryFailed as error:
                log.warning("Up to where messages were heard is not stored: %s", error)
            else:
                self._written = mark

    async def keep_written(self) -> None:
        """Write the mark from time to time, for ever."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()
