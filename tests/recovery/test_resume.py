"""Open questions are resumed in order; those that fail are repeated or abandoned."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from bot.assistant.assistant import Delivery
from bot.conversation.exchange import OpenQuestion, State
from bot.conversation.snowflakes import snowflake_at
from bot.errors import HistoryFailed
from bot.inbox.claims import Claims
from bot.inbox.in_flight import InFlight
from bot.inbox.unsaved import Unsaved
from bot.recovery.catch_up import MIN_STORED_SECONDS, CatchUp, CatchUpPeriod, Need
from bot.recovery.resume import MAX_FAILURES, MAX_QUESTIONS, Resumption
from bot.recovery.unfinished import Unfinished
from bot.storage.exchanges import History
from tests.doubles import PATIENCE_SECONDS, an_exchange

NOW = 1_800_000_000.0
Outcome = Delivery | Exception
FINISHED, POSTPONED = Delivery.FINISHED, Delivery.POSTPONED


@dataclass
class DoubleUnfinished(Unfinished):
    """Keeps the questions that it is to resume or give up; *history* stores their end."""

    history: History
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    giving_up: dict[int, Outcome] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    oldest_id: int = 0
    blocked: dict[int, asyncio.Event] = field(default_factory=dict)

    async def resume(self, question: OpenQuestion, *, oldest_id: int) -> Delivery:
        message_id, self.oldest_id = question.exchange.message_id, oldest_id
        self.resumed.append(message_id)
        if message_id in self.blocked:
            await self.blocked[message_id].wait()
        return await self._outcome(question, self.outcomes.get(message_id, FINISHED))

    async def give_up(self, question: OpenQuestion) -> Delivery:
        self.given_up.append(question.exchange.message_id)
        return await self._outcome(
            question, self.giving_up.get(question.exchange.message_id, FINISHED)
        )

    async def end(self, question: OpenQuestion) -> Delivery:
        await self.history.complete(question.exchange, State.FAILED)
        return FINISHED

    async def _outcome(self, question: OpenQuestion, outcome: Outcome) -> Delivery:
        if isinstance(outcome, Exception):
            raise outcome
        if outcome.done and question.deletion_pending:
            await self.history.mark_reply_deleted(question.exchange.message_id)
        elif outcome.done:
            await self.history.complete(question.exchange, State.ANSWERED)
        return outcome


class DoubleUnsaved(Unsaved):
    """Has questions to store a number of *times*."""

    times = 0

    async def store(self) -> bool:
        self.times -= 1
        return self.times >= 0


class Scene:
    """Open questions of the channels 1 and 2, and what resumes them."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.in_flight = InFlight()
        self.catch_up = CatchUp(self.in_flight)
        self.claims = Claims(self.in_flight, self.catch_up.on_release)
        self.unfinished = DoubleUnfinished(history)
        self.unsaved = DoubleUnsaved(history)
        period = CatchUpPeriod(0, now=lambda: NOW)
        self.resumption = Resumption(
            history,
            self.unfinished,
            self.unsaved,
            self.claims,
            self.catch_up,
            self.in_flight,
            period,
        )

    async def asked(self, *message_ids: int, channel: int = 1) -> None:
        for message_id in message_ids:
            assert await self.history.receive(an_exchange(message_id, channel=channel))

    async def resume(self) -> None:
        """Resume the open questions, and return when all tasks are done."""
        await self.resumption.resume()
        await self.finished()

    async def finished(self, *channels: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for channel in channels or (1, 2):
                await self.claims.wait_for_older((channel, 0))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110  # a list tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture
async def scene(history: History) -> Scene:
    return Scene(history)


@pytest.fixture
async def repeating(scene: Scene) -> AsyncIterator[Scene]:
    """Return a scene whose questions are resumed whenever there is a need."""
    running = asyncio.create_task(scene.catch_up.repeat(Need.RESUME, scene.resumption.run))
    yield scene
    running.cancel()
    await asyncio.wait([running])


async def test_an_unsaved_question_is_stored_and_resumed(repeating: Scene) -> None:
    repeating.unsaved.times = 1
    repeating.catch_up.resume()
    await repeating.until(lambda: repeating.unsaved.times == -1)
    await asyncio.sleep(0.01)
    assert repeating.unsaved.times == -1, "in one more pass"


async def test_new_questions_wait_for_those_of_the_last_run(
    repeating: Scene,
) -> None:
    await repeating.asked(1, channel=5)
    await repeating.resumption.look_ahead()
    new = asyncio.create_task(repeating.claims.wait_for_older((5, 0)))
    assert await repeating.claims.wait_for_older((6, 0))
    await asyncio.sleep(0.01)
    assert not new.done()
    repeating.catch_up.start_all()
    assert await asyncio.wait_for(new, PATIENCE_SECONDS)
    assert repeating.unfinished.resumed == [1]


async def test_a_shutdown_releases_waiters_and_starts_nothing(repeating: Scene) -> None:
    await repeating.asked(1, channel=5)
    await repeating.resumption.look_ahead()
    new = asyncio.create_task(repeating.claims.wait_for_older((5, 0)))
    await asyncio.sleep(0)
    repeating.in_flight.draining = True
    repeating.claims.release_new_questions()
    assert not await asyncio.wait_for(new, PATIENCE_SECONDS)
    repeating.catch_up.start_all()
    await asyncio.sleep(0.01)
    assert repeating.unfinished.resumed == []


async def test_a_queue_is_resumed_one_by_one_oldest_first(scene: Scene) -> None:
    await scene.asked(3, 1, 2)
    blocked = scene.unfinished.blocked[1] = asyncio.Event()
    await scene.resumption.resume()
    await scene.until(lambda: bool(scene.unfinished.resumed))
    await scene.resumption.resume()
    assert scene.unfinished.resumed == [1]
    blocked.set()
    await scene.finished()
    assert scene.unfinished.resumed == [1, 2, 3], "who passes twice resumes nothing twice"
    assert await scene.history.open_questions() == []


async def test_a_few_queues_are_resumed_at_once(scene: Scene) -> None:
    channels = range(1, MAX_QUESTIONS + 3)
    for channel in channels:
        await scene.asked(channel, channel=channel)
        scene.unfinished.blocked[channel] = asyncio.Event()
    await scene.resumption.resume()
    await scene.until(lambda: len(scene.unfinished.resumed) == MAX_QUESTIONS)
    await asyncio.sleep(0.05)
    assert len(scene.unfinished.resumed) == MAX_QUESTIONS
    for event in scene.unfinished.blocked.values():
        event.set()
    await scene.finished(*channels)
    assert sorted(scene.unfinished.resumed) == list(channels)


async def test_new_questions_of_a_queue_wait_for_the_resumed_ones(scene: Scene) -> None:
    await scene.asked(1)
    blocked = scene.unfinished.blocked[1] = asyncio.Event()
    await scene.resumption.resume()
    new = asyncio.create_task(scene.claims.wait_for_older((1, 0)))
    assert await asyncio.wait_for(scene.claims.wait_for_older((2, 0)), PATIENCE_SECONDS)
    await asyncio.sleep(0.01)
    assert not new.done()
    blocked.set()
    assert await asyncio.wait_for(new, PATIENCE_SECONDS)
    assert await scene.history.open_questions() == []


@pytest.mark.parametrize(
    "outcome", [POSTPONED, HistoryFailed("disk"), RuntimeError("a bug of ours")]
)
async def test_a_failure_pauses_its_own_queue_only(scene: Scene, outcome: Outcome) -> None:
    await scene.asked(1, 2)
    await scene.asked(3, channel=2)
    scene.unfinished.outcomes[1] = outcome
    await scene.resume()
    assert sorted(scene.unfinished.resumed) == [1, 3]
    assert scene.catch_up.pauses.active((1, 0))
    assert not scene.catch_up.pauses.active((2, 0))
    await scene.resume()
    assert len(scene.unfinished.resumed) == 2, "nothing is resumed during the pause"
    scene.catch_up.pauses.clear()
    scene.unfinished.outcomes.clear()
    await scene.resume()
    assert scene.unfinished.resumed[2:] == [1, 2]


async def test_the_reply_to_a_forgotten_question_is_deleted_even_during_a_pause(
    scene: Scene,
) -> None:
    await scene.asked(1, 2)
    scene.unfinished.outcomes[1] = POSTPONED
    await scene.resume()
    await scene.history.erasure.forget(2)
    await scene.resume()
    assert scene.unfinished.resumed == [1, 2]


async def test_a_claimed_question_is_skipped_until_its_release(
    scene: Scene,
) -> None:
    await scene.asked(1, 2)
    with scene.claims.claim(1, (1, 0)) as claim:
        assert claim is not None
        await scene.resume()
        assert scene.unfinished.resumed == [2]
        assert claim.contested


@pytest.mark.parametrize("reported", [True, False])
async def test_a_question_that_always_fails_is_abandoned(scene: Scene, reported: bool) -> None:
    """If even that fails, it ends without a word: nothing else can be done."""
    await scene.asked(1)
    scene.unfinished.outcomes[1] = RuntimeError("a bug of ours")
    if not reported:
        scene.unfinished.giving_up[1] = RuntimeError("another one")
    for number in range(1, MAX_FAILURES + 1):
        scene.catch_up.pauses.clear()
        assert scene.unfinished.given_up == []
        await scene.resume()
        assert scene.unfinished.resumed == [1] * number
    assert scene.unfinished.given_up == [1]
    assert await scene.history.open_questions() == []


async def test_giving_up_a_question_is_repeated_until_it_is_recorded(scene: Scene) -> None:
    await scene.asked(1)
    scene.unfinished.outcomes[1] = RuntimeError("a bug of ours")
    scene.unfinished.giving_up[1] = HistoryFailed("disk")
    for _ in range(MAX_FAILURES):
        scene.catch_up.pauses.clear()
        await scene.resume()
    assert len(await scene.history.open_questions()) == 1
    del scene.unfinished.giving_up[1]
    scene.catch_up.pauses.clear()
    await scene.resume()
    assert scene.unfinished.resumed == [1] * MAX_FAILURES
    assert scene.unfinished.given_up == [1, 1]
    assert await scene.history.open_questions() == []


async def test_a_shutdown_resumes_nothing(scene: Scene) -> None:
    await scene.asked(1)
    scene.in_flight.draining = True
    await scene.resume()
    assert scene.unfinished.resumed == []


async def test_a_stored_question_is_answered_within_an_hour_without_catch_up(
    scene: Scene,
) -> None:
    await scene.asked(1)
    await scene.resume()
    assert scene.unfinished.oldest_id == snowflake_at(NOW - MIN_STORED_SECONDS)
