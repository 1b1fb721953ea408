"""Pictures are recognised by their first bytes."""

import pytest

from bot.conversation.images import IMAGE_TYPES, Image, image_type
from tests.pictures import png


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png(), "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF87a\x01\x00", "image/gif"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", None),
        (b"\0\0\0\x1cftypheic", None),
        (b"II*\0", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"%PDF-1.7", None),
        (b"\x89PNG", None),
        (b"", None),
    ],
)
def test_a_picture_is_recognised_by_its_first_bytes(data: bytes, kind: str | None) -> None:
    assert image_type(data) == image_type(bytearray(data)) == kind
    assert kind is None or kind in IMAGE_TYPES


def test_the_repr_of_a_picture_has_no_bytes() -> None:
    assert repr(Image(b"secret", "image/png")) == "Image(content_type='image/png')"
