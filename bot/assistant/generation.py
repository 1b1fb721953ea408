"""Put a question to the model, with what belongs to it, and learn from what the API counts."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from bot.assistant.answer import Answer
from bot.assistant.continuation import Continuation
from bot.assistant.learned_windows import LearnedWindows, WindowSearch
from bot.assistant.overrides import Overrides
from bot.assistant.ports import ChatModel, Completion, Reply, Whereabouts
from bot.assistant.prompt_images import IMAGE_TOKENS, PromptImages, PromptWithImages
from bot.conversation.calibration import IMAGE_BOUNDS, Calibration
from bot.conversation.context_window import (
    NO_REPORTED_LIMITS,
    ReportedLimits,
    RequestSize,
    is_full,
    is_smallest,
)
from bot.conversation.exchange import Exchange, Files, ReplyContext
from bot.conversation.image_selection import NO_IMAGES, ImageRoom
from bot.conversation.prompt import Prompt, build_prompt
from bot.conversation.prompt_markup import GO_ON, go_on_with, image_names, with_files
from bot.conversation.reply_actions import ReplyAction
from bot.conversation.token_estimate import estimate_tokens, shorten
from bot.errors import (
    HistoryFailed,
    ImagesUnsupported,
    ModelContextExceeded,
    ModelEmpty,
    ModelEmptyBody,
    ModelError,
    ModelRequestRefused,
    ModelThoughtCramped,
    ModelThoughtOnly,
    NothingAsked,
    OutputTruncated,
    ReplyBlocked,
    ReplyLost,
)
from bot.llm.attempts import AttemptBudget
from bot.storage.exchange_queries import NEWEST_ID
from bot.storage.exchanges import History
from bot.storage.usage import NO_GUILD, UsageRow, UsageTotal, today

log = logging.getLogger(__name__)

FILES_SHARE: Final = 2  # of the budget: beside files there is room for what is asked about them
Build = Callable[..., Prompt]  # of token_budget and picture_room
PICTURES: Final = "pictures"  # what is learnt of them stands beside what is learnt of the text


def _nothing_held() -> None:
    pass


class Generator:
    """Asks the model that holds in a place. *token_budget* bounds each prompt."""

    def __init__(
        self,
        model: ChatModel,
        history: History,
        choosing: Overrides,
        *,
        token_budget: int,
        pictures: PromptImages,
        whereabouts: Whereabouts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._choosing = choosing
        self._model = model
        self._history = history
        self._token_budget = token_budget
        self._pictures = pictures
        self._clock = clock
        self._windows = LearnedWindows(model, history.models)
        self._short = set[str]()  # models whose answers are short, whatever the window is
        self._calibrations: dict[str, Calibration] = {}
        self._whereabouts = whereabouts

    async def tokens_of(self, text: str, model: str) -> int:
        """Return about what *text* costs with a model."""
        return (await self._calibration(model)).apply(estimate_tokens(text))

    async def ask(self, answer: Answer, reply: Reply) -> None:
        """Write the model's answer into *reply*; raises ModelError, NothingAsked or HistoryFailed.

        What is cut short stands in *answer* as far as it came.
        """
        chosen = await self._choosing.at(answer.exchange.conversation)
        answer.model = chosen.model
        calibration = await self._calibration(answer.model)
        fitting = WindowSearch(self._windows, answer.model, await self._windows.of(answer.model))
        budget = self._budget(fitting.window.prompt_budget, calibration)
        await self._look_up(answer, budget // FILES_SHARE)
        exchange = answer.exchange
        if not exchange.asks:
            raise NothingAsked
        exchanges: Sequence[Exchange] = await self._history.context(
            exchange.conversation,
            before_id=exchange.message_id if answer.renewal else NEWEST_ID,
            token_budget=budget,
        )
        if answer.renewal is ReplyAction.CONTINUE:
            exchanges, exchange = [*exchanges, exchange], go_on_with(exchange)
        build = partial(
            _built,
            chosen.system_prompt,
            exchanges,
            exchange,
            place=self._whereabouts(exchange),
            reply_context=answer.reply_context,
        )
        attempts = AttemptBudget(exchange.message_id)
        await self._put_until_it_fits(_Asking(build, attempts, fitting, answer, reply))
        if not _is_visible(answer.text):
            answer.pieces.clear()
            reply.restart()
            raise ModelEmpty("nothing of it can be seen")

    def _budget(self, tokens: int, calibration: Calibration) -> int:
        """Return the budget of a prompt that may have *tokens*, in estimated tokens."""
        return int(min(self._token_budget, tokens) / calibration.factor)

    async def _fitted(self, asking: "_Asking") -> tuple[Prompt, RequestSize]:
        """Return the prompt that fits into the window, with the reply limit that it leaves.

        The reply gets less room if only then the question fits whole, or hardly any of it fits.
        """
        window, model = asking.fitting.window, asking.answer.model
        calibration = await self._calibration(model)
        pictures = await self._calibration(model, PICTURES)
        pictured = asking.refused_pictures is None
        room = self._pictures.room(model, calibration, pictures) if pictured else NO_IMAGES
        build = partial(asking.build, picture_room=room)
        prompt = build(token_budget=self._budget(window.prompt_budget, calibration))
        if prompt.read_percent < 100:
            widest = build(token_budget=self._budget(window.question_budget, calibration))
            if widest.read_percent >= min(100, 2 * prompt.read_percent):
                prompt = widest
        if pictured:
            self._note_left_out(asking.answer, prompt)
        tokens = prompt.tokens + prompt.pictures * room.tokens
        limit = window.reply_limit(calibration.apply(tokens), self._model.reply_tokens)
        return replace(prompt, reply_tokens=limit), RequestSize(
            tokens, prompt.history_tokens, limit
        )

    async def _put_until_it_fits(self, asking: "_Asking") -> None:
        """Ask with a prompt, then with smaller ones while it is too long and attempts are left."""
        attempts, fitting, answer = asking.attempts, asking.fitting, asking.answer
        prompt, size = await self._fitted(asking)
        while (error := await self._too_much(asking, prompt, size)) is not None:
            reported = (
                error.reported if isinstance(error, ModelContextExceeded) else NO_REPORTED_LIMITS
            )
            await self._learn_counts(answer, reported.prompt)
            await self._take_back(answer, asking.reply)
            size = _sent(size, prompt, answer)
            if is_smallest(size):
                raise error
            factor = (await self._calibration(answer.model)).factor
            await fitting.refuse(size, factor, error, last_attempt=attempts.left <= 1)
            if not attempts.left:
                await fitting.give_up(error)
                raise error
            log.info(
                "Asking again for question %d with less: %d + %d tokens were too many",
                *(attempts.question_id, size.prompt, size.reply),
            )
            # Leave pictures out if the room is unknown, or if they did not fit into it.
            if prompt.pictured and (attempts.left <= 2 or reported == NO_REPORTED_LIMITS):
                asking.refused_pictures = error
            prompt, size = await self._fitted(asking)

    async def _too_much(
        self, asking: "_Asking", prompt: Prompt, size: RequestSize
    ) -> ModelContextExceeded | ModelEmptyBody | None:
        """Ask with *prompt*; return why it was too much, None if the model answered."""
        answer, too_much = asking.answer, None
        try:
            await self._put(asking, prompt)
        except (ModelContextExceeded, ModelEmptyBody) as error:
            if answer.begun:
                raise
            too_much = error
        except (OutputTruncated, ModelThoughtOnly) as error:
            too_much = await self._cramped(asking, prompt, error)
        finally:
            if too_much is None and (answer.begun or answer.thought):
                size = _sent(size, prompt, answer)
                counted = answer.usage.prompt_tokens if answer.usage else 0
                calibration = await self._calibration(answer.model)
                if not answer.images_sent:
                    calibration = calibration.learn(size.prompt, counted)
                await asking.fitting.accept(size, calibration.factor, counted)
        return too_much

    async def _cramped(
        self, asking: "_Asking", prompt: Prompt, ended: OutputTruncated | ModelThoughtOnly
    ) -> ModelContextExceeded:
        """Return the reason to ask again with less history: the answer had hardly any room.

        Raises *ended*, the answer's own error, if it had room or if nothing can be done.
        """
        answer, fitting = asking.answer, asking.fitting
        answer.thought = thought = isinstance(ended, ModelThoughtOnly)
        used, limit = await self._used(answer), prompt.reply_tokens
        if answer.usage and answer.usage.completion_tokens < limit:
            self._windows.note_cut_short(answer.model)
        full = used is not None and is_full(
            used.prompt_tokens, used.completion_tokens, limit, thought=thought
        )
        full = full or (thought and limit < self._model.reply_tokens)
        if not full or answer.model in self._short or (thought and answer.begun):
            raise ended
        if fitting.cramped and not thought:
            # The second answer is as short: the server limits them, not the window.
            self._short.add(answer.model)
            fitting.forget()
        if fitting.cramped or not prompt.history_tokens or not asking.attempts.left:
            if thought:
                raise ModelThoughtCramped from ended
            raise ended
        window = used.prompt_tokens + used.completion_tokens if used else 0
        return ModelContextExceeded(
            "hardly any room was left", ReportedLimits(window, cramped=True)
        )

    async def _take_back(self, answer: Answer, reply: Reply) -> None:
        """Discard what the model said to a prompt; its tokens still count as used."""
        used = await self._used(answer)
        if used is not None:
            answer.spent += replace(used, answers=0, estimated=0)
        answer.usage, answer.first_words_seconds, answer.thought = None, None, False
        if answer.said:
            self._begin_anew(answer, reply)

    async def _look_up(self, answer: Answer, files_token_limit: int) -> None:
        """Put in what the question brings, and what its files say as far as it fits."""
        context = await answer.load_context(answer.exchange)
        answer.reply_context = context.reply_context
        await self._attach(answer, context.files, files_token_limit)

    async def _attach(self, answer: Answer, files: Files, token_limit: int) -> None:
        exchange = answer.exchange
        answer.pictures = files.pictures
        quoted = with_files(exchange.quoted, files.quoted)
        text = shorten(files.text, token_limit)
        left = token_limit - estimate_tokens(text)
        shown = shorten(quoted, max(left, estimate_tokens(exchange.quoted)))
        for sentence in files.notices:
            answer.note_unread(sentence)
        if (read := len(text) + len(shown)) < (there := len(files.text) + len(quoted)):
            answer.files_percent = 100 * read // there
        answer.exchange = replace(exchange, files=text or exchange.files, quoted=shown)
        if answer.exchange == exchange:
            return
        try:
            await self._history.store_files(answer.exchange, quoted_before=exchange.quoted)
        except HistoryFailed as error:
            message_id = exchange.message_id
            log.warning("What the files of %d say is not stored: %s", message_id, error)

    def _note_left_out(self, answer: Answer, prompt: Prompt) -> None:
        """Say which pictures of the question the model does not get."""
        names = image_names(answer.exchange)
        if not names or not self._pictures.turns:
            return
        if not self._pictures.supported_by(answer.model):
            answer.note_unread(answer.strings.model_images_unsupported)
            return
        for name in names[prompt.pictures_of(answer.exchange) :]:
            answer.note_unread(answer.strings.picture_left_out.format(name=name))

    async def _put(self, asking: "_Asking", prompt: Prompt) -> None:
        """Ask with *prompt* and its pictures; once more without where they are refused."""
        attempts, answer, reply = asking.attempts, asking.answer, asking.reply
        if asking.refused_pictures is not None:
            await self._put_without(asking, prompt, asking.refused_pictures)
            return
        if not prompt.pictured:
            await self._stream(prompt, attempts, answer, reply)
            return
        async with self._pictures.attach_to(prompt, answer.pictures) as shown:
            _note_unread(answer, shown)
            try:
                await self._stream(shown.prompt, attempts, answer, reply, shown.release)
            except (ImagesUnsupported, ModelRequestRefused, ModelContextExceeded) as error:
                names_room = (
                    isinstance(error, ModelContextExceeded) and error.reported != NO_REPORTED_LIMITS
                )
                if not shown.prompt.images or answer.begun or not attempts.left or names_room:
                    raise
                asking.refused_pictures = refused = error
            else:
                return
        await self._put_without(asking, prompt, refused)

    async def _put_without(self, asking: "_Asking", prompt: Prompt, why: ModelError) -> None:
        """Ask without pictures *why* they were refused; where that is answered, it was they."""
        answer = asking.answer
        try:
            await self._stream(prompt, asking.attempts, answer, asking.reply)
        finally:
            blind, strings = isinstance(why, ImagesUnsupported), answer.strings
            if answer.begun and blind:
                self._pictures.note_unsupported(answer.model)
            if answer.begun and image_names(answer.exchange):
                answer.note_unread(
                    strings.model_images_unsupported if blind else strings.pictures_refused
                )

    async def _stream(
        self,
        prompt: Prompt,
        attempts: AttemptBudget,
        answer: Answer,
        reply: Reply,
        sent: Callable[[], None] = _nothing_held,
    ) -> None:
        """Bring the model's answer; *sent* is called once it needs the prompt no more."""
        answer.prompt, answer.images_sent = prompt, prompt.images
        answer.taken = len(answer.pieces)
        seam = Continuation("".join(answer.pieces))
        async with self._model.stream(prompt, attempts, model=answer.model) as completion:
            sent()
            try:
                async for delta in completion:
                    if answer.first_words_seconds is None:
                        answer.first_words_seconds = self._clock() - answer.began
                        log.debug("First token of %d", answer.exchange.message_id)
                    if completion.takes_back:
                        seam = self._begin_anew(answer, reply)
                    if text := seam.write(delta):
                        answer.pieces.append(text)
                        reply.write(text)
            finally:
                if rest := seam.finish():
                    answer.pieces.append(rest)
                    with suppress(ReplyLost, ReplyBlocked):  # The first error says more.
                        reply.write(rest)
                answer.usage = completion.usage
                # Once, also when the question is put once more.
                answer.notices = [*answer.unread]
                if answer.begun:
                    answer.notices += _notices(answer, prompt, completion)

    def _begin_anew(self, answer: Answer, reply: Reply) -> Continuation:
        """Take back what the model said in this answer so far."""
        del answer.pieces[answer.taken :]
        before = "".join(answer.pieces)
        reply.restart()
        reply.write(before)
        return Continuation(before)

    async def _calibration(self, model: str, of: str = "") -> Calibration:
        """Return what is known of a model's counts, or of those *of* something else than text."""
        name = f"{model} {of}".strip()
        if name not in self._calibrations:
            self._calibrations[name] = await self._history.models.calibration(name)
        return self._calibrations[name]

    async def _keep(self, name: str, learnt: Calibration) -> None:
        self._calibrations[name] = learnt
        try:
            await self._history.models.set_calibration(name, learnt)
        except HistoryFailed as error:
            log.warning("Cannot store the calibration of %s: %s", name, error)

    async def learn(self, answer: Answer) -> None:
        """Compare the estimate of the prompt with what the API counted."""
        if answer.usage is not None:
            await self._learn_counts(answer, answer.usage.prompt_tokens)

    async def _learn_counts(self, answer: Answer, counted: int) -> None:
        """Learn from what the API *counted* for a prompt.

        What is more with pictures is theirs.
        """
        if answer.prompt is None:
            return
        estimated, name = answer.prompt.tokens, answer.model
        calibration = await self._calibration(name)
        if answer.images_sent:
            counted -= calibration.apply(estimated)
            estimated, name = answer.images_sent * IMAGE_TOKENS, f"{name} {PICTURES}"
            pictures = await self._calibration(answer.model, PICTURES)
            await self._keep(name, pictures.learn(estimated, counted, IMAGE_BOUNDS))
        elif (learnt := calibration.learn(estimated, counted)) != calibration:
            await self._keep(name, learnt)

    async def count(self, answer: Answer) -> None:
        """Count what the model used for an answer, however that ended."""
        try:
            used = await self._used(answer)
            if answer.spent != UsageTotal():
                used = answer.spent + (used or UsageTotal(answers=1))
            if used is not None and answer.counts_for is not None:
                place = answer.exchange.conversation
                guild_id = NO_GUILD if place.guild_id is None else place.guild_id
                person_id, model = answer.counts_for, answer.model
                tally = UsageRow(today(), guild_id, place.top_id, person_id, model, used)
                await self._history.usage.add(tally)
        except HistoryFailed as error:
            log.warning("What %d used is not counted: %s", answer.exchange.message_id, error)

    async def _used(self, answer: Answer) -> UsageTotal | None:
        """Return what the API counted, or else the estimate where it said anything."""
        if answer.prompt is None:
            return None
        if answer.usage is not None:
            return UsageTotal(answer.usage.prompt_tokens, answer.usage.completion_tokens, 1)
        if not answer.said:
            return None
        calibration = await self._calibration(answer.model)
        prompt_tokens = calibration.apply(answer.prompt.tokens)
        return UsageTotal(
            prompt_tokens, calibration.apply(estimate_tokens(answer.said)), 1, estimated=1
        )


@dataclass(slots=True)
class _Asking:
    """A question whose requests are made smaller until one fits.

    *refused_pictures* is why pictures are left out, None if they are not.
    """

    build: Build
    attempts: AttemptBudget
    fitting: WindowSearch
    answer: Answer
    reply: Reply
    refused_pictures: ModelError | None = None


def _sent(size: RequestSize, prompt: Prompt, answer: Answer) -> RequestSize:
    """Return the size of the newest request: that of *prompt*, perhaps without its pictures."""
    return size if answer.images_sent else replace(size, prompt=prompt.tokens)


def _is_visible(text: str) -> bool:
    # Late, as the reply does: a bot that only waits saves 0.5 MB.
    from bot.markdown.renderer import is_visible  # noqa: PLC0415

    return is_visible(text)


def _built(
    system_prompt: str,
    exchanges: Sequence[Exchange],
    question: Exchange,
    *,
    token_budget: int,
    place: str,
    reply_context: ReplyContext,
    picture_room: ImageRoom = NO_IMAGES,
) -> Prompt:
    """Build the prompt; the log says at DEBUG what of *exchanges* is in it, in numbers alone."""
    prompt = build_prompt(
        system_prompt,
        exchanges,
        question,
        token_budget=token_budget,
        place=place,
        reply_context=reply_context,
        picture_room=picture_room,
    )
    if question.quoted == GO_ON and not prompt.exchanges:
        raise ModelContextExceeded("what is to be continued does not fit")
    left_out = len(exchanges) - prompt.exchanges
    log.debug(
        "Prompt of %d: %d of %d tokens; taken %d exchanges of %d tokens, left out %d of %d",
        question.message_id,
        prompt.tokens,
        token_budget,
        prompt.exchanges,
        sum(exchange.tokens for exchange in exchanges[left_out:]),
        left_out,
        sum(exchange.tokens for exchange in exchanges[:left_out]),
    )
    return prompt


def _note_unread(answer: Answer, shown: PromptWithImages) -> None:
    """Say which pictures of the question could not be had."""
    exchange, strings, prompt = answer.exchange, answer.strings, shown.prompt
    missing = prompt.images_of(exchange) < prompt.pictures_of(exchange)
    if missing and shown.busy:
        answer.note_unread(strings.pictures_busy)
    elif missing and answer.pictures is None:
        answer.note_unread(strings.pictures_unreachable)
    elif answer.pictures is not None:
        for sentence in shown.unread:
            answer.note_unread(sentence)


def _notices(answer: Answer, prompt: Prompt, completion: Completion) -> Iterator[str]:
    """Yield what people are reported of how an answer was made."""
    if completion.thought_seconds is not None and completion.thought_seconds >= 1:
        yield answer.strings.thought.format(seconds=round(completion.thought_seconds))
    if prompt.read_percent < 100:  # Its files are the end of a question.
        percent = prompt.read_percent * answer.files_percent // 100
        yield answer.strings.question_shortened.format(percent=percent)
    elif answer.files_percent < 100:
        yield answer.strings.files_shortened.format(percent=answer.files_percent)
