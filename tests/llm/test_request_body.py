"""The body of a request, which reads its pictures as it is sent."""

import base64
import json

import pytest

from bot.conversation.images import Image
from bot.conversation.prompt import Role, Turn
from bot.conversation.prompt_markup import NOT_SHOWN
from bot.llm.request_body import PIECE, RequestBody


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5])
async def test_pictures_are_sent_as_base64_with_a_known_length(size: int) -> None:
    pictures = [bytes(range(256)) * (size // 256) + bytes(size % 256), b"another"]
    images = tuple(Image(data, "image/png") for data in pictures)
    turns = [Turn(Role.SYSTEM, 'Be "brief" 항구'), Turn(Role.USER, "⟦a⟧\ud800 What?", images)]
    body = RequestBody(turns, {"model": "m", "stream": True})
    sent = b"".join([piece async for piece in body])
    assert len(sent) == body.length
    urls = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in pictures]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    assert json.loads(sent) == {
        "messages": [
            {"role": "system", "content": 'Be "brief" 항구'},
            {"role": "user", "content": [{"type": "text", "text": "⟦a⟧? What?"}, *parts]},
        ],
        "model": "m",
        "stream": True,
    }
    assert b"".join([piece async for piece in body]) == sent, "a retry sends it again"


@pytest.mark.parametrize("images", [0, 1, 2])
async def test_the_model_is_told_of_pictures_that_are_not_sent(images: int) -> None:
    text = "⟦picture a.png⟧\n⟦Mina (@mina) writes⟧\nSo?\n⟦picture b.png⟧"
    turn = Turn(Role.USER, text, (Image(b"one", "image/png"),) * images)
    sent = b"".join([piece async for piece in RequestBody([turn], {})])
    [message] = json.loads(sent)["messages"]
    said = message["content"] if not images else message["content"][0]["text"]
    expected = [text, f"{text}\n{NOT_SHOWN}"][images < 2]
    assert said == expected.replace("a.png⟧", f"a.png⟧\n{NOT_SHOWN}" if not images else "a.png⟧")


async def test_released_pictures_are_still_sent_whole() -> None:
    """An API may answer before it has read all of them; the length is promised already."""
    images = (Image(b"one", "image/png"), Image(b"two", "image/png"))
    body = RequestBody([Turn(Role.USER, "What?", images)], {})
    sent = 0
    async for piece in body:
        sent += len(piece)
        for image in images:
            image.release()
    assert sent == body.length
