"""Which pictures go with a prompt, and what they cost a model."""

import asyncio
from collections.abc import Sequence

from bot.conversation import Exchange
from bot.few import SLOW_SECONDS
from bot.images import ALL_BYTES, Image
from bot.pictures import AT_ONCE, IMAGE_TOKENS, Pictures
from bot.prompt import NO_PICTURES, PictureRoom, Prompt, a_picture, build_prompt
from bot.tokens import Calibration
from tests.doubles import an_exchange, run_virtually

PLENTY = PictureRoom(3, 10)


class Album:
    """A source of pictures: as many as an exchange has, of so many bytes each."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def of(self, exchange: Exchange) -> Sequence[Image]:
        images = [Image(bytes(self._size), f"{exchange.message_id}/{one}") for one in range(3)]
        return images[: exchange.files.count("picture")]


def pictured(number: int, count: int) -> Exchange:
    files = "\n".join(a_picture(f"{one}.png") for one in range(count))
    return an_exchange(number, "Why?", "So.", files=files)


def a_prompt(*counts: int) -> Prompt:
    """Return a prompt whose exchanges have so many pictures, the last one being the question."""
    *before, question = [pictured(number, count) for number, count in enumerate(counts, start=1)]
    return build_prompt("", before, question, token_budget=9000, picture_room=PLENTY)


async def shown(pictures: Pictures, prompt: Prompt, at_hand: Sequence[Image] | None) -> list[str]:
    async with pictures.in_prompt(prompt, at_hand) as whole:
        return [image.content_type for turn in whole.turns for image in turn.images]


async def test_pictures_are_bounded_in_all_and_the_newest_go_first() -> None:
    pictures = Pictures(3)
    pictures.come_from(Album(ALL_BYTES // 4))
    assert await shown(pictures, a_prompt(2, 2, 1), None) == ["1/0", "2/0", "2/1", "3/0"]
    at_hand = [Image(bytes(ALL_BYTES // 2), "hand")]
    assert await shown(pictures, a_prompt(2, 2, 1), at_hand) == ["2/0", "2/1", "hand"]
    pictures.come_from(Album(ALL_BYTES + 1))
    assert await shown(pictures, a_prompt(1, 1), None) == []


async def test_without_a_source_there_are_those_at_hand() -> None:
    assert await shown(Pictures(3), a_prompt(1, 1), [Image(b"x", "hand")]) == ["hand"]


def test_few_prompts_with_pictures_are_held_at_a_time() -> None:
    """Those that take long count no more: a model that hangs holds up nobody."""
    begun = list[float]()

    async def ask(pictures: Pictures) -> None:
        async with pictures.in_prompt(a_prompt(1), [Image(b"x", "image/png")]):
            begun.append(asyncio.get_running_loop().time())
            await asyncio.sleep(100)

    async def ask_all() -> None:
        pictures = Pictures(3)
        await asyncio.gather(*(ask(pictures) for _ in range(AT_ONCE + 1)))

    run_virtually(ask_all())
    assert [round(when) for when in begun] == [0] * AT_ONCE + [round(SLOW_SECONDS)]


def test_the_price_is_in_tokens_of_the_estimate_for_text() -> None:
    pictures, none = Pictures(3), Pictures(0)
    fresh = Calibration()
    assert pictures.room("a", fresh, fresh) == PictureRoom(3, IMAGE_TOKENS)
    assert pictures.room("a", Calibration(2.0), fresh).tokens == round(IMAGE_TOKENS / 2)
    assert pictures.room("a", fresh, Calibration(2.0)).tokens == IMAGE_TOKENS * 2
    pictures.note_blind("a")
    assert pictures.room("a", fresh, fresh) == none.room("b", fresh, fresh) == NO_PICTURES
    assert pictures.room("b", fresh, fresh) != NO_PICTURES
