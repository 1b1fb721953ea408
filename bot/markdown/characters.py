"""Characters as people see them: which are visible, where one ends, how long Discord counts them.

The boundaries are a compact approximation of Unicode's extended grapheme clusters (UAX #29) on
`unicodedata`. Where they differ, they keep characters together: there is no boundary between a
zero-width joiner and anything but ASCII, nor between a virama and a letter of any script. So a cut
at a boundary found here tears no cluster of the standard, as far as Python's Unicode version knows
its characters, while a few clusters found here hold two of the standard's.
"""

import re
import unicodedata
from typing import Final

JOINERS: Final = "\u200c\u200d"  # They join emoji, and shape Persian words.
_ZERO_WIDTH_JOINER: Final = "\u200d"
_REGIONALS: Final = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # A flag consists of two.
# Grapheme_Cluster_Break=Extend or SpacingMark in spite of a category other than mark:
# zero-width non-joiner, Thai and Lao AM, halfwidth kana voice marks, skin tones, tags.
_EXTENDING: Final = frozenset(
    "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
).union(map(chr, range(0xE0020, 0xE0080)))
# Grapheme_Cluster_Break=Prepend: number signs and the like that belong to what follows them.
_PREPENDED: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e"
    "\U000110bd\U000110cd\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a"
    "\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)
_VIRAMA_CLASS: Final = 9  # Canonical_Combining_Class of all viramas
# Variation selectors, and letters and signs that fonts leave blank: Hangul fillers, the empty
# Braille pattern, two Khmer vowels, the grapheme joiner.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Two Hangul letters of one syllable (rules GB6 to GB8).
_LEADING: Final = "\u1100-\u115f\ua960-\ua97c"
_VOWELS: Final = "\u1160-\u11a7\ud7b0-\ud7c6"
_TRAILING: Final = "\u11a8-\u11ff\ud7cb-\ud7fb"
_IN_SYLLABLE: Final = re.compile(
    f"[{_LEADING}][{_LEADING}{_VOWELS}]|[{_VOWELS}][{_VOWELS}{_TRAILING}]|[{_TRAILING}]{{2}}"
)


def shows_anything(text: str) -> bool:
    """Whether *text* has a visible character; white space and variation selectors are not."""
    return any(map(_is_visible, text))


def _is_visible(char: str) -> bool:
    if char.isascii():
        return char.isprintable() and char != " "
    return not (_BLANK.match(char) or unicodedata.category(char) in _INVISIBLE_CATEGORIES)


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
    if before in _REGIONALS and after in _REGIONALS:
        regionals = index - len(text[:index].rstrip(_REGIONALS))
        return regionals % 2 == 0
    # Syllables join as the letters do that they consist of.
    letters = unicodedata.normalize("NFD", before)[-1] + unicodedata.normalize("NFD", after)[0]
    return not (_IN_SYLLABLE.match(letters) or _joins_conjunct(text, index))


def last_boundary(text: str, index: int, lowest: int = 0) -> int:
    """Return the last boundary of *text* up to *index*, or *lowest* if there is none after it."""
    while index > lowest and not is_boundary(text, index):
        index -= 1
    return index


def _is_control(char: str) -> bool:
    category = unicodedata.category(char)
    if category == "Cf":
        return char not in _EXTENDING and char not in _PREPENDED
    return category in {"Cc", "Zl", "Zp"}


def _extends(char: str) -> bool:
    return char in _EXTENDING or unicodedata.category(char) in {"Mn", "Mc", "Me"}


def _joins_conjunct(text: str, index: int) -> bool:
    """Whether a virama binds the letter at *index* to what precedes (rule GB9c, any script)."""
    if unicodedata.category(text[index]) != "Lo":
        return False
    while index and _extends(text[index - 1]):
        index -= 1
        if unicodedata.combining(text[index]) == _VIRAMA_CLASS:
            return True
    return False
