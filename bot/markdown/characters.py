"""Characters as people see them: which are visible, where one ends, how long Discord counts them.

The boundaries are a compact approximation of Unicode's extended grapheme clusters (UAX #29) on
`unicodedata`. Where they differ, they keep characters together: there is no boundary between a
zero-width joiner and anything but ASCII, nor between a virama and a letter of any script. So a cut
at a boundary found here tears no cluster of the standard, as far as Python's Unicode version knows
its characters, while a few clusters found here hold two of the standard's.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ZERO_WIDTH_JOINER: Final = "\u200d"
# Grapheme_Cluster_Break=Extend or SpacingMark in spite of a category other than mark:
# zero-width non-joiner, Thai and Lao AM, halfwidth kana voice marks.
_EXTENDING: Final = frozenset("\u200c\u200d\u0e33\u0eb3\uff9e\uff9f")
# Grapheme_Cluster_Break=Prepend: number signs and the like that belong to what follows them.
_PREPENDED: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e"
    "\U000110bd\U000110cd\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a"
    "\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)
_VIRAMA_CLASS: Final = 9  # Canonical_Combining_Class of all viramas
# Letters and signs that fonts leave blank: Hangul fillers, the empty Braille pattern, two Khmer
# vowels, the grapheme joiner.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def is_visible_char(char: str) -> bool:
    """Whether *char* shows anything by itself; white space and variation selectors do not."""
    if char.isascii():
        return char.isprintable() and char != " "
    is_selector = "\u180b" <= char <= "\u180f" or "\ufe00" <= char <= "\ufe0f"
    is_selector = is_selector or "\U000e0100" <= char <= "\U000e01ef"
    invisible = is_selector or char in _BLANK
    return not (invisible or unicodedata.category(char) in _INVISIBLE_CATEGORIES)


def utf16_units(text: str) -> int:
    """Return the length of *text* in UTF-16 units; a lone surrogate counts as one."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def is_boundary(text: str, index: int) -> bool:
    """Whether *text* may be cut before *index*; both of its ends are boundaries."""
    if not 0 < index < len(text):
        return True
    before, after = text[index - 1], text[index]
    if before.isascii() and after.isascii():
        return not (before == "\r" and after == "\n")
    if _is_control(before) or _is_control(after):
        return True
    if _extends(after) or before in _PREPENDED:
        return False
    if before == _ZERO_WIDTH_JOINER:
        return after.isascii()
    if _is_regional(before) and _is_regional(after):
        return _regionals_before(text, index) % 2 == 0
    return not (_joins_syllable(before, after) or _joins_conjunct(text, index))


def last_boundary(text: str, index: int, lowest: int = 0) -> int:
    """Return the last boundary of *text* up to *index*, or *lowest* if there is none after it."""
    while index > lowest and not is_boundary(text, index):
        index -= 1
    return index


def _is_control(char: str) -> bool:
    category = unicodedata.category(char)
    if category == "Cf":
        return not (char in _EXTENDING or char in _PREPENDED or _is_tag(char))
    return category in {"Cc", "Zl", "Zp"}


def _extends(char: str) -> bool:
    return (
        unicodedata.category(char) in {"Mn", "Mc", "Me"}
        or char in _EXTENDING
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or _is_tag(char)
    )


def _is_tag(char: str) -> bool:
    return "\U000e0020" <= char <= "\U000e007f"


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _regionals_before(text: str, index: int) -> int:
    first = index
    while first and _is_regional(text[first - 1]):
        first -= 1
    return index - first


def _joins_syllable(before: str, after: str) -> bool:
    """Whether two Hangul characters belong to one syllable (rules GB6 to GB8)."""
    follows = {"L": {"L", "V", "LV", "LVT"}, "LV": {"V", "T"}, "V": {"V", "T"}}
    follows |= {"LVT": {"T"}, "T": {"T"}}
    return _hangul(after) in follows.get(_hangul(before), ())


def _hangul(char: str) -> str:
    if "\uac00" <= char <= "\ud7a3":
        return "LVT" if (ord(char) - 0xAC00) % 28 else "LV"
    if "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c":
        return "L"
    if "\u1160" <= char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6":
        return "V"
    if "\u11a8" <= char <= "\u11ff" or "\ud7cb" <= char <= "\ud7fb":
        return "T"
    return ""


def _joins_conjunct(text: str, index: int) -> bool:
    """Whether a virama binds the letter at *index* to what precedes (rule GB9c, any script)."""
    if unicodedata.category(text[index]) != "Lo":
        return False
    while index and _extends(text[index - 1]):
        index -= 1
        if unicodedata.combining(text[index]) == _VIRAMA_CLASS:
            return True
    return False
