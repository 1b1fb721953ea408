"""How often the bot knocks at Discord's gateway: a budget and a pause that outlive the process."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bot.backoff import Backoff, jittered
from bot.errors import HistoryFailed

log = logging.getLogger(__name__)

# Discord resets the token of who identifies more than 1000 times a day. Starting full, this lets
# 150 + 150 pass in any 24 hours.
CAPACITY: Final = 150.0
REFILL_SECONDS: Final = 576.0  # One more every so often: 150 a day.
UNHURRIED: Final = 100.0  # While more than these are left, nobody waits.
BACKOFF: Final = Backoff(1.0, 60.0)
MOST_FAILURES: Final = 10  # More change nothing.
STALE_SECONDS: Final = 600.0  # After so long without an attempt, what failed before says nothing.
MEMORY_SECONDS: Final = 2.0  # A database that is locked does not hold up the connection.


class Facts(Protocol):
    """Where small things are remembered; both raise HistoryFailed."""

    async def get(self, name: str) -> str | None:
        """Return what was remembered under *name*."""

    async def set(self, name: str, value: str) -> None:
        """Remember *value*."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A number and when it was noted, in seconds of the wall clock."""

    number: float
    at: float


class Remembered:
    """A `Noted` that outlives the process; while the file fails, it lives as long as this."""

    def __init__(self, facts: Facts, name: str) -> None:
        self._facts = facts
        self._name = name
        self._noted: Noted | None = None
        self._read = False

    async def get(self) -> Noted | None:
        """Return what was last set, by this process or one before it."""
        if not self._read:
            try:
                async with asyncio.timeout(MEMORY_SECONDS):
                    self._noted = _parsed(await self._facts.get(self._name))
            except (HistoryFailed, TimeoutError) as error:
                log.warning("What is known of %s cannot be read: %s", self._name, error)
            self._read = True
        return self._noted

    async def set(self, noted: Noted) -> None:
        """Remember *noted*."""
        self._noted, self._read = noted, True
        try:
            async with asyncio.timeout(MEMORY_SECONDS):
                await self._facts.set(self._name, f"{noted.number!r} {noted.at!r}")
        except (HistoryFailed, TimeoutError) as error:
            log.warning("What is known of %s cannot be stored: %s", self._name, error)


class IdentifyBudget:
    """The budget of IDENTIFYs: `wait` before one is prepared, `count` right before it is sent."""

    def __init__(
        self,
        facts: Facts,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._left = Remembered(facts, "identifies")
        self._clock = clock
        self._sleep = sleep

    async def wait(self) -> None:
        """Return when the budget allows another one."""
        left = refilled(await self._left.get(), self._clock())
        pause = budget_pause_seconds(left.number)
        if pause:
            log.warning(
                "%d of %d sign-ins at Discord's gateway are left for today: waiting %.0f s",
                left.number,
                CAPACITY,
                pause,
            )
            await self._sleep(pause)

    async def count(self) -> None:
        """Take one from the budget."""
        left = refilled(await self._left.get(), self._clock())
        await self._left.set(Noted(max(0.0, left.number - 1), left.at))


class ConnectionFailures:
    """Attempts to reach Discord that failed in a row, and the pause after each."""

    def __init__(self, facts: Facts, *, clock: Callable[[], float] = time.time) -> None:
        self._failures = Remembered(facts, "connection failures")
        self._clock = clock

    async def pause_left_seconds(self) -> float:
        """Return what is left of the pause that a process before this one did not live to end."""
        noted = await self._recent()
        return max(0.0, backoff_seconds(int(noted.number)) - (self._clock() - noted.at))

    async def failed(self) -> float:
        """Count one more; return how many seconds to wait before the next attempt."""
        failures = min(MOST_FAILURES, (await self._recent()).number + 1)
        await self._failures.set(Noted(failures, self._clock()))
        return jittered(backoff_seconds(int(failures)))

    async def held(self) -> None:
        """Begin a new count: a connection has held."""
        if (await self._recent()).number:
            await self._failures.set(Noted(0.0, self._clock()))

    async def _recent(self) -> Noted:
        noted, now = await self._failures.get(), self._clock()
        if noted is None or not 0 <= now - noted.at <= STALE_SECONDS:
            return Noted(0.0, now)
        return noted


def refilled(noted: Noted | None, now: float) -> Noted:
    """Return the budget at *now*; a clock that was set back refills nothing and takes nothing."""
    if noted is None:
        return Noted(CAPACITY, now)
    since = max(0.0, now - noted.at)
    return Noted(min(CAPACITY, noted.number + since / REFILL_SECONDS), now)


def budget_pause_seconds(left: float) -> float:
    """Return how long to wait before an IDENTIFY; after that at least one is left."""
    return 0.0 if left > UNHURRIED else REFILL_SECONDS * (1 - left / UNHURRIED)


def backoff_seconds(failures: int) -> float:
    """Return the pause after so many failures in a row; after the first there is none."""
    return BACKOFF.seconds(failures - 1)


def _parsed(value: str | None) -> Noted | None:
    try:
        number, at = map(float, (value or "").split())
    except ValueError:
        return None
    if not (math.isfinite(at) and 0 <= number <= CAPACITY):
        return None
    return Noted(number, at)
