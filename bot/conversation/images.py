"""Images as they are fetched and sent, and the types that models read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

PROMPT_IMAGE_BYTES: Final = 20_000_000  # of all images of a prompt; base64 adds a third
_WEBP: Final = (b"RIFF", b"WEBP")  # with the size in between
_BEGINNINGS: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
IMAGE_TYPES: Final = frozenset({*_BEGINNINGS.values(), "image/webp"})


@dataclass(slots=True)
class Image:
    """An image as it is sent to a model."""

    data: bytes = field(repr=False)
    content_type: str

    def release(self) -> None:
        """Free the data; others may still refer to this object after it is sent."""
        self.data = b""


@dataclass(frozen=True, slots=True)
class PendingImage:
    """An image of *size* bytes that is still to be fetched.

    *fetch* returns it, or the sentence for people if that fails.
    """

    size: int
    fetch: Callable[[], Awaitable[Image | str]] = field(repr=False)


def image_type(data: bytes | bytearray) -> str | None:
    """Return the content type of an image that begins with *data*, None if it is none of them."""
    if (data[:4], data[8:12]) == _WEBP:
        return "image/webp"
    return next((kind for head, kind in _BEGINNINGS.items() if data.startswith(head)), None)
