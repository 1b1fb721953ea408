"""The use case: answer a question, forget a conversation, set a system prompt or a model."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from bot.assistant.answer import Answer, StopReason
from bot.assistant.generation import Generator
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
from bot.conversation.exchange import Attempt, Conversation, Exchange, FromInteraction, State
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
        self._choosing = Overrides(
            history.preferences, system_prompt=system_prompt, model=model.name, models=models
        )
        self._consulting = Generator(
            model,
            history,
            self._choosing,
            token_budget=token_budget,
            pictures=pictures,
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
        return await self._owned(self._begun(exchange, load_context), reply, turn)

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
        return await self._owned(
            self._begun(exchange, load_context, too_late=too_late), reply, turn
        )

    async def renew(
        self,
        exchange: Exchange,
        reply: Reply,
        renewal: ReplyAction,
        person_id: int,
        *,
        load_context: ContextLoader = no_context,
    ) -> Delivery:
        """Make the reply of a stored exchange anew, or go on with it, over what is shown of it.

        The stored reply is replaced once the new one is whole. It counts for *person_id*. The rest
        is as in `answer`.
        """
        turn = self._queues.turn(exchange.queue_key)
        answer = self._begun(exchange, load_context, renewal=renewal)
        answer.counts_for = person_id
        return await self._owned(answer, reply, turn)

    async def refuse(self, exchange: Exchange, reply: Reply, state: State, notice: str) -> Delivery:
        """Show *notice* under what there is of an answer, and end the question in *state*."""
        try:
            await self._history.complete(exchange, state, [notice])
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", exchange.message_id, error)
        try:
            async with reply:
                reply.write(exchange.reply)
                try:
                    await reply.finish([notice])
                except ReplyBlocked as error:
                    _log_lost(exchange, error)
                    await reply.leave((), NO_ACTIONS)
        except ReplyDelayed as error:
            await self._put_off(exchange, error)
            return Delivery.DEFERRED
        except (ReplyLost, ReplyBlocked) as error:
            _log_lost(exchange, error)
        await self._record_shown(exchange)
        return Delivery.FINISHED

    def stop(self) -> None:
        """End running and waiting answers where they are; they say so."""
        self._stop_all(StopReason.ASKED)

    def stop_answer(self, message_id: int) -> bool:
        """End the answer to a question where it is; False where none runs."""
        answer = self._answers.get(message_id)
        return answer is not None and answer.stop(StopReason.ASKED)

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
                answer.stop(StopReason.RESET)
        return count

    async def forget_person(self, author_id: int) -> int:
        """Forget all that somebody asked; return how many exchanges. Their answers end."""
        for answer in self._answers.values():  # Before that: none is counted as theirs behind it.
            if answer.exchange.author_id == author_id:
                in_guild = answer.exchange.conversation.guild_id is not None
                answer.counts_for = NOBODY if in_guild else None
        count = await self._history.erasure.forget_person(author_id)
        for answer in [*self._answers.values()]:
            if answer.exchange.author_id == author_id:
                answer.stop(StopReason.FORGOTTEN)
        return count

    def abandon(self, message_id: int) -> None:
        """End the answer to a question, if there is one, without a word."""
        if message_id in self._answers:
            self._answers[message_id].stop(StopReason.FORGOTTEN)

    async def forget(self, message_id: int) -> bool:
        """Forget a question; False where there was none. An answer to it ends without a word.

        What was shown of it is to be deleted.
        """
        self.abandon(message_id)
        return await self._history.erasure.forget(message_id)

    async def forget_places(self, place_ids: Sequence[int]) -> None:
        """Forget what was said in places that are gone; answers there end without a word."""
        for answer in self._answers_in(set(place_ids)):
            answer.stop(StopReason.FORGOTTEN)
        for answer in self._answers.values():
            if answer.exchange.conversation.top_id in place_ids:
                answer.counts_for = None
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
        return (await self._choosing.at(conversation)).system_prompt

    async def model_in(self, conversation: Conversation) -> tuple[str, Override | None]:
        """Return the model that answers in *conversation*, and the choice that makes it so."""
        chosen = await self._choosing.at(conversation)
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
        tokens = await self._consulting.tokens_of(prompt, model)
        token_limit = self._most_prompt_tokens
        if len(prompt) > SYSTEM_PROMPT_CHARACTERS or tokens > token_limit:
            raise SystemPromptTooLong(len(prompt), SYSTEM_PROMPT_CHARACTERS, tokens, token_limit)
        await self._history.preferences.set_system_prompt(scope, place, prompt)

    def nothing_read(self, strings: Sentences) -> str:
        """Return what is said to a message of which nothing can be read."""
        return strings.hint_nothing_readable if self.pictures.turns else strings.hint_text_only

    def _stop_all(self, why: StopReason) -> None:
        for answer in self._answers.values():
            answer.stop(why)

    def _answers_in(self, place_ids: set[int]) -> list[Answer]:
        return [
            answer
            for answer in self._answers.values()
            if answer.exchange.place_id in place_ids
            or answer.exchange.conversation.channel_id in place_ids
        ]

    def _begun(
        self,
        exchange: Exchange,
        load_context: ContextLoader = no_context,
        *,
        too_late: bool = False,
        renewal: ReplyAction | None = None,
    ) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        strings = self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)
        before = exchange if renewal else None
        answer = Answer(
            exchange, task, self._clock(), strings, load_context, too_late, renewal, before
        )
        answer.counts_for = exchange.author_id
        return answer

    async def _owned(self, answer: Answer, reply: Reply, turn: _Turn) -> Delivery:
        message_id = answer.exchange.message_id
        self._answers[message_id] = answer
        try:
            delivery = await self._shown(answer, reply, turn)
            await self._consulting.learn(answer)
            await self._consulting.count(answer)
        finally:
            del self._answers[message_id]
        return delivery

    async def _shown(self, answer: Answer, reply: Reply, turn: _Turn) -> Delivery:
        try:
            async with reply:
                await self._answer_in_turn(answer, reply, turn)
        except ReplyDelayed as error:
            await self._put_off(answer.exchange, error)
            return Delivery.DEFERRED
        return Delivery.GONE if answer.state is None else Delivery.FINISHED

    async def _answer_in_turn(self, answer: Answer, reply: Reply, turn: _Turn) -> None:
        async with AsyncExitStack() as held:
            try:
                await self._answer_here(answer, reply, held, turn)
            except (ReplyLost, ReplyBlocked) as error:
                _log_lost(answer.exchange, error)
                if answer.renewal is not None:
                    await self._put_back(answer, reply, error)
                else:
                    await self._keep_shown(answer, reply, error)

    async def _answer_here(
        self, answer: Answer, reply: Reply, held: AsyncExitStack, turn: _Turn
    ) -> None:
        with answer.stops_here():
            try:
                await held.enter_async_context(turn)
                await (self._renew if answer.renewal else self._attempt)(answer, reply)
            except (ReplyLost, ReplyBlocked, ReplyDelayed):
                raise
            except (ModelError, QueueFull, NothingAsked, HistoryFailed) as error:
                hint = isinstance(error, NothingAsked)
                answer.state = State.ANSWERED if hint else State.FAILED
                answer.at_limit = isinstance(error, OutputTruncated)
                answer.why += self._explained(error, answer)
                why = f"{type(error).__name__} {error}".rstrip()
                log.warning("Question %d failed: %s", answer.exchange.message_id, why)
            except Exception:  # the one top handler of an answer
                answer.state = State.FAILED
                answer.why.append(answer.strings.answer_failed)
                log.exception("Question %d failed", answer.exchange.message_id)
        if answer.stopped is StopReason.FORGOTTEN:
            if not answer.received:  # Otherwise the stored parts say what to delete.
                await reply.withdraw()
        elif answer.state is not None:
            await self._end(answer, reply, answer.state)

    async def _attempt(self, answer: Answer, reply: Reply) -> None:
        """Make the reply, or take what is stored of it."""
        attempt = await self._begin(answer)
        exchange = await self._refresh(attempt.exchange) if attempt is not None else None
        if attempt is None or exchange is None:
            answer.state = None
            return
        answer.exchange = exchange
        if attempt.number > LAST_ATTEMPT:
            await self._give_up(answer)
        elif attempt.unshown is not None:
            answer.recorded = True
            answer.state = attempt.state
            answer.notices += attempt.unshown
            self._take(answer, reply, exchange.reply)
        elif answer.too_late or attempt.number > ASKING_ATTEMPTS:
            answer.state = State.FAILED
            answer.notices.append(
                answer.strings.too_late if answer.too_late else answer.strings.interrupted_too_often
            )
            self._take(answer, reply, await reply.shown_text(without=INTERRUPTED))
        else:
            await self._consulting.ask(answer, reply)
            answer.whole = True
            answer.state = State.ANSWERED

    async def _renew(self, answer: Answer, reply: Reply) -> None:
        """Make the reply anew, or go on with it."""
        stored = await self._history.begin_regeneration(
            answer.exchange.message_id, answer.strings.previous_answer_kept
        )
        before = await self._refresh(stored) if stored is not None else None
        if before is None:
            answer.state = None
            return
        answer.before = before
        if answer.renewal is ReplyAction.CONTINUE:
            answer.exchange = before
            self._take(answer, reply, before.reply)
        else:
            answer.exchange = replace(before, reply="", cut=False)
        await self._consulting.ask(answer, reply)
        answer.whole = True
        answer.state = State.ANSWERED

    async def _begin(self, answer: Answer) -> Attempt | None:
        try:
            return await self._history.begin(answer.exchange)
        except HistoryFailed as error:
            log.warning("Question %d is not stored: %s", answer.exchange.message_id, error)
            answer.received = False
            return Attempt(answer.exchange, number=1, unshown=None)

    def _take(self, answer: Answer, reply: Reply, text: str) -> None:
        answer.pieces.append(text)
        reply.write(text)

    async def _give_up(self, answer: Answer) -> None:
        answer.state = None
        message_id = answer.exchange.message_id
        log.warning("Question %d is given up: each attempt ended the program", message_id)
        await self._history.complete(answer.exchange, State.FAILED)
        await self._history.mark_shown(message_id)

    async def _end(self, answer: Answer, reply: Reply, state: State) -> None:
        """Store the reply, then show it whole."""
        if answer.stopped is StopReason.INTERRUPTED and answer.renewal is not ReplyAction.CONTINUE:
            if answer.text and answer.renewal is None:
                await reply.finish([answer.strings.interrupted])
            return
        if answer.stopped is StopReason.INTERRUPTED:
            state = State.FAILED
        if answer.stopped is not None:
            answer.why.append(_why_stopped(answer.stopped, answer.strings))
        before = answer.kept_before
        if before is None:
            answer.notices += answer.why
        else:  # How long the new one was thought about is not said of it.
            answer.notices = [answer.strings.previous_answer_kept, *answer.unread, *answer.why]
            answer.exchange, answer.recorded = before, True
            reply.restart()
            reply.write(before.reply)
        ending = (
            answer.exchange
            if answer.recorded
            else await self._record(answer, answer.outcome(), state)
        )
        await reply.finish(answer.notices, _actions(answer, state, ending))
        await self._record_shown(answer.exchange)
        self._report(answer, state)

    async def _record(self, answer: Answer, ending: Exchange, state: State) -> Exchange:
        """Store the outcome of the answer, and that it must be shown; return *ending*."""
        try:
            if not answer.received:
                await self._history.receive(answer.exchange)
            # Replaces a reply that was stored whole but never shown.
            if answer.renewal or not await self._history.complete(ending, state, answer.notices):
                await self._history.complete_regeneration(ending, state, answer.notices)
        except HistoryFailed as error:
            log.warning("Answer %d is not stored: %s", answer.exchange.message_id, error)
            answer.notices.append(answer.strings.memory_unwritable)
            answer.kept = False
        return ending

    async def _keep_shown(
        self, answer: Answer, reply: Reply, why: ReplyLost | ReplyBlocked
    ) -> None:
        """End an answer that Discord does not take: store only the text that is shown."""
        if answer.stopped is StopReason.FORGOTTEN:
            return
        blocked = isinstance(why, ReplyBlocked)
        shown = ""
        with suppress(ReplyLost):  # The place may not have been found.
            shown = await reply.shown_text(without=INTERRUPTED)
        ending = answer.exchange  # What was shown of a stored reply may not be readable now.
        if shown or blocked:
            ending = replace(ending, reply=shown, cut=bool(shown))
            ending = replace(ending, tokens=exchange_tokens(ending))
        answer.notices = [answer.strings.reply_blocked] if blocked else []
        await self._record(answer, ending, State.FAILED)
        # No Continue: Discord refused the text that follows.
        actions = _actions(answer, State.CANCELLED, ending) if blocked else NO_ACTIONS
        await self._left(answer, reply, answer.notices, actions, why)
        await self._record_shown(ending)
        self._report(answer, State.FAILED)

    async def _put_back(self, answer: Answer, reply: Reply, why: ReplyLost | ReplyBlocked) -> None:
        """Restore the previous reply, stored and shown, with its buttons."""
        before = answer.before
        if before is None or answer.stopped is StopReason.FORGOTTEN:
            return
        answer.notices = [answer.strings.previous_answer_kept]
        if isinstance(why, ReplyBlocked):
            answer.notices.append(answer.strings.reply_blocked)
        state = State.FAILED if before.cut else State.ANSWERED
        try:
            await self._history.complete_regeneration(before, state, answer.notices)
        except HistoryFailed as error:
            log.warning("Answer %d is not stored: %s", before.message_id, error)
        actions = _actions(answer, state, before)
        try:
            reply.restart()
            reply.write(before.reply)
            await reply.finish(answer.notices, actions)
        except ReplyLost as error:
            _log_lost(before, error)
        except ReplyBlocked:
            await self._left(answer, reply, (), actions, why)
        await self._record_shown(before)
        self._report(answer, State.FAILED)

    async def _left(
        self,
        answer: Answer,
        reply: Reply,
        notices: Sequence[str],
        actions: ReplyActions,
        why: ReplyLost | ReplyBlocked,
    ) -> None:
        """Keep the text that is shown; log what keeps its notices away, unless *why* says that."""
        try:
            await reply.leave(notices, actions, without=INTERRUPTED)
        except (ReplyLost, ReplyBlocked) as error:
            if str(error) != str(why):
                _log_lost(answer.exchange, error)

    async def _record_shown(self, exchange: Exchange) -> None:
        try:
            await self._history.mark_shown(exchange.message_id)
        except HistoryFailed as error:  # It is shown once more after the next start: no harm.
            log.warning("That %d is shown is not stored: %s", exchange.message_id, error)

    async def _put_off(self, exchange: Exchange, why: ReplyDelayed) -> None:
        log.warning("Discord does not take answer %d now: %s", exchange.message_id, why)
        try:
            await self._history.undo_attempt(exchange.message_id)
        except HistoryFailed as error:
            log.warning("The attempts at %d are not stored: %s", exchange.message_id, error)

    def _report(self, answer: Answer, state: State) -> None:
        exchange, usage, first = answer.exchange, answer.usage, answer.first_words_seconds
        log.info(
            "Question %d by %d in %d: %s, first words %s, whole %.2f s, "
            "%d exchanges in mind, %s, %s",
            exchange.message_id,
            exchange.author_id,
            exchange.place_id,
            state,
            "never" if first is None else f"{first:.2f} s",
            self._clock() - answer.began,
            answer.prompt.exchanges if answer.prompt else 0,
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else "no usage",
            answer.model or "no model",
        )

    def _explained(
        self, error: ModelError | QueueFull | NothingAsked | HistoryFailed, answer: Answer
    ) -> list[str]:
        strings, origin = answer.strings, answer.exchange.origin
        by_command = isinstance(origin, FromInteraction)
        if isinstance(error, NothingAsked):
            return [self.nothing_read(strings)]
        if isinstance(error, ModelContextExceeded) and by_command:
            # There may be no /reset where a command asked, or none for the one who asked.
            return [strings.model_context_asked]
        if isinstance(error, QueueFull) and not (error.first or by_command or answer.renewal):
            # Another question's notice says it already. Whoever used a command or a button has
            # seen that it is being worked on, and needs a notice in its place.
            return []
        return [error.explain(strings)]


async def _unchanged(exchange: Exchange) -> Exchange:
    return exchange


def _why_stopped(why: StopReason, strings: Sentences) -> str:
    if why is StopReason.RESET:
        return strings.stopped_by_reset
    return strings.continue_interrupted if why is StopReason.INTERRUPTED else strings.stopped


def _actions(answer: Answer, state: State, ending: Exchange) -> ReplyActions:
    """Return the buttons for *answer* in its final state; none unless it is stored."""
    if not answer.kept or answer.stopped is StopReason.RESET:
        return NO_ACTIONS
    return actions_after(state, empty=not ending.reply, cut=ending.cut)


def _log_lost(exchange: Exchange, error: ReplyLost | ReplyBlocked) -> None:
    log.warning("Cannot show answer %d in %d: %s", exchange.message_id, exchange.place_id, error)
