"""The pictures of a conversation on their way to the model, and which models see none."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from bot.conversation.calibration import Calibration
from bot.conversation.exchange import Exchange
from bot.conversation.image_selection import NO_IMAGES, ImageRoom
from bot.conversation.images import PROMPT_IMAGE_BYTES, Image, PendingImage
from bot.conversation.prompt import Prompt

log = logging.getLogger(__name__)

# OpenAI, "Images and vision", of 1024 x 1024 pixels: 85, and 170 for each tile of 512 x 512. What
# a model counts otherwise, for larger ones too, is for a Calibration to learn.
IMAGE_TOKENS: Final = 765
HELD_BYTES: Final = 60_000_000  # of all pictures that are on their way, to the model as well
HELD_SECONDS: Final = 60.0  # for which a question waits until others have sent theirs


@dataclass(frozen=True, slots=True)
class PromptWithImages:
    """A *prompt* with its pictures, as far as they could be had.

    *unread* is what people are told of those of the question; *busy* says that there was no room
    for any. *release* forgets the pictures, when nobody needs them any more.
    """

    prompt: Prompt
    unread: tuple[str, ...] = ()
    busy: bool = False
    release: Callable[[], None] = field(default=lambda: None, repr=False)


class ImageSource(Protocol):
    """Where pictures are when a question is remembered: only their names are kept here."""

    async def of(self, exchange: Exchange) -> Sequence[PendingImage]:
        """Return the pictures of a question that are still there, those that it quotes first."""


class PromptImages:
    """Puts pictures into prompts: those of the newest *turns* exchanges that have some.

    *source* has the pictures of earlier questions.
    """

    def __init__(self, turns: int, source: ImageSource | None = None) -> None:
        self.turns = turns
        self._source = source
        self._blind: set[str] = set()
        self._holding = MemoryBudget(HELD_BYTES)

    def supported_by(self, model: str) -> bool:
        """Whether *model* may see pictures, as far as is known."""
        return self.turns > 0 and model not in self._blind

    def note_unsupported(self, model: str) -> None:
        """Keep in mind that *model* takes no pictures."""
        log.warning("The model %s takes no pictures: it gets none any more", model)
        self._blind.add(model)

    def room(self, model: str, text: Calibration, pictures: Calibration) -> ImageRoom:
        """Return what *model* may be shown, at its price in tokens of the estimate for text."""
        if not self.supported_by(model):
            return NO_IMAGES
        tokens = pictures.apply(IMAGE_TOKENS) / text.factor
        return ImageRoom(self.turns, max(1, round(tokens)))

    @asynccontextmanager
    async def attach_to(
        self, prompt: Prompt, at_hand: Sequence[PendingImage] | None
    ) -> AsyncIterator[PromptWithImages]:
        """Yield *prompt* with its pictures; a bounded number of bytes is held by all together.

        *at_hand* are those of the question, None where they are yet to be found.
        """
        asked = len(prompt.turns) - 1
        found = await asyncio.gather(
            *(
                self._of(one.exchange, at_hand if one.turn == asked else None)
                for one in prompt.turn_images
            )
        )
        wanted, left = dict[int, list[PendingImage]](), PROMPT_IMAGE_BYTES
        for one, there in zip(prompt.turn_images, found, strict=True):
            wanted[one.turn] = _within(there[: one.count], left)
            left -= sum(picture.size for picture in wanted[one.turn])
        async with AsyncExitStack() as stack:
            reserve = self._holding.reserve(PROMPT_IMAGE_BYTES - left, within_seconds=HELD_SECONDS)
            try:
                held = await stack.enter_async_context(reserve)
            except TimeoutError:
                yield PromptWithImages(prompt, busy=True)
                return
            yield await _fetched(prompt, wanted, held)

    async def _of(
        self, exchange: Exchange, at_hand: Sequence[PendingImage] | None
    ) -> Sequence[PendingImage]:
        if at_hand is not None:
            return at_hand
        return await self._source.of(exchange) if self._source is not None else ()


async def _fetched(
    prompt: Prompt, wanted: Mapping[int, Sequence[PendingImage]], held: ExitStack
) -> PromptWithImages:
    images, unread = dict[int, list[Image]](), list[str]()
    for turn, pictures in wanted.items():
        images[turn] = []
        for picture in pictures:
            image = await picture.fetch()
            if isinstance(image, Image):
                images[turn].append(image)
                held.callback(image.release)
            elif turn == len(prompt.turns) - 1:
                unread.append(image)
    return PromptWithImages(prompt.with_images(images), tuple(unread), release=held.close)


def _within(pictures: Iterable[PendingImage], most_bytes: int) -> list[PendingImage]:
    """Return *pictures* up to the first that is one too many for so many bytes."""
    kept = list[PendingImage]()
    for picture in pictures:
        most_bytes -= picture.size
        if most_bytes < 0:
            break
        kept.append(picture)
    return kept


class MemoryBudget:
    """Shares out *most_bytes*, first come first served."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def reserve(self, count: int, *, within_seconds: float) -> AsyncIterator[ExitStack]:
        """Wait for *count* bytes and hold them; closing what this yields gives them back early.

        Raises TimeoutError where they are not free *within_seconds*.
        """
        async with asyncio.timeout(within_seconds):
            await self._take(count)
        with ExitStack() as held:
            held.callback(self._give, count)
            yield held

    async def _take(self, count: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        self._give(0)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((count, turn))
            self._give(0 if turn.cancelled() else count)
            raise

    def _give(self, count: int) -> None:
        """Take *count* back, and give what there is to those who wait, in their order."""
        self._left += count
        while self._waiting and self._waiting[0][0] <= self._left:
            wanted, turn = self._waiting[0]
            if turn.cancelled():
                return  # It takes itself out.
            self._waiting.popleft()
            self._left -= wanted
            turn.set_result(None)
