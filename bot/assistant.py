"""The use case: answer a question, forget a conversation, set a system prompt or a model."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import partial
from typing import Final, Protocol, Self

from bot.calls import Calls
from bot.completion_stream import Usage
from bot.conversation import Attempt, Brought, Conversation, Exchange, Files, State
from bot.errors import (
    HistoryFailed,
    ModelBlind,
    ModelContextExceeded,
    ModelError,
    ModelLength,
    ModelRequestRefused,
    NothingAsked,
    PlaceBusy,
    ReplyDelayed,
    ReplyLost,
    SystemPromptTooLong,
)
from bot.history import NEWEST_ID, History
from bot.images import Image
from bot.languages import LANGUAGES, Languages
from bot.notes import Choice, Choices, Scope
from bot.offers import NOTHING, Offer, Offers, offered
from bot.pictures import IMAGE_TOKENS, Pictures
from bot.prompt import (
    Prompt,
    build_prompt,
    exchange_tokens,
    go_on_with,
    halved,
    kept_files,
    picture_names,
    requoted,
    with_files,
)
from bot.queues import PlaceQueues
from bot.sentences import Sentences
from bot.tallies import NO_GUILD, NOBODY, Tally, Used, today
from bot.tokens import IMAGE_BOUNDS, Calibration, estimate_tokens, shorten

log = logging.getLogger(__name__)

ASKING_ATTEMPTS: Final = 2  # at one question through crashes; a further one only says so
LAST_ATTEMPT: Final = 3
INTERRUPTED: Final = [say.interrupted for say in LANGUAGES.values()]
FILES_SHARE: Final = 2  # of the budget: beside files there is room for what is asked about them
PICTURES: Final = "pictures"  # what is learnt of them stands beside what is learnt of the text
_Turn = AbstractAsyncContextManager[None]
AsItStands = Callable[[Exchange], Awaitable[Exchange | None]]
Whereabouts = Callable[[Conversation], str]
LookUp = Callable[[Exchange], Awaitable[Brought]]
SYSTEM_PROMPT_CHARACTERS: Final = 4000  # Discord: a form's text input holds no more


class Completion(Protocol):
    """A running completion: its deltas, and at their end what the API counted."""

    @property
    def usage(self) -> Usage | None:
        """What the API counted, if it says so."""

    @property
    def thought_seconds(self) -> float | None:
        """How long it thought before its first words, if it says so."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Iterate over the deltas; raises ModelError where the answer is not whole."""


class ChatModel(Protocol):
    """Where completions come from."""

    @property
    def name(self) -> str:
        """What the API calls the model that answers where no other was chosen."""

    def stream(
        self, prompt: Prompt, calls: Calls, *, model: str
    ) -> AbstractAsyncContextManager[Completion]:
        """Ask *model* in no more requests than *calls* has left; raises ModelError."""


class Reply(Protocol):
    """Where an answer is shown. Entering shows that work has begun, leaving ends that."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(self, *details: object) -> None:
        """End; what was shown stays."""

    def write(self, delta: str) -> None:
        """Take more of the text; it is shown soon."""

    def restart(self) -> None:
        """Take another text in place of what was written so far."""

    async def finish(self, notices: Sequence[str] = (), offers: Offers = NOTHING) -> None:
        """Show the whole text now, with *notices* and *offers* under it.

        Raises ReplyLost or ReplyDelayed.
        """

    async def shown_text(self, without: Sequence[str] = ()) -> str:
        """Return what an earlier attempt showed, but for notices; raises the same."""

    async def withdraw(self) -> None:
        """Take back all that is shown; raises the same."""


class _Stop(Enum):
    """Why an answer ends before it is whole."""

    ASKED = auto()  # it is kept as it is, and says so
    RESET = auto()  # it says so, and is not kept
    INTERRUPTED = auto()  # it goes on after a restart, and says so where it has begun
    FORGOTTEN = auto()  # without a word


@dataclass(slots=True)
class _Answer:
    """One answer from its question to its end."""

    exchange: Exchange
    task: asyncio.Task[object]
    began: float
    say: Sentences
    look_up: LookUp
    too_late: bool = False
    renewal: Offer | None = None  # regenerate or continue: there is a reply already
    before: Exchange | None = None  # the exchange with that reply
    pieces: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # those of the notices that are about files
    above: tuple[str, ...] = ()
    images: tuple[Image, ...] | None = None  # of the question; None: not at hand
    first_words_seconds: float | None = None
    model: str = ""
    prompt: Prompt | None = None
    images_sent: int = 0
    taken: int = 0  # pieces that were there before the model said any
    counts_for: int | None = None  # whose use it is; None where it is not counted
    usage: Usage | None = None
    whole: bool = False
    at_limit: bool = False
    state: State | None = State.CANCELLED  # how it ends; None where it had ended already
    received: bool = True
    recorded: bool = False
    kept: bool = True  # what is shown is stored, too
    stoppable: bool = True
    stopped: _Stop | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces).strip()

    def note_unread(self, sentence: str) -> None:
        """Say *sentence*, about files, under the answer."""
        self.unread.append(sentence)
        self.notices.append(sentence)

    @property
    def begun(self) -> bool:
        """Whether the model said anything yet."""
        return self.first_words_seconds is not None

    @property
    def kept_before(self) -> Exchange | None:
        """What is shown again, where the new reply did not come to its end."""
        longer = self.renewal is Offer.CONTINUE and bool(self.pieces)
        return None if self.whole or self.at_limit or longer else self.before

    def stop(self, why: _Stop) -> bool:
        """End the answer where it is; False where it ends already."""
        stops = self.stoppable and self.stopped is None
        if stops:
            self.stopped = why
            self.task.cancel()
        return stops

    def outcome(self) -> Exchange:
        """Return the exchange with the reply as it is; one that is not whole is marked as cut."""
        text = self.text
        exchange = replace(self.exchange, reply=text, cut=bool(text) and not self.whole)
        return replace(exchange, tokens=exchange_tokens(exchange))

    @contextmanager
    def stops_here(self) -> Iterator[None]:
        """Let `stop` end this block, and what is stopped go on behind it."""
        try:
            yield
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            self.task.uncancel()
        finally:
            self.stoppable = False


async def nothing_more(_exchange: Exchange) -> Brought:
    """Return what a question brings that is all in its words."""
    return Brought()


class Assistant:
    """Answers questions with a model and a history. *token_budget* bounds each prompt.

    *models* are those that may be chosen; where it is empty, all that the API has.
    """

    def __init__(
        self,
        model: ChatModel,
        history: History,
        *,
        system_prompt: str,
        token_budget: int,
        languages: Languages,
        pictures: Pictures,
        models: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pictures = pictures
        self._model = model
        self._history = history
        self._default_system_prompt = system_prompt
        self._token_budget = token_budget
        self._languages = languages
        self._choosable = models
        self._clock = clock
        self._queues = PlaceQueues()
        self._answers: dict[int, _Answer] = {}
        self._calibrations: dict[str, Calibration] = {}
        self._as_it_stands: AsItStands = _unchanged
        self._whereabouts: Whereabouts = _nowhere

    def follow(self, as_it_stands: AsItStands) -> None:
        """Ask *as_it_stands* of each question when its turn comes; None says that it is gone."""
        self._as_it_stands = as_it_stands

    def locate(self, whereabouts: Whereabouts) -> None:
        """Tell the model what *whereabouts* says of the place of each question, in one line."""
        self._whereabouts = whereabouts

    async def answer(
        self, exchange: Exchange, reply: Reply, *, look_up: LookUp = nothing_more
    ) -> bool:
        """Answer a received question: from its turn in the queue to the stored, shown reply.

        *look_up* is called when its turn comes, with the question as it stands by then. False where
        the reply is not shown whole and is to be gone on with later.
        """
        turn = self._queues.turn(exchange.lane)
        return await self._owned(self._begun(exchange, look_up), reply, turn)

    async def go_on(
        self,
        exchange: Exchange,
        reply: Reply,
        *,
        look_up: LookUp = nothing_more,
        too_late: bool = False,
    ) -> bool:
        """Go on with a question that waits since before a restart, as `answer` does.

        Where it is *too_late* the model is not asked; what there is of an answer says so.
        """
        turn = self._queues.patient_turn(exchange.lane)
        return await self._owned(self._begun(exchange, look_up, too_late=too_late), reply, turn)

    async def renew(self, exchange: Exchange, reply: Reply, renewal: Offer) -> bool:
        """Make the reply of a stored exchange anew, or go on with it, over what is shown of it.

        The stored reply is replaced once the new one is whole. False as in `answer`.
        """
        turn = self._queues.turn(exchange.lane)
        return await self._owned(self._begun(exchange, renewal=renewal), reply, turn)

    async def refuse(self, exchange: Exchange, reply: Reply, state: State, notice: str) -> bool:
        """Say *notice* under what there is of an answer; *state* says how the question ends.

        False where it could not be said yet.
        """
        try:
            await self._history.complete(exchange, state, [notice])
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", exchange.message_id, error)
        try:
            async with reply:
                reply.write(exchange.reply)
                await reply.finish([notice])
        except ReplyDelayed as error:
            await self._put_off(exchange, error)
            return False
        except ReplyLost as error:
            _log_lost(exchange, error)
        await self._record_shown(exchange)
        return True

    def stop(self) -> None:
        """End running and waiting answers where they are; they say so."""
        self._stop_all(_Stop.ASKED)

    def stop_answer(self, message_id: int) -> bool:
        """End the answer to a question where it is; False where none runs."""
        answer = self._answers.get(message_id)
        return answer is not None and answer.stop(_Stop.ASKED)

    def interrupt(self) -> None:
        """End running and waiting answers, to be gone on with after a restart."""
        self._stop_all(_Stop.INTERRUPTED)

    def turn(self, place_id: int) -> AbstractAsyncContextManager[None]:
        """Wait for the turn to be answered in a place, and hold it; raises PlaceBusy."""
        return self._queues.turn(place_id)

    async def reset(self, place: Conversation, before_id: int) -> int:
        """Forget what was asked in a place before *before_id*; return how many exchanges.

        That is what all see there, and what the person of *place* alone does. Answers to it that
        run or wait end, and say so.
        """
        say = self._languages.of_guild(place.guild_id)
        count = await self._history.forgetting.reset(
            place.channel_id, before_id, say.stopped_by_reset, person_id=place.person_id
        )
        for answer in self._answers_in({place.channel_id}):
            asked = answer.exchange
            seen = asked.conversation.person_id in {0, place.person_id}
            if seen and asked.message_id < before_id:
                answer.stop(_Stop.RESET)
        return count

    async def forget_person(self, author_id: int) -> int:
        """Forget all that somebody asked; return how many exchanges. Their answers end."""
        for answer in self._answers.values():  # Before that: none is counted as theirs behind it.
            if answer.exchange.author_id == author_id:
                in_guild = answer.exchange.conversation.guild_id is not None
                answer.counts_for = NOBODY if in_guild else None
        count = await self._history.forgetting.forget_person(author_id)
        for answer in [*self._answers.values()]:
            if answer.exchange.author_id == author_id:
                answer.stop(_Stop.FORGOTTEN)
        return count

    def abandon(self, message_id: int) -> None:
        """End the answer to a question, if there is one, without a word."""
        if message_id in self._answers:
            self._answers[message_id].stop(_Stop.FORGOTTEN)

    async def forget(self, message_id: int) -> bool:
        """Forget a question; False where there was none. An answer to it ends without a word.

        What was shown of it is to be deleted.
        """
        self.abandon(message_id)
        return await self._history.forgetting.forget(message_id)

    async def forget_places(self, place_ids: Sequence[int]) -> None:
        """Forget what was said in places that are gone; answers there end without a word."""
        for answer in self._answers_in(set(place_ids)):
            answer.stop(_Stop.FORGOTTEN)
        for answer in self._answers.values():
            if answer.exchange.conversation.top_id in place_ids:
                answer.counts_for = None
        await self._history.forgetting.forget_places(place_ids)

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
        return self._system_prompt(await self._history.notes.choices(conversation))

    async def model_in(self, conversation: Conversation) -> tuple[str, Choice | None]:
        """Return the model that answers in *conversation*, and the choice that makes it so."""
        return self._model_of(await self._history.notes.choices(conversation))

    async def choose_model(self, scope: Scope, place: Conversation, model: str) -> None:
        """Set the model of *place*, or of its guild, an empty name back to the default."""
        await self._history.notes.set_model(scope, place, model)

    async def instruct(self, scope: Scope, place: Conversation, prompt: str) -> None:
        """Set the system prompt of *place*, or of its guild, an empty one back to the default.

        Raises SystemPromptTooLong.
        """
        prompt = prompt.strip()
        model, _ = await self.model_in(place)
        calibration = await self._calibration(model)
        tokens = calibration.apply(estimate_tokens(prompt))
        token_limit = self._token_budget // 2
        if len(prompt) > SYSTEM_PROMPT_CHARACTERS or tokens > token_limit:
            raise SystemPromptTooLong(len(prompt), SYSTEM_PROMPT_CHARACTERS, tokens, token_limit)
        await self._history.notes.set_system_prompt(scope, place, prompt)
        self._history.forgetting.note()

    def nothing_read(self, say: Sentences) -> str:
        """Return what is said to a message of which nothing can be read."""
        return say.hint_unreadable if self.pictures.turns else say.hint_in_place

    def _system_prompt(self, choices: Choices) -> str:
        prompts = choices.system_prompts
        return prompts[0].value if prompts else self._default_system_prompt

    def _model_of(self, choices: Choices) -> tuple[str, Choice | None]:
        """Return the nearest choice that may still be made: the operator may take models back."""
        for choice in choices.models:
            if not self._choosable or choice.value in self._choosable:
                return choice.value, choice
        return self._model.name, None

    def _stop_all(self, why: _Stop) -> None:
        for answer in self._answers.values():
            answer.stop(why)

    def _answers_in(self, place_ids: set[int]) -> list[_Answer]:
        return [
            answer
            for answer in self._answers.values()
            if answer.exchange.place_id in place_ids
            or answer.exchange.conversation.channel_id in place_ids
        ]

    def _begun(
        self,
        exchange: Exchange,
        look_up: LookUp = nothing_more,
        *,
        too_late: bool = False,
        renewal: Offer | None = None,
    ) -> _Answer:
        task = asyncio.current_task()
        assert task is not None
        say = self._languages.of_guild(exchange.conversation.guild_id)
        before = exchange if renewal else None
        answer = _Answer(exchange, task, self._clock(), say, look_up, too_late, renewal, before)
        answer.counts_for = exchange.author_id
        return answer

    async def _owned(self, answer: _Answer, reply: Reply, turn: _Turn) -> bool:
        message_id = answer.exchange.message_id
        self._answers[message_id] = answer
        try:
            is_shown = await self._shown(answer, reply, turn)
            await self._learn(answer)
            await self._count(answer)
        finally:
            del self._answers[message_id]
        return is_shown

    async def _shown(self, answer: _Answer, reply: Reply, turn: _Turn) -> bool:
        """Answer; False where the reply is to be shown later."""
        try:
            async with reply:
                await self._answer_in_turn(answer, reply, turn)
        except ReplyDelayed as error:
            await self._put_off(answer.exchange, error)
            return False
        except ReplyLost as error:
            await self._record_lost(answer, error)
        return True

    async def _answer_in_turn(self, answer: _Answer, reply: Reply, turn: _Turn) -> None:
        async with AsyncExitStack() as held:
            with answer.stops_here():
                try:
                    await held.enter_async_context(turn)
                    await (self._renew if answer.renewal else self._attempt)(answer, reply)
                except (ReplyLost, ReplyDelayed):
                    raise
                except (ModelError, PlaceBusy, NothingAsked, HistoryFailed) as error:
                    answer.state = State.FAILED
                    answer.at_limit = isinstance(error, ModelLength)
                    answer.notices += self._explained(error, answer.say)
                    why = f"{type(error).__name__} {error}".rstrip()
                    log.warning("Question %d failed: %s", answer.exchange.message_id, why)
                except Exception:  # the one top handler of an answer
                    answer.state = State.FAILED
                    answer.notices.append(answer.say.answer_failed)
                    log.exception("Question %d failed", answer.exchange.message_id)
            if answer.stopped is _Stop.FORGOTTEN:
                if not answer.received:  # Else what is stored of it says what to delete.
                    await reply.withdraw()
            elif answer.state is not None:
                await self._end(answer, reply, answer.state)

    async def _attempt(self, answer: _Answer, reply: Reply) -> None:
        """Make the reply, or take what is stored of it."""
        attempt = await self._begin(answer)
        exchange = await self._as_it_stands(attempt.exchange) if attempt is not None else None
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
            answer.notices.append(answer.say.too_late if answer.too_late else answer.say.given_up)
            self._take(answer, reply, await reply.shown_text(without=INTERRUPTED))
        else:
            await self._ask(answer, reply)
            answer.whole = True
            answer.state = State.ANSWERED

    async def _renew(self, answer: _Answer, reply: Reply) -> None:
        """Make the reply anew, or go on with it."""
        stored = await self._history.renew(answer.exchange.message_id, answer.say.kept_before)
        before = await self._as_it_stands(stored) if stored is not None else None
        if before is None:
            answer.state = None
            return
        answer.before = before
        if answer.renewal is Offer.CONTINUE:
            answer.exchange = before
            self._take(answer, reply, before.reply)
        else:
            answer.exchange = replace(before, reply="", cut=False)
        await self._ask(answer, reply)
        answer.whole = True
        answer.state = State.ANSWERED

    async def _begin(self, answer: _Answer) -> Attempt | None:
        try:
            return await self._history.begin(answer.exchange)
        except HistoryFailed as error:
            log.warning("Question %d is not stored: %s", answer.exchange.message_id, error)
            answer.received = False
            return Attempt(answer.exchange, number=1, unshown=None)

    def _take(self, answer: _Answer, reply: Reply, text: str) -> None:
        answer.pieces.append(text)
        reply.write(text)

    async def _give_up(self, answer: _Answer) -> None:
        answer.state = None
        message_id = answer.exchange.message_id
        log.warning("Question %d is given up: each attempt ended the program", message_id)
        await self._history.complete(answer.exchange, State.FAILED)
        await self._history.shown(message_id)

    async def _end(self, answer: _Answer, reply: Reply, state: State) -> None:
        """Store the reply, then show it whole."""
        if answer.stopped is _Stop.INTERRUPTED:
            if answer.text and answer.renewal is not Offer.REGENERATE:
                await reply.finish([answer.say.interrupted])
            return
        if answer.stopped is not None:
            by_reset = answer.stopped is _Stop.RESET
            answer.notices.append(answer.say.stopped_by_reset if by_reset else answer.say.stopped)
        before = answer.kept_before
        if before is not None:
            answer.notices.insert(0, answer.say.kept_before)
            answer.exchange, answer.recorded = before, True
            reply.restart()
            reply.write(before.reply)
        if not answer.recorded:
            await self._record(answer, state)
        may_go_on = answer.kept and answer.stopped is not _Stop.RESET
        cut = (answer.exchange if answer.recorded else answer.outcome()).cut
        await reply.finish(answer.notices, offered(state, cut=cut) if may_go_on else NOTHING)
        await self._record_shown(answer.exchange)
        self._report(answer, state)

    async def _ask(self, answer: _Answer, reply: Reply) -> None:
        choices = await self._history.notes.choices(answer.exchange.conversation)
        answer.model, _ = self._model_of(choices)
        calibration = await self._calibration(answer.model)
        budget = int(self._token_budget / calibration.factor)
        await self._look_up(answer, budget // FILES_SHARE)
        exchange = answer.exchange
        if not exchange.asks:
            raise NothingAsked
        exchanges: Sequence[Exchange] = await self._history.context(
            exchange.conversation,
            before_id=exchange.message_id if answer.renewal else NEWEST_ID,
            token_budget=budget,
        )
        if answer.renewal is Offer.CONTINUE:
            exchanges, exchange = [*exchanges, exchange], go_on_with(exchange)
        pictures = await self._calibration(answer.model, PICTURES)
        room = self.pictures.room(answer.model, calibration, pictures)
        build = partial(
            build_prompt,
            self._system_prompt(choices),
            question=exchange,
            token_budget=budget,
            place=self._whereabouts(exchange.conversation),
            above=answer.above,
        )
        prompt = build(exchanges, picture_room=room)
        if answer.renewal is Offer.CONTINUE and not prompt.exchanges:
            raise ModelContextExceeded("what is to be continued does not fit")
        self._note_left_out(answer, prompt)
        calls = Calls()
        try:
            await self._put(prompt, calls, answer, reply)
        except ModelContextExceeded as error:
            if not prompt.exchanges or not calls.left:
                raise
            kept = halved(exchanges[len(exchanges) - prompt.exchanges :])
            if prompt.pictured:
                await self._put_without(build(kept), error, calls, answer, reply)
            else:
                await self._stream(build(kept), calls, answer, reply)

    async def _look_up(self, answer: _Answer, files_token_limit: int) -> None:
        """Put in what the question brings, and what its files say as far as it fits."""
        brought = await answer.look_up(answer.exchange)
        answer.above = brought.above
        await self._attach(answer, brought.files, files_token_limit)

    async def _attach(self, answer: _Answer, files: Files, token_limit: int) -> None:
        exchange = answer.exchange
        answer.images = files.images
        quoted = with_files(exchange.quoted, files.quoted)
        text = shorten(files.text, token_limit)
        left = token_limit - estimate_tokens(text)
        shown = shorten(quoted, max(left, estimate_tokens(exchange.quoted)))
        for sentence in files.notices:
            answer.note_unread(sentence)
        if (read := len(text) + len(shown)) < (there := len(files.text) + len(quoted)):
            percent = 100 * read // there
            answer.note_unread(answer.say.files_shortened.format(percent=percent))
        answer.exchange = replace(exchange, files=text or exchange.files, quoted=shown)
        if answer.exchange == exchange:
            return
        try:
            await self._history.attach(answer.exchange, quoted_before=exchange.quoted)
        except HistoryFailed as error:
            message_id = exchange.message_id
            log.warning("What the files of %d say is not stored: %s", message_id, error)

    def _note_left_out(self, answer: _Answer, prompt: Prompt) -> None:
        """Say which pictures of the question the model does not get."""
        names = picture_names(answer.exchange)
        if not names or not self.pictures.turns:
            return
        if not self.pictures.seen_by(answer.model):
            answer.note_unread(answer.say.model_blind)
            return
        for name in names[prompt.pictures_of(answer.exchange) :]:
            answer.note_unread(answer.say.picture_left_out.format(name=name))

    async def _put(self, prompt: Prompt, calls: Calls, answer: _Answer, reply: Reply) -> None:
        """Ask with *prompt* and its pictures; once more without where they are refused."""
        if not prompt.pictured:
            await self._stream(prompt, calls, answer, reply)
            return
        async with self.pictures.in_prompt(prompt, answer.images) as shown:
            there = shown.images_of(answer.exchange)
            if answer.images is None and there < shown.pictures_of(answer.exchange):
                answer.note_unread(answer.say.pictures_unreachable)
            try:
                await self._stream(shown, calls, answer, reply)
            except (ModelBlind, ModelRequestRefused, ModelContextExceeded) as error:
                if not shown.images or answer.begun or not calls.left:
                    raise
                refused = error
            else:
                return
        await self._put_without(prompt, refused, calls, answer, reply)

    async def _put_without(
        self, prompt: Prompt, why: ModelError, calls: Calls, answer: _Answer, reply: Reply
    ) -> None:
        """Ask without pictures *why* they were refused; where that is answered, it was they."""
        try:
            await self._stream(prompt, calls, answer, reply)
        finally:
            blind, say = isinstance(why, ModelBlind), answer.say
            if answer.begun and blind:
                self.pictures.note_blind(answer.model)
            if answer.begun and picture_names(answer.exchange):
                answer.note_unread(say.model_blind if blind else say.pictures_refused)

    async def _stream(self, prompt: Prompt, calls: Calls, answer: _Answer, reply: Reply) -> None:
        answer.prompt, answer.images_sent = prompt, prompt.images
        answer.taken = len(answer.pieces)
        async with self._model.stream(prompt, calls, model=answer.model) as completion:
            try:
                async for delta in completion:
                    if answer.first_words_seconds is None:
                        answer.first_words_seconds = self._clock() - answer.began
                    answer.pieces.append(delta)
                    reply.write(delta)
            finally:
                answer.usage = completion.usage
                # Once, also when the question is put once more.
                answer.notices = [*answer.unread, *_notices(answer.say, prompt, completion)]

    async def _record(self, answer: _Answer, state: State) -> None:
        """Store how the answer ended, and that it is to be shown."""
        try:
            if not answer.received:
                await self._history.receive(answer.exchange)
            if answer.renewal is None:
                await self._history.complete(answer.outcome(), state, answer.notices)
            else:
                await self._history.renewed(answer.outcome(), state, answer.notices)
        except HistoryFailed as error:
            log.warning("Answer %d is not stored: %s", answer.exchange.message_id, error)
            answer.notices.append(answer.say.memory_not_saved)
            answer.kept = False

    async def _record_lost(self, answer: _Answer, why: ReplyLost) -> None:
        exchange = answer.exchange if answer.recorded else answer.outcome()
        try:
            if answer.renewal is None:  # Else the reply stays that was there before.
                await self._history.complete(exchange, State.FAILED)
        except HistoryFailed as error:
            log.warning("Answer %d is not stored: %s", exchange.message_id, error)
        await self._record_shown(exchange)
        _log_lost(exchange, why)

    async def _record_shown(self, exchange: Exchange) -> None:
        try:
            await self._history.shown(exchange.message_id)
        except HistoryFailed as error:  # It is shown once more after the next start: no harm.
            log.warning("That %d is shown is not stored: %s", exchange.message_id, error)

    async def _put_off(self, exchange: Exchange, why: ReplyDelayed) -> None:
        log.warning("Discord does not take answer %d now: %s", exchange.message_id, why)
        try:
            await self._history.put_off(exchange.message_id)
        except HistoryFailed as error:
            log.warning("The attempts at %d are not stored: %s", exchange.message_id, error)

    def _report(self, answer: _Answer, state: State) -> None:
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
        self, error: ModelError | PlaceBusy | NothingAsked | HistoryFailed, say: Sentences
    ) -> list[str]:
        if isinstance(error, ModelError):
            return [error.explain(say)]
        if isinstance(error, PlaceBusy):
            return [say.place_busy] if error.first else []
        if isinstance(error, NothingAsked):
            return [self.nothing_read(say)]
        return [say.memory_failed]

    async def _calibration(self, model: str, of: str = "") -> Calibration:
        """Return what is known of a model's counts, or of those *of* something else than text."""
        name = f"{model} {of}".strip()
        if name not in self._calibrations:
            self._calibrations[name] = await self._history.notes.calibration(name)
        return self._calibrations[name]

    async def _learn(self, answer: _Answer) -> None:
        """Compare the estimate of the prompt with what the API counted.

        What is more with pictures is theirs.
        """
        if answer.usage is None or answer.prompt is None:
            return
        estimated, counted = answer.prompt.tokens, answer.usage.prompt_tokens
        text = await self._calibration(answer.model)
        if answer.images_sent:
            pictures = await self._calibration(answer.model, PICTURES)
            estimated, counted = answer.images_sent * IMAGE_TOKENS, counted - text.apply(estimated)
            learnt = pictures.learn(estimated, counted, IMAGE_BOUNDS)
        else:
            learnt = text.learn(estimated, counted)
        name = f"{answer.model} {PICTURES}" if answer.images_sent else answer.model
        self._calibrations[name] = learnt
        try:
            await self._history.notes.set_calibration(name, learnt)
        except HistoryFailed as error:
            log.warning("What was learnt about tokens is not stored: %s", error)

    async def _count(self, answer: _Answer) -> None:
        """Count what the model used for an answer, however that ended."""
        try:
            used = await self._used(answer)
            if used is not None and answer.counts_for is not None:
                place = answer.exchange.conversation
                guild_id = NO_GUILD if place.guild_id is None else place.guild_id
                person_id, model = answer.counts_for, answer.model
                tally = Tally(today(), guild_id, place.top_id, person_id, model, used)
                await self._history.tallies.add(tally)
        except HistoryFailed as error:
            log.warning("What %d used is not counted: %s", answer.exchange.message_id, error)

    async def _used(self, answer: _Answer) -> Used | None:
        """Return what the API counted, or else the estimate where it said anything."""
        if answer.prompt is None:
            return None
        if answer.usage is not None:
            return Used(answer.usage.prompt_tokens, answer.usage.completion_tokens, 1)
        said = "".join(answer.pieces[answer.taken :])
        if not said:
            return None
        calibration = await self._calibration(answer.model)
        prompt_tokens = calibration.apply(answer.prompt.tokens)
        return Used(prompt_tokens, calibration.apply(estimate_tokens(said)), 1, estimated=1)


async def _unchanged(exchange: Exchange) -> Exchange:
    return exchange


def _nowhere(_place: Conversation) -> str:
    return ""


def _notices(say: Sentences, prompt: Prompt, completion: Completion) -> Iterator[str]:
    """Yield what people are told of how an answer was made."""
    if completion.thought_seconds is not None and completion.thought_seconds >= 1:
        yield say.thought.format(seconds=round(completion.thought_seconds))
    if prompt.read_percent < 100:
        yield say.question_shortened.format(percent=prompt.read_percent)


def _log_lost(exchange: Exchange, error: ReplyLost) -> None:
    log.warning("Cannot show answer %d in %d: %s", exchange.message_id, exchange.place_id, error)
