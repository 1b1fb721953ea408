"""Claims: one task handles a question, older questions come first, each release is reported."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.conversation.exchange import QueueKey
from bot.inbox.claims import Claim, Claims
from bot.inbox.in_flight import InFlight
from tests.doubles import PATIENCE_SECONDS, run_virtually

QUEUE, THREAD, OTHER = (1, 0), (2, 0), (3, 0)


@dataclass
class Released:
    """Keeps the claims that were released: id, queue, whether open, whether contested."""

    seen: list[tuple[int, QueueKey, bool, bool]] = field(default_factory=list)

    def __call__(self, claim: Claim) -> None:
        self.seen.append((claim.message_id, claim.queue_key, claim.open, claim.contested))


@pytest.fixture
def released() -> Released:
    return Released()


@pytest.fixture
def claims(released: Released) -> Claims:
    return Claims(InFlight(), released)


async def test_a_second_task_gets_no_claim_and_contests_the_first(
    claims: Claims, released: Released
) -> None:
    with claims.claim(1, QUEUE) as first:
        assert first is not None
        with claims.claim(1, QUEUE) as second:
            assert second is None
        with claims.claim(2, QUEUE) as other:
            assert other is not None
    assert released.seen == [(2, QUEUE, False, False), (1, QUEUE, False, True)]
    with claims.claim(1, QUEUE) as again:
        assert again is not None, "a released question can be claimed again"


async def test_only_a_claimed_question_can_be_contested(claims: Claims, released: Released) -> None:
    assert not claims.mark_if_claimed(1)
    with claims.claim(1, QUEUE):
        assert claims.mark_if_claimed(1)
    assert not claims.mark_if_claimed(1)
    assert released.seen == [(1, QUEUE, False, True)]


async def test_a_question_is_open_until_it_ends(claims: Claims, released: Released) -> None:
    with claims.claim(1, QUEUE) as claim:
        assert claim is not None
        claim.mark_open(THREAD)
    with claims.claim(2, QUEUE) as claim:
        assert claim is not None
        claim.mark_open(THREAD)
        claim.open = False
    assert released.seen == [(1, THREAD, True, False), (2, THREAD, False, False)]


async def test_an_exception_releases_the_claim_and_leaves_the_question_open(
    claims: Claims, released: Released
) -> None:
    def handle() -> None:
        with claims.claim(1, QUEUE) as claim:
            assert claim is not None
            claim.mark_open(QUEUE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        handle()
    assert released.seen == [(1, QUEUE, True, False)]
    assert not claims.mark_if_claimed(1)


async def test_cancellation_releases_the_claim(claims: Claims, released: Released) -> None:
    async def handle() -> None:
        with claims.claim(1, QUEUE) as claim:
            assert claim is not None
            claim.mark_open(QUEUE)
            await asyncio.Event().wait()

    task = asyncio.create_task(handle())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert released.seen == [(1, QUEUE, True, False)]
    assert not claims.mark_if_claimed(1)


@pytest.mark.parametrize("end", ["arrived", "opened", "left"])
async def test_a_waiter_continues_when_the_question_is_stored(claims: Claims, end: str) -> None:
    with claims.claim(1, QUEUE) as claim:
        assert claim is not None
        waiting = asyncio.create_task(claims.wait_until_stored(1))
        await asyncio.sleep(0)
        assert claims.is_arriving(1)
        assert not waiting.done()
        if end == "arrived":
            claim.arrived.set()
        elif end == "opened":
            claim.mark_open(QUEUE)
        if end != "left":
            assert not claims.is_arriving(1)
            await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    assert not claims.is_arriving(1)


async def test_waiting_for_an_unclaimed_question_returns_at_once(claims: Claims) -> None:
    assert not claims.is_arriving(1)
    await claims.wait_until_stored(1)
    await claims.wait_for_older(QUEUE)


def test_new_questions_wait_for_older_ones_of_their_queue_only() -> None:
    async def scene() -> None:
        claims, now = Claims(InFlight(), Released()), asyncio.get_running_loop().time
        claims.wait_behind(QUEUE, asyncio.create_task(asyncio.sleep(5)))
        await claims.wait_for_older(OTHER)
        assert round(now(), 3) == 0
        await claims.wait_for_older(QUEUE)
        assert round(now(), 3) == 5
        await claims.wait_for_older(QUEUE)
        assert round(now(), 3) == 5

    run_virtually(scene())


def test_a_later_task_of_the_same_queue_is_awaited() -> None:
    async def scene() -> None:
        claims, now = Claims(InFlight(), Released()), asyncio.get_running_loop().time

        async def older() -> None:
            await asyncio.sleep(5)
            claims.wait_behind(QUEUE, asyncio.create_task(asyncio.sleep(2)))

        claims.wait_behind(QUEUE, asyncio.create_task(older()))
        await claims.wait_for_older(QUEUE)
        assert round(now(), 3) == 7

    run_virtually(scene())


def test_questions_of_the_last_run_come_first() -> None:
    async def scene() -> None:
        claims, now = Claims(InFlight(), Released()), asyncio.get_running_loop().time

        def begin() -> None:
            claims.wait_behind(QUEUE, asyncio.create_task(asyncio.sleep(5)))
            claims.release_new_questions()

        claims.block_new_questions({QUEUE})
        asyncio.get_running_loop().call_later(10, begin)
        await claims.wait_for_older(OTHER)
        assert round(now(), 3) == 0
        await claims.wait_for_older(QUEUE)
        assert round(now(), 3) == 15
        claims.release_new_questions()
        await claims.wait_for_older(QUEUE)
        assert round(now(), 3) == 15

    run_virtually(scene())


async def test_a_shutdown_leaves_a_waiting_question_to_the_next_start() -> None:
    in_flight = InFlight()
    claims = Claims(in_flight, Released())
    claims.block_new_questions({QUEUE})
    waiting = asyncio.create_task(claims.wait_for_older(QUEUE))
    await asyncio.sleep(0)
    in_flight.draining = True
    claims.release_new_questions()
    assert not await waiting
    assert not await claims.wait_for_older(OTHER)
