"""IDENTIFYs of several processes: their spacing, and the budget of a day."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.storage.identify import IdentifyStore
from bot.storage.leases import at_once
from bot.storage.location import PostgresLocation, location_of
from bot.storage.postgres_schema import prepare
from bot.storage.postgres_session import Session


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


async def test_each_reservation_begins_when_the_one_before_it_ends(postgres_url: str) -> None:
    """Processes that ask at the same time get different slots; other keys do not wait."""
    async with store(postgres_url) as one, store(postgres_url) as other:
        waits = sorted(await asyncio.gather(one.reserve(0, 5.5), other.reserve(0, 5.5)))
        assert waits == [pytest.approx(0.0, abs=1.0), pytest.approx(5.5, abs=1.0)]
        assert await one.reserve(0, 5.5) == pytest.approx(11.0, abs=1.0)
        assert await other.reserve(1, 5.5) == 0.0


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
