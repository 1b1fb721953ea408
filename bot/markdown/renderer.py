"""Turn the Markdown of models into what Discord renders, while it is still arriving.

Lines are read as CommonMark and GitHub read them, as far as models use that: tables, headings,
rules, task lists, footnotes and fences; `inline.py` reads what is within a line. Code stays as
people see it, and is written so that Discord recognises it as code.

Text is passed on as soon as it can no longer change. For prose that is at once, except for the
first three words of a line, which may be the first cell of a table. A line that begins like one of
these blocks is kept back until that is decided, and a table until it ends; both up to a limit.

Rendered text renders to itself, so that an answer that was read from Discord can be shown again.

The header of a table without outer pipes begins like prose. If it is the first line, or its first
cell has more than three words, a word of more than 20 characters, or a sign like ; ! or ?, it has
been passed on as prose before its delimiter arrives; then it is shown above the block as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bot.markdown.characters import shows_anything
from bot.markdown.fence_info import fence_info
from bot.markdown.html_tags import BlockTags
from bot.markdown.inline import (
    MARKED,
    SPECIAL,
    UNREAD_LINK,
    Buffer,
    Construct,
    Inline,
    NeedMore,
    Token,
    emphasised,
    footnote,
    rendered,
)
from bot.markdown.masked_links import WORD_JOINER, CodeTracker, break_entering_links, break_links
from bot.markdown.syntax import (
    FENCE,
    MARGIN,
    MARKER,
    OPENING_FENCE,
    SMALL_PRINT,
    closing_fence,
    continued_margin,
)
from bot.markdown.tables import Table, alignments, cells

# Characters; Discord: a message. A longer line is no heading, rule, fence or row.
LINE_LENGTH: Final = 2000
TABLE_LENGTH: Final = 8000  # A longer table continues in another block, under the same header.
RULE: Final = "─" * 20
ZERO_WIDTH_SPACE: Final = "\u200b"

_QUOTE_PATTERN: Final = r"[ \t]*+(?:>[ \t]*+)*+"
_MARGIN: Final = re.compile(MARGIN)
_CLOSING_PREFIX: Final = re.compile(r"[> \t]*+(?:`*|~*)[ \t\r]*")
# A run that Discord takes for a fence in the middle of a line.
_INLINE_FENCE: Final = Construct(
    r"(`{3,31})[\w+#.-]{0,30}\r?\n", r"`{1,31}(?:(?<=```)[\w+#.-]{0,30}\r?)?", 70
)
# Code up to a sign that may end the block, or mask a link, in Discord.
_PLAIN_CODE: Final = re.compile(r"[^`\]\n]*\n?")
_SPECIAL_IN_CODE: Final = re.compile(r"[`\]\n]")
_LONG_RUN: Final = Construct(r"``(?=`)", r"`{1,2}", 3)
_DEEP_HEADING: Final = re.compile(rf"({MARGIN})#{{4,6}}(?:[ \t\r]+|$)")
_RULE: Final = re.compile(rf"({_QUOTE_PATTERN})([-*_])(?:[ \t]*\2){{2,}}[ \t\r]*")
_TASK: Final = re.compile(rf"({MARGIN})(?<=[ \t])\[([ xX])\](?=[ \t])")
_ENDS_WITH_MARKER: Final = re.compile(rf"{MARKER}[ \t]+\Z")
_FOOTNOTE: Final = re.compile(rf"({MARGIN})\[\^([\w-]{{1,40}})\]:[ \t]*")
# Every prefix of a line that may become one of these. Other prose is passed on at once.
_PREFIX: Final = re.compile(
    rf"{MARGIN}(?:\d{{0,9}}[.)]?|[-*+•]"
    r"|`{1,2}|`{3,}[^`\n]*|~{1,2}|~{3,}[^\n]*"
    r"|#{1,6}|#{4,6}[ \t][^\n]*"
    r"|\|(?:[^|\n][^\n]*)?"
    r"|\[(?:[ xX]\]?)?|\[\^[\w-]{0,40}(?:\](?::[ \t]*)?)?)"
    rf"|{_QUOTE_PATTERN}([-*_])(?:[ \t]*\1)*[ \t\r]*"
)
_DELIMITER_PREFIX: Final = re.compile(rf"{_QUOTE_PATTERN}(?:\|[ \t]*)?(?::?-[-:| \t\r]*|:)?")
# The line under a heading of two lines; the heading has been passed on as prose by then.
_UNDERLINE: Final = re.compile(rf"({_QUOTE_PATTERN})={{3,}}[ \t\r]*")
_UNDERLINE_PREFIX: Final = re.compile(rf"{_QUOTE_PATTERN}=*[ \t\r]*")
_HEADER: Final = re.compile(rf"{MARGIN}\|(?!\|)")
# A header without an outer pipe. Its first cell has at most three words, so that prose is kept back
# no longer than that. The first line is not kept back at all, because people wait for it.
_CELL: Final = r"[^\s|;!?。、]{1,20}(?:[ \t]+[^\s|;!?。、]{1,20}){0,2}[ \t]*"
_OPEN_HEADER_PATTERN: Final = rf"{_QUOTE_PATTERN}(?!{MARKER}[ \t]|#{{1,6}}[ \t]){_CELL}"
_OPEN_HEADER: Final = re.compile(rf"{_OPEN_HEADER_PATTERN}\|(?!\|)")
_OPEN_HEADER_PREFIX: Final = re.compile(rf"{_OPEN_HEADER_PATTERN}(?:\|(?:[^|\n][^\n]*)?)?")
_ROW: Final = re.compile(rf"({_QUOTE_PATTERN})[^|\n]{{0,200}}\|")
_ROW_PREFIX: Final = re.compile(rf"{_QUOTE_PATTERN}[^|\n]{{0,200}}(?:\|[^\n]*)?")
_NO_ROW: Final = re.compile(rf"{_QUOTE_PATTERN}(?:{MARKER}[ \t]|#{{1,6}}[ \t]|`{{3}}|~{{3}})")


def render(text: str) -> str:
    """Return all of *text* as it is shown."""
    renderer = Renderer()
    return renderer.write(text) + renderer.finish()


def is_visible(text: str) -> bool:
    """Whether *text* shows anything to a person once it is rendered.

    White space, format characters, blank letters and markup around nothing are invisible.
    """
    renderer = Renderer()
    chunks = (text[at : at + LINE_LENGTH] for at in range(0, len(text), LINE_LENGTH))
    shown = any(shows_anything(renderer.write(chunk)) for chunk in chunks)
    return shown or shows_anything(renderer.finish())


class Renderer:
    """Renders a text that is still arriving."""

    def __init__(self) -> None:
        self._pending = ""
        self._unparsed: list[str] = []  # returned already, but not parsed yet
        # Finds what is not plain text; None if plain text has to be parsed too.
        self._special: re.Pattern[str] | None = None
        self._code_tracker = CodeTracker()
        self._inline = Inline(MARKED, self._code_tracker)
        self._block_tags = BlockTags()
        self._fence: _Fence | None = None
        self._table: Table | None = None
        self._begins_line = True
        self._is_omitted = False  # The line so far is not empty, but nothing of it is shown.
        # The line of prose so far, None if it cannot be a header; the line of prose above it, "" if
        # that is none, None in the first line.
        self._line: str | None = ""
        self._above: str | None = None

    def write(self, delta: str) -> str:
        """Add *delta*; return the text that is settled now."""
        if self._special is not None and self._special.search(delta) is None:
            self._unparsed.append(delta)
            return delta
        return self._render(delta, is_whole=False)

    def finish(self) -> str:
        """Return the rest; nothing can be written afterwards."""
        shown = self._render("", is_whole=True)
        return shown if self._table is None else shown + self._closed(self._table)

    def _render(self, delta: str, *, is_whole: bool) -> str:
        passed = "".join(self._unparsed)
        self._unparsed.clear()
        buffer = Buffer(passed + self._pending + delta, is_whole)
        shown: list[str] = []
        at = 0
        while at < len(buffer.text):
            try:
                token = self._token(buffer, at)
            except NeedMore:
                break
            shown.append(token.shown)
            at = token.end
        self._pending = buffer.text[at:]
        self._special = SPECIAL if self._fence is None else _SPECIAL_IN_CODE
        if self._pending or self._begins_line or self._inline.may_form_link:
            self._special = None
        return "".join(shown)[len(passed) :]

    def _token(self, buffer: Buffer, at: int) -> Token:
        """Return the next token; raises NeedMore, and then no attribute has changed."""
        if self._fence is not None:
            return self._code(buffer, at, self._fence)
        if self._table is not None:
            return self._row(buffer, at, self._table)
        return self._line_beginning(buffer, at) if self._begins_line else self._prose(buffer, at)

    def _code(self, buffer: Buffer, at: int, fence: _Fence) -> Token:
        if fence.is_inline:
            return self._inline_fence_code(buffer, at, fence)
        if self._begins_line:
            line = _line(buffer, at, _CLOSING_PREFIX)
            if line is not None and (closing := fence.closing(line)) is not None:
                self._fence = None
                return self._within_line(Token(at + len(line), closing), "", None)
        token = self._code_token(buffer, at, fence)
        self._begins_line = buffer.text[token.end - 1] == "\n"
        fence.take(token.shown)
        return token

    def _inline_fence_code(self, buffer: Buffer, at: int, fence: _Fence) -> Token:
        if buffer.text[at] != "`":
            return self._code_token(buffer, at, fence)
        run = fence.run
        found = buffer.text[at : at + len(run)]
        if found == run:
            self._fence = None
            return Token(at + len(run), run)
        if run.startswith(found) and not buffer.is_whole:
            raise NeedMore
        return Token(at + 1, "`")

    def _code_token(self, buffer: Buffer, at: int, fence: _Fence) -> Token:
        """Return the next token of code, so that it neither ends the block nor masks a link."""
        text = buffer.text
        plain = _PLAIN_CODE.match(text, at)
        assert plain is not None
        if plain.end() > at:
            return Token(plain.end(), plain[0])
        if text[at] == "]":
            may_end_link = fence.is_distrusted or not fence.in_brackets
            is_broken = may_end_link and UNREAD_LINK.match(buffer, at)
            return Token(at + 1, f"]{WORD_JOINER}" if is_broken else "]")
        if _LONG_RUN.match(buffer, at):
            return Token(at + 2, f"``{ZERO_WIDTH_SPACE}")
        return Token(at + 1, "`")

    def _line_beginning(self, buffer: Buffer, at: int) -> Token:
        """Return a line that is a block, or the margin of a line of prose."""
        if self._is_omitted and buffer.text[at] == "\n":
            self._is_omitted = False
            return Token(at + 1, "")
        prefixes = [_PREFIX]
        if self._above is not None:
            prefixes += [_OPEN_HEADER_PREFIX]
        if self._above:
            prefixes += [_UNDERLINE_PREFIX, _DELIMITER_PREFIX]
        line = _line(buffer, at, *prefixes)
        token = None if line is None else self._block(buffer, at, line)
        return token or self._margin(buffer.text, at)

    def _block(self, buffer: Buffer, at: int, line: str) -> Token | None:
        end = at + len(line)
        if fence := OPENING_FENCE.match(line):
            is_distrusted = self._code_tracker.enter_block()
            self._fence = _Fence(fence[2], is_inline=False, is_distrusted=is_distrusted)
            self._begins_line = False
            return Token(end, fence[1] + FENCE + fence_info(fence[3]))
        if heading := _DEEP_HEADING.match(line):
            text = rendered(_title(line[heading.end() :]), MARKED).replace("\n", " ")
            bold = emphasised("**", text)
            self._code_tracker.follow(bold)
            return self._marked(Token(end, heading[1] + bold), "")
        if rule := _RULE.fullmatch(line):
            return self._marked(Token(end, rule[1] + RULE), "")
        shown = self._line or ""  # of the margin
        if self._above and (underline := _UNDERLINE.fullmatch(line)):
            return Token(end, "") if shown else self._under_title(buffer, end, underline[1])
        if self._above and "|" in self._above and (table := _table(self._above, shown + line)):
            table.first_margin = table.margin[len(shown) :]
            return self._open_table(buffer, end, table)
        is_open = self._above is not None and _OPEN_HEADER.match(line)
        if not (is_open or _HEADER.match(line)):
            return None
        under = _line(buffer, end + 1, _DELIMITER_PREFIX)
        if under is None or (table := _table(shown + line, under)) is None:
            return None
        table.first_margin = table.first_margin[len(shown) :]
        return self._open_table(buffer, end + 1 + len(under), table)

    def _under_title(self, buffer: Buffer, end: int, quote: str) -> Token:
        """Leave out the line under a title; if text follows at once, a blank line stays."""
        is_blank = buffer.char(end + 1) in {"", "\r", "\n"}
        return Token(min(end + 1, len(buffer.text)), "" if quote or is_blank else "\n")

    def _margin(self, text: str, at: int) -> Token:
        limit = at + LINE_LENGTH
        task = _TASK.match(text, at, limit)
        if task and _ENDS_WITH_MARKER.search(task[1]):
            box = "☐" if task[2] == " " else "☑"
            return self._marked(Token(task.end(), task[1] + box), task[1])
        if note := _FOOTNOTE.match(text, at, limit):
            small = "" if note[1] else SMALL_PRINT
            shown = f"{note[1]}{small}{MARKED.literal(footnote(note[2]))} "
            return self._marked(Token(note.end(), shown), note[1])
        margin = _MARGIN.match(text, at, limit)
        assert margin is not None
        line = f"{self._line or ''}{margin[0]}"[-LINE_LENGTH:]
        return self._within_line(Token(margin.end(), margin[0]), line, line)

    def _marked(self, token: Token, margin: str) -> Token:
        return self._within_line(token, margin, token.shown)

    def _within_line(self, token: Token, margin: str, line: str | None) -> Token:
        """Continue within the line that *token* began; *line* is what it shows so far."""
        self._inline.begin_line(continued_margin(margin))
        self._begins_line = self._is_omitted = False
        self._line = line
        return token

    def _prose(self, buffer: Buffer, at: int) -> Token:
        if buffer.text[at] == "\n":
            self._end_line()
            self._code_tracker.follow("\n")
            return Token(at + 1, "\n")
        if buffer.text[at] == "`" and (fence := _INLINE_FENCE.match(buffer, at)):
            self._fence = _Fence(fence[1], is_inline=True, is_distrusted=True)
            # It stays open if the text ends or is cut in it.
            self._code_tracker.is_distrusted = True
            self._line = None
            return Token(fence.end(), fence[0])
        margin = self._line if self._line is not None and _MARGIN.fullmatch(self._line) else None
        tag = self._block_tags.match(buffer, at, margin) if buffer.text[at] == "<" else None
        if tag is None:
            token = self._inline.token(buffer, at)
        else:
            token = self._inline.omitted(buffer, tag.end())
            self._block_tags.omit(tag)
        if not token.shown and margin is not None:
            # A tag or a comment was left out, so the line still has to begin.
            self._begins_line, self._is_omitted = True, not self._line
            return token
        if not token.begins_line:
            self._extend_line(buffer.text[at : token.end], token.shown)
            return token
        shown, _, margin = token.shown.rpartition("\n")
        self._extend_line(shown, shown)
        self._end_line()
        self._line = margin
        return token

    def _extend_line(self, text: str, shown: str) -> None:
        if self._line is not None:
            line = self._line + text
            is_one_line = len(line) <= LINE_LENGTH and "\n" not in line and "\n" not in shown
            self._line = line if is_one_line else None

    def _end_line(self) -> None:
        self._begins_line = True
        self._above = self._line if self._line and self._line.strip("> \t\r") else ""
        self._line, self._is_omitted = "", False

    def _open_table(self, buffer: Buffer, end: int, table: Table) -> Token:
        self._table = table
        self._above, self._line, self._is_omitted = "", "", False
        table.ends_line = end < len(buffer.text)
        return Token(end + table.ends_line, "")

    def _row(self, buffer: Buffer, at: int, table: Table) -> Token:
        is_row = not _NO_ROW.match(buffer.text, at, at + LINE_LENGTH)
        line = _line(buffer, at, _ROW_PREFIX) if is_row else None
        row = None if line is None else _ROW.match(line)
        if line is None or row is None or not table.takes(row[1]):
            self._table = None
            self._begins_line = True
            return Token(at, self._closed(table))
        shown = ""
        if table.length + len(line) > TABLE_LENGTH:
            shown = self._closed(table)
            table = self._table = table.continued()
        table.add(line[len(row[1]) :])
        end = at + len(line)
        table.ends_line = end < len(buffer.text)
        return Token(end + table.ends_line, shown)

    def _closed(self, table: Table) -> str:
        shown = table.shown()
        if not shown.startswith(table.first_margin + FENCE):
            self._code_tracker.follow(shown)
            return shown
        is_distrusted = self._code_tracker.enter_block()
        return break_links(shown) if is_distrusted else break_entering_links(shown)


@dataclass(slots=True)
class _Fence:
    run: str
    is_inline: bool  # opened within a line, and closed by the same run anywhere
    is_distrusted: bool  # Discord may not take it for code.
    has_code: bool = False
    in_brackets: bool = False

    def take(self, code: str) -> None:
        self.has_code = self.has_code or bool(code.strip("> \t\r\n"))
        opening, closing = code.rfind("["), max(code.rfind("]"), code.rfind("\n"))
        if opening != closing:
            self.in_brackets = opening > closing

    def closing(self, line: str) -> str | None:
        """Return how *line* is shown if it closes the block, None if it does not."""
        match = closing_fence(line, self.run)
        if match is None:
            return None
        shown = f"{match[1]}{FENCE}{match[3]}"
        # Discord extends a block without code up to the next fence.
        return shown if self.has_code else f"{match[1]}{ZERO_WIDTH_SPACE}\n{shown}"


def _line(buffer: Buffer, at: int, *prefixes: re.Pattern[str]) -> str | None:
    """Return the line at *at*; None if it is too long, or can match none of *prefixes* any more.

    Raises NeedMore if it can and its end has not arrived.
    """
    text = buffer.text
    if text.find("\n", at) < 0 and not any(prefix.fullmatch(text, at) for prefix in prefixes):
        return None
    return buffer.line(at, LINE_LENGTH)


def _table(header: str, delimiter: str) -> Table | None:
    """Return the table that two lines begin, None if they begin none."""
    margin = _MARGIN.match(header)
    assert margin is not None
    sides = alignments(delimiter.lstrip("> \t"))
    titles = cells(header[margin.end() :], len(sides) if sides else None)
    if sides is None or len(titles) != len(sides):
        return None
    table = Table(titles, sides, margin[0], continued_margin(margin[0]))
    return table if table.takes(delimiter) else None


def _title(text: str) -> str:
    """Return the text of a heading without the signs that close it."""
    text = text.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text
