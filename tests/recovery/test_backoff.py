"""Pauses between tries, on a loop whose time is virtual."""

import asyncio

from bot.conversation.exchange import QueueKey
from bot.recovery.backoff import BACKOFF, Backoffs
from tests.doubles import run_virtually

SHORTEST, LONGEST = BACKOFF.first_seconds, BACKOFF.longest_seconds


async def pause(backoffs: Backoffs, ended: asyncio.Event, key: QueueKey) -> float:
    """Return how long a place backoffs, alone."""
    now = asyncio.get_running_loop().time
    began = now()
    backoffs.begin(key)
    assert backoffs.active(key)
    await ended.wait()
    ended.clear()
    assert not backoffs.active(key)
    return round(now() - began, 3)


def test_a_pause_grows_until_something_gets_better_and_each_place_has_its_own() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        backoffs = Backoffs(ended.set)
        took = [await pause(backoffs, ended, (1, 0)) for _ in range(10)]
        assert took[:3] == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
        assert took[-2:] == [LONGEST, LONGEST]
        assert await pause(backoffs, ended, (2, 0)) == SHORTEST
        backoffs.reset((1, 0))
        assert await pause(backoffs, ended, (1, 0)) == SHORTEST

    run_virtually(scene())


def test_a_pause_that_runs_is_not_begun_anew() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        backoffs = Backoffs(ended.set)
        backoffs.begin((1, 0))
        await asyncio.sleep(SHORTEST / 2)
        backoffs.begin((1, 0))
        await asyncio.sleep(SHORTEST * 0.6)
        assert ended.is_set()
        ended.clear()
        assert await pause(backoffs, ended, (1, 0)) == 2 * SHORTEST

    run_virtually(scene())


def test_all_backoffs_can_be_ended_and_begin_anew() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        backoffs = Backoffs(ended.set)
        backoffs.begin((1, 0))
        backoffs.clear()
        assert not backoffs.active((1, 0))
        assert not ended.is_set()
        assert await pause(backoffs, ended, (1, 0)) == SHORTEST

    run_virtually(scene())


def test_a_place_in_which_nothing_is_open_is_forgotten() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        backoffs = Backoffs(ended.set)
        for key in ((1, 0), (2, 0)):
            await pause(backoffs, ended, key)
        backoffs.keep_only({(2, 0)})
        took = [await pause(backoffs, ended, key) for key in ((1, 0), (2, 0))]
        assert took == [SHORTEST, 2 * SHORTEST]

    run_virtually(scene())
