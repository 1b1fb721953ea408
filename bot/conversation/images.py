"""Tell pictures that models see from other bytes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

PROMPT_IMAGE_BYTES: Final = 20_000_000  # of the pictures of a prompt; as base64 a third more
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
    """A picture as it is sent to a model."""

    data: bytes = field(repr=False)
    content_type: str

    def release(self) -> None:
        """Forget what is in it, whoever still has it: it is sent."""
        self.data = b""


@dataclass(frozen=True, slots=True)
class PendingImage:
    """A picture that is yet to be fetched, of *size* bytes.

    *fetch* returns it, or what people are told where it cannot be had.
    """

    size: int
    fetch: Callable[[], Awaitable[Image | str]] = field(repr=False)


def image_type(data: bytes | bytearray) -> str | None:
    """Return the content type of the picture that begins with *data*, None where it is none."""
    if (data[:4], data[8:12]) == _WEBP:
        return "image/webp"
    return next((kind for head, kind in _BEGINNINGS.items() if data.startswith(head)), None)
