"""Check questions beside their answers, and withhold those that are flagged.

Imported only if MODERATION is on.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bot.assistant.answer import Answer, StopReason
from bot.assistant.ports import Moderation
from bot.assistant.screening import Screener, Screening, Withhold
from bot.conversation.exchange import Conversation, Exchange
from bot.conversation.images import Image
from bot.conversation.prompt import Prompt
from bot.errors import (
    HistoryFailed,
    ModelError,
    ModelTimeout,
    SystemPromptFlagged,
    SystemPromptUnchecked,
)
from bot.llm.api_config import VERDICT_SECONDS, ModerationPolicy
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Metrics

log = logging.getLogger(__name__)

HOLD_SECONDS: Final = 2.0  # A verdict usually takes 0.3 s, as long as the first words.
NO_CATEGORIES: Final = frozenset[str]()
RECHECKS: Final = 4  # at a time; after an absence there may be many edits
WAIT_SECONDS: Final = {  # how long an answer waits for a verdict
    ModerationPolicy.LOG: HOLD_SECONDS,
    ModerationPolicy.REFUSE: HOLD_SECONDS,
    ModerationPolicy.REQUIRE: 2 * VERDICT_SECONDS,  # until there is one, or none in time
}


class Moderator(Screener):
    """Checks questions with a moderation *service*, and acts by *policy*.

    It logs the first of several failures of the service, and when the service works again.
    """

    def __init__(
        self, service: Moderation, policy: ModerationPolicy, metrics: Metrics = NO_METRICS
    ) -> None:
        self.policy = policy
        self._metrics = metrics
        self._service = service
        self._failing = False
        self._checks = set[asyncio.Task[None]]()
        self._slots = asyncio.Semaphore(RECHECKS)

    async def close(self) -> None:
        """Cancel the checks that still run."""
        for check in self._checks:
            check.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)

    def screen(self, answer: Answer, quotations: Sequence[str], withhold: Withhold) -> Screening:
        """Return the check of the question of *answer*, with the *quotations* above it."""
        words = "\n".join(filter(None, (*quotations, words_of(answer.exchange))))
        return _Moderated(self, answer, words, withhold)

    def recheck(self, question: Exchange, withhold: Withhold) -> None:
        """Begin to check a question that was edited."""
        if words_of(question):
            self.begin(self._recheck(question, withhold))

    async def check_system_prompt(self, prompt: str, place: Conversation, person_id: int) -> None:
        """Check what a person wants to set for a place, and log it if it is flagged."""
        categories = await self.verdict(prompt) if prompt.strip() else NO_CATEGORIES
        if categories is None:
            if self.policy is ModerationPolicy.REQUIRE:
                raise SystemPromptUnchecked
        elif categories:
            names = ", ".join(sorted(categories))
            log.warning(
                "Found system prompt by person %d for place %d flagged: %s",
                *(person_id, place.channel_id, names),
                extra=as_event(
                    "prompt_flagged",
                    place=place.channel_id,
                    guild=place.guild_id,
                    person=person_id,
                    outcome=names,
                ),
            )
            if self.policy is not ModerationPolicy.LOG:
                raise SystemPromptFlagged

    def begin(self, check: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a check, which runs until there is a verdict or the bot stops."""
        task = asyncio.create_task(check)
        self._checks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, check: asyncio.Task[None]) -> None:
        self._checks.discard(check)
        if not check.cancelled() and (error := check.exception()) is not None:
            log.error("Cannot check a question: internal error", exc_info=error)

    async def _recheck(self, question: Exchange, withhold: Withhold) -> None:
        async with self._slots:
            categories = await self.verdict(words_of(question))
        if categories:
            await self.found_flagged(question, categories, withhold)

    async def found_flagged(
        self, question: Exchange, categories: frozenset[str], withhold: Withhold
    ) -> None:
        """Log that *question* is flagged, and *withhold* it unless the policy is only to log."""
        names = ", ".join(sorted(categories))
        log.warning(
            "Found question %d by person %d in place %d flagged: %s",
            question.message_id,
            question.author_id,
            question.place_id,
            names,
            extra=as_event(
                "question_flagged",
                question=question.message_id,
                place=question.place_id,
                guild=question.conversation.guild_id,
                person=question.author_id,
                outcome=names,
            ),
        )
        if self.policy is ModerationPolicy.LOG:
            return
        try:
            await withhold(question)
        except HistoryFailed as error:
            log.warning("Cannot erase flagged question %d: %s", question.message_id, error)

    async def verdict(self, content: str | Image) -> frozenset[str] | None:
        """Return the categories in which *content* is flagged, None if there is no verdict."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            async with asyncio.timeout(VERDICT_SECONDS):
                categories = await self._service.categories(content)
        except TimeoutError:
            self.note_failure(ModelTimeout(f"no verdict within {VERDICT_SECONDS:.0f} s"))
            return None
        except ModelError as error:
            self.note_failure(error)
            return None
        self._metrics.moderated("flagged" if categories else "passed")
        if self._failing and now() - began < WAIT_SECONDS[self.policy]:  # else it is still slow
            self._failing = False
            log.info("Use the moderation service again: it works")
        return categories

    def note_failure(self, error: ModelError) -> None:
        """Count a failure, and log the first of several in a row."""
        self._metrics.moderated(type(error).__name__)
        if not self._failing:
            self._failing = True
            is_required = self.policy is ModerationPolicy.REQUIRE
            log.warning(
                "Cannot check questions, which are %s: %s %s",
                "not answered" if is_required else "answered unchecked",
                type(error).__name__,
                error,
                extra=as_event("moderation_failed", outcome=type(error).__name__),
            )


class _Moderated(Screening):
    """The checks of one question: of its words, and of each of its images."""

    def __init__(
        self, moderator: Moderator, answer: Answer, words: str, withhold: Withhold
    ) -> None:
        self._words = words
        self._moderator = moderator
        self._policy = moderator.policy
        self._answer = answer
        self._withhold = withhold
        self._question = answer.exchange
        self._ends = dict[asyncio.Task[None], float]()  # when the answer stops waiting for each
        # By the hashes of the images, because a retry fetches the images again.
        self._image_checks = dict[int, asyncio.Task[None]]()

    async def __aexit__(self, kind: type[BaseException] | None, *details: object) -> None:
        # A verdict takes precedence over a failure of the model.
        if kind is None or issubclass(kind, ModelError):
            await self.passed()

    @asynccontextmanager
    async def of(self, prompt: Prompt) -> AsyncIterator[None]:
        if self._words and not self._ends:  # A retry asks the same words.
            self._begin(self._words)
        for image in images_of(self._question, prompt):
            if (key := hash(image.data)) not in self._image_checks:
                self._image_checks[key] = self._begin(image)
        try:
            yield
            await self._wait(self._image_checks.values())
        finally:
            # The images are freed after this. A retry checks those that have no verdict yet.
            for key, check in tuple(self._image_checks.items()):
                if not check.done():
                    del self._image_checks[key], self._ends[check]
                    check.cancel()

    def when_read(self, release: Callable[[], None]) -> None:
        left = {check for check in self._image_checks.values() if not check.done()}
        if not left:
            release()

        def on_end(ended: asyncio.Task[None]) -> None:
            left.discard(ended)
            if not left:
                release()

        for check in tuple(left):
            check.add_done_callback(on_end)

    async def passed(self) -> None:
        if self._policy is not ModerationPolicy.LOG:
            await self._wait(self._ends)

    def _begin(self, content: str | Image) -> asyncio.Task[None]:
        check = self._moderator.begin(self._check(content))
        now = asyncio.get_running_loop().time()
        self._ends[check] = now + WAIT_SECONDS[self._policy]
        return check

    async def _check(self, content: str | Image) -> None:
        categories = await self._moderator.verdict(content)
        if categories is None:
            if self._policy is ModerationPolicy.REQUIRE:
                self._answer.cancellation.cancel(StopReason.UNCHECKED)
        elif categories:
            await self._moderator.found_flagged(self._question, categories, self._withhold)

    async def _wait(self, checks: Iterable[asyncio.Task[None]]) -> None:
        """Wait until *checks* have ended, or until the answer has waited long enough for them."""
        now = asyncio.get_running_loop().time
        for check in tuple(checks):
            seconds = self._ends[check] - now()
            if not check.done() and seconds > 0:
                await asyncio.wait({check}, timeout=seconds)
                if not check.done():
                    why = f"no verdict within {HOLD_SECONDS:.0f} s"
                    self._moderator.note_failure(ModelTimeout(why))
            if check.done():
                check.result()  # Raises an internal error, so that nothing passes because of one.


def words_of(question: Exchange) -> str:
    """Return the words of *question*, with what it quotes and embeds, and the text of its files."""
    parts = (question.quoted, question.question, question.embedded, question.files)
    return "\n".join(filter(None, parts))


def images_of(question: Exchange, prompt: Prompt) -> list[Image]:
    """Return the images of *question* in *prompt*, without those of the history."""
    return [
        image
        for selected in prompt.turn_images
        if selected.exchange.message_id == question.message_id
        for image in prompt.turns[selected.turn].images
    ]
