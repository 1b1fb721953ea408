"""When a process may still act for its shards, on a loop with virtual time."""

import asyncio

import pytest

from bot.cluster.fence import HOLD_SECONDS, Fence, FenceClosed, awake_clock
from tests.doubles import run_virtually


def test_fence_is_open_for_a_while_after_the_locks_were_found() -> None:
    async def scene() -> None:
        fence = Fence(asyncio.get_running_loop().time)
        assert not fence.is_open, "nothing has been found yet"
        fence.open(fence.clock())
        await asyncio.sleep(HOLD_SECONDS - 0.1)
        await fence.passed()
        await asyncio.sleep(0.2)
        with pytest.raises(FenceClosed):
            await fence.passed()

    run_virtually(scene())


def test_time_counts_from_the_start_of_the_statement() -> None:
    """The server may have answered long before the answer came."""

    async def scene() -> None:
        fence = Fence(asyncio.get_running_loop().time)
        began = fence.clock()
        await asyncio.sleep(10.0)
        fence.open(began)
        assert fence.seconds_left == pytest.approx(HOLD_SECONDS - 10.0)

    run_virtually(scene())


def test_lost_session_holds_requests_back_until_the_next_one() -> None:
    async def scene() -> None:
        fence = Fence(asyncio.get_running_loop().time)
        fence.open(fence.clock())
        fence.suspend()
        passing = asyncio.create_task(fence.passed())
        await asyncio.sleep(5.0)
        assert not passing.done()
        fence.open(fence.clock())
        await passing

    run_virtually(scene())


def test_request_fails_if_no_session_comes_in_time() -> None:
    async def scene() -> None:
        fence = Fence(asyncio.get_running_loop().time)
        fence.open(fence.clock())
        fence.suspend()
        began = fence.clock()
        with pytest.raises(FenceClosed):
            await fence.passed()
        assert fence.clock() - began == pytest.approx(HOLD_SECONDS)

    run_virtually(scene())


async def ticking(fence: Fence, seconds: float) -> None:
    """Let *seconds* pass in a process that runs."""
    until = fence.clock() + seconds
    while fence.clock() < until:
        await asyncio.sleep(0.5)
        fence.tick()


def test_process_that_is_alone_need_not_care() -> None:
    async def scene() -> None:
        fence = Fence(asyncio.get_running_loop().time)
        fence.open(fence.clock(), alone=True)
        fence.suspend()
        await ticking(fence, 2 * HOLD_SECONDS)
        await fence.passed()

    run_virtually(scene())


def test_process_that_was_stopped_does_not_know_whether_it_is_alone() -> None:
    """Another one may have come and taken over: nothing may be sent before the database says so."""

    async def scene() -> None:
        fence = Fence(asyncio.get_running_loop().time)
        fence.open(fence.clock(), alone=True)
        await asyncio.sleep(3 * HOLD_SECONDS)
        assert not fence.is_open
        fence.tick()
        assert not fence.is_open
        fence.open(fence.clock(), alone=True)
        assert fence.is_open

    run_virtually(scene())


def test_clock_goes_on_while_the_machine_sleeps() -> None:
    assert awake_clock() > 0
