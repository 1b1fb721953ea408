"""Ask the model for an answer; change the prompt until it accepts one."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

from bot.assistant.accounting import Accounting
from bot.assistant.answer import Answer
from bot.assistant.budgets import Budgets
from bot.assistant.continuation import Continuation
from bot.assistant.learned_windows import LearnedWindows, WindowSearch
from bot.assistant.overrides import Overrides
from bot.assistant.ports import ChatModel
from bot.assistant.prompt_images import PromptImages, PromptWithImages
from bot.assistant.screening import NO_SCREENING, Screening
from bot.conversation.calibration import Calibration
from bot.conversation.context_window import (
    NO_REPORTED_LIMITS,
    ReportedLimits,
    RequestSize,
    is_full,
    is_smallest,
)
from bot.conversation.exchange import Exchange, Files
from bot.conversation.image_selection import NO_IMAGES, ImageBudget
from bot.conversation.images import PendingImage
from bot.conversation.prompt import NO_PROMPT, Prompt, PromptConfig, build_prompt
from bot.conversation.prompt_markup import (
    continuation_request,
    image_names,
    marked_if_cut,
    with_files,
)
from bot.conversation.removed_secrets import removed_from, sentences_about_removed
from bot.conversation.reply_actions import ReplyAction
from bot.conversation.token_estimate import estimate_tokens, shorten
from bot.errors import (
    HistoryFailed,
    ImagesUnsupported,
    ModelContextExceeded,
    ModelEmpty,
    ModelEmptyBody,
    ModelError,
    ModelFailedOnImages,
    ModelRequestRefused,
    ModelThoughtCramped,
    ModelThoughtOnly,
    NothingAsked,
    OutputTruncated,
    ReplyBlocked,
    ReplyLost,
)
from bot.live import Live
from bot.llm.events import Delta
from bot.llm.model_catalog import ModelCatalog
from bot.llm.request_budget import RequestBudget
from bot.log_events import as_event
from bot.markdown.syntax import escaped_name
from bot.metrics import NO_METRICS, Metrics
from bot.storage.exchange_queries import NEWEST_ID
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

FILES_DIVISOR: Final = 2  # Files get half of the prompt budget: the question needs some, too.
# What a request with images may fail with if its server takes no images, or not these.
IMAGE_ERRORS: Final = (
    *(ImagesUnsupported, ModelRequestRefused, ModelContextExceeded, ModelFailedOnImages),
)


@dataclass(slots=True)
class _Request:
    """A question that is sent in one prompt after the other until the model answers.

    *build* takes the budgets of text and images. *history* are the exchanges that it chooses from.
    *images* are those of the question, None if they must be looked up. *images_refused* is the
    reason to send no images, None if they may be sent. *screening* checks the question.
    """

    answer: Answer
    build: Callable[..., Prompt]
    history: Sequence[Exchange]
    images: tuple[PendingImage, ...] | None
    budget: RequestBudget
    search: WindowSearch
    screening: Screening
    prompt: Prompt = field(default=NO_PROMPT, init=False)  # the newest
    images_refused: ModelError | None = field(default=None, init=False)

    @property
    def size(self) -> RequestSize:
        """The size of the newest request, which may have been sent without the prompt's images."""
        prompt = self.prompt
        image_tokens = prompt.image_tokens if self.answer.generation.prompt.images else 0
        return RequestSize(prompt.tokens + image_tokens, prompt.history_tokens, prompt.reply_tokens)


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned about the models, which all shards of a process share."""

    accounting: Accounting
    windows: LearnedWindows

    @classmethod
    def of(
        cls,
        model: ChatModel,
        history: History,
        catalog: ModelCatalog,
        budgets: Budgets,
        metrics: Metrics = NO_METRICS,
    ) -> Self:
        """Return what is learned from *model*, and charged to *budgets*."""
        accounting = Accounting(
            history, budgets, adds_to_prompts=model.adds_to_prompts, metrics=metrics
        )
        return cls(accounting, LearnedWindows(history.models, catalog))


class Generator:
    """Asks the model of a place.

    *describe_place* returns one line about a question's place, for the model. *screening*
    returns the check of an answer's question.
    """

    def __init__(
        self,
        model: ChatModel,
        history: History,
        config: Live[PromptConfig],
        catalog: ModelCatalog,
        *,
        learned: Learned,
        images: PromptImages,
        describe_place: Callable[[Exchange], str] = lambda _question: "",
        metrics: Metrics = NO_METRICS,
        screening: Callable[[Answer, Sequence[str]], Screening] = lambda *_: NO_SCREENING,
    ) -> None:
        self.accounting = learned.accounting
        self.overrides = Overrides(history.preferences, self.accounting, config, catalog)
        self._model = model
        self._history = history
        self._config = config
        self.images = images
        self._windows = learned.windows
        self._short = set[str]()  # models whose answers are short, whatever the window is
        self._describe_place = describe_place
        self._screening = screening
        self._metrics = metrics

    async def generate(self, answer: Answer) -> None:
        """Write what the model answers; raises ModelError, NothingAsked or HistoryFailed."""
        request = await self._request(answer)
        async with request.screening:
            await self._send_until_answered(request)
        # Imported late, as the reply does: that saves 0.5 MB in an idle bot.
        from bot.markdown.renderer import is_visible  # noqa: PLC0415

        if not is_visible(answer.generation.text):
            answer.generation.pieces.clear()
            answer.reply.restart()
            raise ModelEmpty("no visible character")

    async def _request(self, answer: Answer) -> _Request:
        """Return the request for a question with its context and history."""
        asked_in = answer.exchange.conversation
        effective = await self.overrides.at(asked_in)
        answer.generation.model = model = effective.model
        search = WindowSearch(self._windows, model, await self._windows.of(model))
        calibration = await self.accounting.calibration(model)
        token_budget = self._budget(search.window.prompt_budget, calibration)
        context = await answer.job.load_context(answer.exchange)
        await self._attach(answer, context.files, token_budget // FILES_DIVISOR)
        question = answer.exchange
        if answer.job.action is None:
            self._note_removed(answer)
        if not question.asks:
            raise NothingAsked
        exchanges: Sequence[Exchange] = await self._history.context(
            asked_in,
            before_id=question.message_id if answer.job.action else NEWEST_ID,
            token_budget=token_budget,
        )
        if answer.job.action is ReplyAction.CONTINUE:
            exchanges, question = [*exchanges, question], continuation_request(question)
        build = partial(
            build_prompt,
            effective.system_prompt,
            exchanges,
            question,
            channel_context=self._describe_place(question),
            reply_context=context.reply_context,
        )
        budget = RequestBudget(question.message_id)
        screening = self._screening(answer, context.reply_context.quotations)
        return _Request(answer, build, exchanges, context.files.images, budget, search, screening)

    async def _attach(self, answer: Answer, files: Files, token_limit: int) -> None:
        """Add the text of *files* to the question, as much of it as *token_limit* allows."""
        exchange = answer.exchange
        quoted = with_files(exchange.quoted, files.quoted)
        unread = files.unread if exchange.asks or files.text else ""
        whole = "\n".join(filter(None, (unread, files.text)))  # Its end is cut off first.
        text = shorten(whole, token_limit)
        left = token_limit - estimate_tokens(text)
        kept_quotation = shorten(quoted, max(left, estimate_tokens(exchange.quoted)))
        answer.generation.note_unread(*files.notices)
        read, length = len(text) + len(kept_quotation), len(whole) + len(quoted)
        if read < length:
            answer.generation.files_percent = 100 * read // length
        answer.exchange = replace(
            exchange,
            files=marked_if_cut(text, whole) or exchange.files,
            quoted=marked_if_cut(kept_quotation, quoted),
        )
        if answer.exchange == exchange:
            return
        try:
            await self._history.store_files(answer.exchange, quoted_before=exchange.quoted)
        except HistoryFailed as error:
            log.warning("Cannot store the files of question %d: %s", exchange.message_id, error)

    def _note_removed(self, answer: Answer) -> None:
        """Count the secrets removed from a question, and name them under its answer."""
        answer.generation.note_unread(*sentences_about_removed(answer.exchange, answer.strings))
        for kind in removed_from(answer.exchange):
            self._metrics.redacted(kind)

    def _budget(self, tokens: int, calibration: Calibration) -> int:
        """Return the budget of a prompt that may have *tokens*, in estimated tokens."""
        return int(min(self._config.value.token_budget, tokens) / calibration.factor)

    async def _fit(self, request: _Request) -> None:
        """Build the prompt that fits into the window, with the reply limit that it leaves.

        If the question had to be cut, the reply limit is lowered, provided that the whole question
        then fits, or at least twice as much of it.
        """
        window, model = request.search.window, request.answer.generation.model
        calibration = await self.accounting.calibration(model)
        images = NO_IMAGES
        if request.images_refused is None and self.images.supported_by(model):
            images = ImageBudget(self.images.turns, await self.accounting.image_tokens(model))
        prompt = _build(request, self._budget(window.prompt_budget, calibration), images)
        if prompt.read_percent < 100:
            widest = _build(request, self._budget(window.question_budget, calibration), images)
            if widest.read_percent >= min(100, 2 * prompt.read_percent):
                prompt = widest
        if request.images_refused is None:
            self._note_left_out(request.answer, prompt)
        tokens = calibration.apply(prompt.tokens + prompt.image_tokens)
        limit = window.reply_limit(tokens, self._model.reply_tokens)
        request.prompt = replace(prompt, reply_tokens=limit)

    async def _send_until_answered(self, request: _Request) -> None:
        """Send prompts until one is answered: whole, without images, then smaller and smaller."""
        await self._fit(request)
        while True:
            try:
                await self._send(request)
                return
            except ModelError as error:
                await self._prepare_retry(request, error)
                await self.accounting.count_discarded(request.answer)
            finally:
                await self._learn_from_acceptance(request)

    async def _prepare_retry(self, request: _Request, error: ModelError) -> None:
        """Change the request before a retry; raises *error* if no retry may help."""
        generation = request.answer.generation
        if isinstance(error, OutputTruncated | ModelThoughtOnly):
            if generation.reservation is not None and generation.reservation.lowered_by is not None:
                raise generation.reservation.lowered_by from error
            error = await self._reason_to_shorten(request, error)
        elif generation.begun:
            raise error
        images_may_be_why = generation.prompt.images and isinstance(error, IMAGE_ERRORS)
        if images_may_be_why and request.budget.left and error.reported == NO_REPORTED_LIMITS:
            request.images_refused = error
        elif await self._size_may_be_why(request, error):
            await self._make_smaller(request, error)
        elif request.budget.failed is not error or not request.budget.left:
            raise error  # Else the same request is sent again, with its images fetched anew.

    async def _size_may_be_why(self, request: _Request, error: ModelError) -> bool:
        """Whether a smaller request may be accepted.

        The words of a refusal may be unknown; then the list of models may name the window.
        """
        if isinstance(error, ModelRequestRefused):
            listed = await self._windows.listed(request.answer.generation.model)
            return ReportedLimits(listed).explains(request.size)
        return isinstance(error, ModelContextExceeded | ModelEmptyBody)

    async def _make_smaller(self, request: _Request, error: ModelError) -> None:
        """Build a smaller prompt; raises *error* if there is nothing left to try."""
        budget, search, generation = request.budget, request.search, request.answer.generation
        size = request.size
        await self.accounting.calibrate(generation, error.reported.prompt)
        self._discard(request)
        if is_smallest(size):
            raise error
        factor = (await self.accounting.calibration(generation.model)).factor
        await search.refuse(size, factor, error, last_request=budget.left <= 1)
        if not budget.left:
            await search.give_up(error)
            raise error
        why = f"{size.prompt} + {size.reply} tokens were too many"
        retried = as_event("question_retried", question=budget.question_id, model=generation.model)
        log.info("Retry question %d with less: %s", budget.question_id, why, extra=retried)
        # Leave images out if the limit is unknown, or if they did not fit into it.
        is_unknown = error.reported == NO_REPORTED_LIMITS
        if request.prompt.turn_images and (budget.left <= 2 or is_unknown):
            request.images_refused = error
        await self._fit(request)

    async def _learn_from_acceptance(self, request: _Request) -> None:
        """Learn the context window from a request that the server accepted."""
        generation = request.answer.generation
        if not generation.begun and not generation.only_thought:
            return
        size = request.size
        counted = generation.usage.prompt_tokens if generation.usage else 0
        calibration = await self.accounting.calibration(generation.model)
        if not generation.prompt.images:
            measured = self.accounting.measured(generation, counted)
            calibration = calibration.learn(size.prompt, measured)
        await request.search.accept(size, calibration.factor, counted)

    async def _reason_to_shorten(
        self, request: _Request, ended: OutputTruncated | ModelThoughtOnly
    ) -> ModelContextExceeded:
        """Return the reason to ask again with less history: the window was full.

        Raises *ended*, the answer's own error, if it was not or if nothing can be done.
        """
        generation, search, prompt = request.answer.generation, request.search, request.prompt
        generation.only_thought = thought = isinstance(ended, ModelThoughtOnly)
        used, limit = generation.used, prompt.reply_tokens
        if generation.usage and generation.usage.completion_tokens < limit:
            self._windows.cut_short.add(generation.model)
        full = is_full(used.prompt_tokens, used.completion_tokens, limit, thought=thought)
        full = full or (thought and limit < self._model.reply_tokens)
        if not full or generation.model in self._short or (thought and generation.begun):
            raise ended
        if search.filled and not thought:
            # The second answer is as short: the server limits them, not the window.
            self._short.add(generation.model)
            search.forget()
        if search.filled or not prompt.history_tokens or not request.budget.left:
            if thought:
                raise ModelThoughtCramped from ended
            raise ended
        window = used.prompt_tokens + used.completion_tokens
        return ModelContextExceeded(
            "hardly any tokens were left", ReportedLimits(window, filled=True)
        )

    def _discard(self, request: _Request) -> None:
        """Discard the answer to a prompt."""
        generation = request.answer.generation
        generation.usage = generation.first_token_seconds = None
        generation.only_thought = False
        if generation.written:
            request.answer.rewind()

    def _note_left_out(self, answer: Answer, prompt: Prompt) -> None:
        """Note which images of the question the model does not get."""
        names = image_names(answer.exchange)
        if not names or not self.images.turns:
            return
        if not self.images.supported_by(answer.generation.model):
            answer.generation.note_unread(answer.strings.model_images_unsupported)
            return
        for name in names[prompt.images_for(answer.exchange) :]:
            sentence = answer.strings.picture_left_out.format(name=escaped_name(name))
            answer.generation.note_unread(sentence)

    async def _send(self, request: _Request) -> None:
        """Send the newest prompt, with its images unless these were refused."""
        if request.prompt.turn_images and request.images_refused is None:
            async with self.images.attach_to(request.prompt, request.images) as attached:
                _note_unread(request, attached)
                await self._stream(request, attached)
            return
        try:
            await self._stream(request, PromptWithImages(request.prompt))
        finally:
            if request.images_refused is not None and request.answer.generation.begun:
                self._note_images_refused(request.answer, request.images_refused)

    def _note_images_refused(self, answer: Answer, why: ModelError) -> None:
        """Note that the images were to blame: the model answers without them."""
        model, sentence = answer.generation.model, answer.strings.pictures_refused
        if isinstance(why, ImagesUnsupported):
            self.images.note_unsupported(model)
            sentence = answer.strings.model_images_unsupported
        if image_names(answer.exchange):
            answer.generation.note_unread(sentence)

    async def _stream(self, request: _Request, attached: PromptWithImages) -> None:
        """Write what the model answers, within what the budgets leave."""
        charged = self.accounting.charged(request.answer, attached.prompt, request.budget)
        async with charged as reply_tokens:
            if reply_tokens < request.prompt.reply_tokens:
                request.prompt = replace(request.prompt, reply_tokens=reply_tokens)
                lowered = replace(attached.prompt, reply_tokens=reply_tokens)
                attached = replace(attached, prompt=lowered)
            # A question that a budget refuses is not sent to the moderation service, either.
            async with request.screening.of(attached.prompt):
                await self._read(request, attached)

    async def _read(self, request: _Request, attached: PromptWithImages) -> None:
        """Write what the model answers, and free the images once they are sent."""
        answer, generation = request.answer, request.answer.generation
        continuation = Continuation("".join(generation.pieces))
        prompt, budget = attached.prompt, request.budget
        generation.begin(prompt)
        async with self._model.stream(prompt, budget, model=generation.model) as events:
            request.screening.when_read(attached.release)
            try:
                async for event in events:
                    if isinstance(event, Delta):
                        if generation.first_token_seconds is None:
                            generation.first_token_seconds = answer.seconds()
                            _log_first_token(answer)
                            await request.screening.passed()
                        if event.replaces:
                            continuation = Continuation(answer.rewind())
                        if text := continuation.write(event.text):
                            answer.write(text)
                    else:
                        generation.note(event)
            finally:
                if rest := continuation.finish():
                    with suppress(ReplyLost, ReplyBlocked):  # The first error says more.
                        answer.write(rest)
                # Each request starts with new notices.
                generation.notices = [*generation.unread]
                if generation.begun:
                    generation.notices += _notices(answer, prompt)


def _log_first_token(answer: Answer) -> None:
    question, seconds = answer.exchange.message_id, answer.generation.first_token_seconds
    began = as_event("first_token", question=question, first_words_s=seconds)
    log.debug("Received first token of answer %d", question, extra=began)


def _build(request: _Request, token_budget: int, image_budget: ImageBudget) -> Prompt:
    """Build a prompt, and log at DEBUG how much of the history is in it, in numbers alone."""
    prompt = request.build(token_budget=token_budget, image_budget=image_budget)
    if request.answer.job.action is ReplyAction.CONTINUE and not prompt.exchanges:
        raise ModelContextExceeded("the reply to be continued does not fit")
    left_out = len(request.history) - prompt.exchanges
    log.debug(
        "Built prompt of question %d: %d of %d tokens; taken %d exchanges of %d tokens, "
        "left out %d of %d",
        request.budget.question_id,
        prompt.tokens,
        token_budget,
        prompt.exchanges,
        prompt.history_tokens,
        left_out,
        sum(exchange.tokens for exchange in request.history[:left_out]),
        extra=as_event(
            "prompt_built",
            question=request.budget.question_id,
            prompt_tokens=prompt.tokens,
            exchanges=prompt.exchanges,
        ),
    )
    return prompt


def _note_unread(request: _Request, attached: PromptWithImages) -> None:
    """Note which images of the question could not be fetched."""
    generation, strings = request.answer.generation, request.answer.strings
    exchange = request.answer.exchange
    missing = attached.prompt.images_for(exchange) < request.prompt.images_for(exchange)
    if missing and attached.busy:
        generation.note_unread(strings.pictures_busy)
    elif missing and request.images is None:
        generation.note_unread(strings.pictures_unreachable)
    elif request.images is not None:
        generation.note_unread(*attached.unread)


def _notices(answer: Answer, prompt: Prompt) -> Iterator[str]:
    """Yield the notices about how an answer was made."""
    seconds = answer.generation.thought_seconds
    if seconds is not None and seconds >= 1:
        yield answer.strings.thought.format(seconds=round(seconds))
    files_percent = answer.generation.files_percent
    if prompt.read_percent < 100:  # Files come last, so a cut question loses them first.
        percent = prompt.read_percent * files_percent // 100
        yield answer.strings.question_shortened.format(percent=percent)
    elif files_percent < 100:
        yield answer.strings.files_shortened.format(percent=files_percent)
