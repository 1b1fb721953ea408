"""The bytes in memory at a time, on a loop with virtual time."""

import asyncio

import pytest

from bot.assistant.prompt_images import MemoryBudget
from tests.doubles import run_virtually


async def hold(
    holding: MemoryBudget, count: int, seconds: float, *, patience: float = 1000
) -> float:
    """Hold so many bytes, and return when they came."""
    async with holding.reserve(count, within_seconds=patience):
        came = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
    return round(came, 3)


def test_memory_is_granted_in_order() -> None:
    """A large reserve is not passed by small ones for ever."""

    async def scene() -> None:
        holding = MemoryBudget(10)
        shares = [(6, 5.0), (8, 1.0), (1, 1.0), (1, 1.0)]
        came = await asyncio.gather(*(hold(holding, *reserve) for reserve in shares))
        assert came == [0, 5, 5, 5]

    run_virtually(scene())


def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    async def scene() -> None:
        holding = MemoryBudget(10)
        first = asyncio.create_task(hold(holding, 6, 50.0))
        await asyncio.sleep(0)
        given_up = asyncio.create_task(hold(holding, 8, 1.0, patience=3.0))
        await asyncio.sleep(0)
        assert await hold(holding, 2, 1.0) == 3
        with pytest.raises(TimeoutError):
            await given_up
        await first
        assert await hold(holding, 10, 1.0) == 50

    run_virtually(scene())


@pytest.mark.parametrize("granted", [True, False])
def test_a_cancelled_waiter_reserves_nothing(granted: bool) -> None:
    async def scene() -> None:
        holding = MemoryBudget(10)
        async with holding.reserve(10, within_seconds=1):
            waiting = asyncio.create_task(hold(holding, 10, 1.0))
            await asyncio.sleep(0)
            if not granted:
                waiting.cancel()
                await asyncio.sleep(0)
        waiting.cancel()  # Granted, it has the bytes and does not know it yet.
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await hold(holding, 10, 1.0, patience=1) == 0

    run_virtually(scene())


def test_memory_can_be_released_early() -> None:
    async def scene() -> None:
        holding = MemoryBudget(10)
        async with holding.reserve(10, within_seconds=1) as held:
            held.close()
            assert await hold(holding, 10, 0.0, patience=1) == 0
        assert await hold(holding, 10, 0.0, patience=1) == 0, "and not twice"
        async with holding.reserve(10, within_seconds=1):
            with pytest.raises(TimeoutError):
                await hold(holding, 1, 0.0, patience=1)

    run_virtually(scene())
