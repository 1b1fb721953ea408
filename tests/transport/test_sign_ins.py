"""How the shards of a process log in and identify one after another."""

import asyncio

import pytest

from bot.shards import Shard, shards_of
from bot.transport.identify_budget import IdentifyBudget, StartLimit, capacity_of
from bot.transport.session_starts import read_limit
from bot.transport.sign_ins import SLOT_SECONDS, LocalSlots, SignIns
from tests.transport.test_identify_budget import Clock, Facts


class Slots(LocalSlots):
    """Slots of a clock that the test moves, and when each shard may identify."""

    def __init__(self, late_seconds: float = 0.0) -> None:
        self.now, self._late_seconds = 100.0, late_seconds
        self.slept: list[float] = []
        super().__init__(clock=lambda: self.now, sleep=self._note)

    async def _note(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self._late_seconds


@pytest.fixture
def sign_ins() -> SignIns:
    return SignIns(IdentifyBudget(Facts(), clock=Clock()))


@pytest.mark.parametrize(
    ("max_concurrency", "waits"), [(1, [1, 1, 1]), (2, [1]), (4, []), (16, [])]
)
async def test_shards_of_one_rate_limit_key_wait_for_each_other(
    max_concurrency: int, waits: list[int]
) -> None:
    slots = Slots()
    for shard in shards_of(4):
        await slots.reserve(shard, max_concurrency)
    assert slots.slept == [SLOT_SECONDS * count for count in waits]


async def test_a_late_identify_delays_the_next_one() -> None:
    slots = Slots(late_seconds=3.0)
    for shard in shards_of(3):
        await slots.reserve(shard, 1)
    assert slots.now == 100.0 + 2 * (SLOT_SECONDS + 3.0)


async def test_a_turn_is_given_on_when_it_is_released(sign_ins: SignIns) -> None:
    async with sign_ins.turn(Shard(0, 2)) as turn:
        next_turn = asyncio.create_task(sign_ins.turn(Shard(1, 2)).__aenter__())
        await asyncio.sleep(0)
        assert not next_turn.done()
        turn.release()
        await next_turn
        turn.release()  # It releases only its own.
        third = asyncio.create_task(sign_ins.turn(Shard(0, 2)).__aenter__())
        await asyncio.sleep(0.01)
        assert not third.done()
        (await next_turn).release()
        await third


async def test_waiting_for_a_slot_does_not_count_as_opening_the_connection() -> None:
    now = 100.0

    async def slow(seconds: float) -> None:
        nonlocal now
        await asyncio.sleep(0.3)
        now += seconds

    slots = LocalSlots(clock=lambda: now, sleep=slow)
    sign_ins = SignIns(IdentifyBudget(Facts(), clock=Clock()), slots)
    await sign_ins.reserve(Shard(0, 2))
    async with asyncio.timeout(0.2) as opening:
        await sign_ins.reserve(Shard(1, 2), opening)
    assert opening.when() is not None
    assert not opening.expired()


@pytest.mark.parametrize(
    ("shards", "total", "capacity"),
    [(1, 1000, 150), (3, 1000, 450), (60, 1000, 450), (60, 2000, 900)],
)
def test_the_budget_grows_with_the_shards_within_discords_limit(
    shards: int, total: int, capacity: float
) -> None:
    """A full budget and what it gains in a day stay below Discord's *total*."""
    assert capacity_of(shards, total) == capacity
    assert 2 * capacity < total


@pytest.mark.parametrize("odd", [None, 0, -1, True, "2", 1.5])
def test_an_odd_concurrency_counts_as_one(odd: object) -> None:
    limit = {"remaining": 999, "reset_after": 0, "total": odd, "max_concurrency": odd}
    assert read_limit(limit) == StartLimit(999, 0.0)
