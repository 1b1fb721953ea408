"""Text files are recognised in the encodings that people use."""

import random
import struct
import zlib

import pytest

from bot.attachments.text_encoding import decode

KOREAN = "안녕하세요, 이것은 한국어 문서입니다.\r\n두 번째 줄: 값 = 12\n"
ENGLISH = "def main() -> None:\n\tprint('hello')  # café\n"
FRENCH = "Déjà vu : l'été à la plage, où l'on mange des crêpes.\n"
JAPANESE = "これは日本語です。漢字も。\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (ENGLISH, "utf-8"),
        (ENGLISH, "utf-8-sig"),
        (ENGLISH, "utf-16"),
        (ENGLISH, "utf-16-le"),
        (ENGLISH, "utf-16-be"),
        (ENGLISH, "latin-1"),
        (FRENCH, "utf-8"),
        (FRENCH, "latin-1"),
        ("“Smart quotes” – and a dash…\n", "cp1252"),
        (KOREAN, "utf-8"),
        (KOREAN, "cp949"),
        (KOREAN, "utf-16"),
        (KOREAN, "utf-16-le"),
        (KOREAN, "utf-16-be"),
        (JAPANESE, "utf-8"),
        (JAPANESE, "utf-16"),
        ("🎉👍🏽\n", "utf-8"),
        ("\x1b[31mred\x1b[0m\x0c\n", "ascii"),
        ("", "utf-8"),
    ],
)
def test_text_is_read_in_its_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", [KOREAN, FRENCH, JAPANESE, "🎉👍🏽 café\n"])
def test_utf_8_with_one_invalid_sequence_is_read_as_utf_8(text: str) -> None:
    """It is not read as gibberish in another encoding."""
    data = text.encode()
    for bad in (b"\xff", b"\xc3", b"\xe9"):
        assert decode(bad + data) == f"\ufffd{text}"
        assert decode(data + bad) == f"{text}\ufffd"


def picture() -> bytes:
    """Return a PNG."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" + bytes(range(12)) * 4)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize(
    "data",
    [
        picture(),
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)),
        b"GIF89a\x04\x00\x04\x00\x80\x00\x00" + bytes(range(40)),
        b"PK\x03\x04 all of it could be text",
        b"%PDF-1.7\nso could this",
        b"\x7fELF\x02\x01\x01" + bytes(9),
        b"\x1f\x8b\x08" + zlib.compress(b"text" * 100),
        bytes(1000),
        b"almost text, but for a \x07 bell and \x00 zeros \x00\x00\x00",
    ],
    ids=["png", "jpeg", "gif", "zip", "pdf", "elf", "gzip", "zeros", "bells"],
)
def test_binary_files_are_not_text(data: bytes) -> None:
    assert decode(data) is None


def test_random_bytes_are_not_text() -> None:
    chance = random.Random(1)
    texts = [decode(chance.randbytes(400)) for _ in range(500)]
    assert texts == [None] * 500


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949", "utf-16-be"])
def test_a_truncated_file_is_read_to_its_end(encoding: str) -> None:
    data = (KOREAN * 3).encode(encoding)
    for end in range(len(data) - 12, len(data)):
        text = decode(data[:end], cut=True)
        assert text is not None
        assert (KOREAN * 3).startswith(text)
        assert len(text) > len(KOREAN) * 2
