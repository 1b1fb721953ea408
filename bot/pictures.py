"""The pictures of a conversation on their way to the model, and which models see none."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from bot.conversation import Exchange
from bot.few import Few
from bot.images import ALL_BYTES, Image
from bot.prompt import NO_PICTURES, PictureRoom, Prompt
from bot.tokens import Calibration

log = logging.getLogger(__name__)

# OpenAI, "Images and vision", of 1024 x 1024 pixels: 85, and 170 for each tile of 512 x 512. What
# a model counts otherwise, for larger ones too, is for a Calibration to learn.
IMAGE_TOKENS: Final = 765
AT_ONCE: Final = 2  # prompts with pictures: 20 MB of them take 180 MB on their way


class Source(Protocol):
    """Where pictures are when a question is remembered: only their names are kept here."""

    async def of(self, exchange: Exchange) -> Sequence[Image]:
        """Return the pictures of a question that can be had, those that it quotes first."""


class Pictures:
    """Puts pictures into prompts: those of the newest *turns* exchanges that have some."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self._source: Source | None = None
        self._blind: set[str] = set()
        self._few = Few(AT_ONCE)

    def come_from(self, source: Source) -> None:
        """Get the pictures of earlier questions from *source*."""
        self._source = source

    def seen_by(self, model: str) -> bool:
        """Whether *model* may see pictures, as far as is known."""
        return self.turns > 0 and model not in self._blind

    def note_blind(self, model: str) -> None:
        """Keep in mind that *model* takes no pictures."""
        log.warning("The model %s takes no pictures: it gets none any more", model)
        self._blind.add(model)

    def room(self, model: str, text: Calibration, pictures: Calibration) -> PictureRoom:
        """Return what *model* may be shown, at its price in tokens of the estimate for text."""
        if not self.seen_by(model):
            return NO_PICTURES
        tokens = pictures.apply(IMAGE_TOKENS) / text.factor
        return PictureRoom(self.turns, max(1, round(tokens)))

    @asynccontextmanager
    async def in_prompt(
        self, prompt: Prompt, at_hand: Sequence[Image] | None
    ) -> AsyncIterator[Prompt]:
        """Yield *prompt* with its pictures, as far as they can be had; few prompts at a time.

        *at_hand* are those of the question, None where they are yet to be fetched.
        """
        async with self._few.turn():
            found = await asyncio.gather(
                *(
                    self._of(one.exchange, at_hand if one.turn == len(prompt.turns) - 1 else None)
                    for one in prompt.pictured
                )
            )
            images, left = dict[int, list[Image]](), ALL_BYTES
            for one, there in zip(prompt.pictured, found, strict=True):
                images[one.turn] = _within(there[: one.count], left)
                left -= sum(len(image.data) for image in images[one.turn])
            del found
            yield prompt.with_images(images)

    async def _of(self, exchange: Exchange, at_hand: Sequence[Image] | None) -> Sequence[Image]:
        if at_hand is not None:
            return at_hand
        return await self._source.of(exchange) if self._source is not None else ()


def _within(images: Iterable[Image], most_bytes: int) -> list[Image]:
    """Return *images* up to the first that is one too many for so many bytes."""
    kept = list[Image]()
    for image in images:
        most_bytes -= len(image.data)
        if most_bytes < 0:
            break
        kept.append(image)
    return kept
