"""What stands within a line: code, mathematics, links, entities and tags, found as text arrives.

A decision is made only where no text that may follow could change it. What may still become one of
these is held back, each no longer than a limit counted from where it begins: beyond that it is what
it looks like, plain text. So the same text is read in the same way however it arrives.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from bot.markdown.characters import is_visible_char
from bot.markdown.latex import lowered, raised, to_unicode
from bot.markdown.links import Link, link
from bot.markdown.masked_links import WORD_JOINER, Doubts, unmasked
from bot.markdown.syntax import MARKER

# Characters from where it begins to where it must have ended.
CODE_LENGTH: Final = 500
MATH_LENGTH: Final = 300
DISPLAY_LENGTH: Final = 2000
LINK_LENGTH: Final = 1200
TAG_LENGTH: Final = 300
COMMENT_LENGTH: Final = 1000
LONGEST_RUN: Final = 32  # backticks that may begin a span of code

# Whatever else there is stands for itself.
SPECIAL: Final = re.compile(r"[\\`$\[\]!&<\n]")
_TICKS: Final = re.compile(r"`+")
# What ends a paragraph in spite of an open span: a blank line, or another block.
_PARAGRAPH_END: Final = re.compile(rf"\n[ \t>]*+(?:\r?\n|\||(?:{MARKER}|#{{1,6}})\s|`{{3}}|~{{3}})")
_NOT_BLANK_LINE: Final = r"\n(?![ \t\r]*\n)"
_URL: Final = re.compile(r"[!-;=?-~]*")

_LINK_TEXT: Final = r"(?:[^\[\]\\`\n]|\\[^\n]|`[^`\n]*`|!?\[[^\[\]\n]*\](?:\([^()\s]*\))?){0,200}+"
_LINK_BEGUN: Final = (
    rf"\[{_LINK_TEXT}(?:\\|`[^`\n]*|!?(?:\[[^\[\]\n]*(?:\](?:\([^()\s]*)?)?)?"
    r"|\](?:\([ \t]*(?:<[^\n]*|\S*(?:[ \t]+(?:[\"'(][^\n]*)?)?))?)?"
)
_LINK: Final = (
    rf"\[(?P<text>{_LINK_TEXT})\]"
    r"\([ \t]*(?:<(?P<angled>[^<>\n]*)>|(?P<bare>(?:[^\s()<>]|\([^\s()]*\))*+))"
    r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*\)"
)
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]*)\]\([^()\s]*\)")

_TAGS: Final = {
    **dict.fromkeys(("b", "strong", "summary"), "**"),
    **dict.fromkeys(("i", "em"), "*"),
    **dict.fromkeys(("u", "ins"), "__"),
    **dict.fromkeys(("s", "del", "strike"), "~~"),
    **dict.fromkeys(("mark", "small", "span"), ""),
}
# These signs, but for those that are escaped or code.
_SIGNS: Final = {
    mark: re.compile(rf"(\\.|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`))|{sign}")
    for mark, sign in (
        ("**", r"\*\*"),
        ("*", r"(?<!\*)\*(?!\*)"),
        ("__", "__"),
        ("~~", "~~"),
    )
}
_CODE_TAGS: Final = frozenset({"code", "kbd", "tt", "samp"})
_MARKUP: Final = frozenset("\\`*_~|<>#-+@:$.)")
# Where these follow a "<", it begins nothing.
_HARMLESS_BEHIND: Final = re.compile(r"[\s\d=.,;)]")


class Undecided(Exception):
    """What stands here depends on text that has not arrived yet."""


class Source(NamedTuple):
    """Text of which more may come, unless it *is_whole*."""

    text: str
    is_whole: bool

    def covers(self, at: int, length: int) -> bool:
        """Whether all that will ever stand in the *length* characters from *at* is here."""
        return self.is_whole or len(self.text) - at >= length

    def char(self, at: int) -> str:
        """Return the character at *at*, "" at the end; raises Undecided."""
        if at >= len(self.text) and not self.is_whole:
            raise Undecided
        return self.text[at : at + 1]

    def line(self, at: int, length: int) -> str | None:
        """Return the line from *at* on without its end, None if longer; raises Undecided."""
        end = self.text.find("\n", at, at + length)
        if end >= 0:
            return self.text[at:end]
        if len(self.text) - at >= length:
            return None
        if not self.is_whole:
            raise Undecided
        return self.text[at:]


class Piece(NamedTuple):
    """What is *shown* for the text up to *end*."""

    end: int
    shown: str
    begins_line: bool = False  # What follows it begins a line, whose margin is shown already.


class Form(NamedTuple):
    """Something that begins and ends: its pattern, that of its beginnings, and its limit."""

    whole: re.Pattern[str]
    begun: re.Pattern[str]
    length: int

    @classmethod
    def of(cls, whole: str, begun: str, length: int) -> "Form":
        """Make a form of two patterns; *begun* matches each beginning of what *whole* matches."""
        return cls(re.compile(whole), re.compile(begun), length)

    def match(self, source: Source, at: int) -> re.Match[str] | None:
        """Return the match at *at*, None where there will be none; raises Undecided."""
        end = at + self.length
        if found := self.whole.match(source.text, at, end):
            return found
        if not source.covers(at, self.length) and self.begun.fullmatch(source.text, at):
            raise Undecided
        return None


_INLINE_MATH: Final = Form.of(
    r"\$(?![\s$])((?:[^$\\`\n]|\\[^\n])++)(?<!\s)\$(?![0-9A-Za-z$])",
    r"\$(?:(?![\s$])(?:[^$\\`\n]|\\[^\n])*+\\?)?",
    MATH_LENGTH,
)
_BRACKET_MATH: Final = Form.of(
    rf"\\\(((?:[^\\`\n]|\\[^)\n]|{_NOT_BLANK_LINE})++)\\\)",
    rf"\\\((?:[^\\`\n]|\\[^)\n]|{_NOT_BLANK_LINE})*+\\?",
    MATH_LENGTH,
)
_DISPLAY_MATH: Final = Form.of(
    rf"\$\$((?:[^$\\`\n]|\\[^\n]|\\?{_NOT_BLANK_LINE})++)\$\$",
    rf"\$\$(?:[^$\\`\n]|\\[^\n]|\\?{_NOT_BLANK_LINE})*+(?:\$|\\)?",
    DISPLAY_LENGTH,
)
_DISPLAY_BRACKETS: Final = Form.of(
    rf"\\\[((?:[^\\`\n]|\\[^\]\n]|\\?{_NOT_BLANK_LINE})++)\\\]",
    rf"\\\[(?:[^\\`\n]|\\[^\]\n]|\\?{_NOT_BLANK_LINE})*+\\?",
    DISPLAY_LENGTH,
)
_LINKED: Final = Form.of(_LINK, _LINK_BEGUN, LINK_LENGTH)
_PICTURE: Final = Form.of(f"!{_LINK}", f"!(?:{_LINK_BEGUN})?", LINK_LENGTH)
# A masked link to Discord, which has no limits, and none here: its text has a line end, or no end.
UNREAD_LINK: Final = Form.of(
    r"\](?=\(\s*<?[hH][tT][tT][pP][sS]?://|\(\s{20})",
    r"\](?:\(\s*<?(?:[hH](?:[tT](?:[tT](?:[pP](?:[sS]?(?::/?)?)?)?)?)?)?)?",
    50,
)
# The same where there is markup, which may show an address.
_UNREAD_MARKED_LINK: Final = Form.of(
    rf"{UNREAD_LINK.whole.pattern}|\](?=\(\s*[^\s()<&\\$]{{0,8}}[<&\\$])",
    r"\](?:\(\s*[^\s()<&\\$]{0,8})?",
    50,
)
_FOOTNOTE: Final = Form.of(r"\[\^([\w-]{1,40})\]", r"\[(?:\^[\w-]{0,40})?", 50)
_ENTITY: Final = Form.of(
    r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});",
    r"&(?:#(?:\d{0,7}|[xX][\da-fA-F]{0,6})|[A-Za-z][A-Za-z0-9]{0,31})?",
    40,
)
_TAG: Final = Form.of(r"<([A-Za-z]{1,10}) ?/?>", r"<(?:[A-Za-z]{1,10} ?/?)?", 14)
_COMMENT: Final = Form.of(r"<!--", r"<(?:!-?)?", 4)

_PROSE: Final = re.compile(r"[^\\{}$\n]*?(?<![^\W\d_])[^\W\d_]{2,}+[ \t]+[^\W\d_]{2}")
_STRONG_MATH: Final = re.compile(r"[\\^_=<>+{}]")
_WEAK_MATH: Final = re.compile(r"[-*/|()\[\]!]|\d|\A[^\W\d_]{1,2}\Z")
# A word is none; the name of a function is, and so are two letters alone.
_WORD: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]{2,}+(?!\()")
_EAST_ASIAN: Final = "\u1100"  # From here on, letters are words.


class Style(Protocol):
    """How what was found is written."""

    def escape(self, char: str) -> str:
        """Return a sign that a backslash escapes."""
        ...

    def character(self, char: str) -> str:
        """Return a character that an entity names."""
        ...

    def code(self, source: str, content: str) -> str:
        """Return a span of code: as it stands, and what is in it."""
        ...

    def math(self, source: str) -> str:
        """Return a formula within a line."""
        ...

    def display(self, source: str, margin: str | None) -> tuple[str, bool]:
        """Return a formula that stands alone, and whether it needs lines of its own.

        They begin with *margin*; None where there is one line only.
        """
        ...

    def link(self, found: Link) -> tuple[str, str]:
        """Return the link, and what is to follow it unless it stands there already."""
        ...

    def literal(self, text: str) -> str:
        """Return *text*, which holds no markup, so that it is read as it stands."""
        ...

    def tagged(self, mark: str, content: str) -> str:
        """Return *content*, already in this style, between *mark*s."""
        ...


class Inline:
    """Reads a text piece by piece; what stands in front of a piece may decide what it is."""

    def __init__(self, style: Style, doubts: Doubts) -> None:
        self._style = style
        self._doubts = doubts
        self.begin_line(None)

    def begin_line(self, margin: str | None) -> None:
        """Go on at the beginning of a line.

        *margin* is what further lines would begin with, None where there is to be one alone.
        """
        self._margin = margin
        self._before = ""  # the last few characters
        self._last = ""  # the last character shown
        self._in_url = False

    def piece(self, source: Source, at: int) -> Piece:
        """Return the next piece from *at* on, up to the line's end; raises Undecided."""
        is_parted = self.may_make_link or not source.text.startswith("(", at)
        is_behind_bracket = self._last == "]"
        piece = self._piece(source, at)
        if is_behind_bracket and is_parted and piece.shown.startswith("("):
            piece = piece._replace(shown=f"{WORD_JOINER}{piece.shown}")
        self._last = piece.shown[-1:] or self._last
        self._doubts.follow(piece.shown)
        return piece

    @property
    def may_make_link(self) -> bool:
        """Whether a parenthesis would make a link, though it follows no bracket in the text."""
        return self._last == "]" and not self._before.endswith("]")

    def left_out(self, source: Source, end: int) -> Piece:
        """Return what is shown where nothing is up to *end*; raises Undecided."""
        # What stood on both sides is not to become one sign. No sign begins with a tag.
        is_between = self._before[-1:].strip() and source.char(end).strip().strip("<")
        return Piece(end, WORD_JOINER if is_between else "")

    def _piece(self, source: Source, at: int) -> Piece:
        special = SPECIAL.search(source.text, at)
        stop = special.start() if special else len(source.text)
        if stop > at:
            return self._plain(source, at, stop)
        char = source.text[at]
        if char == "\n":
            return self._plain(source, at, at + 1)
        is_address = self._in_url and char in "\\$![`"
        piece = None if is_address else _READERS[char](self, source, at)
        if piece is None:
            return self._plain(source, at, at + 1)
        self._before = source.text[piece.end - 1]
        self._in_url = self._in_url and char == "&"
        return piece

    def _plain(self, source: Source, at: int, end: int) -> Piece:
        shown = source.text[at:end]
        seen = self._before + shown
        scheme = seen.rfind("://")
        if scheme >= 0:
            self._in_url = _URL.fullmatch(seen, scheme) is not None
        else:
            self._in_url = self._in_url and _URL.fullmatch(shown) is not None
        self._before = seen[-3:]
        return Piece(end, shown)

    def _backslash(self, source: Source, at: int) -> Piece | None:
        char = source.char(at + 1)
        if char in {"(", "["} and (piece := self._bracketed(source, at, char)):
            return piece
        if char == "\n":  # Markdown: a line break, which the line end is already.
            return Piece(at + 1, "")
        if char.isalnum() or char.isspace() or not char:
            return None
        # Discord masks links without regard to what is escaped.
        joiner = WORD_JOINER if char == "]" and _UNREAD_MARKED_LINK.match(source, at + 1) else ""
        return Piece(at + 2, self._style.escape(char) + joiner)

    def _bracketed(self, source: Source, at: int, bracket: str) -> Piece | None:
        is_display = bracket == "["
        found = (_DISPLAY_BRACKETS if is_display else _BRACKET_MATH).match(source, at)
        if found is None:
            return None
        content = found[1]
        # Without signs or blanks it may be what people escape: \[sic\].
        is_spaced = is_display and content != content.strip()
        if not (_STRONG_MATH.search(content) or is_spaced or (not is_display and is_math(content))):
            return None
        if is_display:
            return self._displayed(source, found)
        return Piece(found.end(), self._style.math(content))

    def _code(self, source: Source, at: int) -> Piece | None:
        text = source.text
        run = _TICKS.match(text, at, at + LONGEST_RUN)
        assert run is not None
        length = len(run[0])
        if length == LONGEST_RUN:
            return Piece(run.end(), run[0])
        source.char(run.end())
        limit = at + CODE_LENGTH
        stop = _PARAGRAPH_END.search(text, run.end(), limit)
        for ticks in _TICKS.finditer(text, run.end(), stop.start() if stop else limit):
            if len(ticks[0]) == length and ticks.end() < limit:
                source.char(ticks.end())
                span = text[at : ticks.end()]
                return Piece(ticks.end(), self._code_shown(span, span[length:-length]))
        if stop or source.covers(at, CODE_LENGTH):
            return Piece(run.end(), run[0])
        raise Undecided

    def _code_shown(self, span: str, content: str) -> str:
        return self._style.code(self._doubts.span(span), content)

    def _dollar(self, source: Source, at: int) -> Piece | None:
        if self._before.endswith("$"):
            return None
        if source.char(at + 1) == "$":
            if source.char(at + 2) == "$":
                return Piece(at + 3, "$$$")
            found = _DISPLAY_MATH.match(source, at)
            if found and is_math(found[1]):
                return self._displayed(source, found)
            return Piece(at + 2, "$$")
        if re.search(r"[0-9A-Za-z]\Z", self._before) or _PROSE.match(
            source.text, at + 1, at + MATH_LENGTH
        ):
            return None
        found = _INLINE_MATH.match(source, at)
        if found is None or not is_math(found[1]):
            return None
        source.char(found.end())
        return Piece(found.end(), self._style.math(found[1]))

    def _displayed(self, source: Source, found: re.Match[str]) -> Piece:
        """Show a formula; what needs lines of its own gets line ends where there are none."""
        margin = self._margin or ""
        content = re.sub(r"\n[ \t]*>+", "\n", found[1]) if ">" in margin else found[1]
        shown, is_block = self._style.display(content, self._margin)
        if not is_block:
            return Piece(found.end(), shown)
        self._doubts.block()
        end = found.end()
        while source.char(end) in {" ", "\t", "\r"}:
            end += 1
            if end - found.end() > LONGEST_RUN:
                break
        behind = "" if source.char(end) in {"", "\n"} else f"\n{margin}"
        before = f"\n{margin}" if self._before.strip() else ""
        return Piece(end, before + shown + behind, begins_line=bool(behind))

    def _bracket(self, source: Source, at: int) -> Piece | None:
        if found := _FOOTNOTE.match(source, at):
            return Piece(found.end(), self._style.literal(footnote(found[1])))
        found = _LINKED.match(source, at)
        return self._linked(source, found) if found else None

    def _linked(self, source: Source, found: re.Match[str]) -> Piece | None:
        text = rendered(_IMAGE.sub(r"\1", found["text"]), self._style)
        seen = link(text, _unescaped(found["angled"] or found["bare"] or ""))
        if seen is None:
            return None
        shown, behind = self._style.link(seen)
        given = source.text[found.end() : found.end() + len(behind)]
        if behind.startswith(given) and given != behind and not source.is_whole:
            raise Undecided
        return Piece(found.end(), shown if given == behind else shown + behind)

    def _bracket_end(self, source: Source, at: int) -> Piece | None:
        return Piece(at + 1, f"]{WORD_JOINER}") if _UNREAD_MARKED_LINK.match(source, at) else None

    def _picture(self, source: Source, at: int) -> Piece | None:
        if source.char(at + 1) != "[" or (found := _PICTURE.match(source, at)) is None:
            return None
        text = rendered(found["text"], self._style)
        url = _unescaped(found["angled"] or found["bare"] or "")
        return Piece(found.end(), f"{text}: {url}" if text and url else text or url)

    def _entity(self, source: Source, at: int) -> Piece | None:
        found = _ENTITY.match(source, at)
        if found is None or (self._in_url and found[0] != "&amp;"):
            return None
        chars = _unescaped(found[0])
        if chars == found[0]:
            return None
        if chars == "<":
            behind = source.char(found.end())
            is_harmless = not behind or _HARMLESS_BEHIND.match(behind) is not None
        else:
            is_harmless = chars == ">" and bool(self._before.strip())
        if is_harmless:
            return Piece(found.end(), chars)
        return Piece(found.end(), "".join(map(self._style.character, chars)))

    def _tag(self, source: Source, at: int) -> Piece | None:
        if _COMMENT.match(source, at):
            return self._comment(source, at)
        found = _TAG.match(source, at)
        if found is None:
            return None
        name = found[1].lower()
        if name == "br":
            return Piece(found.end(), f"\n{self._margin or ''}", begins_line=True)
        return self._enclosed(source, at, found, name)

    def _comment(self, source: Source, at: int) -> Piece | None:
        closing = source.text.find("-->", at + len("<!--"), at + COMMENT_LENGTH)
        if closing < 0:
            if not source.covers(at, COMMENT_LENGTH):
                raise Undecided
            return None
        return self.left_out(source, closing + len("-->"))

    def _enclosed(self, source: Source, at: int, opening: re.Match[str], name: str) -> Piece | None:
        if name not in _TAGS and name not in _CODE_TAGS and name not in {"sub", "sup"}:
            return None
        is_summary = name == "summary"
        limit = at + TAG_LENGTH
        line_end = -1 if is_summary else source.text.find("\n", opening.end(), limit)
        stop = line_end if line_end >= 0 else limit
        closing = f"</{opening[1]}>"
        start = source.text.find(closing, opening.end(), stop)
        if start < 0:
            if line_end < 0 and not source.covers(at, TAG_LENGTH):
                raise Undecided
            return None
        content, end = source.text[opening.end() : start], start + len(closing)
        if is_summary:
            ends_line = source.char(end) in {"", "\r", "\n"}
            content = re.sub(r"\s*\n[ \t>]*", " ", content).strip()
            behind = "" if ends_line else f"\n{self._margin or ''}"
            shown = self._tagged(name, content) + behind
            return Piece(end, shown, begins_line=not ends_line)
        shown = self._tagged(name, content)
        return Piece(end, shown) if shown else self.left_out(source, end)

    def _tagged(self, name: str, content: str) -> str:
        if name in _CODE_TAGS:
            code = unmasked(_unescaped(content))  # Backticks may stand beside it.
            return self._code_shown(code_span(code), code) if code else ""
        if name in {"sub", "sup"}:
            turned = lowered(content) if name == "sub" else raised(content)
            return self._style.literal(turned)
        return self._style.tagged(_TAGS[name], rendered(content, self._style))


_READERS: Final[dict[str, Callable[[Inline, Source, int], Piece | None]]] = {
    "\\": Inline._backslash,
    "`": Inline._code,
    "$": Inline._dollar,
    "[": Inline._bracket,
    "]": Inline._bracket_end,
    "!": Inline._picture,
    "&": Inline._entity,
    "<": Inline._tag,
}


class Marked:
    """Discord's Markdown."""

    def escape(self, char: str) -> str:
        """Return an escaped character."""
        return f"\\{char}"

    def character(self, char: str) -> str:
        """Return *char* so that it begins no markup, whatever stands beside it."""
        if char == "]":  # Escaped, it would end a formula.
            return f"]{WORD_JOINER}"
        return f"\\{char}" if char in _MARKUP else char

    def code(self, source: str, content: str) -> str:  # noqa: ARG002  # the style's
        """Return a span of code as it was."""
        return source

    def math(self, source: str) -> str:
        """Return a formula within a line, in a span of code where Unicode cannot set it."""
        shown = to_unicode(source)
        if shown is not None:
            return self.literal(shown)
        return code_span(unmasked(" ".join(source.split())))

    def display(self, source: str, margin: str | None) -> tuple[str, bool]:
        """Return a formula that stands alone, in a block of code where Unicode cannot set it."""
        if margin is None or to_unicode(source) is not None:
            return self.math(source), False
        lines = [line.strip() for line in unmasked(source.strip()).splitlines()]
        return f"\n{margin}".join(["```latex", *lines, "```"]), True

    def link(self, found: Link) -> tuple[str, str]:
        """Return a masked link, or its text where that is all there is to show."""
        behind = f" ({self.literal(found.behind)})" if found.behind else ""
        if found.url is None:
            return found.text, behind
        url = f"<{found.url}>" if re.search(r"[()]", found.url) else found.url
        return f"[{found.text}]({url})", behind

    def literal(self, text: str) -> str:
        """Return *text* with that escaped which Discord would read as markup."""
        text = re.sub(r"[\\`*_$@]|~(?=~)|\|(?=\|)|<(?=[@#:/\w])|\A[-+#>]", r"\\\g<0>", text)
        return text.replace("](", f"]{WORD_JOINER}(")

    def tagged(self, mark: str, content: str) -> str:
        """Return *content* between marks, which are not in it a second time."""
        if not mark or not any(map(is_visible_char, content)):
            return content
        before, _, after = content.partition(content.strip())
        return f"{before}{emphasised(mark, content)}{after}"


MARKED: Final = Marked()


def rendered(text: str, style: Style) -> str:
    """Return all of *text*, which has no line ends that matter, in *style*."""
    source = Source(text, is_whole=True)
    inline = Inline(style, Doubts(are_sure=True))
    shown: list[str] = []
    at = 0
    while at < len(text):
        piece = inline.piece(source, at)
        shown.append(piece.shown)
        at = piece.end
    return "".join(shown)


def code_span(content: str) -> str:
    """Return *content* as a span of code, between as many backticks as that takes."""
    runs = {len(run) for run in _TICKS.findall(content)}
    ticks = "`" * next(length for length in range(1, len(runs) + 2) if length not in runs)
    space = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{space}{content}{space}{ticks}"


def emphasised(mark: str, text: str) -> str:
    """Return *text*, Discord's Markdown, between *mark*s as a whole."""
    inner = _SIGNS[mark].sub(lambda found: found[1] or "", text).strip()
    return f"{mark}{inner}{mark}" if inner else ""


def footnote(name: str) -> str:
    """Return the sign of a footnote: its raised number, or its name in brackets."""
    return raised(name) if name.isdecimal() and name.isascii() else f"[{name}]"


def is_math(content: str) -> bool:
    """Whether what stands between dollars is mathematics, not money or names of variables."""
    content = content.strip()
    if _PROSE.match(content):
        return False
    if _STRONG_MATH.search(content):
        return True
    if not _WEAK_MATH.search(content):
        return False
    return len(content) <= 2 or not (_WORD.search(content) or max(content) >= _EAST_ASIAN)


def _unescaped(text: str) -> str:
    from html import unescape  # noqa: PLC0415  # its 2231 names are hardly ever needed

    shown = unescape(text)
    return "".join(" " if char in "\n\r\t\f\v\x85\u2028\u2029" else char for char in shown)
