"""The use case: answer a question, forget a conversation, set a system prompt or a model."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from bot.assistant.answer import Answer, Cancellation, Job, Outcome, StopReason, with_reply
from bot.assistant.generator import Generator
from bot.assistant.overrides import Overrides
from bot.assistant.ports import (
    ChatModel,
    ContextLoader,
    Refresh,
    Reply,
    Whereabouts,
    no_context,
    nowhere,
)
from bot.assistant.prompt_images import PromptImages
from bot.assistant.queues import PlaceQueues
from bot.assistant.recorder import NOT_RECORDED, Recorder
from bot.conversation.exchange import Conversation, Exchange, FromInteraction, State
from bot.conversation.prompt import exchange_tokens
from bot.conversation.prompt_markup import kept_files, requoted
from bot.conversation.reply_actions import NO_ACTIONS, ReplyAction, ReplyActions, actions_after
from bot.errors import (
    HistoryFailed,
    ModelContextExceeded,
    ModelError,
    NothingAsked,
    OutputTruncated,
    QueueFull,
    ReplyBlocked,
    ReplyDelayed,
    ReplyLost,
    SystemPromptTooLong,
)
from bot.i18n.languages import LANGUAGES, Languages
from bot.i18n.sentences import Sentences
from bot.storage.exchanges import History
from bot.storage.preferences import Override, Scope
from bot.storage.usage import NOBODY

log = logging.getLogger(__name__)

ASKING_ATTEMPTS: Final = 2  # at one question through crashes; a further one only says so
LAST_ATTEMPT: Final = 3
INTERRUPTED: Final = [strings.interrupted for strings in LANGUAGES.values()]
CANCELLED: Final = Outcome(State.CANCELLED)
_Turn = AbstractAsyncContextManager[None]
SYSTEM_PROMPT_CHARACTERS: Final = 4000  # Discord: a form's text input holds no more


class Delivery(Enum):
    """How far an answer came."""

    FINISHED = auto()  # shown, as far as it ever can be
    DEFERRED = auto()  # to be resumed when Discord accepts messages again
    GONE = auto()  # nothing to show: the question was deleted, given up or had ended

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self is not Delivery.DEFERRED


class Assistant:
    """Answers questions with a model and a history. *token_budget* bounds each prompt.

    *models* are those that may be chosen; where it is empty, all that the API has. *whereabouts*
    says of a question's place what the model is told about it, in one line.
    """

    def __init__(
        self,
        model: ChatModel,
        history: History,
        *,
        system_prompt: str,
        token_budget: int,
        languages: Languages,
        pictures: PromptImages,
        models: Collection[str] = (),
        whereabouts: Whereabouts = nowhere,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pictures = pictures
        self._history = history
        self._recorder = Recorder(history)
        self._overrides = Overrides(
            history.preferences, system_prompt=system_prompt, model=model.name, models=models
        )
        self._generator = Generator(
            model,
            history,
            self._overrides,
            token_budget=token_budget,
            images=pictures,
            whereabouts=whereabouts,
            clock=clock,
        )
        self._most_prompt_tokens = token_budget // 2
        self._languages = languages
        self._clock = clock
        self._queues = PlaceQueues()
        self._answers: dict[int, Answer] = {}
        self._refresh: Refresh = _unchanged

    def follow(self, refresh: Refresh) -> None:
        """Ask *refresh* of each question when its turn comes; None says that it is gone."""
        self._refresh = refresh

    async def answer(
        self, exchange: Exchange, reply: Reply, *, load_context: ContextLoader = no_context
    ) -> Delivery:
        """Answer a received question: from its turn in the queue to the stored, shown reply.

        *load_context* is called when its turn comes, with the question as it stands by then.
        """
        turn = self._queues.turn(exchange.queue_key)
        return await self._run(exchange, reply, turn, Job(load_context), exchange.author_id)

    async def go_on(
        self,
        exchange: Exchange,
        reply: Reply,
        *,
        load_context: ContextLoader = no_context,
        too_late: bool = False,
    ) -> Delivery:
        """Go on with a question that waits since before a restart, as `answer` does.

        Where it is *too_late* the model is not asked; what there is of an answer says so.
        """
        turn = self._queues.patient_turn(exchange.queue_key)
        job = Job(load_context, too_late=too_late)
        return await self._run(exchange, reply, turn, job, exchange.author_id)

    async def renew(
        self,
        exchange: Exchange,
        reply: Reply,
        action: ReplyAction,
        person_id: int,
        *,
        load_context: ContextLoader = no_context,
    ) -> Delivery:
        """Make the reply of a stored exchange anew, or go on with it, over what is shown of it.

        The stored reply is replaced once the new one is whole. It counts for *person_id*. The rest
        is as in `answer`.
        """
        turn = self._queues.turn(exchange.queue_key)
        return await self._run(exchange, reply, turn, Job(load_context, action=action), person_id)

    async def refuse(self, exchange: Exchange, reply: Reply, state: State, notice: str) -> Delivery:
        """Show *notice* under what there is of an answer, and end the question in *state*."""
        await self._recorder.end(exchange, state, [notice])
        try:
            async with reply:
                reply.write(exchange.reply)
                try:
                    await reply.finish([notice])
                except ReplyBlocked as error:
                    _log_lost(exchange, error)
                    await reply.leave((), NO_ACTIONS)
        except ReplyDelayed as error:
            await self._recorder.deferred(exchange, error)
            return Delivery.DEFERRED
        except (ReplyLost, ReplyBlocked) as error:
            _log_lost(exchange, error)
        await self._recorder.shown(exchange)
        return Delivery.FINISHED

    def stop(self) -> None:
        """End running and waiting answers where they are; they say so."""
        self._stop_all(StopReason.REQUESTED)

    def stop_answer(self, message_id: int) -> bool:
        """End the answer to a question where it is; False where none runs."""
        answer = self._answers.get(message_id)
        return answer is not None and answer.cancellation.cancel(StopReason.REQUESTED)

    def interrupt(self) -> None:
        """End running and waiting answers, to be gone on with after a restart."""
        self._stop_all(StopReason.INTERRUPTED)

    def turn(self, place_id: int) -> AbstractAsyncContextManager[None]:
        """Wait for the turn to be answered in a place, and hold it; raises QueueFull."""
        return self._queues.turn((place_id, 0))

    async def reset(self, place: Conversation, before_id: int) -> int:
        """Forget what was asked in a place before *before_id*; return how many exchanges.

        That is what all see there, and what the person of *place* alone does. Answers to it that
        run or wait end, and say so.
        """
        strings = self._languages.of_guild(place.guild_id)
        count = await self._history.erasure.reset(
            place.channel_id, before_id, strings.stopped_by_reset, person_id=place.person_id
        )
        for answer in self._answers_in({place.channel_id}):
            asked = answer.exchange
            seen = asked.conversation.person_id in {0, place.person_id}
            if seen and asked.message_id < before_id:
                answer.cancellation.cancel(StopReason.RESET)
        return count

    async def forget_person(self, author_id: int) -> int:
        """Forget all that somebody asked; return how many exchanges. Their answers end."""
        for answer in self._answers.values():  # Before that: none is counted as theirs behind it.
            if answer.exchange.author_id == author_id:
                in_guild = answer.exchange.conversation.guild_id is not None
                answer.usage_person_id = NOBODY if in_guild else None
        count = await self._history.erasure.forget_person(author_id)
        for answer in [*self._answers.values()]:
            if answer.exchange.author_id == author_id:
                answer.cancellation.cancel(StopReason.FORGOTTEN)
        return count

    def abandon(self, message_id: int) -> None:
        """End the answer to a question, if there is one, without a word."""
        if message_id in self._answers:
            self._answers[message_id].cancellation.cancel(StopReason.FORGOTTEN)

    async def forget(self, message_id: int) -> bool:
        """Forget a question; False where there was none. An answer to it ends without a word.

        What was shown of it is to be deleted.
        """
        self.abandon(message_id)
        return await self._history.erasure.forget(message_id)

    async def forget_places(self, place_ids: Sequence[int]) -> None:
        """Forget what was said in places that are gone; answers there end without a word."""
        for answer in self._answers_in(set(place_ids)):
            answer.cancellation.cancel(StopReason.FORGOTTEN)
        for answer in self._answers.values():
            if answer.exchange.conversation.top_id in place_ids:
                answer.usage_person_id = None
        await self._history.erasure.forget_places(place_ids)

    async def amend(
        self, message_id: int, question: str, *, embedded: str, files: Collection[str]
    ) -> None:
        """Replace a question by what its author made of it, who left these *files*, by name."""
        exchange = await self._history.find(message_id)
        if exchange is None:
            return
        left = kept_files(exchange.files, files)
        amended = replace(exchange, question=question, embedded=embedded, files=left)
        if amended != exchange:
            await self.store_amended(amended)

    async def requote(self, message_id: int, quotation: str) -> None:
        """Replace what questions quote of somebody's message; an empty text takes it out."""
        for exchange in await self._history.quoting(message_id):
            quoted = requoted(quotation, exchange.quoted)
            if exchange.quoted != quoted:
                await self.store_amended(replace(exchange, quoted=quoted))

    async def store_amended(self, exchange: Exchange) -> None:
        """Store what became of a question and of what it quotes."""
        await self._history.amend(replace(exchange, tokens=exchange_tokens(exchange)))

    async def system_prompt(self, conversation: Conversation) -> str:
        """Return the system prompt that holds in *conversation*."""
        return (await self._overrides.at(conversation)).system_prompt

    async def model_in(self, conversation: Conversation) -> tuple[str, Override | None]:
        """Return the model that answers in *conversation*, and the choice that makes it so."""
        chosen = await self._overrides.at(conversation)
        return chosen.model, chosen.choice

    async def choose_model(self, scope: Scope, place: Conversation, model: str) -> None:
        """Set the model of *place*, or of its guild, an empty name back to the default."""
        await self._history.preferences.set_model(scope, place, model)

    async def instruct(self, scope: Scope, place: Conversation, prompt: str) -> None:
        """Set the system prompt of *place*, or of its guild, an empty one back to the default.

        Raises SystemPromptTooLong.
        """
        prompt = prompt.strip()
        model, _ = await self.model_in(place)
        tokens = await self._generator.tokens_of(prompt, model)
        token_limit = self._most_prompt_tokens
        if len(prompt) > SYSTEM_PROMPT_CHARACTERS or tokens > token_limit:
            raise SystemPromptTooLong(len(prompt), SYSTEM_PROMPT_CHARACTERS, tokens, token_limit)
        await self._history.preferences.set_system_prompt(scope, place, prompt)

    def nothing_read(self, strings: Sentences) -> str:
        """Return what is said to a message of which nothing can be read."""
        return strings.hint_nothing_readable if self.pictures.turns else strings.hint_text_only

    def _stop_all(self, why: StopReason) -> None:
        for answer in self._answers.values():
            answer.cancellation.cancel(why)

    def _answers_in(self, place_ids: set[int]) -> list[Answer]:
        return [
            answer
            for answer in self._answers.values()
            if answer.exchange.place_id in place_ids
            or answer.exchange.conversation.channel_id in place_ids
        ]

    async def _run(
        self, exchange: Exchange, reply: Reply, turn: _Turn, job: Job, person_id: int
    ) -> Delivery:
        """Answer a question when its *turn* comes; its usage counts for *person_id*."""
        task = asyncio.current_task()
        assert task is not None
        strings = self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)
        answer = Answer(exchange, job, strings, Cancellation(task), self._clock(), person_id)
        answer.previous = exchange if job.action else None
        self._answers[exchange.message_id] = answer
        try:
            try:
                async with reply:
                    delivery = await self._answer_in_turn(answer, reply, turn)
            except ReplyDelayed as error:
                await self._recorder.deferred(answer.exchange, error)
                delivery = Delivery.DEFERRED
            await self._generator.accounting.record(
                answer.generation, answer.exchange, answer.usage_person_id
            )
        finally:
            del self._answers[exchange.message_id]
        return delivery

    async def _answer_in_turn(self, answer: Answer, reply: Reply, turn: _Turn) -> Delivery:
        async with AsyncExitStack() as resources:
            try:
                outcome = await self._outcome(answer, reply, resources, turn)
                if outcome is None:
                    return Delivery.GONE
                await self._conclude(answer, reply, outcome)
            except (ReplyLost, ReplyBlocked) as error:
                _log_lost(answer.exchange, error)
                if answer.job.action is not None:
                    await self._restore_previous(answer, reply, error)
                else:
                    await self._keep_shown(answer, reply, error)
        return Delivery.FINISHED

    async def _outcome(
        self, answer: Answer, reply: Reply, resources: AsyncExitStack, turn: _Turn
    ) -> Outcome | None:
        """Write the reply until it ends or is cancelled; None if there is nothing to show."""
        outcome: Outcome | None = CANCELLED
        with answer.cancellation.scope():
            outcome = await self._written(answer, reply, resources, turn)
        return _cancelled(answer) if outcome is CANCELLED else outcome

    async def _written(
        self, answer: Answer, reply: Reply, resources: AsyncExitStack, turn: _Turn
    ) -> Outcome | None:
        message_id = answer.exchange.message_id
        try:
            await resources.enter_async_context(turn)
            attempt = self._regenerate if answer.job.action else self._attempt
            return await attempt(answer, reply)
        except (ReplyLost, ReplyBlocked, ReplyDelayed):
            raise
        except (ModelError, QueueFull, NothingAsked, HistoryFailed) as error:
            why = f"{type(error).__name__} {error}".rstrip()
            log.warning("Question %d failed: %s", message_id, why)
            state = State.ANSWERED if isinstance(error, NothingAsked) else State.FAILED
            at_limit = isinstance(error, OutputTruncated)
            return Outcome(state, self._explained(error, answer), at_limit=at_limit)
        except Exception:  # the one top handler of an answer
            log.exception("Question %d failed", message_id)
            return Outcome(State.FAILED, (answer.strings.answer_failed,))

    async def _attempt(self, answer: Answer, reply: Reply) -> Outcome | None:
        """Write the reply, or take what is stored of it."""
        attempt = await self._recorder.begin(answer.exchange)
        if attempt is None:
            return None
        answer.received = attempt.number != NOT_RECORDED
        exchange = await self._refresh(attempt.exchange)
        if exchange is None:
            return None
        answer.exchange = exchange
        if attempt.number > LAST_ATTEMPT:
            await self._recorder.give_up(exchange)
            return None
        if attempt.pending_notices is not None:
            _write(answer, reply, exchange.reply)
            return Outcome(attempt.state, attempt.pending_notices, stored=True)
        if answer.job.too_late or attempt.number > ASKING_ATTEMPTS:
            _write(answer, reply, await reply.shown_text(without=INTERRUPTED))
            strings = answer.strings
            notice = strings.too_late if answer.job.too_late else strings.interrupted_too_often
            return Outcome(State.FAILED, (notice,))
        await self._generator.generate(answer, reply)
        return Outcome(State.ANSWERED, whole=True)

    async def _regenerate(self, answer: Answer, reply: Reply) -> Outcome | None:
        """Write the reply anew, or continue it."""
        message_id, notice = answer.exchange.message_id, answer.strings.previous_answer_kept
        stored = await self._history.begin_regeneration(message_id, notice)
        previous = await self._refresh(stored) if stored is not None else None
        if previous is None:
            return None
        answer.previous = previous
        if answer.job.action is ReplyAction.CONTINUE:
            answer.exchange = previous
            _write(answer, reply, previous.reply)
        else:
            answer.exchange = replace(previous, reply="", cut=False)
        await self._generator.generate(answer, reply)
        return Outcome(State.ANSWERED, whole=True)

    async def _conclude(self, answer: Answer, reply: Reply, outcome: Outcome) -> None:
        """Store the reply, then show it whole, with its notices and buttons."""
        reason, action = answer.cancellation.reason, answer.job.action
        if reason is StopReason.FORGOTTEN:
            if not answer.received:  # Otherwise the stored parts say what to delete.
                await reply.withdraw()
            return
        if reason is StopReason.INTERRUPTED and action is not ReplyAction.CONTINUE:
            if answer.generation.text and action is None:
                await reply.finish([answer.strings.interrupted])
            return
        previous, is_stored = answer.previous_to_keep(outcome), True
        if previous is not None:
            # The notices about how long the new one took do not belong to it.
            unread = answer.generation.unread
            notices = [answer.strings.previous_answer_kept, *unread, *outcome.notices]
            ending = answer.exchange = previous
            reply.restart()
            reply.write(previous.reply)
        else:
            notices = [*answer.generation.notices, *outcome.notices]
            ending = answer.exchange if outcome.stored else answer.result(outcome)
            if not outcome.stored:
                is_stored = await self._record(answer, ending, outcome.state, notices)
        await reply.finish(notices, _actions(answer, outcome.state, ending, is_stored=is_stored))
        await self._recorder.shown(answer.exchange)
        self._report(answer, outcome.state)

    async def _record(
        self, answer: Answer, ending: Exchange, state: State, notices: list[str]
    ) -> bool:
        """Record the reply of *answer*; if that fails, say so in *notices*."""
        is_stored = await self._recorder.reply(
            ending,
            state,
            notices,
            received=answer.received,
            replaces=answer.job.action is not None,
        )
        if not is_stored:
            notices.append(answer.strings.memory_unwritable)
        return is_stored

    async def _keep_shown(
        self, answer: Answer, reply: Reply, why: ReplyLost | ReplyBlocked
    ) -> None:
        """End an answer that Discord does not take: store only the text that is shown."""
        if answer.cancellation.reason is StopReason.FORGOTTEN:
            return
        blocked = isinstance(why, ReplyBlocked)
        shown = ""
        with suppress(ReplyLost):  # The place may not have been found.
            shown = await reply.shown_text(without=INTERRUPTED)
        ending = answer.exchange  # What was shown of a stored reply may not be readable now.
        if shown or blocked:
            ending = with_reply(ending, shown, cut=bool(shown))
        notices = [answer.strings.reply_blocked] if blocked else []
        is_stored = await self._record(answer, ending, State.FAILED, notices)
        actions = NO_ACTIONS
        if blocked:  # No Continue: Discord refused the text that follows.
            actions = _actions(answer, State.CANCELLED, ending, is_stored=is_stored)
        await self._leave(answer, reply, notices, actions, why)
        await self._recorder.shown(ending)
        self._report(answer, State.FAILED)

    async def _restore_previous(
        self, answer: Answer, reply: Reply, why: ReplyLost | ReplyBlocked
    ) -> None:
        """Restore the previous reply, stored and shown, with its buttons."""
        previous = answer.previous
        if previous is None or answer.cancellation.reason is StopReason.FORGOTTEN:
            return
        notices = [answer.strings.previous_answer_kept]
        if isinstance(why, ReplyBlocked):
            notices.append(answer.strings.reply_blocked)
        state = State.FAILED if previous.cut else State.ANSWERED
        await self._recorder.reply(previous, state, notices, replaces=True)
        actions = _actions(answer, state, previous, is_stored=True)
        try:
            reply.restart()
            reply.write(previous.reply)
            await reply.finish(notices, actions)
        except ReplyLost as error:
            _log_lost(previous, error)
        except ReplyBlocked:
            await self._leave(answer, reply, (), actions, why)
        await self._recorder.shown(previous)
        self._report(answer, State.FAILED)

    async def _leave(
        self,
        answer: Answer,
        reply: Reply,
        notices: Sequence[str],
        actions: ReplyActions,
        why: ReplyLost | ReplyBlocked,
    ) -> None:
        """Keep the text that is shown; log what prevents its notices, unless *why* says that."""
        try:
            await reply.leave(notices, actions, without=INTERRUPTED)
        except (ReplyLost, ReplyBlocked) as error:
            if str(error) != str(why):
                _log_lost(answer.exchange, error)

    def _report(self, answer: Answer, state: State) -> None:
        exchange, generation = answer.exchange, answer.generation
        usage, first = generation.usage, generation.first_token_seconds
        log.info(
            "Question %d by %d in %d: %s, first words %s, whole %.2f s, "
            "%d exchanges in mind, %s, %s",
            exchange.message_id,
            exchange.author_id,
            exchange.place_id,
            state,
            "never" if first is None else f"{first:.2f} s",
            self._clock() - answer.started,
            generation.prompt.exchanges if generation.prompt else 0,
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "no usage",
            generation.model or "no model",
        )

    def _explained(
        self, error: ModelError | QueueFull | NothingAsked | HistoryFailed, answer: Answer
    ) -> tuple[str, ...]:
        strings = answer.strings
        by_command = isinstance(answer.exchange.origin, FromInteraction)
        if isinstance(error, NothingAsked):
            return (self.nothing_read(strings),)
        if isinstance(error, ModelContextExceeded) and by_command:
            # There may be no /reset where a command asked, or none for the one who asked.
            return (strings.model_context_asked,)
        if isinstance(error, QueueFull) and not (error.first or by_command or answer.job.action):
            # Another question's notice says it already. Whoever used a command or a button has
            # seen that it is being worked on, and needs a notice in its place.
            return ()
        return (error.explain(strings),)


async def _unchanged(exchange: Exchange) -> Exchange:
    return exchange


def _cancelled(answer: Answer) -> Outcome:
    reason, strings = answer.cancellation.reason, answer.strings
    if reason is StopReason.INTERRUPTED:
        return Outcome(State.FAILED, (strings.continue_interrupted,))
    is_reset = reason is StopReason.RESET
    return Outcome(State.CANCELLED, (strings.stopped_by_reset if is_reset else strings.stopped,))


def _write(answer: Answer, reply: Reply, text: str) -> None:
    """Write *text* of an earlier attempt."""
    answer.generation.pieces.append(text)
    reply.write(text)


def _actions(answer: Answer, state: State, ending: Exchange, *, is_stored: bool) -> ReplyActions:
    """Return the buttons for *answer* in its final state; none unless it is stored."""
    if not is_stored or answer.cancellation.reason is StopReason.RESET:
        return NO_ACTIONS
    return actions_after(state, empty=not ending.reply, cut=ending.cut)


def _log_lost(exchange: Exchange, error: ReplyLost | ReplyBlocked) -> None:
    log.warning("Cannot show answer %d in %d: %s", exchange.message_id, exchange.place_id, error)
