"""Pauses between tries, on a loop whose time is virtual."""

import asyncio

from bot.conversation.exchange import QueueKey
from bot.recovery.backoff import PAUSE_SECONDS, Pauses
from tests.doubles import run_virtually

SHORTEST, LONGEST = PAUSE_SECONDS


async def pause(pauses: Pauses, ended: asyncio.Event, key: QueueKey) -> float:
    """Return how long a place pauses, alone."""
    now = asyncio.get_running_loop().time
    began = now()
    pauses.begin(key)
    assert pauses.holds(key)
    await ended.wait()
    ended.clear()
    assert not pauses.holds(key)
    return round(now() - began, 3)


def test_a_pause_grows_until_something_gets_better_and_each_place_has_its_own() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        took = [await pause(pauses, ended, (1, 0)) for _ in range(10)]
        assert took[:3] == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST]
        assert took[-2:] == [LONGEST, LONGEST]
        assert await pause(pauses, ended, (2, 0)) == SHORTEST
        pauses.got_better((1, 0))
        assert await pause(pauses, ended, (1, 0)) == SHORTEST

    run_virtually(scene())


def test_a_pause_that_runs_is_not_begun_anew() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        pauses.begin((1, 0))
        await asyncio.sleep(SHORTEST / 2)
        pauses.begin((1, 0))
        await asyncio.sleep(SHORTEST * 0.6)
        assert ended.is_set()
        ended.clear()
        assert await pause(pauses, ended, (1, 0)) == 2 * SHORTEST

    run_virtually(scene())


def test_all_pauses_can_be_ended_and_begin_anew() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        pauses.begin((1, 0))
        pauses.end_all()
        assert not pauses.holds((1, 0))
        assert not ended.is_set()
        assert await pause(pauses, ended, (1, 0)) == SHORTEST

    run_virtually(scene())


def test_a_place_in_which_nothing_is_open_is_forgotten() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        for key in ((-1, 0), (1, 0), (2, 0)):
            await pause(pauses, ended, key)
        pauses.forget_others({(2, 0)})
        took = [await pause(pauses, ended, key) for key in ((-1, 0), (1, 0), (2, 0))]
        assert took == [2 * SHORTEST, SHORTEST, 2 * SHORTEST]

    run_virtually(scene())
