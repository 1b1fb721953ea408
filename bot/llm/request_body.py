"""The body of a request to a model: JSON, in which pictures become base64 only as they are sent."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from bot.conversation.exchange import scrubbed
from bot.conversation.images import Image
from bot.conversation.prompt import Turn

PIECE: Final = 3 * 65_536  # bytes; a multiple of 3, so that what pieces become is one text


class RequestBody:
    """The JSON of *more* with *turns* as its messages, of *length* bytes.

    Made whole, 20 MB of pictures would take nine times that. Each pass through it yields the same.
    """

    def __init__(self, turns: Sequence[Turn], more: Mapping[str, Any]) -> None:
        here = secrets.token_hex(16)  # stands for a picture, as nothing that people write can
        messages = [{"role": turn.role.value, "content": _content(turn, here)} for turn in turns]
        whole = json.dumps(
            {"messages": messages, **more},
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
        )
        self._pieces = [piece.encode() for piece in whole.split(here)]
        self._images = [image for turn in turns for image in turn.images]
        encoded = sum(-(-len(image.data) // 3) * 4 for image in self._images)
        self.length = sum(map(len, self._pieces)) + encoded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # An API may begin to answer, and let the pictures go, before it has read them.
        pictures = [image.data for image in self._images]
        for piece, picture in zip_longest(self._pieces, pictures, fillvalue=b""):
            yield piece
            for at in range(0, len(picture), PIECE):
                yield base64.b64encode(picture[at : at + PIECE])


def _content(turn: Turn, here: str) -> str | list[dict[str, Any]]:
    """Return what a turn says; a text alone is no list, for servers that know no lists."""
    text = scrubbed(turn.text)
    if not turn.images:
        return text
    return [{"type": "text", "text": text}, *(_image_part(one, here) for one in turn.images)]


def _image_part(image: Image, here: str) -> dict[str, Any]:
    url = f"data:{image.content_type};base64,{here}"
    return {"type": "image_url", "image_url": {"url": url}}
