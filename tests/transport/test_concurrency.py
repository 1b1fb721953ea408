"""The limit of concurrent calls, on a loop with virtual time."""

import asyncio
from functools import partial

import pytest

from bot.transport.concurrency import SLOW_SECONDS, ConcurrencyLimit
from tests.doubles import run_virtually


def test_a_slow_call_gives_up_its_slot() -> None:
    began: list[float] = []

    async def act(seconds: float) -> None:
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(seconds)

    async def scene() -> None:
        await ConcurrencyLimit(2).run_all(
            [partial(act, seconds) for seconds in (100.0, 100.0, 1.0, 1.0, 1.0)]
        )

    run_virtually(scene())
    assert [round(at - began[0], 3) for at in began] == [
        0.0,
        0.0,
        *[SLOW_SECONDS] * 2,
        SLOW_SECONDS + 1.0,
    ]


def test_a_failure_cancels_the_other_calls_and_is_raised() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(1.0)
        raise ValueError("mine")

    async def go_on() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            ended.append("went on")

    async def scene() -> None:
        with pytest.raises(ValueError, match="mine"):
            await ConcurrencyLimit(3).run_all([go_on, fail, go_on])
        assert ended == ["went on"] * 2

    run_virtually(scene())
