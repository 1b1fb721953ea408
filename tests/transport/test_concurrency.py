"""Few at a time, on a loop whose time is virtual."""

import asyncio
from functools import partial

import pytest

from bot.transport.concurrency import SLOW_SECONDS, ConcurrencyLimit
from tests.doubles import run_virtually


def test_so_many_are_at_it_side_by_side_and_a_slow_one_does_not_count() -> None:
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


def test_a_failure_ends_them_all_and_is_the_one_that_is_raised() -> None:
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
