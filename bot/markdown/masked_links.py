"""Tell where Discord may not see code although Markdown does: links there would be masked.

Discord pairs what it finds first: bold that begins in front of code and ends within it, a masked
link or a lone backtick does away with the code. Anything that may be open counts, so there are
doubts where there need be none; they cost a link in code a sign that nobody sees.
"""

import re
from typing import Final

WORD_JOINER: Final = "\u2060"

_LINK_END: Final = re.compile(r"\](?=\(\s*(?:<?https?://|\s{20}))", re.IGNORECASE)
_BRACKETS: Final = re.compile(rf"\[[^\[\]\n]*\]|{_LINK_END.pattern}", re.IGNORECASE)
_TICKS: Final = re.compile(r"`+")
_TOKEN: Final = re.compile(
    r"\\.|(?P<code>(?<!`)(?P<run>`{1,2})(?!`).*?(?<!`)(?P=run)(?!`)|```(?:(?!```).)+```)"
    r"|\]\(<?https?://[^)\s]*\)|https?://[^\s<]+"
    r"|(?P<stray>`|(?P<sign>[*_~|])(?P=sign){3,})"
    r"|(?P<pair>\*\*|__|~~|\|\|)|(?P<one>\*(?!\s)|(?<=\S)\*|_)(?P<word>(?=\w))?",
    re.DOTALL,
)


def unmasked(text: str) -> str:
    """Return *text* so that Discord masks no link in it, whatever stands in front."""
    return _LINK_END.sub(f"]{WORD_JOINER}", text)


def closed(code: str) -> str:
    """Return *code* so that no link ends in it which begins in front of it."""
    return _BRACKETS.sub(
        lambda found: found[0] if found[0] != "]" else f"]{WORD_JOINER}",
        code,
    )


class Doubts:
    """Follows what is shown; *are_sure* where nothing is known of what stands in front."""

    def __init__(self, *, are_sure: bool = False) -> None:
        self._are_sure = are_sure
        self._unread: list[str] = []
        self._open: list[str] = []

    def follow(self, shown: str) -> None:
        """Take in what is shown next, other than blocks of code."""
        if not self._are_sure:
            self._unread.append(shown)

    def block(self) -> bool:
        """Return whether there are doubts about a block of code that begins here.

        What is open in front of it may end in it. So there are doubts from then on.
        """
        if not self._are_sure:
            self._read()
            self._are_sure = self._are_sure or bool(self._open)
        return self._are_sure

    def span(self, source: str) -> str:
        """Return a span of code as it is to be shown here."""
        run = _TICKS.match(source)
        assert run is not None
        # Discord takes three backticks for a block, which the next three end.
        is_torn = len(run[0]) > 3 or (len(run[0]) == 3 and "```" in source[3:-3])
        if is_torn:
            self._are_sure = True
        if self._are_sure or _LINK_END.search(source) is None:
            return unmasked(source)
        self._read()
        return unmasked(source) if self._are_sure or self._open else closed(source)

    def rise(self) -> None:
        """Have doubts from here on."""
        self._are_sure = True

    def _read(self) -> None:
        text = "".join(self._unread)
        self._unread = []
        for token in _TOKEN.finditer(text):
            if token["stray"] or (
                token["code"] and any(map(token["code"].__contains__, self._open))
            ):
                self._are_sure = True
                return
            sign = token["pair"] or token["one"]
            if sign and sign not in self._open:
                self._open.append(sign)
            elif sign and not (sign == "_" and token["word"] is not None):
                # What is still open within ends there, too.
                del self._open[self._open.index(sign) :]
