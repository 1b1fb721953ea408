"""Questions are checked beside their answers; an answer waits for the verdict, but not for ever."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest

from bot.assistant.answer import Answer, Job, StopReason
from bot.assistant.moderation import HOLD_SECONDS, RECHECKS, Moderator
from bot.assistant.ports import no_context
from bot.assistant.screening import Withhold
from bot.conversation.exchange import Exchange
from bot.conversation.image_selection import ImageBudget
from bot.conversation.images import Image
from bot.conversation.prompt import NO_PROMPT, Prompt, build_prompt
from bot.conversation.prompt_markup import image_line
from bot.errors import HistoryFailed, ModelBusy, ReplyLost
from bot.i18n.sentences import ENGLISH
from bot.llm.api_config import VERDICT_SECONDS, ModerationPolicy
from tests.doubles import DoubleReply, an_exchange, run_virtually

LOG, REFUSE, REQUIRE = ModerationPolicy
FOREVER = 1e6  # seconds


@dataclass
class DoubleModeration:
    """A moderation service that finds nothing, at once, unless something else is enqueued."""

    asked: list[str | Image] = field(default_factory=list)
    answering: int = 0
    most: int = 0
    _verdicts: deque[tuple[float, tuple[str, ...] | Exception]] = field(default_factory=deque)

    def enqueue(self, *categories: str, seconds: float = 0.0) -> None:
        self._verdicts.append((seconds, categories))

    def enqueue_error(self, error: Exception) -> None:
        self._verdicts.append((0.0, error))

    async def categories(self, content: str | Image) -> frozenset[str]:
        self.asked.append(content)
        self.answering += 1
        self.most = max(self.most, self.answering)
        seconds, verdict = self._verdicts.popleft() if self._verdicts else (0.0, ())
        await asyncio.sleep(seconds)
        self.answering -= 1
        if isinstance(verdict, Exception):
            raise verdict
        return frozenset(verdict)


@dataclass
class Course:
    """What became of an answer: when its first words were shown, when it ended, and why."""

    shown: float | None = None
    ended: float | None = None
    reason: StopReason | None = None
    error: BaseException | None = None


def an_answer(question: Exchange) -> Answer:
    job = Job(AsyncExitStack(), no_context)  # type: ignore[arg-type]  # no queue is entered here
    return Answer(
        question,
        DoubleReply(),
        job,
        ENGLISH,
        seconds=lambda: 0.0,
        asker_id=99,
        usage_person_id=99,
        previous=None,
    )


def ending(answer: Answer) -> Withhold:
    """Return what ends *answer* because its question is flagged."""

    async def withhold(question: Exchange) -> None:
        assert question is answer.exchange
        answer.cancellation.cancel(StopReason.WITHHELD)

    return withhold


def answered(
    service: DoubleModeration,
    policy: ModerationPolicy,
    *,
    first_words: float = 1.0,
    whole: float = 60.0,
    error: Exception | None = None,
) -> Course:
    """Answer a question whose answer takes so long, and return its course; times in seconds."""

    async def main() -> Course:
        now = asyncio.get_running_loop().time
        course, answer, start = Course(), an_answer(an_exchange(5, "How?")), now()
        with answer.cancellation:
            try:
                async with (
                    Moderator(service, policy).screen(answer, (), ending(answer)) as screening,
                    screening.of(NO_PROMPT),
                ):
                    await asyncio.sleep(first_words)
                    if error is not None:
                        raise error
                    await screening.passed()
                    course.shown = round(now() - start, 2)
                    await asyncio.sleep(whole - first_words)
            except (ModelBusy, ZeroDivisionError) as raised:
                course.error = raised
        course.ended, course.reason = round(now() - start, 2), answer.cancellation.reason
        await asyncio.sleep(VERDICT_SECONDS)
        return course

    return run_virtually(main())


@pytest.mark.parametrize("policy", ModerationPolicy)
@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.9])
def test_verdict_before_the_first_words_costs_nothing(
    policy: ModerationPolicy, seconds: float
) -> None:
    service = DoubleModeration()
    service.enqueue(seconds=seconds)
    assert answered(service, policy) == Course(shown=1.0, ended=60.0)
    assert service.asked == ["How?"]


@pytest.mark.parametrize("policy", [REFUSE, REQUIRE])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
def test_flagged_question_ends_its_answer_at_once(policy: ModerationPolicy, seconds: float) -> None:
    """Before the first words, and while they wait."""
    service = DoubleModeration()
    service.enqueue("hate", seconds=seconds)
    assert answered(service, policy) == Course(ended=seconds, reason=StopReason.WITHHELD)


def test_log_waits_for_no_verdict_and_stops_no_answer() -> None:
    service = DoubleModeration()
    service.enqueue("hate", seconds=5.0)
    assert answered(service, LOG) == Course(shown=1.0, ended=60.0)


def test_words_are_shown_unchecked_after_the_wait_and_withdrawn_by_a_late_verdict() -> None:
    service = DoubleModeration()
    service.enqueue("hate", seconds=8.0)
    late = Course(shown=HOLD_SECONDS, ended=8.0, reason=StopReason.WITHHELD)
    assert answered(service, REFUSE) == late
    service.enqueue("hate", seconds=FOREVER)
    assert answered(service, REFUSE) == Course(shown=HOLD_SECONDS, ended=61.0)


def test_required_verdict_is_waited_for_as_long_as_it_may_take() -> None:
    service = DoubleModeration()
    service.enqueue(seconds=8.0)
    assert answered(service, REQUIRE) == Course(shown=8.0, ended=67.0)
    service.enqueue(seconds=FOREVER)
    unchecked = Course(ended=VERDICT_SECONDS, reason=StopReason.UNCHECKED)
    assert answered(service, REQUIRE) == unchecked


@pytest.mark.parametrize("policy", [REFUSE, REQUIRE])
def test_short_answer_waits_for_its_verdict_at_its_end(policy: ModerationPolicy) -> None:
    """Else it would be stored before it."""
    service = DoubleModeration()
    service.enqueue(seconds=1.5)
    assert answered(service, policy, first_words=0.1, whole=0.2).ended == pytest.approx(
        1.5, abs=0.2
    )


def test_log_delays_no_answer_and_logs_a_verdict_that_comes_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = DoubleModeration()
    service.enqueue("hate", seconds=5.0)
    assert answered(service, LOG, first_words=0.1, whole=0.2) == Course(shown=0.1, ended=0.2)
    assert "Found question 5" in caplog.text


@pytest.mark.parametrize("end", ["whole", "stopped", "lost", "failed"])
@pytest.mark.parametrize("policy", [REFUSE, REQUIRE])
def test_verdict_after_the_end_of_the_answer_withholds_the_question(
    policy: ModerationPolicy, end: str
) -> None:
    """Else who presses Stop before the verdict would keep the question in the conversation."""
    service, withheld = DoubleModeration(), list[int]()
    service.enqueue("hate", seconds=5.0)

    async def withhold(question: Exchange) -> None:
        withheld.append(question.message_id)

    async def main() -> None:
        answer = an_answer(an_exchange(5, "How?"))
        moderator = Moderator(service, policy)
        with answer.cancellation, suppress(ReplyLost, HistoryFailed):
            async with moderator.screen(answer, (), withhold) as screening, screening.of(NO_PROMPT):
                if end == "stopped":
                    answer.cancellation.cancel(StopReason.REQUESTED)
                    await asyncio.sleep(1)
                elif end != "whole":
                    raise ReplyLost("it is deleted") if end == "lost" else HistoryFailed("full")
        await asyncio.sleep(10)

    run_virtually(main())
    assert withheld == [5]


@pytest.mark.parametrize("policy", [REFUSE, REQUIRE])
def test_verdict_counts_more_than_a_failure_of_the_model(policy: ModerationPolicy) -> None:
    service = DoubleModeration()
    service.enqueue("hate", seconds=1.5)
    course = answered(service, policy, error=ModelBusy())
    assert (course.ended, course.reason) == (1.5, StopReason.WITHHELD)


@pytest.mark.parametrize("policy", ModerationPolicy)
def test_internal_error_of_a_check_lets_nothing_pass(
    policy: ModerationPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; if questions are only logged, no answer depends on their checks."""
    service = DoubleModeration()
    service.enqueue_error(ZeroDivisionError())
    assert isinstance(answered(service, policy).error, ZeroDivisionError) == (policy is not LOG)
    assert "Cannot check a question: internal error" in caplog.text


def test_failure_is_logged_once_until_the_service_works(caplog: pytest.LogCaptureFixture) -> None:
    """A service that is always too slow does not work."""
    service = DoubleModeration()

    async def main() -> None:
        moderator = Moderator(service, REFUSE)
        for seconds in (FOREVER, HOLD_SECONDS + 1, FOREVER, 0.1, 0.1):
            service.enqueue(seconds=seconds)
            await moderator.verdict("How?")

    with caplog.at_level(logging.INFO):
        run_virtually(main())
    assert [record.getMessage() for record in caplog.records] == [
        "Cannot check questions, which are answered unchecked: ModelTimeout no verdict within 10 s",
        "Use the moderation service again: it works",
    ]


def with_images(*data: bytes) -> tuple[Exchange, Prompt]:
    """Return a question with these images, and its prompt with an earlier image before it."""
    files = "\n".join(image_line(f"{number}.png") for number in range(len(data)))
    before = an_exchange(4, "And this?", "So.", files=image_line("old.png"))
    question = an_exchange(5, "How?", files=files)
    budget = ImageBudget(3, 10)
    prompt = build_prompt("", [before], question, token_budget=9000, image_budget=budget)
    images = [Image(one, "image/png") for one in data]
    (asked, earlier) = (one.turn for one in prompt.turn_images)
    return question, prompt.with_images({asked: images, earlier: [Image(b"old", "image/png")]})


def images_in(service: DoubleModeration) -> list[bytes]:
    return [content.data for content in service.asked if isinstance(content, Image)]


@asynccontextmanager
async def streaming(
    service: DoubleModeration, question: Exchange, *prompts: Prompt
) -> AsyncIterator[list[float]]:
    """Send *prompts* in turn; yield how long the images of each stayed once its response began."""
    released = list[float]()
    now = asyncio.get_running_loop().time

    def release(begun: float) -> None:
        released.append(round(now() - begun, 2))

    answer = an_answer(question)
    with answer.cancellation:
        async with Moderator(service, REFUSE).screen(answer, (), ending(answer)) as screening:
            for prompt in prompts:
                async with screening.of(prompt):
                    await asyncio.sleep(0.5)
                    screening.when_read(partial(release, now()))
                    await asyncio.sleep(30)
    yield released


def test_each_image_of_the_question_is_checked_once() -> None:
    """A retry fetches them anew; those of the history are not checked."""
    service = DoubleModeration()

    async def main() -> None:
        question, prompt = with_images(b"one", b"two")
        _, again = with_images(b"one", b"two", b"three")
        async with streaming(service, question, prompt, again):
            assert images_in(service) == [b"one", b"two", b"three"]

    run_virtually(main())


def test_memory_of_images_is_kept_until_their_verdicts() -> None:
    service = DoubleModeration()

    async def main() -> None:
        question, prompt = with_images(b"one", b"two")
        for seconds in (0.1, 0.2, 4.0):  # of the words, and of each image
            service.enqueue(seconds=seconds)
        async with streaming(service, question, prompt, prompt) as released:
            assert released == [3.5, 0.0]

    run_virtually(main())


def test_rechecks_of_many_edits_take_turns() -> None:
    service = DoubleModeration()
    erased = list[int]()

    async def withhold(question: Exchange) -> None:
        erased.append(question.message_id)

    async def main() -> None:
        moderator = Moderator(service, REFUSE)
        for number in range(20):
            service.enqueue(*(["hate"] if number == 7 else []), seconds=1.0)
            moderator.recheck(an_exchange(number, f"Question {number}"), withhold)
        moderator.recheck(an_exchange(50, ""), withhold)
        await asyncio.sleep(60)

    run_virtually(main())
    assert service.most == RECHECKS
    assert len(service.asked) == 20, "one without words is not checked"
    assert erased == [7]


def test_recheck_that_cannot_erase_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    service = DoubleModeration()
    service.enqueue("hate")

    async def withhold(_question: Exchange) -> None:
        raise HistoryFailed("disk full")

    async def main() -> None:
        Moderator(service, REFUSE).recheck(an_exchange(5, "How?"), withhold)
        await asyncio.sleep(1)

    run_virtually(main())
    assert "Cannot erase flagged question 5: disk full" in caplog.text


def test_recheck_ends_with_the_bot() -> None:
    service = DoubleModeration()
    service.enqueue("hate", seconds=5.0)

    async def withhold(_question: Exchange) -> None:
        raise AssertionError("it was cancelled")

    async def main() -> None:
        moderator = Moderator(service, REFUSE)
        moderator.recheck(an_exchange(5, "How?"), withhold)
        await asyncio.sleep(1)
        await moderator.close()
        await asyncio.sleep(10)

    run_virtually(main())
