"""The pictures of a prompt, and their cost in tokens."""

import asyncio
from collections.abc import Sequence

from bot.assistant.prompt_images import MEMORY_BYTES, RESERVE_SECONDS, PromptImages
from bot.conversation.exchange import Exchange
from bot.conversation.image_selection import ImageBudget
from bot.conversation.images import PROMPT_IMAGE_BYTES, Image, PendingImage
from bot.conversation.prompt import Prompt, build_prompt
from bot.conversation.prompt_markup import image_line
from tests.doubles import an_exchange, run_virtually

PLENTY = ImageBudget(3, 10)


def a_picture_of(size: int, name: str) -> PendingImage:
    async def fetch() -> Image:
        return Image(bytes(size), name)

    return PendingImage(size, fetch)


class Album:
    """A source of pictures: as many as an exchange has, of so many bytes each."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def of(self, exchange: Exchange) -> Sequence[PendingImage]:
        names = [f"{exchange.message_id}/{one}" for one in range(3)]
        pictures = [a_picture_of(self._size, name) for name in names]
        return pictures[: exchange.files.count("picture")]


def turn_images(number: int, count: int) -> Exchange:
    files = "\n".join(image_line(f"{one}.png") for one in range(count))
    return an_exchange(number, "Why?", "So.", files=files)


def a_prompt(*counts: int) -> Prompt:
    """Return a prompt whose exchanges have so many pictures, the last one being the question."""
    *before, question = [turn_images(number, count) for number, count in enumerate(counts, start=1)]
    return build_prompt("", before, question, token_budget=9000, image_budget=PLENTY)


async def shown(
    pictures: PromptImages, prompt: Prompt, at_hand: Sequence[PendingImage] | None
) -> list[str]:
    async with pictures.attach_to(prompt, at_hand) as whole:
        return [image.content_type for turn in whole.prompt.turns for image in turn.images]


async def test_pictures_are_bounded_and_the_newest_come_first() -> None:
    pictures = PromptImages(3, Album(PROMPT_IMAGE_BYTES // 4).of)
    assert await shown(pictures, a_prompt(2, 2, 1), None) == ["1/0", "2/0", "2/1", "3/0"]
    at_hand = [a_picture_of(PROMPT_IMAGE_BYTES // 2, "hand")]
    assert await shown(pictures, a_prompt(2, 2, 1), at_hand) == ["2/0", "2/1", "hand"]
    too_large = PromptImages(3, Album(PROMPT_IMAGE_BYTES + 1).of)
    assert await shown(too_large, a_prompt(1, 1), None) == []


async def test_without_a_fetcher_only_loaded_pictures_are_used() -> None:
    assert await shown(PromptImages(3), a_prompt(1, 1), [a_picture_of(1, "hand")]) == ["hand"]


class Questions:
    """Questions with pictures of *size* bytes, which each stay in memory for so many seconds."""

    def __init__(self, size: int) -> None:
        self.pictures = PromptImages(3)
        self.begun = list[float]()
        self._size = size

    async def ask(self, seconds: float, *, sent_after: float | None = None) -> int:
        """Return how many pictures there were for one."""
        loop, at_hand = asyncio.get_running_loop(), [a_picture_of(self._size, "x")]
        async with self.pictures.attach_to(a_prompt(1), at_hand) as shown:
            self.begun.append(round(loop.time()))
            count = shown.prompt.images
            assert (count == 0) == shown.busy
            if sent_after is not None:
                loop.call_later(sent_after, shown.release)
            await asyncio.sleep(seconds)
            if sent_after is not None:
                assert [image.data for image in shown.prompt.turns[-1].images] == [b""] * count
        return count


AT_ONCE = MEMORY_BYTES // PROMPT_IMAGE_BYTES


def test_picture_bytes_in_memory_are_bounded() -> None:
    async def scene() -> None:
        large = Questions(PROMPT_IMAGE_BYTES)
        await asyncio.gather(*(large.ask(30) for _ in range(AT_ONCE + 1)))
        assert large.begun == [0] * AT_ONCE + [30]
        small = Questions(1000)
        await asyncio.gather(*(small.ask(30) for _ in range(100)))
        assert set(small.begun) == {30 + 30}, "bytes are bounded, not questions"

    run_virtually(scene())


def test_a_prompt_that_waits_too_long_has_no_pictures() -> None:
    async def scene() -> None:
        large = Questions(PROMPT_IMAGE_BYTES)
        asked = [large.ask(2 * RESERVE_SECONDS) for _ in range(AT_ONCE + 1)]
        assert await asyncio.gather(*asked) == [1] * AT_ONCE + [0]
        assert large.begun == [0] * AT_ONCE + [RESERVE_SECONDS]
        assert await large.ask(1) == 1, "who gave up holds nothing"

    run_virtually(scene())


def test_sent_pictures_are_released() -> None:
    async def scene() -> None:
        large = Questions(PROMPT_IMAGE_BYTES)
        await asyncio.gather(*(large.ask(100, sent_after=5) for _ in range(AT_ONCE + 1)))
        assert large.begun == [0] * AT_ONCE + [5]

    run_virtually(scene())


async def test_only_missing_pictures_of_the_question_are_reported() -> None:
    async def fetch() -> str:
        return "It is gone."

    deleted = PendingImage(1, fetch)
    pictures = PromptImages(3)
    async with pictures.attach_to(a_prompt(1), [deleted]) as shown:
        assert (shown.prompt.images, shown.unread) == (0, ("It is gone.",))


def test_a_model_that_takes_no_pictures_is_remembered() -> None:
    pictures, none = PromptImages(3), PromptImages(0)
    assert pictures.supported_by("a")
    pictures.note_unsupported("a")
    assert not pictures.supported_by("a")
    assert pictures.supported_by("b")
    assert not none.supported_by("b")
