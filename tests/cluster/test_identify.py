"""IDENTIFYs of several processes: their spacing, and the budget of a day."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.cluster.fence import Fence
from bot.cluster.identify import ClusterSlots
from bot.shards import Shard
from bot.storage.identify import IdentifyStore
from bot.storage.leases import at_once
from bot.storage.location import PostgresLocation, location_of
from bot.storage.postgres_schema import prepare
from bot.storage.postgres_session import Session
from bot.transport.sign_ins import SLOT_SECONDS


@asynccontextmanager
async def store(url: str) -> AsyncIterator[IdentifyStore]:
    location = location_of(url)
    assert isinstance(location, PostgresLocation)
    session = await Session.open(location)
    try:
        await prepare(session)
        yield IdentifyStore(at_once(session))
    finally:
        await session.close()


async def test_one_process_takes_a_slot_and_the_others_wait(postgres_url: str) -> None:
    """Other keys do not wait, and a slot that its process prolongs ends later."""
    async with store(postgres_url) as one, store(postgres_url) as other:
        waits = sorted(await asyncio.gather(one.take(0, 60), other.take(0, 60)))
        assert waits == [0.0, pytest.approx(60, abs=10)]
        assert await other.take(1, 60) == 0.0
        await one.prolong(0, 600)
        assert await other.take(0, 60) == pytest.approx(600, abs=10)
        await one.prolong(0, -1)
        assert await other.take(0, 60) == 0.0


async def test_a_slot_begins_anew_if_the_process_learns_late_of_it(postgres_url: str) -> None:
    """Else the next IDENTIFY might follow that of a busy process too soon."""
    times = iter([0.0, 2.0, 10.0, 10.5, 20.0, 20.1])
    async with store(postgres_url) as taken:
        prolonged = []

        async def prolong(key: int, seconds: float) -> None:
            prolonged.append((key, seconds))

        taken.prolong = prolong  # type: ignore[method-assign]
        fence = Fence(clock=lambda: 0.0)
        fence.open(0.0)
        fence.clock = lambda: next(times, 0.0)
        await ClusterSlots(taken, fence).reserve(Shard(3, 4), 2)
    assert prolonged == [(1, SLOT_SECONDS)] * 3


async def test_budget_is_never_overdrawn_by_several_processes(postgres_url: str) -> None:
    async with store(postgres_url) as one, store(postgres_url) as other:
        assert await one.spend(0, 10, 576) == pytest.approx(10)
        for _ in range(3):
            await one.spend(1, 10, 576)
            await other.spend(1, 10, 576)
        assert await one.spend(0, 10, 576) == pytest.approx(4, abs=0.1)
        assert await other.spend(20, 10, 576) == 0


async def test_discords_count_counts_if_it_is_smaller(postgres_url: str) -> None:
    async with store(postgres_url) as one:
        await one.spend(0, 10, 576)
        assert await one.lower_to(3, 10, 576) == pytest.approx(3)
        assert await one.lower_to(8, 10, 576) == pytest.approx(3, abs=0.1)


async def test_budget_refills(postgres_url: str) -> None:
    async with store(postgres_url) as one:
        await one.spend(10, 10, 0.01)
        await asyncio.sleep(0.5)
        assert await one.spend(0, 10, 0.01) == pytest.approx(10), "and no more than it holds"
