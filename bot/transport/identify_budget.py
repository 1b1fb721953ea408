"""The budget of IDENTIFYs and the backoff of reconnects, both kept across restarts."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from bot.backoff import Backoff, jittered
from bot.errors import HistoryFailed
from bot.log_events import as_event
from bot.shards import ONLY_SHARD, Shard

log = logging.getLogger(__name__)

# Discord resets the token of a bot that identifies more than 1000 times a day. A full budget at the
# start allows 150 + 150 in any 24 hours.
CAPACITY: Final = 150.0
REFILL_SECONDS: Final = 576.0  # One more every 576 s is 150 a day.
# Each further shard identifies as well. Twice this part is less than what Discord allows in a day.
USUAL_TOTAL: Final = 1000
MOST_OF_TOTAL: Final = 0.45
LARGEST: Final = 1e6  # Discord allows bots in very many guilds some thousands.
UNHURRIED: Final = 100.0  # While more than these are left, nobody waits.
IDENTIFY_BACKOFF: Final = Backoff(1.0, 60.0)
MAX_FAILURES: Final = 10  # The pause is at its longest by then.
STALE_SECONDS: Final = 600.0  # After so long without an attempt, earlier failures do not count.
STORE_SECONDS: Final = 2.0  # A locked database does not hold up the connection for longer.


class FactStore(Protocol):
    """A store of named values; both methods raise HistoryFailed."""

    async def get(self, name: str) -> str | None:
        """Return the value that was stored under *name*."""

    async def set(self, name: str, value: str) -> None:
        """Store *value*."""


class TimedValue(NamedTuple):
    """A number and when it was set, in seconds of the wall clock."""

    number: float
    at: float


class StartLimit(NamedTuple):
    """Discord's own count of the IDENTIFYs that are left of a day's *total*, and when it resets.

    Discord takes *max_concurrency* of them at the same time.
    """

    left: int
    reset_seconds: float
    total: int = USUAL_TOTAL
    max_concurrency: int = 1


Sleep = Callable[[float], Awaitable[None]]

NEVER_SET: Final = TimedValue(0.0, -math.inf)


class PersistentValue:
    """A `TimedValue` that is kept in memory and, as far as the store takes it, across restarts."""

    def __init__(self, facts: FactStore, name: str) -> None:
        self._facts = facts
        self._name = name
        self._value: TimedValue | None = None

    @property
    def known(self) -> TimedValue:
        """What was last set, as far as it has been read from the store."""
        return self._value or NEVER_SET

    async def get(self) -> TimedValue:
        """Return what was last set, by this process or an earlier one."""
        if self._value is None:
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    self._value = _parsed(await self._facts.get(self._name))
            except (HistoryFailed, TimeoutError) as error:
                log.warning("Cannot read the stored %s: %s", self._name, error)
                self._value = NEVER_SET
        return self._value

    async def set(self, value: TimedValue) -> None:
        """Store *value*."""
        self._value = value
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._facts.set(self._name, f"{value.number!r} {value.at!r}")
        except (HistoryFailed, TimeoutError) as error:
            log.warning("Cannot store the %s: %s", self._name, error)


async def pause_for_budget(left: float, capacity: float, sleep: Sleep) -> None:
    """Wait until a day's budget of *capacity*, with *left* of it left, allows an IDENTIFY."""
    pause = budget_pause_seconds(left, capacity)
    if pause:
        log.warning(
            "Wait %.0f s before identifying: %d of %d sign-ins at Discord's gateway are left "
            "for today",
            *(pause, left, capacity),
            extra=as_event("identify_postponed", wait_s=pause, count=int(left)),
        )
        await sleep(pause)


async def pause_for_reset(discords: StartLimit, sleep: Sleep) -> None:
    """Wait until Discord resets its count, if none is left."""
    if not discords.left:
        log.warning(
            "Wait %.0f s before identifying: Discord allows no sign-in until then",
            discords.reset_seconds,
        )
        await sleep(discords.reset_seconds)


class IdentifyBudget:
    """The IDENTIFYs that are left: `wait` before connecting, `spend` before the slot of one."""

    def __init__(
        self,
        facts: FactStore,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._shards = 1
        self._capacity = capacity_of(1)
        self._left = PersistentValue(facts, "identifies")
        self._clock = clock
        self._sleep = sleep

    def scale_to(self, shards: int) -> None:
        """Let the budget suffice for the starts of so many shards."""
        self._shards = shards
        self._capacity = capacity_of(shards)

    async def wait(self) -> None:
        """Return when the budget allows another IDENTIFY."""
        left = await self._now()
        await pause_for_budget(left.number, self._capacity, self._sleep)

    def left_now(self) -> float:
        """Return how many IDENTIFYs are left."""
        return refilled(self._left.known, self._clock(), self._capacity).number

    async def lower_to(self, discords: StartLimit) -> None:
        """Adopt Discord's count if it is smaller; if it is 0, wait until Discord resets it.

        It is smaller if the database is new, or if another program uses the same token.
        """
        self._capacity = capacity_of(self._shards, discords.total)
        left = await self._now()
        if discords.left < left.number:
            log.warning(
                "Use Discord's count of sign-ins: %d are left for today, not %d",
                *(discords.left, left.number),
            )
            await self._left.set(TimedValue(float(discords.left), left.at))
        await pause_for_reset(discords, self._sleep)

    async def spend(self) -> None:
        """Take one IDENTIFY from the budget."""
        left = await self._now()
        await self._left.set(TimedValue(max(0.0, left.number - 1), left.at))

    async def _now(self) -> TimedValue:
        return refilled(await self._left.get(), self._clock(), self._capacity)


class ConnectionFailures:
    """Counts failed attempts in a row to reach Discord, and says how long to pause after each."""

    def __init__(
        self,
        facts: FactStore,
        *,
        shard: Shard = ONLY_SHARD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._failures = PersistentValue(facts, shard.fact("connection failures"))
        self._clock = clock

    async def remaining_pause_seconds(self) -> float:
        """Return the rest of the pause that an earlier process began but did not end."""
        failures = await self._recent()
        return max(0.0, pause_seconds(failures.number) - (self._clock() - failures.at))

    async def add(self) -> float:
        """Count a failure; return how many seconds to wait before the next attempt."""
        failures = min(MAX_FAILURES, (await self._recent()).number + 1)
        await self._failures.set(TimedValue(failures, self._clock()))
        return jittered(pause_seconds(failures))

    async def reset(self) -> None:
        """Restart the count, because a connection proved stable."""
        if (await self._recent()).number:
            await self._failures.set(TimedValue(0.0, self._clock()))

    async def _recent(self) -> TimedValue:
        failures, now = await self._failures.get(), self._clock()
        return failures if 0 <= now - failures.at <= STALE_SECONDS else TimedValue(0.0, now)


def capacity_of(shards: int, total: int = USUAL_TOTAL) -> float:
    """Return how many IDENTIFYs a full budget has, if Discord allows *total* in a day."""
    return max(CAPACITY, min(CAPACITY * shards, MOST_OF_TOTAL * total))


def refilled(left: TimedValue, now: float, capacity: float = CAPACITY) -> TimedValue:
    """Return the budget at *now*. If the clock was set back, the budget stays as it was."""
    since = max(0.0, now - left.at)
    return TimedValue(min(capacity, left.number + since / refill_seconds(capacity)), now)


def budget_pause_seconds(left: float, capacity: float = CAPACITY) -> float:
    """Return how long to wait before an IDENTIFY; after that at least one is left."""
    return 0.0 if left > UNHURRIED else refill_seconds(capacity) * (1 - left / UNHURRIED)


def refill_seconds(capacity: float) -> float:
    """Return after how long there is one more: a full budget returns in a day."""
    return REFILL_SECONDS * CAPACITY / capacity


def pause_seconds(failures: float) -> float:
    """Return the pause after so many *failures* in a row; there is none after the first."""
    return IDENTIFY_BACKOFF.seconds(int(failures) - 1)


def _parsed(value: str | None) -> TimedValue:
    try:
        number, at = map(float, (value or "").split())
    except ValueError:
        return NEVER_SET
    is_plausible = math.isfinite(at) and 0 <= number <= LARGEST
    return TimedValue(number, at) if is_plausible else NEVER_SET
