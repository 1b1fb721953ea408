"""The steps of a catch-up and their times, on a loop with virtual time."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from bot.conversation.exchange import QueueKey
from bot.errors import HistoryFailed
from bot.inbox.claims import Claims
from bot.inbox.in_flight import InFlight
from bot.recovery.catch_up import RECOVERY_BACKOFF, CatchUp, Need, Pauses
from tests.doubles import run_virtually

FIRST, QUEUE = RECOVERY_BACKOFF.first_seconds, (1, 0)
Outcome = bool | Exception


class Work:
    """Notes when each kind of work is done; its outcomes are enqueued, and True after those."""

    def __init__(self, catch_up: CatchUp) -> None:
        self.done: list[tuple[str, float]] = []
        self.outcomes: dict[Need, list[Outcome]] = {need: [] for need in Need}
        self.seconds = dict.fromkeys(Need, 0.0)
        self._catch_up = catch_up

    async def resume(self) -> bool:
        complete = await self._do(Need.RESUME)
        self._catch_up.start_next(Need.BACKFILL, Need.RECONCILE)
        return complete

    async def backfill(self) -> bool:
        try:
            return await self._do(Need.BACKFILL)
        finally:
            self._catch_up.start_next(Need.RECONCILE)

    async def reconcile(self) -> bool:
        return await self._do(Need.RECONCILE)

    async def _do(self, need: Need) -> bool:
        self.done.append((need.name, round(asyncio.get_running_loop().time(), 3)))
        await asyncio.sleep(self.seconds[need])
        outcome = self.outcomes[need].pop(0) if self.outcomes[need] else True
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.done]

    def times(self, need: Need) -> list[float]:
        return [at for kind, at in self.done if kind == need.name]


@asynccontextmanager
async def repeating(catch_up: CatchUp) -> AsyncIterator[Work]:
    work = Work(catch_up)
    jobs = (
        (Need.RESUME, work.resume),
        (Need.BACKFILL, work.backfill),
        (Need.RECONCILE, work.reconcile),
    )
    tasks = [asyncio.create_task(catch_up.repeat(need, job)) for need, job in jobs]
    yield work
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_resume_backfill_and_reconcile_run_in_order() -> None:
    async def scene() -> None:
        catch_up = CatchUp(InFlight())
        async with repeating(catch_up) as work:
            await asyncio.sleep(1)
            assert work.done == [], "nothing is done without a need"
            catch_up.start_all()
            await asyncio.sleep(1)
            assert work.kinds() == ["RESUME", "BACKFILL", "RECONCILE"]
            catch_up.resume()
            await asyncio.sleep(1)
            assert work.kinds()[3:] == ["RESUME"], "what was completed is not needed again"

    run_virtually(scene())


@pytest.mark.parametrize("failure", [False, HistoryFailed("disk"), RuntimeError("a bug of ours")])
@pytest.mark.parametrize("need", [Need.BACKFILL, Need.RECONCILE])
def test_failed_work_is_repeated_after_a_backoff(need: Need, failure: Outcome) -> None:
    async def scene() -> None:
        catch_up = CatchUp(InFlight())
        async with repeating(catch_up) as work:
            work.outcomes[need] = [failure, failure]
            catch_up.start_all()
            await asyncio.sleep(10 * FIRST)
            assert work.times(need) == [0, FIRST, 3 * FIRST]
            others = {Need.BACKFILL, Need.RECONCILE} - {need}
            assert [work.times(other) for other in others] == [[0]], "it holds up no other work"
            work.outcomes[need] = [failure]
            catch_up.start_all()
            began = work.times(need)[-1]
            await asyncio.sleep(2 * FIRST)
            assert work.times(need)[-1] - work.times(need)[-2] == FIRST, "a success ends the growth"
            assert work.times(need)[-1] > began

    run_virtually(scene())


@pytest.mark.parametrize("failure", [HistoryFailed("disk"), RuntimeError("a bug of ours")])
def test_a_failed_resume_pass_is_repeated(failure: Exception) -> None:
    async def scene() -> None:
        catch_up = CatchUp(InFlight())
        async with repeating(catch_up) as work:
            work.outcomes[Need.RESUME] = [failure, failure]
            catch_up.start_all()
            await asyncio.sleep(10 * FIRST)
            assert work.times(Need.RESUME) == [0, FIRST, 3 * FIRST]

    run_virtually(scene())


def test_reconnecting_ends_all_pauses() -> None:
    async def scene() -> None:
        catch_up = CatchUp(InFlight())
        async with repeating(catch_up) as work:
            work.outcomes[Need.BACKFILL] = [False] * 5
            catch_up.start_all()
            await asyncio.sleep(10 * FIRST)
            catch_up.start_all()
            await asyncio.sleep(0.5)
            assert work.times(Need.BACKFILL)[-1] == 10 * FIRST

    run_virtually(scene())


def test_reconnecting_during_a_backfill_backfills_again() -> None:
    """Messages missed in between may be absent from the lists that were read."""

    async def scene() -> None:
        catch_up = CatchUp(InFlight())
        async with repeating(catch_up) as work:
            work.seconds[Need.BACKFILL] = 5
            catch_up.start_all()
            await asyncio.sleep(1)
            catch_up.start_all()
            await asyncio.sleep(20)
            assert work.times(Need.BACKFILL) == [0, 5]

    run_virtually(scene())


def test_reconciling_does_not_wait_for_a_repeated_backfill() -> None:
    async def scene() -> None:
        catch_up = CatchUp(InFlight())
        async with repeating(catch_up) as work:
            work.outcomes[Need.BACKFILL] = [False]
            work.seconds[Need.RECONCILE] = 100
            catch_up.start_all()
            await asyncio.sleep(10)
            assert work.times(Need.BACKFILL) == [0, FIRST]
            assert work.times(Need.RECONCILE) == [0]

    run_virtually(scene())


@pytest.mark.parametrize(
    ("is_open", "is_contested", "resumed"),
    [(True, False, [FIRST]), (True, True, [FIRST]), (False, True, [0]), (False, False, [])],
)
def test_a_released_question_is_resumed_if_it_is_open_or_contested(
    is_open: bool, is_contested: bool, resumed: Iterable[float]
) -> None:
    """An open question is resumed after a pause, because it has just failed."""

    async def scene() -> None:
        in_flight = InFlight()
        catch_up = CatchUp(in_flight)
        claims = Claims(in_flight, catch_up.on_release)
        async with repeating(catch_up) as work:
            with claims.claim(1, QUEUE) as claim:
                assert claim is not None
                if is_open:
                    claim.mark_open(QUEUE)
                if is_contested:
                    claims.mark_if_claimed(1)
            assert catch_up.pauses.active(QUEUE) == is_open
            await asyncio.sleep(10 * FIRST)
            assert work.times(Need.RESUME) == resumed

    run_virtually(scene())


def test_a_shutdown_starts_nothing() -> None:
    async def scene() -> None:
        in_flight = InFlight()
        catch_up = CatchUp(in_flight)
        async with repeating(catch_up) as work:
            in_flight.draining = True
            catch_up.start_all()
            await asyncio.sleep(10)
            assert work.done == []

    run_virtually(scene())


async def pause(pauses: Pauses, ended: asyncio.Event, key: QueueKey) -> float:
    """Return how long a place pauses, alone."""
    now = asyncio.get_running_loop().time
    began = now()
    pauses.begin(key)
    assert pauses.active(key)
    await ended.wait()
    ended.clear()
    assert not pauses.active(key)
    return round(now() - began, 3)


def test_each_place_has_a_growing_pause_that_success_resets() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        took = [await pause(pauses, ended, (1, 0)) for _ in range(10)]
        assert took[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
        assert took[-2:] == [RECOVERY_BACKOFF.longest_seconds] * 2
        assert await pause(pauses, ended, (2, 0)) == FIRST
        pauses.reset((1, 0))
        assert await pause(pauses, ended, (1, 0)) == FIRST

    run_virtually(scene())


def test_a_running_pause_is_not_restarted() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        pauses.begin((1, 0))
        await asyncio.sleep(FIRST / 2)
        pauses.begin((1, 0))
        await asyncio.sleep(FIRST * 0.6)
        assert ended.is_set()
        ended.clear()
        assert await pause(pauses, ended, (1, 0)) == 2 * FIRST

    run_virtually(scene())


def test_resetting_ends_all_pauses() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        pauses.begin((1, 0))
        pauses.clear()
        assert not pauses.active((1, 0))
        assert not ended.is_set()
        assert await pause(pauses, ended, (1, 0)) == FIRST

    run_virtually(scene())


def test_a_place_without_open_questions_is_dropped() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        pauses = Pauses(ended.set)
        for key in ((1, 0), (2, 0)):
            await pause(pauses, ended, key)
        pauses.keep_only({(2, 0)})
        took = [await pause(pauses, ended, key) for key in ((1, 0), (2, 0))]
        assert took == [FIRST, 2 * FIRST]

    run_virtually(scene())
