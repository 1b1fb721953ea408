"""Track code spans that Discord may not recognise as code; it would mask links in them.

Discord pairs the first signs that it finds: bold that begins before a code span and ends within it,
a masked link or a lone backtick undoes the span. Any sign that may be open counts, so some spans
are distrusted without need; that costs a link in code one invisible character.
"""

import re
from typing import Final

WORD_JOINER: Final = "\u2060"

_LINK_END: Final = re.compile(r"\](?=\(\s*(?:<?https?://|\s{20}))", re.IGNORECASE)
_BRACKETS: Final = re.compile(rf"\[[^\[\]\n]*\]|{_LINK_END.pattern}", re.IGNORECASE)
_TICKS: Final = re.compile(r"`+")
_MARK: Final = re.compile(
    r"\\.|(?P<code>(?<!`)(?P<run>`{1,2})(?!`).*?(?<!`)(?P=run)(?!`)|```(?:(?!```).)+```)"
    r"|\]\(<?https?://[^)\s]*\)|https?://[^\s<]+"
    r"|(?P<stray>`|(?P<sign>[*_~|])(?P=sign){3,})"
    r"|(?P<pair>\*\*|__|~~|\|\|)|(?P<one>\*(?!\s)|(?<=\S)\*|_)(?P<word>(?=\w))?",
    re.DOTALL,
)


def break_links(text: str) -> str:
    """Return *text* so that Discord masks no link in it, whatever precedes it."""
    return _LINK_END.sub(f"]{WORD_JOINER}", text)


def break_entering_links(code: str) -> str:
    """Return *code* so that no link ends in it that began before it."""
    return _BRACKETS.sub(
        lambda found: found[0] if found[0] != "]" else f"]{WORD_JOINER}",
        code,
    )


class CodeTracker:
    """Follows the shown text, to know whether Discord takes the next code span for code.

    *is_distrusted* means that the text before is unknown, so that no code can be trusted.
    """

    def __init__(self, *, is_distrusted: bool = False) -> None:
        self._is_distrusted = is_distrusted
        self._unread: list[str] = []
        self._open: list[str] = []

    def follow(self, shown: str) -> None:
        """Take note of what is shown next, other than blocks of code."""
        if not self._is_distrusted:
            self._unread.append(shown)

    def enter_block(self) -> bool:
        """Return whether Discord may not take a block of code that begins here for code.

        Emphasis that is open before the block may end in it, so later code is distrusted too.
        """
        if not self._is_distrusted:
            self._read()
            self._is_distrusted = self._is_distrusted or bool(self._open)
        return self._is_distrusted

    def escape_span(self, span: str) -> str:
        """Return a *span* of code so that Discord masks no link in it here."""
        run = _TICKS.match(span)
        assert run is not None
        # Three backticks begin a block in Discord, which the next three end.
        is_cut_short = len(run[0]) > 3 or (len(run[0]) == 3 and "```" in span[3:-3])
        if is_cut_short:
            self._is_distrusted = True
        if self._is_distrusted or _LINK_END.search(span) is None:
            return break_links(span)
        self._read()
        is_trusted = not (self._is_distrusted or self._open)
        return break_entering_links(span) if is_trusted else break_links(span)

    def distrust(self) -> None:
        """Distrust all code from here on."""
        self._is_distrusted = True

    def _read(self) -> None:
        text = "".join(self._unread)
        self._unread = []
        for mark in _MARK.finditer(text):
            if mark["stray"] or (mark["code"] and any(map(mark["code"].__contains__, self._open))):
                self._is_distrusted = True
                return
            sign = mark["pair"] or mark["one"]
            if sign and sign not in self._open:
                self._open.append(sign)
            elif sign and not (sign == "_" and mark["word"] is not None):
                # It also ends all that was opened within it.
                del self._open[self._open.index(sign) :]
