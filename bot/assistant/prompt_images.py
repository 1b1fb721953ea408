"""Attach images to prompts, within a memory budget, and know which models take none."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from bot.conversation.exchange import Exchange
from bot.conversation.image_selection import TurnImages
from bot.conversation.images import PROMPT_IMAGE_BYTES, Image, PendingImage
from bot.conversation.prompt import Prompt

log = logging.getLogger(__name__)

ImageSource = Callable[[Exchange], Awaitable[Sequence[PendingImage]]]

MEMORY_BYTES: Final = 60_000_000  # of the images of all prompts, until they are sent
RESERVE_SECONDS: Final = 60.0  # how long a question waits until others have sent theirs


@dataclass(frozen=True, slots=True)
class PromptWithImages:
    """A *prompt* with the images that could be fetched.

    *unread* are the sentences about images of the question that could not be. *busy* means that no
    memory was free for any. *release* frees the images, once they are sent.
    """

    prompt: Prompt
    unread: tuple[str, ...] = ()
    busy: bool = False
    release: Callable[[], None] = field(default=lambda: None, repr=False)


class PromptImages:
    """Attaches the images of the newest *turns* exchanges that have some.

    *source* finds those of an earlier question, of which only the names are stored. All shards of a
    process share *memory*.
    """

    def __init__(
        self,
        turns: int,
        source: ImageSource | None = None,
        memory: "MemoryBudget | None" = None,
    ) -> None:
        self.turns = turns
        self._source = source
        self._without_images: set[str] = set()
        self._memory = memory or MemoryBudget(MEMORY_BYTES)

    def supported_by(self, model: str) -> bool:
        """Whether *model* may take images, as far as is known."""
        return self.turns > 0 and model not in self._without_images

    def note_unsupported(self, model: str) -> None:
        """Send no more images to *model*."""
        log.warning("Send no more images to model %s: it takes none", model)
        self._without_images.add(model)

    @asynccontextmanager
    async def attach_to(
        self, prompt: Prompt, asked: Sequence[PendingImage] | None
    ) -> AsyncIterator[PromptWithImages]:
        """Yield *prompt* with its images, once the memory for them is free.

        *asked* are those of the question, None if the source must find them.
        """

        async def find(selected: TurnImages) -> Sequence[PendingImage]:
            if asked is not None and selected.turn == len(prompt.turns) - 1:
                return asked
            return await self._source(selected.exchange) if self._source is not None else ()

        found = await asyncio.gather(*map(find, prompt.turn_images))
        wanted, left = dict[int, list[PendingImage]](), PROMPT_IMAGE_BYTES
        for selected, images in zip(prompt.turn_images, found, strict=True):
            wanted[selected.turn] = _within(images[: selected.count], left)
            left -= sum(image.size for image in wanted[selected.turn])
        async with AsyncExitStack() as stack:
            memory = self._memory.reserve(PROMPT_IMAGE_BYTES - left, within_seconds=RESERVE_SECONDS)
            try:
                resources = await stack.enter_async_context(memory)
            except TimeoutError:
                yield PromptWithImages(prompt.with_images({}), busy=True)
                return
            yield await _fetched(prompt, wanted, resources)


async def _fetched(
    prompt: Prompt, wanted: Mapping[int, Sequence[PendingImage]], resources: ExitStack
) -> PromptWithImages:
    images, unread = dict[int, list[Image]](), list[str]()
    for turn, pending in wanted.items():
        images[turn] = []
        for one in pending:
            image = await one.fetch()
            if isinstance(image, Image):
                images[turn].append(image)
                resources.callback(image.release)
            elif turn == len(prompt.turns) - 1:
                unread.append(image)
    return PromptWithImages(prompt.with_images(images), tuple(unread), release=resources.close)


def _within(images: Sequence[PendingImage], max_bytes: int) -> list[PendingImage]:
    """Return *images* up to the first that does not fit into *max_bytes*."""
    totals = accumulate(image.size for image in images)
    return [image for image, total in zip(images, totals, strict=True) if total <= max_bytes]


class MemoryBudget:
    """Shares *max_bytes*, first come, first served."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._next = asyncio.Lock()  # of the one that is next
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, count: int, *, within_seconds: float) -> AsyncIterator[ExitStack]:
        """Wait for *count* bytes and keep them; closing the yielded stack frees them early.

        Raises TimeoutError if they are not free *within_seconds*.
        """
        async with asyncio.timeout(within_seconds), self._next:
            while self._left < count:
                self._freed.clear()
                await self._freed.wait()
            self._left -= count
        with ExitStack() as reserved:
            reserved.callback(self._free, count)
            yield reserved

    def _free(self, count: int) -> None:
        self._left += count
        self._freed.set()
