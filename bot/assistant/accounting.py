"""Count the tokens that answers use, and calibrate the estimates by what the API counts."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bot.assistant.answer import NOTHING_USED, Answer, Generation, StopReason
from bot.conversation.calibration import IMAGE_BOUNDS, TEXT_BOUNDS, Calibration, most_tokens
from bot.conversation.prompt import NO_PROMPT
from bot.conversation.token_estimate import estimate_tokens
from bot.errors import HistoryFailed
from bot.metrics import NO_METRICS, Metrics
from bot.storage.exchanges import History
from bot.storage.usage import NO_GUILD, UsageRow, UsageTotal, today

log = logging.getLogger(__name__)

# A model's images have a calibration of their own. Its stored key has their former name.
IMAGES: Final = "pictures"
# OpenAI, "Images and vision", of 1024 x 1024 pixels: 85, and 170 for each tile of 512 x 512. A
# Calibration learns how other models and sizes differ.
IMAGE_TOKENS: Final = 765


class Accounting:
    """Knows the calibration of each model, and stores usage.

    *adds_to_prompts* tells whether the server adds to prompts for a model, so that its counts
    teach nothing about the estimate.
    """

    def __init__(
        self,
        history: History,
        *,
        adds_to_prompts: Callable[[str], bool],
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._metrics = metrics
        self._models = history.models
        self._usage = history.usage
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

    async def record(self, answer: Answer) -> None:
        """Calibrate by *answer* and store its usage, unless that counts for nobody."""
        generation, asked, person_id = answer.generation, answer.exchange, answer.usage_person_id
        if generation.usage is not None:
            await self.calibrate(generation, generation.usage.prompt_tokens)
        try:
            used = await self.used(generation)
            if used == NOTHING_USED and answer.cancellation.reason is StopReason.WITHHELD:
                used = await self._estimated(generation)  # The API has read the prompt, at least.
            if generation.discarded != NOTHING_USED:
                used = generation.discarded + replace(used, answers=1)
            self._metrics.tokens_used(generation.model, used.prompt_tokens, used.completion_tokens)
            if used != NOTHING_USED and person_id is not None:
                place = asked.conversation
                guild_id = NO_GUILD if place.guild_id is None else place.guild_id
                row = UsageRow(today(), guild_id, place.top_id, person_id, generation.model, used)
                await self._usage.add(row)
        except HistoryFailed as error:
            log.warning("Cannot store the usage of answer %d: %s", asked.message_id, error)

    async def used(self, generation: Generation) -> UsageTotal:
        """Return what the API counted, else an estimate, of the newest request."""
        if generation.usage is not None:
            counts = generation.usage
            return UsageTotal(counts.prompt_tokens, counts.completion_tokens, answers=1)
        return await self._estimated(generation) if generation.written else NOTHING_USED

    async def _estimated(self, generation: Generation) -> UsageTotal:
        if generation.prompt is NO_PROMPT:
            return NOTHING_USED
        calibration = await self.calibration(generation.model)
        prompt_tokens = calibration.apply(generation.prompt.tokens)
        completion_tokens = calibration.apply(estimate_tokens(generation.written))
        return UsageTotal(prompt_tokens, completion_tokens, answers=1, estimated=1)
