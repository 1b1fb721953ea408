"""The use case: answer a question, forget a conversation, set a system prompt."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

from bot.completion_stream import Usage
from bot.conversation import Conversation, Exchange, State
from bot.errors import (
    HistoryFailed,
    ModelContextExceeded,
    ModelError,
    PlaceBusy,
    ReplyLost,
    SystemPromptTooLong,
)
from bot.history import NEWEST_ID, History, Scope
from bot.prompt import Prompt, build_prompt, exchange_tokens, halved
from bot.queues import PlaceQueues
from bot.sentences import Sentences
from bot.tokens import Calibration, estimate_tokens

log = logging.getLogger(__name__)

SYSTEM_PROMPT_CHARACTERS: Final = 4000  # Discord: a form's text input holds no more


class Completion(Protocol):
    """A running completion: its deltas, and at their end what the API counted."""

    @property
    def usage(self) -> Usage | None:
        """What the API counted, if it says so."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Iterate over the deltas; raises ModelError where the answer is not whole."""


class ChatModel(Protocol):
    """Where completions come from."""

    @property
    def name(self) -> str:
        """What the API calls the model."""

    def stream(self, prompt: Prompt) -> AbstractAsyncContextManager[Completion]:
        """Ask with *prompt*; raises ModelError."""


class Reply(Protocol):
    """Where an answer is shown. Entering shows that work has begun, leaving ends that."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(self, *details: object) -> None:
        """End; what was shown stays."""

    def write(self, delta: str) -> None:
        """Take more of the text; it is shown soon."""

    async def finish(self, notices: Sequence[str] = ()) -> None:
        """Show the whole text now, and *notices* under it; raises ReplyLost."""


@dataclass(slots=True)
class _Answer:
    """One answer from its question to its end."""

    exchange: Exchange
    task: asyncio.Task[object]
    began: float
    pieces: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    first_words_seconds: float | None = None
    prompt: Prompt | None = None
    usage: Usage | None = None
    whole: bool = False
    stoppable: bool = True
    stopped: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces).strip()

    def stop(self, notice: str) -> None:
        """End the answer where it is, with *notice* under it."""
        if self.stoppable and self.stopped is None:
            self.stopped = notice
            self.task.cancel()

    @contextmanager
    def stops_here(self) -> Iterator[None]:
        """Let `stop` end this block, and what is stopped go on behind it."""
        try:
            yield
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            self.task.uncancel()
            self.notices.append(self.stopped)
        finally:
            self.stoppable = False


class Assistant:
    """Answers questions with a model and a history. *token_budget* bounds each prompt."""

    def __init__(
        self,
        model: ChatModel,
        history: History,
        *,
        system_prompt: str,
        token_budget: int,
        sentences: Sentences,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._history = history
        self._default_system_prompt = system_prompt
        self._token_budget = token_budget
        self._say = sentences
        self._clock = clock
        self._queues = PlaceQueues()
        self._answers: dict[int, _Answer] = {}
        self._calibrations: dict[str, Calibration] = {}

    async def answer(self, exchange: Exchange, reply: Reply) -> None:
        """Answer a received question: from its turn in the queue to the stored, shown reply."""
        task = asyncio.current_task()
        assert task is not None
        answer = _Answer(exchange, task, self._clock())
        self._answers[exchange.message_id] = answer
        try:
            async with reply:
                await self._answer_in_turn(answer, reply)
        except ReplyLost as error:
            await self._record(answer, State.FAILED)
            log.warning(
                "Cannot show answer %d in %d: %s", exchange.message_id, exchange.place_id, error
            )
        finally:
            del self._answers[exchange.message_id]

    async def refuse(self, exchange: Exchange, reply: Reply, notice: str) -> None:
        """Say *notice* instead of an answer."""
        try:
            async with reply:
                await reply.finish([notice])
            state = State.ANSWERED
        except ReplyLost as error:
            log.warning("Cannot say why %d is not answered: %s", exchange.message_id, error)
            state = State.FAILED
        try:
            await self._history.complete(exchange, state)
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", exchange.message_id, error)

    def stop(self, notice: str, *, place_id: int | None = None, before_id: int = NEWEST_ID) -> None:
        """End running and waiting answers with *notice* under them.

        Those of all places or of one, to questions before *before_id*.
        """
        for answer in self._answers.values():
            exchange = answer.exchange
            here = place_id in (None, exchange.place_id, exchange.conversation.channel_id)
            if here and exchange.message_id < before_id:
                answer.stop(notice)

    def turn(self, place_id: int) -> AbstractAsyncContextManager[None]:
        """Wait for the turn to be answered in a place, and hold it; raises PlaceBusy."""
        return self._queues.turn(place_id)

    async def reset(self, channel_id: int, before_id: int) -> int:
        """Forget what was asked in a place before *before_id*; return how many exchanges."""
        count = await self._history.reset(channel_id, before_id)
        self.stop(self._say.stopped_by_reset, place_id=channel_id, before_id=before_id)
        return count

    async def system_prompt(self, conversation: Conversation) -> str:
        """Return the system prompt that holds in *conversation*."""
        return await self._history.system_prompt(conversation) or self._default_system_prompt

    async def instruct(self, scope: Scope, scope_id: int, prompt: str) -> None:
        """Set a system prompt, an empty one back to the default; raises SystemPromptTooLong."""
        prompt = prompt.strip()
        calibration = await self._calibration()
        tokens = calibration.apply(estimate_tokens(prompt))
        token_limit = self._token_budget // 2
        if len(prompt) > SYSTEM_PROMPT_CHARACTERS or tokens > token_limit:
            raise SystemPromptTooLong(len(prompt), SYSTEM_PROMPT_CHARACTERS, tokens, token_limit)
        await self._history.set_system_prompt(scope, scope_id, prompt)

    async def _answer_in_turn(self, answer: _Answer, reply: Reply) -> None:
        async with AsyncExitStack() as turn:
            state = State.CANCELLED
            with answer.stops_here():
                try:
                    await turn.enter_async_context(self.turn(answer.exchange.place_id))
                    await self._ask(answer, reply)
                    answer.whole = True
                    state = State.ANSWERED
                except ReplyLost:
                    raise
                except (ModelError, PlaceBusy, HistoryFailed) as error:
                    state = State.FAILED
                    answer.notices.append(self._explained(error))
                    why = f"{type(error).__name__} {error}".rstrip()
                    log.warning("Question %d failed: %s", answer.exchange.message_id, why)
                except Exception:  # the one top handler of an answer
                    state = State.FAILED
                    answer.notices.append(self._say.answer_failed)
                    log.exception("Question %d failed", answer.exchange.message_id)
            await self._record(answer, state)
            await reply.finish(answer.notices)
            self._report(answer, state)
        await self._learn(answer)

    async def _ask(self, answer: _Answer, reply: Reply) -> None:
        exchange = answer.exchange
        calibration = await self._calibration()
        budget = int(self._token_budget / calibration.factor)
        system_prompt = await self.system_prompt(exchange.conversation)
        exchanges: Sequence[Exchange] = await self._history.context(
            exchange.conversation, token_budget=budget
        )
        prompt = build_prompt(system_prompt, exchanges, exchange, token_budget=budget)
        try:
            await self._stream(prompt, answer, reply)
        except ModelContextExceeded:
            if not prompt.exchanges:
                raise
            kept = halved(exchanges[len(exchanges) - prompt.exchanges :])
            prompt = build_prompt(system_prompt, kept, exchange, token_budget=budget)
            await self._stream(prompt, answer, reply)

    async def _stream(self, prompt: Prompt, answer: _Answer, reply: Reply) -> None:
        answer.prompt = prompt
        async with self._model.stream(prompt) as completion:
            try:
                async for delta in completion:
                    if answer.first_words_seconds is None:
                        answer.first_words_seconds = self._clock() - answer.began
                    answer.pieces.append(delta)
                    reply.write(delta)
            finally:
                answer.usage = completion.usage
                if prompt.read_percent < 100:
                    notice = self._say.question_shortened.format(percent=prompt.read_percent)
                    answer.notices = [notice]  # One, also when the question is put once more.

    async def _record(self, answer: _Answer, state: State) -> None:
        """Store how the answer ended; what was not whole is marked as cut."""
        text = answer.text
        exchange = replace(answer.exchange, reply=text, cut=bool(text) and not answer.whole)
        exchange = replace(exchange, tokens=exchange_tokens(exchange))
        try:
            await self._history.complete(exchange, state)
        except HistoryFailed:
            log.exception("Answer %d is not stored", exchange.message_id)
            answer.notices.append(self._say.memory_not_saved)

    def _report(self, answer: _Answer, state: State) -> None:
        exchange, usage, first = answer.exchange, answer.usage, answer.first_words_seconds
        log.info(
            "Question %d by %d in %d: %s, first words %s, whole %.2f s, %d exchanges in mind, %s",
            exchange.message_id,
            exchange.author_id,
            exchange.place_id,
            state,
            "never" if first is None else f"{first:.2f} s",
            self._clock() - answer.began,
            answer.prompt.exchanges if answer.prompt else 0,
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "no usage",
        )

    def _explained(self, error: ModelError | PlaceBusy | HistoryFailed) -> str:
        if isinstance(error, ModelError):
            return error.explain(self._say)
        return self._say.place_busy if isinstance(error, PlaceBusy) else self._say.memory_failed

    async def _calibration(self) -> Calibration:
        if self._model.name not in self._calibrations:
            stored = await self._history.calibration(self._model.name)
            self._calibrations[self._model.name] = stored
        return self._calibrations[self._model.name]

    async def _learn(self, answer: _Answer) -> None:
        """Compare the estimate of the prompt with what the API counted."""
        if answer.usage is None or answer.prompt is None:
            return
        learnt = (await self._calibration()).learn(answer.prompt.tokens, answer.usage.prompt_tokens)
        self._calibrations[self._model.name] = learnt
        try:
            await self._history.set_calibration(self._model.name, learnt)
        except HistoryFailed as error:
            log.warning("What was learnt about tokens is not stored: %s", error)
