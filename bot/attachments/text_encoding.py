"""Tell text from other bytes, in the encodings that people's files have."""

import re
from collections.abc import Iterator
from typing import Final

# What no text holds: control characters but for white space, form feeds and escape sequences;
# what UTF-16 makes of other bytes: private use, noncharacters.
_NO_TEXT: Final = re.compile(
    r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ue000-\uf8ff\ufdd0-\ufdef\uffff]"
)
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_BEGINNINGS_OF_OTHERS: Final = (b"%PDF-", b"{\\rtf", b"PK\x03\x04", b"\x1f\x8b")
_LONGEST_CHARACTER: Final = 4  # bytes: a file that was cut may end in the middle of one
_HANGUL: Final = re.compile("[\uac00-\ud7a3\u3131-\u318e]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_MOSTLY: Final = 0.5
_DAMAGE: Final = "\ufffd"
# CP949 read as UTF-8 has more invalid sequences than this, and Latin-1 hardly anything else.
_FEW: Final = 0.2


def decode(data: bytes, *, cut: bool = False) -> str | None:
    """Return the text that *data* holds, None where it is none; *cut*: it may end anywhere.

    UTF-8, UTF-16 with and without a byte order mark, CP949 and Windows-1252 with what it shares
    with Latin-1. In UTF-8 with few invalid sequences, each becomes U+FFFD.
    """
    if data.startswith(_BEGINNINGS_OF_OTHERS):
        return None
    for text in _readings(data, cut=cut):
        if not _NO_TEXT.search(text):
            return text
    return None


def _readings(data: bytes, *, cut: bool) -> Iterator[str]:
    """Try one encoding after the other, those that fit little by chance first."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            yield from _decoded(data[len(mark) :], encoding, cut=cut)
            return
    yield from _decoded(data, "utf-8", cut=cut)
    if b"\0" in data:
        for encoding in _utf_16_without_mark(data):
            yield from _decoded(data, encoding, cut=cut)
        return
    mended = data.decode("utf-8", "replace")
    if mended.count(_DAMAGE) <= len(_NOT_ASCII.findall(mended)) * _FEW:
        yield mended
    for text in _decoded(data, "cp949", cut=cut):
        foreign = len(_NOT_ASCII.findall(text))
        if len(_HANGUL.findall(text)) >= foreign * _MOSTLY:
            yield text
    yield from _decoded(data, "cp1252", cut=False)
    yield from _decoded(data, "latin-1", cut=False)


def _utf_16_without_mark(data: bytes) -> Iterator[str]:
    """Tell by where the zeros of its spaces and line ends are."""
    zeros_first, zeros_second = data[::2].count(0), data[1::2].count(0)
    if zeros_second > zeros_first:
        yield "utf-16-le"
    elif zeros_first > zeros_second:
        yield "utf-16-be"


def _decoded(data: bytes, encoding: str, *, cut: bool) -> Iterator[str]:
    """Return the text, if it is any in this encoding; what is *cut* may lack its last character."""
    for missing in range(_LONGEST_CHARACTER if cut else 1):
        try:
            yield data[: len(data) - missing].decode(encoding)
        except UnicodeDecodeError:
            continue
        return
