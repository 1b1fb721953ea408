"""The budget of IDENTIFYs and the backoff, across restarts and clock changes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import HistoryFailed
from bot.transport.identify_budget import (
    CAPACITY,
    REFILL_SECONDS,
    STALE_SECONDS,
    UNHURRIED,
    ConnectionFailures,
    IdentifyBudget,
    StartLimit,
    TimedValue,
    budget_pause_seconds,
    pause_seconds,
    refilled,
)
from bot.transport.session_starts import read_limit

DAY_SECONDS = 86400.0


class Clock:
    """A wall clock that moves when it is slept on."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Facts:
    """A store of facts that may fail."""

    def __init__(self, *, failing: bool = False) -> None:
        self.values: dict[str, str] = {}
        self.failing = failing

    async def get(self, name: str) -> str | None:
        if self.failing:
            raise HistoryFailed("disk I/O error")
        return self.values.get(name)

    async def set(self, name: str, value: str) -> None:
        if self.failing:
            raise HistoryFailed("disk I/O error")
        self.values[name] = value


def restarting(facts: Facts, clock: Clock) -> Callable[[], IdentifyBudget]:
    return lambda: IdentifyBudget(facts, clock=clock, sleep=clock.sleep)


async def identify(identifies: IdentifyBudget) -> None:
    await identifies.wait()
    await identifies.spend()


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("every_seconds", [0.0, 5.0, 60.0, 300.0])
async def test_no_day_has_more_than_300_identifies(restarts: bool, every_seconds: float) -> None:
    facts, clock = Facts(), Clock()
    begin = restarting(facts, clock)
    identifies, sent = begin(), list[float]()
    start = clock.now
    while clock.now < start + 2.5 * DAY_SECONDS:
        if restarts:
            identifies = begin()
        await identify(identifies)
        sent.append(clock.now)
        clock.now += every_seconds
    busiest = max(sum(1 for at in sent if one <= at < one + DAY_SECONDS) for one in sent)
    assert busiest <= 300


async def test_the_first_50_identifies_of_a_quiet_day_do_not_wait() -> None:
    clock = Clock()
    identifies = restarting(Facts(), clock)()
    for _ in range(50):
        await identify(identifies)
    assert clock.slept == []


async def test_the_budget_is_kept_in_memory_if_the_database_fails() -> None:
    clock = Clock()
    identifies = restarting(Facts(failing=True), clock)()
    for _ in range(60):
        await identify(identifies)
    assert len(clock.slept) >= 5


async def test_a_clock_that_was_set_back_causes_no_long_pause() -> None:
    facts, clock = Facts(), Clock()
    await identify(restarting(facts, clock)())
    clock.now -= 10 * 365 * DAY_SECONDS
    identifies = restarting(facts, clock)()
    for _ in range(300):
        await identify(identifies)
    assert max(clock.slept) <= REFILL_SECONDS


@pytest.mark.parametrize("value", ["", "many", "nan nan", "1", "1 2 3", "-5 0", "1e9 0", "3 inf"])
async def test_an_invalid_stored_value_is_ignored(value: str) -> None:
    facts, clock = Facts(), Clock()
    facts.values["identifies"] = value
    await identify(restarting(facts, clock)())
    assert clock.slept == []
    assert facts.values["identifies"].startswith("149.0 ")


@given(st.floats(0, CAPACITY), st.floats(-1e9, 1e9))
def test_an_identify_is_available_after_the_pause(left: float, seconds: float) -> None:
    now = refilled(TimedValue(left, 1e9), 1e9 + seconds)
    pause = budget_pause_seconds(now.number)
    assert 0 <= pause <= REFILL_SECONDS
    assert (pause == 0) == (now.number > UNHURRIED) or now.number == UNHURRIED
    assert refilled(now, now.at + pause).number >= 1 - 1e-6


async def test_the_pause_after_failures_doubles_up_to_a_minute() -> None:
    failures = ConnectionFailures(Facts(), clock=Clock())
    pauses = [await failures.add() for _ in range(12)]
    assert pauses[0] == 0
    assert 0.75 <= pauses[1] <= 1.25
    assert 12 <= pauses[5] <= 20
    assert all(45 <= pause <= 75 for pause in pauses[8:])


async def test_a_restarted_process_waits_for_the_rest_of_the_pause() -> None:
    facts, clock = Facts(), Clock()
    for _ in range(6):
        await ConnectionFailures(facts, clock=clock).add()
    clock.now += 5
    assert (
        await ConnectionFailures(facts, clock=clock).remaining_pause_seconds()
        == pause_seconds(6) - 5
    )
    clock.now += 60
    failures = ConnectionFailures(facts, clock=clock)
    assert await failures.remaining_pause_seconds() == 0
    assert await failures.add() >= 20


async def test_a_stable_connection_resets_the_count() -> None:
    facts, clock = Facts(), Clock()
    failures = ConnectionFailures(facts, clock=clock)
    for _ in range(6):
        await failures.add()
    await failures.reset()
    assert await ConnectionFailures(facts, clock=clock).remaining_pause_seconds() == 0
    assert await failures.add() == 0


@pytest.mark.parametrize("later", [-3600.0, -1.0, STALE_SECONDS + 1, 1e9])
async def test_failures_that_are_old_or_in_the_future_are_ignored(later: float) -> None:
    """The clock may have been set back since."""
    facts, clock = Facts(), Clock()
    for _ in range(9):
        await ConnectionFailures(facts, clock=clock).add()
    clock.now += later
    failures = ConnectionFailures(facts, clock=clock)
    assert await failures.remaining_pause_seconds() == 0
    assert await failures.add() == 0


async def test_a_first_start_does_not_wait() -> None:
    assert await ConnectionFailures(Facts(), clock=Clock()).remaining_pause_seconds() == 0


# Discord's own count


@pytest.mark.parametrize(("discords", "left"), [(1000, 150), (120, 120), (0, 0)])
async def test_the_smaller_count_holds(discords: int, left: int) -> None:
    """A new database knows nothing of the IDENTIFYs before it."""
    facts, clock = Facts(), Clock()
    await restarting(facts, clock)().lower_to(StartLimit(discords, 0.0))
    budget = restarting(facts, clock)()
    await budget.spend()
    assert float(facts.values["identifies"].split()[0]) == max(0, left - 1)


async def test_nobody_identifies_before_discord_counts_anew() -> None:
    """Discord resets the token of a bot that identifies although none is left."""
    facts, clock = Facts(), Clock()
    began = clock()
    budget = restarting(facts, clock)()
    await budget.lower_to(StartLimit(0, 5000.0))
    await identify(budget)
    assert clock() - began >= 5000.0


@pytest.mark.parametrize(
    "limit",
    [
        None,
        [],
        "1000",
        {},
        {"remaining": 5},
        {"remaining": "5", "reset_after": 0},
        {"remaining": True, "reset_after": 0},
        {"remaining": -1, "reset_after": 0},
        {"remaining": 5, "reset_after": "soon"},
        {"remaining": 5, "reset_after": -1},
        {"remaining": 5, "reset_after": 86_400_001},
        {"remaining": 5, "reset_after": float("nan")},
    ],
)
def test_an_odd_count_is_none(limit: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        read_limit(limit)


def test_discords_count_is_read_in_seconds() -> None:
    limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
    assert read_limit(limit) == StartLimit(999, 14_400.0)
