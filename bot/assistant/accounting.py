"""Count the tokens that answers use, and calibrate the estimates by what the API counts."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bot.assistant.answer import NOTHING_USED, Answer, Generation
from bot.assistant.budgets import Budgets
from bot.conversation.calibration import IMAGE_BOUNDS, TEXT_BOUNDS, Calibration, most_tokens
from bot.conversation.prompt import Prompt
from bot.conversation.token_estimate import estimate_tokens
from bot.errors import ContentFiltered, HistoryFailed, ModelThoughtOnly, OutputTruncated
from bot.i18n.sentences import Sentences
from bot.i18n.times import discord_countdown
from bot.llm.budget_rules import Period
from bot.llm.request_budget import RequestBudget
from bot.metrics import NO_METRICS, Metrics
from bot.storage.exchanges import History
from bot.storage.usage import NO_GUILD, UsageRow, UsageTotal, today

if TYPE_CHECKING:
    from bot.assistant.reservations import Warned

log = logging.getLogger(__name__)

# A model's images have a calibration of their own. Its stored key has their former name.
IMAGES: Final = "pictures"
# OpenAI, "Images and vision", of 1024 x 1024 pixels: 85, and 170 for each tile of 512 x 512. A
# Calibration learns how other models and sizes differ.
IMAGE_TOKENS: Final = 765
NAMED_ENDS: Final = (OutputTruncated, ContentFiltered, ModelThoughtOnly)  # by the API


class Accounting:
    """Knows the calibration of each model, charges budgets, and stores usage.

    *adds_to_prompts* tells whether the server adds to prompts for a model, so that its counts
    teach nothing about the estimate.
    """

    def __init__(
        self,
        history: History,
        budgets: Budgets,
        *,
        adds_to_prompts: Callable[[str], bool],
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._metrics = metrics
        self._models = history.models
        self._usage = history.usage
        self._budgets = budgets
        self._adds_to_prompts = adds_to_prompts
        self._calibrations: dict[str, Calibration] = {}

    async def calibration(self, name: str) -> Calibration:
        """Return the calibration of a model's text, or of its images; raises HistoryFailed."""
        if name not in self._calibrations:
            self._calibrations[name] = await self._models.calibration(name)
        return self._calibrations[name]

    async def image_tokens(self, model: str) -> int:
        """Return the cost of an image in estimated tokens; raises HistoryFailed."""
        text = await self.calibration(model)
        images = await self.calibration(f"{model} {IMAGES}")
        return max(1, round(images.apply(IMAGE_TOKENS) / text.factor))

    async def calibrate(self, generation: Generation, counted: int) -> None:
        """Learn from the tokens that the API *counted* for the prompt of *generation*.

        If it has images, the difference to the estimate of its text is due to them.
        """
        counted = self.measured(generation, counted)
        if not counted:
            return
        name, estimated, bounds = generation.model, generation.prompt.tokens, TEXT_BOUNDS
        calibration = await self.calibration(name)
        if generation.prompt.images:
            counted -= calibration.apply(estimated)
            estimated = generation.prompt.images * IMAGE_TOKENS
            name, bounds = f"{name} {IMAGES}", IMAGE_BOUNDS
            calibration = await self.calibration(name)
        learned = calibration.learn(estimated, counted, bounds)
        if learned == calibration:
            return
        self._calibrations[name] = learned
        try:
            await self._models.set_calibration(name, learned)
        except HistoryFailed as error:
            log.warning("Cannot store the calibration of %s: %s", name, error)

    def measured(self, generation: Generation, counted: int) -> int:
        """Return *counted* if it measures the prompt of *generation* alone, else 0."""
        usage, prompt = generation.usage, generation.prompt
        if (usage is not None and usage.prompt_added) or self._adds_to_prompts(generation.model):
            return 0
        if prompt.images:
            return counted
        return counted if counted <= most_tokens([turn.text for turn in prompt.turns]) else 0

    @asynccontextmanager
    async def charged(
        self, answer: Answer, prompt: Prompt, requests: RequestBudget
    ) -> AsyncIterator[int]:
        """Charge the *requests* with *prompt* that are sent in the block; yields its reply limit.

        A budget may lower that limit. Raises BudgetSpent or HistoryFailed.
        """
        limit, error = await self._reserve(answer, prompt), None

        async def recharge() -> int:
            self._settle(answer, requests, None)
            await self.count_discarded(answer)
            lowered = await self._reserve(answer, prompt)
            answer.generation.begin(replace(prompt, reply_tokens=lowered))
            return lowered

        requests.recharge = recharge
        try:
            yield limit
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._settle(answer, requests, error)
            answer.generation.notices += answer.generation.budget_notices

    async def _reserve(self, answer: Answer, prompt: Prompt) -> int:
        """Reserve what a request may cost; return its reply limit."""
        if not self._budgets:
            return prompt.reply_tokens
        reservation = await self._budgets.reservations.reserve(
            answer.asker_id,
            answer.exchange.conversation.guild_id,
            model=answer.generation.model,
            prompt=self._estimated(answer.generation.model, prompt),
            reply=prompt.reply_tokens,
        )
        answer.generation.reservation = reservation
        return prompt.reply_tokens if reservation is None else reservation.reply_tokens

    def _settle(self, answer: Answer, requests: RequestBudget, error: BaseException | None) -> None:
        """Charge the newest request, which ended with *error*, if any."""
        generation = answer.generation
        generation.used = used = self._used(generation, requests, error)
        requests.may_cost, requests.usage = False, None
        reserved = generation.reservation
        if reserved is not None:
            tokens = used.prompt_tokens, used.completion_tokens
            warned = self._budgets.reservations.settle(reserved, *tokens)
            generation.budget_notices += [_nearly(one, answer.strings) for one in warned]

    async def count_discarded(self, answer: Answer) -> None:
        """Store what a request used whose answer was thrown away, before the next one is sent."""
        generation = answer.generation
        used = replace(generation.used, answers=0, estimated=0)
        generation.counted = generation.counted or used != NOTHING_USED
        await self._store(answer, used)

    async def record(self, answer: Answer) -> None:
        """Calibrate by *answer* and store the usage of its last request."""
        generation = answer.generation
        if generation.usage is not None:
            await self.calibrate(generation, generation.usage.prompt_tokens)
        used = replace(generation.used, answers=1) if generation.counted else generation.used
        await self._store(answer, used)

    async def _store(self, answer: Answer, used: UsageTotal) -> None:
        """Store usage, unless it counts for nobody, and what budgets were charged with it."""
        generation, asked, person_id = answer.generation, answer.exchange, answer.usage_person_id
        reservation, generation.reservation = generation.reservation, None
        generation.used = NOTHING_USED
        self._metrics.tokens_used(generation.model, used.prompt_tokens, used.completion_tokens)
        row = None
        if used != NOTHING_USED and person_id is not None:
            day = today() if reservation is None else reservation.day
            place = asked.conversation
            guild_id = NO_GUILD if place.guild_id is None else place.guild_id
            row = UsageRow(day, guild_id, place.top_id, person_id, generation.model, used)
        spent = reservation.take_unsaved() if reservation is not None else []
        if row is None and not spent:
            return
        try:
            await self._usage.add(row, spent)
        except HistoryFailed as error:
            if reservation is not None:
                reservation.put_back(spent)
            log.warning("Cannot store the usage of answer %d: %s", asked.message_id, error)

    def _estimated(self, model: str, prompt: Prompt) -> int:
        images = prompt.image_tokens if prompt.images else 0
        return self._calibrations[model].apply(prompt.tokens + images)

    def _used(
        self, generation: Generation, requests: RequestBudget, error: BaseException | None
    ) -> UsageTotal:
        """Return what the API counted for the newest request, which ended with *error*, if any.

        What it did not count is estimated: by the text, by the whole limit if the model used that
        up with thinking, else by the prompt alone. A request that the API refused used nothing.
        """
        counts = generation.usage or requests.usage
        if counts is None and not generation.written and not requests.may_cost:
            return NOTHING_USED
        reply_tokens = 0
        if generation.written:
            written = estimate_tokens(generation.written)
            reply_tokens = self._calibrations[generation.model].apply(written)
        elif isinstance(error, ModelThoughtOnly):
            reply_tokens = generation.prompt.reply_tokens
        if counts is None:
            prompt_tokens = self._estimated(generation.model, generation.prompt)
            return UsageTotal(prompt_tokens, reply_tokens, answers=1, estimated=1)
        counted = counts.completion_tokens
        # The last count of an answer that was cut off may be older than its last words.
        is_final = counted and (error is None or isinstance(error, NAMED_ENDS))
        if is_final or counted >= reply_tokens:
            return UsageTotal(counts.prompt_tokens, counted, answers=1)
        return UsageTotal(counts.prompt_tokens, reply_tokens, answers=1, estimated=1)


def _nearly(warned: "Warned", strings: Sentences) -> str:
    is_day = warned.limit.period is Period.DAY
    sentence = strings.budget_nearly_day if is_day else strings.budget_nearly_month
    return sentence.format(percent=warned.percent, when=discord_countdown(warned.resets_at))
