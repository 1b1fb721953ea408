"""Render Discord's Markdown as HTML, with people's text always escaped."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any, Final
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from bot.sandbox.page.markup_rules import use_discord_rules

_NESTED_AT_MOST: Final = 20  # quotes in lists in quotes; Discord stops much earlier
_FORMATTER: Final = HtmlFormatter(nowrap=True, classprefix="hl-")
_TIMES: Final = {
    "t": "%H:%M",
    "T": "%H:%M:%S",
    "d": "%d/%m/%Y",
    "D": "%d %B %Y",
    "f": "%d %B %Y %H:%M",
    "F": "%A, %d %B %Y %H:%M",
}
_SPANS: Final = ((31_536_000, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class Names:
    """The names of ids, as people see them."""

    users: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: str, number: str) -> str:
        """Return the name of a user, role or channel with its sign."""
        if kind == "channel":
            return f"#{self.channels.get(number, 'unknown')}"
        if kind == "role":
            return f"@{self.roles.get(number, 'unknown-role')}"
        return f"@{self.users.get(number, 'unknown-user')}"


def render(text: str, names: Names) -> str:
    """Return the HTML of *text*: tags of this module's own, classes, and escaped text."""
    return str(_MARKDOWN.render(text, {"names": names}))


def is_web_address(address: str) -> bool:
    """Return whether *address* may become a link."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


class _Renderer(RendererHTML):
    def text(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return escape(tokens[idx].content)

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return _code_block(tokens[idx].content, tokens[idx].info)

    def code_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        token = tokens[idx]
        if token.markup == "```":
            return _code_block(token.content, "")
        return f"<code>{escape(token.content)}</code>"

    def strong_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return "<u>" if tokens[idx].markup == "__" else "<strong>"

    def strong_close(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return "</u>" if tokens[idx].markup == "__" else "</strong>"

    def link_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        address = escape(str(tokens[idx].attrs.get("href", "")))
        return f'<a href="{address}" target="_blank" rel="noopener noreferrer">'

    def spoiler_open(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        button = 'role="button" tabindex="0" aria-expanded="false" aria-label="Spoiler"'
        return f'<span class="spoiler" {button}><span class="spoiler-text">'

    def spoiler_close(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        return "</span></span>"

    def small_open(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        return '<p class="small">'

    def small_close(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        return "</p>\n"

    def pointed(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        token, kind = tokens[idx], tokens[idx].info
        if kind == "time":
            return _time(int(token.content), token.markup)
        if kind == "emoji":
            return f'<span class="emoji">:{escape(token.content)}:</span>'
        shown = {"command": f"/{token.content}", "everyone": token.content}.get(kind)
        name = env["names"].of(kind, token.content) if shown is None else shown
        return f'<span class="mention">{escape(name)}</span>'


def _code_block(code: str, language: str) -> str:
    try:
        lexer = get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        shown = escape(code)
    else:
        shown = highlight(code, lexer, _FORMATTER)
    return f'<pre tabindex="0" aria-label="Code"><code>{shown}</code></pre>\n'


def _time(unix: int, style: str) -> str:
    try:
        moment = datetime.fromtimestamp(unix, UTC)
    except (ValueError, OverflowError, OSError):
        return "<span>Invalid Date</span>"
    style = style or "f"
    shown = _relative(unix - time.time()) if style == "R" else f"{moment:{_TIMES[style]}} UTC"
    return f'<time datetime="{moment.isoformat()}">{escape(shown)}</time>'


def _relative(seconds: float) -> str:
    size = abs(seconds)
    for length, name in _SPANS:
        if size >= length:
            count = int(size // length)
            span = f"{count} {name}{'s' if count > 1 else ''}"
            return f"in {span}" if seconds > 0 else f"{span} ago"
    return "now"


def _made() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": _NESTED_AT_MOST}
    md = MarkdownIt("zero", options, renderer_cls=_Renderer)
    use_discord_rules(md)
    md.validateLink = is_web_address  # type: ignore[method-assign, assignment]  # its way
    return md


_MARKDOWN: Final = _made()
