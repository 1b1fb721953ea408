"""Decode text files, in the encodings that people use, and tell them from other files."""

import re
from collections.abc import Iterator
from typing import Final

# Characters that no text has: control characters other than white space, form feeds and escapes;
# private use and noncharacters, which other bytes become if they are read as UTF-16.
_NO_TEXT: Final = re.compile(
    r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ue000-\uf8ff\ufdd0-\ufdef\uffff]"
)
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
# PDF, RTF, ZIP (as of office programs) and gzip: files that may decode, but are no text.
_OTHER_FORMATS: Final = (b"%PDF-", b"{\\rtf", b"PK\x03\x04", b"\x1f\x8b")
_LONGEST_CHARACTER: Final = 4  # bytes; a file that was cut may end within a character
_HANGUL: Final = re.compile("[\uac00-\ud7a3\u3131-\u318e]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_MIN_HANGUL: Final = 0.5  # share of the characters outside ASCII
_DAMAGE: Final = "\ufffd"
# Share of the characters outside ASCII. CP949 read as UTF-8 has more invalid sequences, and Latin-1
# has hardly anything else.
_MAX_DAMAGE: Final = 0.2


def decode(data: bytes, *, cut: bool = False) -> str | None:
    """Return the text in *data*, None if it is no text; if *cut*, it may end within a character.

    Reads UTF-8, UTF-16 with and without a byte order mark, CP949, Windows-1252 and Latin-1. Invalid
    sequences in UTF-8 become U+FFFD if they are few.
    """
    if data.startswith(_OTHER_FORMATS):
        return None
    for text in _readings(data, cut=cut):
        if not _NO_TEXT.search(text):
            return text
    return None


def _readings(data: bytes, *, cut: bool) -> Iterator[str]:
    """Try the encodings in turn; those that hardly fit by chance come first."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            yield from _decoded(data[len(mark) :], encoding, cut=cut)
            return
    yield from _decoded(data, "utf-8", cut=cut)
    if b"\0" in data:
        for encoding in _utf_16_without_mark(data):
            yield from _decoded(data, encoding, cut=cut)
        return
    repaired = data.decode("utf-8", "replace")
    if repaired.count(_DAMAGE) <= len(_NOT_ASCII.findall(repaired)) * _MAX_DAMAGE:
        yield repaired
    for text in _decoded(data, "cp949", cut=cut):
        not_ascii = len(_NOT_ASCII.findall(text))
        if len(_HANGUL.findall(text)) >= not_ascii * _MIN_HANGUL:
            yield text
    yield from _decoded(data, "cp1252", cut=False)
    yield from _decoded(data, "latin-1", cut=False)


def _utf_16_without_mark(data: bytes) -> Iterator[str]:
    """Guess the byte order from the zero bytes of spaces and line ends."""
    zeros_first, zeros_second = data[::2].count(0), data[1::2].count(0)
    if zeros_second > zeros_first:
        yield "utf-16-le"
    elif zeros_first > zeros_second:
        yield "utf-16-be"


def _decoded(data: bytes, encoding: str, *, cut: bool) -> Iterator[str]:
    """Yield the text if *data* is valid; if *cut*, its last character may be incomplete."""
    for missing in range(_LONGEST_CHARACTER if cut else 1):
        try:
            yield data[: len(data) - missing].decode(encoding)
        except UnicodeDecodeError:
            continue
        return
