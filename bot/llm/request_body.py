"""The body of a request to a model: JSON, in which images become base64 only as they are sent."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from bot.conversation.exchange import scrubbed
from bot.conversation.images import Image
from bot.conversation.prompt import Turn
from bot.conversation.prompt_markup import with_missing_images

PIECE: Final = 3 * 65_536  # bytes; a multiple of 3, so that base64 of pieces can be joined


class JsonBody:
    """A JSON text with *images* in place of each *mark*, of *length* bytes.

    It yields pieces, because as one text 20 MB of images would take nine times their size. It can
    be iterated again for a retry.
    """

    def __init__(self, value: object, images: Sequence[Image], mark: str) -> None:
        whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        self._pieces = [piece.encode() for piece in whole.split(mark)]
        self._images = images
        encoded = sum(-(-len(image.data) // 3) * 4 for image in images)
        self.length = sum(map(len, self._pieces)) + encoded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Keeps the data, because images are released once the API answers, perhaps before the end.
        images = [image.data for image in self._images]
        for piece, data in zip_longest(self._pieces, images, fillvalue=b""):
            yield piece
            for at in range(0, len(data), PIECE):
                yield base64.b64encode(data[at : at + PIECE])


class RequestBody(JsonBody):
    """The JSON of *options* with *turns* as its messages."""

    def __init__(self, turns: Sequence[Turn], options: Mapping[str, Any]) -> None:
        mark = new_mark()
        messages = [{"role": turn.role.value, "content": _content(turn, mark)} for turn in turns]
        images = [image for turn in turns for image in turn.images]
        super().__init__({"messages": messages, **options}, images, mark)


def new_mark() -> str:
    """Return a text that stands for an image; people cannot guess it."""
    return secrets.token_hex(16)


def _content(turn: Turn, mark: str) -> str | list[dict[str, Any]]:
    """Return the content of a turn: text without images, because some servers take no list."""
    text = scrubbed(with_missing_images(turn.text, len(turn.images)))
    if not turn.images:
        return text
    return [{"type": "text", "text": text}, *(image_part(image, mark) for image in turn.images)]


def image_part(image: Image, mark: str) -> dict[str, Any]:
    """Return the part of a message or input that is *image*, with *mark* in place of its data."""
    url = f"data:{image.content_type};base64,{mark}"
    return {"type": "image_url", "image_url": {"url": url}}
