"""The use case: answer a question, resume it after a restart, regenerate its reply."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from bot.assistant.answer import Answer, Job, Outcome, StopReason, with_reply
from bot.assistant.conversations import Conversations
from bot.assistant.generator import Generator
from bot.assistant.ports import ContextLoader, Refresh, Reply, no_context, unchanged
from bot.assistant.queues import PlaceQueues
from bot.assistant.recorder import NOT_RECORDED, Recorder
from bot.conversation.exchange import Exchange, FromInteraction, State
from bot.conversation.reply_actions import NO_ACTIONS, ReplyAction, ReplyActions, actions_after
from bot.errors import (
    BotError,
    BudgetSpent,
    ModelContextExceeded,
    ModelError,
    NothingAsked,
    OutputTruncated,
    QueueFull,
    ReplyBlocked,
    ReplyDelayed,
    ReplyLost,
)
from bot.i18n.languages import Languages
from bot.i18n.sentences import Sentences
from bot.log_events import as_event
from bot.metrics import BUDGET_SPENT, NO_METRICS, Metrics
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

# Attempts 1 and 2 at a question ask the model, attempt 3 only shows a notice, and then the question
# is given up. Attempts that ended in a crash count.
MODEL_ATTEMPTS: Final = 2
NOTICE_ATTEMPT: Final = 3


class Delivery(Enum):
    """How far an answer came."""

    FINISHED = auto()  # shown, as far as it ever can be
    POSTPONED = auto()  # to be resumed when Discord accepts messages again
    DROPPED = auto()  # nothing to show: the question was deleted, given up or had ended

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self is not Delivery.POSTPONED


class Assistant:
    """Answers questions: one after the other in each queue, stored before they are shown whole.

    *refresh* returns the current version of a stored question before it is answered, None if it is
    to be forgotten.
    """

    def __init__(
        self,
        generator: Generator,
        history: History,
        conversations: Conversations,
        languages: Languages,
        *,
        refresh: Refresh = unchanged,
        metrics: Metrics = NO_METRICS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.conversations = conversations
        self.overrides = generator.overrides
        self._generator = generator
        self._history = history
        self._recorder = Recorder(history)
        self._languages = languages
        self._refresh = refresh
        self._clock = clock
        self._metrics = metrics
        self._queues = PlaceQueues(metrics)

    async def answer(
        self, exchange: Exchange, reply: Reply, *, load_context: ContextLoader = no_context
    ) -> Delivery:
        """Answer a received question, from its wait in the queue to the stored, shown reply.

        *load_context* is called when its turn comes, with the question as it is then.
        """
        job = Job(self._queues.enter(exchange.queue_key), load_context)
        return await self._run(exchange, reply, job, exchange.author_id)

    async def resume(
        self,
        exchange: Exchange,
        reply: Reply,
        *,
        load_context: ContextLoader = no_context,
        too_late: bool = False,
    ) -> Delivery:
        """Answer a question from before a restart; no queue is too long for it.

        If it is *too_late*, the model is not asked, and a notice says so.
        """
        job = Job(self._queues.enter_unlimited(exchange.queue_key), load_context, too_late=too_late)
        return await self._run(exchange, reply, job, exchange.author_id)

    async def regenerate(
        self,
        exchange: Exchange,
        reply: Reply,
        action: ReplyAction,
        person_id: int,
        *,
        load_context: ContextLoader = no_context,
    ) -> Delivery:
        """Regenerate or continue the reply of a stored exchange, in the messages that show it.

        The stored reply is replaced once the new one is whole. The usage is that of *person_id*.
        """
        job = Job(self._queues.enter(exchange.queue_key), load_context, action=action)
        return await self._run(exchange, reply, job, person_id)

    async def refuse(self, exchange: Exchange, reply: Reply, state: State, notice: str) -> Delivery:
        """End a question in *state*, with *notice* below any partial answer."""
        await self._recorder.record_end(exchange, state, [notice])
        try:
            async with reply:
                reply.write(exchange.reply)
                try:
                    await reply.finish([notice])
                except ReplyBlocked as error:
                    _log_lost(exchange, error)
                    await reply.keep_shown((), NO_ACTIONS)
        except ReplyDelayed as error:
            await self._recorder.postpone(exchange, error)
            return Delivery.POSTPONED
        except (ReplyLost, ReplyBlocked) as error:
            _log_lost(exchange, error)
        await self._recorder.mark_shown(exchange)
        return Delivery.FINISHED

    def stop(self) -> None:
        """End all answers where they are, with a notice."""
        self.conversations.stop_answers(StopReason.REQUESTED)

    def interrupt(self) -> None:
        """End all answers, to be resumed after a restart."""
        self.conversations.stop_answers(StopReason.INTERRUPTED)

    def stop_answer(self, message_id: int) -> bool:
        """Cancel the running answer to a question and keep its text; False if there is none."""
        answer = self.conversations.active.get(message_id)
        return answer is not None and answer.cancellation.cancel(StopReason.REQUESTED)

    def enter_queue(self, place_id: int) -> AbstractAsyncContextManager[None]:
        """Be first in the queue of a place within the block; raises QueueFull."""
        return self._queues.enter((place_id, 0))

    def hint_nothing_readable(self, strings: Sentences) -> str:
        """Return the hint for a message of which nothing can be read."""
        takes_images = self._generator.images.turns > 0
        return strings.hint_nothing_readable if takes_images else strings.hint_text_only

    async def _run(
        self, exchange: Exchange, reply: Reply, job: Job, usage_person_id: int
    ) -> Delivery:
        started = self._clock()
        strings = self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)
        answer = Answer(
            exchange,
            reply,
            job,
            strings,
            seconds=lambda: self._clock() - started,
            asker_id=usage_person_id,
            usage_person_id=usage_person_id,
            previous=exchange if job.action and exchange.reply else None,
        )
        self.conversations.active[exchange.message_id] = answer
        try:
            async with reply:
                delivery = await self._answer_in_turn(answer)
        except ReplyDelayed as error:
            await self._recorder.postpone(answer.exchange, error)
            delivery = Delivery.POSTPONED
        finally:
            del self.conversations.active[exchange.message_id]
        await self._generator.accounting.record(answer)
        return delivery

    async def _answer_in_turn(self, answer: Answer) -> Delivery:
        async with AsyncExitStack() as resources:
            try:
                outcome = await self._outcome(answer, resources)
                if outcome is None:
                    return Delivery.DROPPED
                await self._conclude(answer, outcome)
            except (ReplyLost, ReplyBlocked) as error:
                _log_lost(answer.exchange, error)
                if answer.cancellation.reason is StopReason.FORGOTTEN:
                    pass
                elif answer.cancellation.reason is StopReason.WITHHELD:
                    # Its words are erased: show none again.
                    await self._end(answer, Outcome(State.FAILED, refused=True))
                elif answer.previous is not None:
                    await self._restore(answer, answer.previous, error)
                else:
                    await self._store_shown(answer, error)
        return Delivery.FINISHED

    async def _outcome(self, answer: Answer, resources: AsyncExitStack) -> Outcome | None:
        """Write the reply until it ends or is cancelled; None if there is nothing to show.

        The queue is left with *resources*.
        """
        message_id, job = answer.exchange.message_id, answer.job
        with answer.cancellation:
            try:
                await resources.enter_async_context(job.queue)
                return await (self._regenerate(answer) if job.action else self._attempt(answer))
            except (ReplyLost, ReplyBlocked, ReplyDelayed):
                raise
            except BotError as error:
                why = f"{type(error).__name__} {error}".rstrip()
                log.warning(
                    "Cannot answer question %d: %s",
                    *(message_id, why),
                    extra=_as_failure(answer, error),
                )
                state = State.ANSWERED if isinstance(error, NothingAsked) else State.FAILED
                if isinstance(error, BudgetSpent):
                    self._metrics.refused(BUDGET_SPENT)
                return Outcome(
                    state,
                    self._explained(error, answer),
                    at_limit=isinstance(error, OutputTruncated),
                    refused=isinstance(error, (BudgetSpent, QueueFull)),
                )
            except Exception as error:  # the one top handler of an answer
                log.exception(
                    "Cannot answer question %d: internal error",
                    message_id,
                    extra=_as_failure(answer, error),
                )
                return Outcome(State.FAILED, (answer.strings.answer_failed,))
        return _cancelled(answer)

    async def _attempt(self, answer: Answer) -> Outcome | None:
        """Write the reply, or take what is stored of it."""
        attempt = await self._recorder.begin(answer.exchange)
        if attempt is None:
            return None
        answer.received = attempt.number != NOT_RECORDED
        exchange = await self._refresh(attempt.exchange)
        if exchange is None:
            return None
        answer.exchange = exchange
        if attempt.number > NOTICE_ATTEMPT:
            log.warning(
                "Give up question %d: every attempt crashed the process",
                exchange.message_id,
                extra=as_event("question_given_up", question=exchange.message_id),
            )
            await self._history.end_without_reply(exchange)
            return None
        if attempt.pending_notices is not None:
            answer.write(exchange.reply)
            return Outcome(attempt.state, attempt.pending_notices, stored=True)
        if answer.job.too_late or attempt.number > MODEL_ATTEMPTS:
            answer.write(await answer.reply.shown_text())
            strings = answer.strings
            notice = strings.too_late if answer.job.too_late else strings.interrupted_too_often
            return Outcome(State.FAILED, (notice,))
        await self._generator.generate(answer)
        return Outcome(State.ANSWERED, whole=True)

    async def _regenerate(self, answer: Answer) -> Outcome | None:
        """Regenerate the reply, or continue it."""
        message_id, strings = answer.exchange.message_id, answer.strings
        notice = strings.previous_answer_kept if answer.previous else strings.still_no_answer
        stored = await self._history.begin_regeneration(message_id, notice)
        previous = await self._refresh(stored) if stored is not None else None
        if previous is None:
            return None
        answer.previous = previous if previous.reply else None
        if answer.job.action is ReplyAction.CONTINUE:
            answer.exchange = previous
            answer.write(previous.reply)
        else:
            answer.exchange = replace(previous, reply="", cut=False)
        await self._generator.generate(answer)
        return Outcome(State.ANSWERED, whole=True)

    async def _conclude(self, answer: Answer, outcome: Outcome) -> None:
        """Store the reply, then show it whole, with its notices and buttons."""
        reason, action, reply = answer.cancellation.reason, answer.job.action, answer.reply
        if reason is StopReason.FORGOTTEN:
            if not answer.received:  # Otherwise the stored parts say what to delete.
                await reply.delete()
            return
        if reason is StopReason.WITHHELD:
            await self._withhold(answer, outcome)
            return
        if reason is StopReason.INTERRUPTED and action is not ReplyAction.CONTINUE:
            # Leave the question open, so that the next start resumes it. Many restarts in a row, as
            # while processes are replaced one by one, are not its fault.
            if answer.generation.model:
                await self._recorder.undo_attempt(answer.exchange)
            if answer.generation.text and action is None:
                await reply.finish([answer.strings.interrupted])
            return
        previous, is_stored = answer.previous_to_keep(outcome), True
        if previous is not None:
            # Drop the new reply's notices: the old reply is shown.
            unread = answer.generation.unread
            notices = [answer.strings.previous_answer_kept, *unread, *outcome.notices]
            ending = answer.exchange = previous
            answer.show_instead(previous.reply)
        else:
            notices = [*answer.generation.notices, *outcome.notices]
            ending = answer.exchange if outcome.stored else answer.result(outcome)
            if action is ReplyAction.REGENERATE and not ending.reply:
                notices.insert(0, answer.strings.still_no_answer)
            if not outcome.stored:
                is_stored = await self._record(answer, ending, outcome.state, notices)
        await reply.finish(notices, _actions(answer, outcome.state, ending, is_stored=is_stored))
        await self._end(answer, outcome)

    async def _withhold(self, answer: Answer, outcome: Outcome) -> None:
        """Erase a flagged question with its reply, and show why in place of the reply."""
        is_erased = await self._recorder.withhold(answer.exchange, outcome.notices)
        answer.reply.restart()
        await answer.reply.finish(outcome.notices)
        if not is_erased:
            raise ReplyDelayed("the flagged question is to be erased")
        await self.conversations.clear_title(answer.exchange)
        await self._end(answer, outcome)

    async def _record(
        self, answer: Answer, ending: Exchange, state: State, notices: list[str]
    ) -> bool:
        """Record the reply of *answer*; if that fails, say so in *notices*."""
        is_stored = await self._recorder.record_reply(answer, ending, state, notices)
        if not is_stored:
            notices.append(answer.strings.memory_unwritable)
        return is_stored

    async def _store_shown(self, answer: Answer, why: ReplyLost | ReplyBlocked) -> None:
        """End an answer that Discord rejected: store only the text that is shown."""
        blocked = isinstance(why, ReplyBlocked)
        shown = ""
        with suppress(ReplyLost):  # The place may not have been found.
            shown = await answer.reply.shown_text()
        ending = answer.exchange  # The shown text may be unreadable now, so keep the stored reply.
        if shown or blocked:
            ending = with_reply(ending, shown, cut=bool(shown))
        notices = [answer.strings.reply_blocked] if blocked else []
        is_stored = await self._record(answer, ending, State.FAILED, notices)
        actions = NO_ACTIONS
        if blocked:  # No Continue: Discord refused the text that follows.
            actions = _actions(answer, State.CANCELLED, ending, is_stored=is_stored)
        await _keep_shown(answer, notices, actions, why)
        await self._end(answer, Outcome(State.FAILED))

    async def _restore(
        self, answer: Answer, previous: Exchange, why: ReplyLost | ReplyBlocked
    ) -> None:
        """Restore the previous reply, stored and shown, with its buttons."""
        notices = [answer.strings.previous_answer_kept]
        if isinstance(why, ReplyBlocked):
            notices.append(answer.strings.reply_blocked)
        state = State.FAILED if previous.cut else State.ANSWERED
        await self._recorder.record_reply(answer, previous, state, notices)
        actions = _actions(answer, state, previous, is_stored=True)
        try:
            answer.show_instead(previous.reply)
            await answer.reply.finish(notices, actions)
        except ReplyLost as error:
            _log_lost(previous, error)
        except ReplyBlocked:
            await _keep_shown(answer, (), actions, why)
        await self._end(answer, Outcome(State.FAILED))

    async def _end(self, answer: Answer, outcome: Outcome) -> None:
        state, exchange, generation = outcome.state, answer.exchange, answer.generation
        await self._recorder.mark_shown(exchange)
        usage, first = generation.usage, generation.first_token_seconds
        self._metrics.question_ended(
            origin=_origin(answer),
            outcome=outcome.counted_as,
            first_words=first,
            whole=answer.seconds(),
        )
        log.info(
            "Ended question %d by person %d in place %d: %s, first words %s, whole %.2f s, "
            "%d exchanges in the prompt, %s, %s",
            exchange.message_id,
            exchange.author_id,
            exchange.place_id,
            state,
            "never" if first is None else f"{first:.2f} s",
            answer.seconds(),
            generation.prompt.exchanges,
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "no usage",
            generation.model or "no model",
            extra=as_event(
                "question_ended",
                question=exchange.message_id,
                person=exchange.author_id,
                place=exchange.place_id,
                guild=exchange.conversation.guild_id,
                outcome=state,
                model=generation.model or None,
                first_words_s=first,
                whole_s=answer.seconds(),
                exchanges=generation.prompt.exchanges,
                prompt_tokens=usage.prompt_tokens if usage else None,
                completion_tokens=usage.completion_tokens if usage else None,
            ),
        )

    def _explained(self, error: BotError, answer: Answer) -> tuple[str, ...]:
        strings = answer.strings
        by_command = isinstance(answer.exchange.origin, FromInteraction)
        if isinstance(error, NothingAsked):
            return (self.hint_nothing_readable(strings),)
        if isinstance(error, ModelContextExceeded) and by_command:
            # A place where a command asked may have no /reset, or none for that person.
            return (strings.model_context_asked,)
        is_kept = answer.generation.text and answer.job.action is not ReplyAction.REGENERATE
        if is_kept and isinstance(error, ModelError):
            return (error.explain_unfinished(strings),)
        if isinstance(error, QueueFull) and not (error.first or by_command or answer.job.action):
            # Another question's notice says it already. A command or a button needs a notice of
            # its own, because Discord shows that it is being worked on.
            return ()
        return (error.explain(strings),)


def _origin(answer: Answer) -> str:
    """Return how an answer was asked for, as the metrics name it."""
    if answer.job.action is not None:
        return answer.job.action.name.lower()
    return "command" if isinstance(answer.exchange.origin, FromInteraction) else "message"


def _as_failure(answer: Answer, error: Exception) -> Mapping[str, object]:
    exchange = answer.exchange
    return as_event(
        "question_failed",
        question=exchange.message_id,
        place=exchange.place_id,
        guild=exchange.conversation.guild_id,
        model=answer.generation.model or None,
        outcome=type(error).__name__,
    )


def _cancelled(answer: Answer) -> Outcome:
    reason, strings = answer.cancellation.reason, answer.strings
    sentences: dict[StopReason | None, str] = {
        StopReason.INTERRUPTED: strings.continue_interrupted,
        StopReason.WITHHELD: strings.question_withheld,
        StopReason.UNCHECKED: strings.question_unchecked,
    }
    if reason in sentences:
        is_withheld = reason is StopReason.WITHHELD
        return Outcome(State.FAILED, (sentences[reason],), refused=is_withheld)
    is_reset = reason is StopReason.RESET
    return Outcome(State.CANCELLED, (strings.stopped_by_reset if is_reset else strings.stopped,))


async def _keep_shown(
    answer: Answer, notices: Sequence[str], actions: ReplyActions, why: ReplyLost | ReplyBlocked
) -> None:
    """Show *notices* under the shown text; log a refusal if it is not *why*, logged already."""
    try:
        await answer.reply.keep_shown(notices, actions)
    except (ReplyLost, ReplyBlocked) as error:
        if str(error) != str(why):
            _log_lost(answer.exchange, error)


def _actions(answer: Answer, state: State, ending: Exchange, *, is_stored: bool) -> ReplyActions:
    """Return the buttons for *answer* in its final state; none unless it is stored."""
    if not is_stored or answer.cancellation.reason is StopReason.RESET:
        return NO_ACTIONS
    return actions_after(state, empty=not ending.reply, cut=ending.cut)


def _log_lost(exchange: Exchange, error: ReplyLost | ReplyBlocked) -> None:
    log.warning(
        "Cannot show answer %d in place %d: %s",
        *(exchange.message_id, exchange.place_id, error),
        extra=as_event(
            "answer_not_shown",
            question=exchange.message_id,
            place=exchange.place_id,
            guild=exchange.conversation.guild_id,
            outcome=type(error).__name__,
        ),
    )
