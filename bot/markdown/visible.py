"""Tell what people see: a text may be long and show nothing."""

import unicodedata
from typing import Final

# Letters and signs that fonts leave blank: Hangul fillers, the empty Braille pattern, two Khmer
# vowels, the grapheme joiner. Variation selectors alone show nothing either.
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def is_seen(char: str) -> bool:
    """Whether *char* alone shows anything."""
    if char.isascii():
        return char.isprintable() and char != " "
    is_selector = "\u180b" <= char <= "\u180f" or "\ufe00" <= char <= "\ufe0f"
    is_selector = is_selector or "\U000e0100" <= char <= "\U000e01ef"
    return not (is_selector or char in _BLANK or unicodedata.category(char) in _UNSEEN)
