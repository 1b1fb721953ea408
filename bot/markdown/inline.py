"""Read what is within a line: code, mathematics, links, entities and tags, while text arrives.

A decision is made only when no further text could change it. Text that may still become one of
these constructs is kept back, up to a limit counted from where it begins; beyond the limit it is
plain text. So the same text is read in the same way however it arrives.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from bot.markdown.characters import shows_anything
from bot.markdown.latex import subscript, superscript, to_unicode
from bot.markdown.links import Link, link
from bot.markdown.masked_links import LINK_END, WORD_JOINER, CodeTracker, break_links
from bot.markdown.syntax import MARKER

# Characters of a construct, from its first to its last; decision 014 has the reasons.
CODE_LENGTH: Final = 500
MATH_LENGTH: Final = 300
DISPLAY_LENGTH: Final = 2000
LINK_LENGTH: Final = 1200
TAG_LENGTH: Final = 300
COMMENT_LENGTH: Final = 1000
LONGEST_RUN: Final = 32  # backticks that may begin a span of code

# All other characters are plain text.
SPECIAL: Final = re.compile(r"[\\`$\[\]!&<\n]")
_TICKS: Final = re.compile(r"`+")
# A blank line or another block ends a paragraph even if a span is open.
_PARAGRAPH_END: Final = re.compile(rf"\n[ \t>]*+(?:\r?\n|\||(?:{MARKER}|#{{1,6}})\s|`{{3}}|~{{3}})")
_NOT_BLANK_LINE: Final = r"\n(?![ \t\r]*\n)"
_URL: Final = re.compile(r"[!-;=?-~]*")

_LINK_TEXT: Final = r"(?:[^\[\]\\`\n]|\\[^\n]|`[^`\n]*`|!?\[[^\[\]\n]*\](?:\([^()\s]*\))?){0,200}+"
_LINK_PREFIX: Final = (
    rf"\[{_LINK_TEXT}(?:\\|`[^`\n]*|!?(?:\[[^\[\]\n]*(?:\](?:\([^()\s]*)?)?)?"
    r"|\](?:\([ \t]*(?:<[^\n]*|\S*(?:[ \t]+(?:[\"'(][^\n]*)?)?))?)?"
)
_LINK: Final = (
    rf"\[(?P<text>{_LINK_TEXT})\]"
    r"\([ \t]*(?:<(?P<angled>[^<>\n]*)>|(?P<bare>(?:[^\s()<>]|\([^\s()]*\))*+))"
    r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*\)"
)
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]*)\]\([^()\s]*\)")

# Tags by the sign that they stand for: "_" and "^" begin a script, "`" is code.
_TAGS: Final = {
    **dict.fromkeys(("b", "strong", "summary"), "**"),
    **dict.fromkeys(("i", "em"), "*"),
    **dict.fromkeys(("u", "ins"), "__"),
    **dict.fromkeys(("s", "del", "strike"), "~~"),
    **dict.fromkeys(("mark", "small", "span"), ""),
    **dict.fromkeys(("code", "kbd", "tt", "samp"), "`"),
    "sub": "_",
    "sup": "^",
}
# These signs, or in group 1 an escape or a span of code, which may hold them.
_SIGNS: Final = {
    mark: re.compile(rf"(\\.|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`))|{sign}")
    for mark, sign in (
        ("**", r"\*\*"),
        ("*", r"(?<!\*)\*(?!\*)"),
        ("__", "__"),
        ("~~", "~~"),
    )
}
_MARKUP: Final = frozenset("\\`*_~|<>#-+@:$.)")
# If one of these follows a "<", it begins nothing.
_HARMLESS_AFTER: Final = re.compile(r"[\s\d=.,;)]|\Z")


class NeedMore(Exception):
    """The next token depends on text that has not arrived yet."""


class Buffer(NamedTuple):
    """The text so far; more may arrive unless it *is_whole*."""

    text: str
    is_whole: bool

    def covers(self, at: int, length: int) -> bool:
        """Whether the *length* characters from *at* have all arrived, or the text ends before."""
        return self.is_whole or len(self.text) - at >= length

    def char(self, at: int) -> str:
        """Return the character at *at*, "" at the end; raises NeedMore."""
        if at >= len(self.text) and not self.is_whole:
            raise NeedMore
        return self.text[at : at + 1]

    def line(self, at: int, length: int) -> str | None:
        """Return the line from *at* on without its end, None if longer; raises NeedMore."""
        end = self.text.find("\n", at, at + length)
        if end >= 0:
            return self.text[at:end]
        if len(self.text) - at >= length:
            return None
        if not self.is_whole:
            raise NeedMore
        return self.text[at:]


class Token(NamedTuple):
    """The text that is *shown* for the buffer up to *end*."""

    end: int
    shown: str
    begins_line: bool = False  # The next token begins a line; its margin is in *shown* already.


class Construct:
    """A construct of at most *length* characters.

    *prefix* must match every prefix of what *whole* matches.
    """

    def __init__(self, whole: str, prefix: str, length: int) -> None:
        self.whole = re.compile(whole)
        self.prefix = re.compile(prefix)
        self.length = length

    def match(self, buffer: Buffer, at: int) -> re.Match[str] | None:
        """Return the match at *at*, None if none is possible; raises NeedMore."""
        end = at + self.length
        if found := self.whole.match(buffer.text, at, end):
            return found
        if not buffer.covers(at, self.length) and self.prefix.fullmatch(buffer.text, at):
            raise NeedMore
        return None


_INLINE_MATH: Final = Construct(
    r"\$(?![\s$])((?:[^$\\`\n]|\\[^\n])++)(?<!\s)\$(?![0-9A-Za-z$])",
    r"\$(?:(?![\s$])(?:[^$\\`\n]|\\[^\n])*+\\?)?",
    MATH_LENGTH,
)
_BRACKET_MATH: Final = Construct(
    rf"\\\(((?:[^\\`\n]|\\[^)\n]|{_NOT_BLANK_LINE})++)\\\)",
    rf"\\\((?:[^\\`\n]|\\[^)\n]|{_NOT_BLANK_LINE})*+\\?",
    MATH_LENGTH,
)
_DISPLAY_MATH: Final = Construct(
    rf"\$\$((?:[^$\\`\n]|\\[^\n]|\\?{_NOT_BLANK_LINE})++)\$\$",
    rf"\$\$(?:[^$\\`\n]|\\[^\n]|\\?{_NOT_BLANK_LINE})*+(?:\$|\\)?",
    DISPLAY_LENGTH,
)
_DISPLAY_BRACKETS: Final = Construct(
    rf"\\\[((?:[^\\`\n]|\\[^\]\n]|\\?{_NOT_BLANK_LINE})++)\\\]",
    rf"\\\[(?:[^\\`\n]|\\[^\]\n]|\\?{_NOT_BLANK_LINE})*+\\?",
    DISPLAY_LENGTH,
)
_LINKED: Final = Construct(_LINK, _LINK_PREFIX, LINK_LENGTH)
_PICTURE: Final = Construct(f"!{_LINK}", f"!(?:{_LINK_PREFIX})?", LINK_LENGTH)
# A masked link for Discord, which has no limits, but not here: its text is too long or has a line
# end.
UNREAD_LINK: Final = Construct(
    LINK_END.pattern,
    r"\](?:\(\s*<?(?:[hH](?:[tT](?:[tT](?:[pP](?:[sS]?(?::/?)?)?)?)?)?)?)?",
    50,
)
# The same if markup follows, because what it shows may be an address.
_UNREAD_MARKED_LINK: Final = Construct(
    rf"{LINK_END.pattern}|\](?=\(\s*[^\s()<&\\$]{{0,8}}[<&\\$])",
    r"\](?:\(\s*[^\s()<&\\$]{0,8})?",
    50,
)
_FOOTNOTE: Final = Construct(r"\[\^([\w-]{1,40})\]", r"\[(?:\^[\w-]{0,40})?", 50)
_ENTITY: Final = Construct(
    r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});",
    r"&(?:#(?:\d{0,7}|[xX][\da-fA-F]{0,6})|[A-Za-z][A-Za-z0-9]{0,31})?",
    40,
)
_TAG: Final = Construct(r"<([A-Za-z]{1,10}) ?/?>", r"<(?:[A-Za-z]{1,10} ?/?)?", 14)
_ENCLOSED: Final = Construct(
    r"<([A-Za-z]+) ?/?>([^\n]*?)</\1>", r"<[A-Za-z]+ ?/?>[^\n]*", TAG_LENGTH
)
_SUMMARY: Final = Construct(
    r"(?s)<([A-Za-z]+) ?/?>(.*?)</\1>", r"(?s)<[A-Za-z]+ ?/?>.*", TAG_LENGTH
)
_COMMENT: Final = Construct(r"<!--(?s:.*?)-->", r"<(?:!(?:-(?:-(?s:.*))?)?)?", COMMENT_LENGTH)

_PROSE: Final = re.compile(r"[^\\{}$\n]*?(?<![^\W\d_])[^\W\d_]{2,}+[ \t]+[^\W\d_]{2}")
_STRONG_MATH: Final = re.compile(r"[\\^_=<>+{}]")
_WEAK_MATH: Final = re.compile(r"[-*/|()\[\]!]|\d|\A[^\W\d_]{1,2}\Z")
# A word is no mathematics, but the name of a function and two letters alone are.
_WORD: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]{2,}+(?!\()")
_EAST_ASIAN: Final = "\u1100"  # From here on, letters are words.


class Style:
    """Writes the constructs that were found, as Discord's Markdown."""

    def escape(self, text: str) -> str:
        """Return a character that a backslash escapes."""
        return f"\\{text}"

    def character(self, text: str) -> str:
        """Return a character that an entity names; it begins no markup, whatever is next to it."""
        if text == "]":  # Escaped, it would end a formula.
            return f"]{WORD_JOINER}"
        return f"\\{text}" if text in _MARKUP else text

    def code(self, source: str, content: str) -> str:  # noqa: ARG002  # Plain text has no backticks.
        """Return a span of code, given with its backticks as *source* and without as *content*."""
        return source

    def math(self, source: str) -> str:
        """Return a formula within a line, as a span of code if Unicode cannot express it."""
        shown = to_unicode(source)
        if shown is not None:
            return self.literal(shown)
        return code_span(break_links(" ".join(source.split())))

    def link(self, found: Link) -> tuple[str, str]:
        """Return the link, and a suffix to show after it unless the text already has it there.

        The link is masked if there is a URL to mask.
        """
        suffix = f" ({self.literal(found.target)})" if found.target else ""
        if found.url is None:
            return found.text, suffix
        url = f"<{found.url}>" if re.search(r"[()]", found.url) else found.url
        return f"[{found.text}]({url})", suffix

    def literal(self, text: str) -> str:
        """Return plain *text*, escaped so that none of it is read as markup."""
        text = re.sub(r"[\\`*_$@]|~(?=~)|\|(?=\|)|<(?=[@#:/\w])|\A[-+#>]", r"\\\g<0>", text)
        return text.replace("](", f"]{WORD_JOINER}(")

    def tagged(self, mark: str, content: str) -> str:
        """Return *content*, already in this style, between two *mark*s; those within it go."""
        if not mark or not shows_anything(content):
            return content
        before, _, after = content.partition(content.strip())
        return f"{before}{emphasised(mark, content)}{after}"


MARKED: Final = Style()


class Inline:
    """Reads a text token by token; what precedes a token may decide what it is."""

    def __init__(self, style: Style, code_tracker: CodeTracker) -> None:
        self._style = style
        self._code_tracker = code_tracker
        self.begin_line(None)

    def begin_line(self, margin: str | None) -> None:
        """Continue at the beginning of a line.

        *margin* is what further lines would begin with, None if only one line is possible.
        """
        self._margin = margin
        self._before = ""  # the last few characters
        self._last = ""  # the last character shown
        self._in_url = False

    def token(self, buffer: Buffer, at: int) -> Token:
        """Return the next token from *at* on, up to the line's end; raises NeedMore."""
        is_in_text = self._before.endswith("]") and buffer.text.startswith("(", at)
        breaks_link = self._last == "]" and not is_in_text
        token = self._token(buffer, at)
        if breaks_link and token.shown.startswith("("):
            token = token._replace(shown=f"{WORD_JOINER}{token.shown}")
        self._last = token.shown[-1:] or self._last
        self._code_tracker.follow(token.shown)
        return token

    @property
    def may_form_link(self) -> bool:
        """Whether a parenthesis would form a link, although it follows no bracket in the text."""
        return self._last == "]" and not self._before.endswith("]")

    def omitted(self, buffer: Buffer, end: int) -> Token:
        """Return the token for text up to *end* that is left out; raises NeedMore."""
        # The signs on both sides must not become one sign. No sign begins with a tag.
        is_between = self._before[-1:].strip() and buffer.char(end).strip().strip("<")
        return Token(end, WORD_JOINER if is_between else "")

    def _token(self, buffer: Buffer, at: int) -> Token:
        special = SPECIAL.search(buffer.text, at)
        stop = special.start() if special else len(buffer.text)
        if stop > at:
            return self._plain(buffer, at, stop)
        char = buffer.text[at]
        is_address = self._in_url and char in "\\$![`"
        token = None if is_address else _READERS[char](self, buffer, at)
        if token is None:
            return self._plain(buffer, at, at + 1)
        self._before = buffer.text[token.end - 1]
        self._in_url = self._in_url and char == "&"
        return token

    def _plain(self, buffer: Buffer, at: int, end: int) -> Token:
        shown = buffer.text[at:end]
        recent = self._before + shown
        scheme = recent.rfind("://")
        if scheme >= 0 or self._in_url:
            start = scheme if scheme >= 0 else len(self._before)
            self._in_url = _URL.fullmatch(recent, start) is not None
        self._before = recent[-3:]
        return Token(end, shown)

    def _backslash(self, buffer: Buffer, at: int) -> Token | None:
        char = buffer.char(at + 1)
        if char == "(":
            found = _BRACKET_MATH.match(buffer, at)
            if found and (is_math(found[1]) or _STRONG_MATH.search(found[1])):
                return Token(found.end(), self._style.math(found[1]))
        elif char == "[":
            found = _DISPLAY_BRACKETS.match(buffer, at)
            # Without signs or spaces it may be escaped text: \[sic\].
            if found and (found[1] != found[1].strip() or _STRONG_MATH.search(found[1])):
                return self._displayed(buffer, found)
        if char == "\n":  # Markdown: a line break, which Discord shows for any line end.
            return Token(at + 1, "")
        if char.isalnum() or char.isspace() or not char:
            return None
        # Discord ignores escapes when it masks links.
        joiner = WORD_JOINER if char == "]" and _UNREAD_MARKED_LINK.match(buffer, at + 1) else ""
        return Token(at + 2, self._style.escape(char) + joiner)

    def _code(self, buffer: Buffer, at: int) -> Token | None:
        text = buffer.text
        run = _TICKS.match(text, at, at + LONGEST_RUN)
        assert run is not None
        length = len(run[0])
        if length == LONGEST_RUN:
            return Token(run.end(), run[0])
        buffer.char(run.end())
        limit = at + CODE_LENGTH
        stop = _PARAGRAPH_END.search(text, run.end(), limit)
        for ticks in _TICKS.finditer(text, run.end(), stop.start() if stop else limit):
            if len(ticks[0]) == length and ticks.end() < limit:
                buffer.char(ticks.end())
                span = text[at : ticks.end()]
                return Token(ticks.end(), self._code_shown(span, span[length:-length]))
        if stop or buffer.covers(at, CODE_LENGTH):
            return Token(run.end(), run[0])
        raise NeedMore

    def _code_shown(self, span: str, content: str) -> str:
        return self._style.code(self._code_tracker.escape_span(span), content)

    def _dollar(self, buffer: Buffer, at: int) -> Token | None:
        if self._before.endswith("$"):
            return None
        if buffer.char(at + 1) == "$":
            if buffer.char(at + 2) == "$":
                return Token(at + 3, "$$$")
            found = _DISPLAY_MATH.match(buffer, at)
            if found and is_math(found[1]):
                return self._displayed(buffer, found)
            return Token(at + 2, "$$")
        if re.search(r"[0-9A-Za-z]\Z", self._before) or _PROSE.match(
            buffer.text, at + 1, at + MATH_LENGTH
        ):
            return None
        found = _INLINE_MATH.match(buffer, at)
        if found is None or not is_math(found[1]):
            return None
        buffer.char(found.end())
        return Token(found.end(), self._style.math(found[1]))

    def _displayed(self, buffer: Buffer, found: re.Match[str]) -> Token:
        """Return a displayed formula, with the line ends that it needs around it."""
        margin = self._margin or ""
        content = re.sub(r"\n[ \t]*>+", "\n", found[1]) if ">" in margin else found[1]
        if self._margin is None or to_unicode(content) is not None:
            return Token(found.end(), self._style.math(content))
        self._code_tracker.enter_block()
        lines = [line.strip() for line in break_links(content.strip()).splitlines()]
        block = f"\n{margin}".join(["```latex", *lines, "```"])
        end = found.end()
        while end - found.end() <= LONGEST_RUN and buffer.char(end) in {" ", "\t", "\r"}:
            end += 1
        after = "" if buffer.char(end) in {"", "\n"} else f"\n{margin}"
        before = f"\n{margin}" if self._before.strip() else ""
        return Token(end, before + block + after, begins_line=bool(after))

    def _bracket(self, buffer: Buffer, at: int) -> Token | None:
        if found := _FOOTNOTE.match(buffer, at):
            return Token(found.end(), self._style.literal(footnote(found[1])))
        if (found := _LINKED.match(buffer, at)) is None:
            return None
        text = rendered(_IMAGE.sub(r"\1", found["text"]), self._style)
        linked = link(text, _unescaped(found["angled"] or found["bare"] or ""))
        if linked is None:
            return None
        shown, suffix = self._style.link(linked)
        following = buffer.text[found.end() : found.end() + len(suffix)]
        if suffix.startswith(following) and following != suffix and not buffer.is_whole:
            raise NeedMore
        return Token(found.end(), shown if following == suffix else shown + suffix)

    def _bracket_end(self, buffer: Buffer, at: int) -> Token | None:
        return Token(at + 1, f"]{WORD_JOINER}") if _UNREAD_MARKED_LINK.match(buffer, at) else None

    def _picture(self, buffer: Buffer, at: int) -> Token | None:
        if buffer.char(at + 1) != "[" or (found := _PICTURE.match(buffer, at)) is None:
            return None
        text = rendered(found["text"], self._style)
        url = _unescaped(found["angled"] or found["bare"] or "")
        return Token(found.end(), f"{text}: {url}" if text and url else text or url)

    def _entity(self, buffer: Buffer, at: int) -> Token | None:
        found = _ENTITY.match(buffer, at)
        if found is None or (self._in_url and found[0] != "&amp;"):
            return None
        chars = _unescaped(found[0])
        if chars == found[0]:
            return None
        if chars == "<":
            is_harmless = _HARMLESS_AFTER.match(buffer.char(found.end())) is not None
        else:
            is_harmless = chars == ">" and bool(self._before.strip())
        shown = chars if is_harmless else "".join(map(self._style.character, chars))
        return Token(found.end(), shown)

    def _tag(self, buffer: Buffer, at: int) -> Token | None:
        if comment := _COMMENT.match(buffer, at):
            return self.omitted(buffer, comment.end())
        if (found := _TAG.match(buffer, at)) is None:
            return None
        name = found[1].lower()
        if name == "br":
            return Token(found.end(), f"\n{self._margin or ''}", begins_line=True)
        construct = _SUMMARY if name == "summary" else _ENCLOSED
        if name not in _TAGS or (found := construct.match(buffer, at)) is None:
            return None
        mark, content, end = _TAGS[name], found[2], found.end()
        if name != "summary":
            shown = self._tagged(mark, content)
            return Token(end, shown) if shown else self.omitted(buffer, end)
        ends_line = buffer.char(end) in {"", "\r", "\n"}
        content = re.sub(r"\s*\n[ \t>]*", " ", content).strip()
        after = "" if ends_line else f"\n{self._margin or ''}"
        return Token(end, self._tagged(mark, content) + after, begins_line=not ends_line)

    def _tagged(self, mark: str, content: str) -> str:
        if mark == "`":
            code = break_links(_unescaped(content))  # Backticks may be next to it.
            return self._code_shown(code_span(code), code) if code else ""
        if mark == "_":
            return self._style.literal(subscript(content))
        if mark == "^":
            return self._style.literal(superscript(content))
        return self._style.tagged(mark, rendered(content, self._style))


_READERS: Final[dict[str, Callable[[Inline, Buffer, int], Token | None]]] = {
    "\\": Inline._backslash,
    "`": Inline._code,
    "$": Inline._dollar,
    "[": Inline._bracket,
    "]": Inline._bracket_end,
    "!": Inline._picture,
    "&": Inline._entity,
    "<": Inline._tag,
}


def rendered(text: str, style: Style) -> str:
    """Return all of *text* in *style*; its line ends have no meaning."""
    buffer = Buffer(text, is_whole=True)
    inline = Inline(style, CodeTracker(is_distrusted=True))
    shown: list[str] = []
    at = 0
    while at < len(text):
        token = inline.token(buffer, at)
        shown.append(token.shown)
        at = token.end
    return "".join(shown)


def code_span(content: str) -> str:
    """Return *content* as a span of code, between as many backticks as it needs."""
    runs = {len(run) for run in _TICKS.findall(content)}
    ticks = "`" * next(length for length in range(1, len(runs) + 2) if length not in runs)
    space = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{space}{content}{space}{ticks}"


def emphasised(mark: str, text: str) -> str:
    """Return *text*, which is Discord's Markdown, emphasised as a whole by *mark*."""
    inner = _SIGNS[mark].sub(lambda found: found[1] or "", text).strip()
    return f"{mark}{inner}{mark}" if inner else ""


def footnote(name: str) -> str:
    """Return the reference to a footnote: its number raised, or its name in brackets."""
    return superscript(name) if name.isdecimal() and name.isascii() else f"[{name}]"


def is_math(content: str) -> bool:
    """Whether the text between two dollar signs is mathematics, not money or variable names."""
    content = content.strip()
    if _PROSE.match(content):
        return False
    if _STRONG_MATH.search(content):
        return True
    if not _WEAK_MATH.search(content):
        return False
    return len(content) <= 2 or not (_WORD.search(content) or max(content) >= _EAST_ASIAN)


def _unescaped(text: str) -> str:
    from html import unescape  # noqa: PLC0415  # Its 2231 names are hardly ever needed.

    shown = unescape(text)
    return "".join(" " if char in "\n\r\t\f\v\x85\u2028\u2029" else char for char in shown)
