"""What recovery does next and how far back it looks: three kinds of work, and their pauses."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Hashable
from enum import Enum, auto
from typing import Final, NamedTuple
from weakref import WeakSet

from bot.backoff import Backoff
from bot.conversation.snowflakes import HOUR_SECONDS, snowflake_at
from bot.errors import HistoryFailed
from bot.inbox.claims import Claim
from bot.inbox.in_flight import InFlight
from bot.log_events import as_event

log = logging.getLogger(__name__)

RECOVERY_BACKOFF: Final = Backoff(2.0, 300.0)
MIN_STORED_SECONDS: Final = 3600.0  # the shortest period for a stored question


class Need(Enum):
    """A kind of work that recovery may have to do."""

    RESUME = auto()  # answer open questions
    BACKFILL = auto()  # find questions that were asked during an absence
    RECONCILE = auto()  # find edits and deletions that were made during an absence


class CatchUpPeriod(NamedTuple):
    """How far back questions are answered, in *hours*; 0 searches for no missed ones."""

    hours: float
    now: Callable[[], float] = time.time

    def oldest_missed_id(self) -> int:
        """Return the smallest id of a missed question that is still answered."""
        return snowflake_at(self.now() - self.hours * HOUR_SECONDS)

    def oldest_stored_id(self) -> int:
        """Return the smallest id of a stored question that is still answered."""
        return snowflake_at(self.now() - max(self.hours * HOUR_SECONDS, MIN_STORED_SECONDS))


class Pauses:
    """Pauses for each queue of questions and each kind of work, longer with each failure in a row.

    Calls *ended* after each pause.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._failures: dict[Hashable, int] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def begin(self, key: Hashable) -> None:
        """Begin a pause, unless one is active."""
        if key not in self._timers:
            self._failures[key] = self._failures.get(key, 0) + 1
            seconds = RECOVERY_BACKOFF.seconds(self._failures[key])
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(seconds, self._end, key)

    def active(self, key: Hashable) -> bool:
        """Whether the key is pausing."""
        return key in self._timers

    def reset(self, key: Hashable) -> None:
        """Let the next pause be the first again."""
        self._failures.pop(key, None)

    def clear(self) -> None:
        """End all pauses without a call of *ended*, and reset all keys."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._failures.clear()

    def keep_only(self, keys: Collection[Hashable]) -> None:
        """Reset the keys that are not among these and are not pausing."""
        for key in self._failures.keys() - self._timers.keys() - {*keys}:
            self.reset(key)

    def _end(self, key: Hashable) -> None:
        del self._timers[key]
        self._ended()


class Changes:
    """Lets all shards of the bot look for changes in the database, such as by `/forget-me`.

    *tell_others* asks the other processes to call `look_here`; a bot in one process has none.
    """

    def __init__(self) -> None:
        self._here = WeakSet["CatchUp"]()
        self.tell_others: Callable[[], None] = lambda: None

    def join(self, catch_up: "CatchUp") -> None:
        """Include a shard, for as long as it exists."""
        self._here.add(catch_up)

    def announce(self) -> None:
        """Let all shards look for changes, in all processes."""
        self.look_here()
        self.tell_others()

    def look_here(self) -> None:
        """Let the shards of this process look for changes."""
        for catch_up in set(self._here):
            catch_up.resume()


class CatchUp:
    """Starts each kind of work when there is a need for it, unless it pauses after a failure.

    A resume pass comes first. At its end, `Resumption` calls `start_next`, which starts the first
    kind that is needed and not pausing. Work that fails stays needed, and the end of each pause
    begins a resume pass. Each kind has a task of its own, so that slow lists of Discord delay
    neither the open questions nor the missed ones.
    """

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self.pauses = Pauses(self.resume)
        self._needed = set[Need]()
        self._due = {need: asyncio.Event() for need in Need}

    def resume(self) -> None:
        """Begin a resume pass."""
        self._due[Need.RESUME].set()

    def start_all(self) -> None:
        """Do all work now: events may have been missed, and what failed before may work again."""
        self._needed |= {Need.BACKFILL, Need.RECONCILE}
        self.pauses.clear()
        self.resume()

    def start_next(self, *needs: Need) -> None:
        """Start the first of these kinds of work that is needed and does not pause."""
        for need in needs:
            if need in self._needed and not self.pauses.active(need):
                self._due[need].set()
                return

    def on_release(self, claim: Claim) -> None:
        """Resume a question: if it is open, after a pause; if recovery skipped it, at once."""
        if claim.open:
            self.pauses.begin(claim.queue_key)
        elif claim.contested:
            self.resume()

    async def repeat(self, need: Need, work: Callable[[], Awaitable[bool]]) -> None:
        """Do *work* whenever it is due, until a shutdown; *work* returns whether it is complete."""
        while True:
            await self._due[need].wait()
            self._due[need].clear()
            if self._in_flight.draining:
                return
            self._needed.discard(need)
            if await self._is_complete(need, work):
                self.pauses.reset(need)
            else:
                self._needed.add(need)
                self.pauses.begin(need)

    async def _is_complete(self, need: Need, work: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await work()
        except HistoryFailed as error:
            failed = as_event("recovery_failed", outcome=need.name.lower())
            log.warning("Cannot finish the %s pass: %s", need.name.lower(), error, extra=failed)
        except Exception:  # the one top handler of recovery
            failed = as_event("recovery_failed", outcome=need.name.lower())
            log.exception(
                "Cannot finish the %s pass: internal error", need.name.lower(), extra=failed
            )
        return False
