"""The life of catching up: what the last run left open comes first, and a shutdown ends it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.inbox.claims import Claims
from bot.inbox.in_flight import InFlight
from bot.inbox.unsaved import Unsaved
from bot.recovery.backfill import Backfill
from bot.recovery.catch_up import CatchUp
from bot.recovery.reconcile import Reconciliation
from bot.recovery.resume import Resumption
from bot.recovery.schedule import Need, Schedule
from bot.storage.exchanges import History
from tests.doubles import PATIENCE_SECONDS, an_exchange

Log = list[str]


class DoubleResumption(Resumption):
    """Notes each pass."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def resume(self) -> None:
        self._log.append("resume")


class DoubleBackfill(Backfill):
    """Notes each run, and starts what follows it."""

    def __init__(self, log: Log, schedule: Schedule) -> None:
        self._log, self._schedule = log, schedule

    async def run(self) -> bool:
        self._log.append("backfill")
        self._schedule.start_next(Need.RECONCILE)
        return True


class DoubleReconciliation(Reconciliation):
    """Notes each run."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def run(self) -> bool:
        self._log.append("reconcile")
        return True


class DoubleUnsaved(Unsaved):
    """Has questions to store a number of *times*."""

    times = 0

    async def store(self) -> bool:
        self.times -= 1
        return self.times >= 0


class Scene:
    """A catch-up that runs, whose three kinds of work note in *log* that they are done."""

    def __init__(self, history: History) -> None:
        self.log: Log = []
        self.in_flight = InFlight()
        self.schedule = Schedule(self.in_flight)
        self.claims = Claims(self.in_flight, self.schedule.released)
        self.unsaved = DoubleUnsaved(history)
        self.catch_up = CatchUp(
            history,
            self.claims,
            self.unsaved,
            self.schedule,
            DoubleResumption(self.log),
            DoubleBackfill(self.log, self.schedule),
            DoubleReconciliation(self.log),
        )

    async def until(self, log: Log) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.log) < len(log):  # noqa: ASYNC110  # a list tells nobody
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert self.log == log


@pytest.fixture
async def scene(history: History) -> AsyncIterator[Scene]:
    scene = Scene(history)
    running = asyncio.create_task(scene.catch_up.run())
    yield scene
    running.cancel()
    await asyncio.wait([running])


async def test_who_comes_back_resumes_backfills_and_reconciles(scene: Scene) -> None:
    scene.catch_up.came_back()
    await scene.until(["resume", "backfill", "reconcile"])


async def test_what_could_not_be_stored_is_stored_and_resumed(scene: Scene) -> None:
    scene.unsaved.times = 1
    scene.schedule.resume()
    await scene.until(["resume", "resume"])


async def test_new_questions_wait_until_what_the_last_run_left_open_is_begun(
    scene: Scene, history: History
) -> None:
    await history.receive(an_exchange(1, channel=5))
    await scene.catch_up.look_ahead()
    new = asyncio.create_task(scene.claims.turn((5, 0)))
    assert await scene.claims.turn((6, 0))
    await asyncio.sleep(0.01)
    assert not new.done()
    scene.catch_up.came_back()
    assert await asyncio.wait_for(new, PATIENCE_SECONDS)


async def test_a_shutdown_lets_nobody_wait_and_begins_nothing(
    scene: Scene, history: History
) -> None:
    await history.receive(an_exchange(1, channel=5))
    await scene.catch_up.look_ahead()
    new = asyncio.create_task(scene.claims.turn((5, 0)))
    await asyncio.sleep(0)
    scene.in_flight.draining = True
    scene.catch_up.stop()
    assert not await asyncio.wait_for(new, PATIENCE_SECONDS)
    scene.catch_up.came_back()
    await scene.until([])
