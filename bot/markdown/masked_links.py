"""Track code spans that Discord may not recognise as code; it would mask links in them.

Discord pairs the first signs that it finds: bold that begins before a code span and ends within it,
a masked link or a lone backtick undoes the span. Any sign that may be open counts, so some spans
are distrusted without need; that costs a link in code one invisible character.
"""

import re
from typing import Final

WORD_JOINER: Final = "\u2060"

# The end of the text of a link that Discord would mask.
LINK_END: Final = re.compile(r"\](?=\(\s*(?:<?(?ai:https?)://|\s{20}))")
_BRACKETS: Final = re.compile(rf"\[[^\[\]\n]*\]|{LINK_END.pattern}")
_MARK: Final = re.compile(
    r"\\.|(?P<code>(?<!`)(?P<run>`{1,2})(?!`).*?(?<!`)(?P=run)(?!`)|```(?:(?!```).)+```)"
    r"|\]\(<?https?://[^)\s]*\)|https?://[^\s<]+"
    r"|(?P<stray>`|(?P<sign>[*_~|])(?P=sign){3,})"
    r"|(?P<pair>\*\*|__|~~|\|\|)|(?P<one>\*(?!\s)|(?<=\S)\*|_)(?P<word>(?=\w))?",
    re.DOTALL,
)


def break_links(text: str) -> str:
    """Return *text* so that Discord masks no link in it, whatever precedes it."""
    return LINK_END.sub(f"]{WORD_JOINER}", text)


def break_entering_links(code: str) -> str:
    """Return *code* so that no link ends in it that began before it."""
    return _BRACKETS.sub(lambda found: f"]{WORD_JOINER}" if found[0] == "]" else found[0], code)


class CodeTracker:
    """Follows the shown text, to know whether Discord takes the next code span for code.

    If it *is_distrusted*, no code is trusted, since the text before is unknown or leaves code open.
    """

    def __init__(self, *, is_distrusted: bool = False) -> None:
        self.is_distrusted = is_distrusted
        self._unread: list[str] = []
        self._open: list[str] = []

    def follow(self, shown: str) -> None:
        """Take note of what is shown next, other than blocks of code."""
        if not self.is_distrusted:
            self._unread.append(shown)

    def enter_block(self) -> bool:
        """Return whether Discord may not recognise a block of code that begins here.

        Emphasis that is open before the block may end in it, so later code is distrusted too.
        """
        self.is_distrusted = self._may_be_open()
        return self.is_distrusted

    def escape_span(self, span: str) -> str:
        """Return a *span* of code so that Discord masks no link in it here."""
        # Three backticks begin a block in Discord, which the next three end.
        if span.startswith("````") or (span.startswith("```") and "```" in span[3:-3]):
            self.is_distrusted = True
        if LINK_END.search(span) is None:
            return span
        return break_links(span) if self._may_be_open() else break_entering_links(span)

    def _may_be_open(self) -> bool:
        """Whether something may be open that would keep Discord from taking code for code."""
        text = "" if self.is_distrusted else "".join(self._unread)
        self._unread = []
        for mark in _MARK.finditer(text):
            if mark["stray"] or (mark["code"] and any(map(mark["code"].__contains__, self._open))):
                self.is_distrusted = True
                break
            sign = mark["pair"] or mark["one"]
            if sign and sign not in self._open:
                self._open.append(sign)
            elif sign and not (sign == "_" and mark["word"] is not None):
                # It also ends all that was opened within it.
                del self._open[self._open.index(sign) :]
        return self.is_distrusted or bool(self._open)
