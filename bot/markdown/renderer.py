"""Turn the Markdown of models into what Discord renders, while it is still arriving.

Lines are read as CommonMark and GitHub read them, as far as models use that: tables, headings,
rules, task lists, footnotes and fences; what stands within them is the business of `inline.py`.
Of code nothing is changed that people see; it is written so that Discord takes it for code, too.
Text is passed on as soon as it can no longer change, which for prose is at once, but for the first
three words of a line, which may be a table's first cell; a line that begins like one of these is
held back until it is one or is not, and a table until it ends, none of them beyond a limit.

What has been rendered renders to itself, so that an answer that is found as it was shown can be
shown again.

The header of a table without outer pipes begins like prose. Where it is the first line, or its
first cell has more than three words, one of more than 20 characters, or a sign like ; ! or ?, it
has been passed on as such by the time its delimiter comes; it stands above the block then, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bot.markdown.characters import is_visible_char
from bot.markdown.html_tags import BlockTags
from bot.markdown.inline import (
    MARKED,
    SPECIAL,
    UNREAD_LINK,
    Form,
    Inline,
    Piece,
    Source,
    Undecided,
    emphasised,
    footnote,
    rendered,
)
from bot.markdown.masked_links import WORD_JOINER, Doubts, closed, unmasked
from bot.markdown.syntax import FENCE, MARGIN, MARKER, SMALL_PRINT
from bot.markdown.tables import Table, alignments, cells

# Characters: a message of Discord's. Beyond that, a line is no heading, rule, fence or row.
LINE_LENGTH: Final = 2000
TABLE_LENGTH: Final = 8000  # A longer table goes on in a further block, under the same header.
SUDDEN_LENGTH: Final = 70
RULE: Final = "─" * 20
OPEN_BOX: Final = "☐"
TICKED_BOX: Final = "☑"
ZERO_WIDTH_SPACE: Final = "\u200b"

_QUOTE_PATTERN: Final = r"[ \t]*+(?:>[ \t]*+)*+"
_QUOTE: Final = re.compile(_QUOTE_PATTERN)
_MARGIN: Final = re.compile(MARGIN)
_FENCE: Final = re.compile(rf"{MARGIN}(`{{3,}}(?=[^`]*$)|~{{3,}})")
_CLOSING: Final = re.compile(r"([> \t]*+)(`+|~+)([ \t\r]*)")
_CLOSING_BEGUN: Final = re.compile(r"[> \t]*+(?:`*|~*)[ \t\r]*")
# What Discord takes for a block of code in the middle of a line.
_SUDDEN_FENCE: Final = Form.of(
    r"(`{3,31})[\w+#.-]{0,30}\r?\n", r"`{1,31}(?:(?<=```)[\w+#.-]{0,30}\r?)?", SUDDEN_LENGTH
)
# Code up to what may end a block, or mask a link, in Discord.
_PLAIN_CODE: Final = re.compile(r"[^`\]\n]*\n?")
_SPECIAL_CODE: Final = re.compile(r"[`\]\n]")
_LONG_RUN: Final = Form.of(r"``(?=`)", r"`{1,2}", 3)
_DEEP_HEADING: Final = re.compile(rf"({MARGIN})#{{4,6}}(?:[ \t\r]+|$)")
_RULE: Final = re.compile(rf"({_QUOTE_PATTERN})([-*_])(?:[ \t]*\2){{2,}}[ \t\r]*")
_TASK: Final = re.compile(rf"({MARGIN})(?<=[ \t])\[([ xX])\](?=[ \t])")
_ENDS_WITH_MARKER: Final = re.compile(rf"{MARKER}[ \t]+\Z")
_FOOTNOTE: Final = re.compile(rf"({MARGIN})\[\^([\w-]{{1,40}})\]:[ \t]*")
# Each beginning of a line that may become one of these. Prose that no longer can is not held.
_BEGUN: Final = re.compile(
    rf"{MARGIN}(?:\d{{0,9}}[.)]?|[-*+•]"
    r"|`{1,2}|`{3,}[^`\n]*|~{1,2}|~{3,}[^\n]*"
    r"|#{1,6}|#{4,6}[ \t][^\n]*"
    r"|\|(?:[^|\n][^\n]*)?"
    r"|\[(?:[ xX]\]?)?|\[\^[\w-]{0,40}(?:\](?::[ \t]*)?)?)"
    rf"|{_QUOTE_PATTERN}([-*_])(?:[ \t]*\1)*[ \t\r]*"
)
_DELIMITER_BEGUN: Final = re.compile(rf"{_QUOTE_PATTERN}(?:\|[ \t]*)?(?::?-[-:| \t\r]*|:)?")
# The line under a heading of two lines, which has been passed on as prose by then.
_UNDERLINE: Final = re.compile(rf"({_QUOTE_PATTERN})={{3,}}[ \t\r]*")
_UNDERLINE_BEGUN: Final = re.compile(rf"{_QUOTE_PATTERN}=*[ \t\r]*")
_HEADER: Final = re.compile(rf"({MARGIN})\|(?!\|)")
# A header without an outer pipe: its first cell has three words at most, so that prose is held no
# longer than that. The first line is not held at all: people wait for it.
_CELL: Final = r"[^\s|;!?。、]{1,20}(?:[ \t]+[^\s|;!?。、]{1,20}){0,2}[ \t]*"
_OPEN_HEADER_PATTERN: Final = rf"{_QUOTE_PATTERN}(?!{MARKER}[ \t]|#{{1,6}}[ \t]){_CELL}"
_OPEN_HEADER: Final = re.compile(rf"{_OPEN_HEADER_PATTERN}\|(?!\|)")
_OPEN_HEADER_BEGUN: Final = re.compile(rf"{_OPEN_HEADER_PATTERN}(?:\|(?:[^|\n][^\n]*)?)?")
_ROW: Final = re.compile(rf"({_QUOTE_PATTERN})[^|\n]{{0,200}}\|")
_ROW_BEGUN: Final = re.compile(rf"{_QUOTE_PATTERN}[^|\n]{{0,200}}(?:\|[^\n]*)?")
_NO_ROW: Final = re.compile(rf"{_QUOTE_PATTERN}(?:{MARKER}[ \t]|#{{1,6}}[ \t]|`{{3}}|~{{3}})")


def render(text: str) -> str:
    """Return all of *text* as it is shown."""
    renderer = Renderer()
    return renderer.write(text) + renderer.finish()


def is_visible(text: str) -> bool:
    """Whether *text* shows anything to a person once it is rendered.

    White space, format characters, blank letters, and markup around nothing do not.
    """
    renderer = Renderer()
    pieces = (text[at : at + LINE_LENGTH] for at in range(0, len(text), LINE_LENGTH))
    return any(any(map(is_visible_char, renderer.write(piece))) for piece in pieces) or any(
        map(is_visible_char, renderer.finish())
    )


class Renderer:
    """Renders a text that is still arriving."""

    def __init__(self) -> None:
        self._held = ""
        self._passed: list[str] = []  # returned already, but not read yet
        self._special: re.Pattern[str] | None = None  # what is more than itself now, if only that
        self._doubts = Doubts()
        self._inline = Inline(MARKED, self._doubts)
        self._block_tags = BlockTags()
        self._fence: _Fence | None = None
        self._table: _OpenTable | None = None
        self._begins_line = True
        self._is_left_out = False  # Nothing is shown of the line so far, though there is some.
        self._line: str | None = ""  # what came of a line of prose; None where it has no meaning
        self._above: str | None = None  # the line of prose before, if any; None in the first line

    def write(self, delta: str) -> str:
        """Return what of the text so far is settled and was not returned before."""
        if self._special is not None and self._special.search(delta) is None:
            self._passed.append(delta)
            return delta
        return self._settled(delta, is_whole=False)

    def finish(self) -> str:
        """Return the rest; nothing can be written after that."""
        shown = self._settled("", is_whole=True)
        return shown if self._table is None else shown + self._closed(self._table)

    def _settled(self, delta: str, *, is_whole: bool) -> str:
        passed = "".join(self._passed)
        self._passed.clear()
        source = Source(passed + self._held + delta, is_whole)
        shown: list[str] = []
        at = 0
        while at < len(source.text):
            try:
                piece = self._piece(source, at)
            except Undecided:
                break
            shown.append(piece.shown)
            at = piece.end
        self._held = source.text[at:]
        is_settled = not (self._held or self._begins_line or self._inline.may_make_link)
        if not is_settled or self._table is not None:
            self._special = None
        else:
            self._special = SPECIAL if self._fence is None else _SPECIAL_CODE
        return "".join(shown)[len(passed) :]

    def _piece(self, source: Source, at: int) -> Piece:
        """Return the next piece; nothing of this reply has changed where it raises Undecided."""
        if self._fence is not None:
            return self._code(source, at, self._fence)
        if self._table is not None:
            return self._row(source, at, self._table)
        return self._line_beginning(source, at) if self._begins_line else self._prose(source, at)

    # Code

    def _code(self, source: Source, at: int, fence: _Fence) -> Piece:
        if fence.is_sudden:
            return self._sudden_code(source, at, fence)
        if self._begins_line:
            line = _line(source, at, _CLOSING_BEGUN)
            if line is not None and (closing := fence.closing(line)) is not None:
                self._fence = None
                return self._within_line(Piece(at + len(line), closing), "")
        piece = self._code_piece(source, at, fence)
        self._begins_line = source.text[piece.end - 1] == "\n"
        fence.take(piece.shown)
        return piece

    def _sudden_code(self, source: Source, at: int, fence: _Fence) -> Piece:
        if source.text[at] != "`":
            return self._code_piece(source, at, fence)
        run = fence.run
        end = at + len(run)
        found = source.text[at:end]
        if found == run:
            self._fence = None
            return Piece(end, run)
        if run.startswith(found) and not source.is_whole:
            raise Undecided
        return Piece(at + 1, "`")

    def _code_piece(self, source: Source, at: int, fence: _Fence) -> Piece:
        """Return the next piece of code, which neither ends the block for Discord nor is a link."""
        text = source.text
        plain = _PLAIN_CODE.match(text, at)
        assert plain is not None
        if plain.end() > at:
            return Piece(plain.end(), plain[0])
        if text[at] == "]":
            may_end_link = fence.is_doubtful or not fence.in_brackets
            is_broken = may_end_link and UNREAD_LINK.match(source, at)
            return Piece(at + 1, f"]{WORD_JOINER}" if is_broken else "]")
        if _LONG_RUN.match(source, at):
            return Piece(at + 2, f"``{ZERO_WIDTH_SPACE}")
        return Piece(at + 1, "`")

    # Lines

    def _line_beginning(self, source: Source, at: int) -> Piece:
        """Return a line that is more than prose, or the margin of one that is not."""
        if self._is_left_out and source.text[at] == "\n":
            self._is_left_out = False
            return Piece(at + 1, "")
        begun = [_BEGUN]
        if self._above is not None:
            begun += [_OPEN_HEADER_BEGUN]
        if self._above:
            begun += [_UNDERLINE_BEGUN, _DELIMITER_BEGUN]
        line = _line(source, at, *begun)
        piece = None if line is None else self._block(source, at, line)
        return piece or self._margin(source.text, at)

    def _block(self, source: Source, at: int, line: str) -> Piece | None:
        end = at + len(line)
        if fence := _FENCE.match(line):
            self._fence = _Fence(fence[1], is_sudden=False, is_doubtful=self._doubts.block())
            self._begins_line = False
            info = line[fence.end() :].replace("`", "").replace("](", f"]{WORD_JOINER}(")
            return Piece(end, line[: fence.start(1)] + FENCE + info)
        if heading := _DEEP_HEADING.match(line):
            text = " ".join(rendered(_title(line[heading.end() :]), MARKED).split("\n"))
            bold = emphasised("**", text)
            self._doubts.follow(bold)
            return self._marked(Piece(end, heading[1] + bold), "")
        if rule := _RULE.fullmatch(line):
            return self._marked(Piece(end, rule[1] + RULE), "")
        shown = self._line or ""  # of the margin
        if self._above and (underline := _UNDERLINE.fullmatch(line)):
            return Piece(end, "") if shown else self._under_title(source, end, underline[1])
        if self._above and "|" in self._above and (table := _table(self._above, shown + line)):
            table.first_margin = table.margin[len(shown) :]
            return self._open_table(source, end, table)
        is_open = self._above is not None and _OPEN_HEADER.match(line)
        if not (is_open or _HEADER.match(line)) or (under := _line_under(source, end)) is None:
            return None
        table = _table(shown + line, under)
        if table is None:
            return None
        table.first_margin = table.first_margin[len(shown) :]
        return self._open_table(source, end + 1 + len(under), table)

    def _under_title(self, source: Source, end: int, quote: str) -> Piece:
        """Leave out the line under a title; where text follows at once, a blank one stays."""
        behind = source.char(end + 1) if source.char(end) else ""
        is_blank = behind in {"", "\r", "\n"}
        return Piece(min(end + 1, len(source.text)), "" if quote or is_blank else "\n")

    def _margin(self, text: str, at: int) -> Piece:
        limit = at + LINE_LENGTH
        task = _TASK.match(text, at, limit)
        if task and _ENDS_WITH_MARKER.search(task[1]):
            box = OPEN_BOX if task[2] == " " else TICKED_BOX
            return self._marked(Piece(task.end(), task[1] + box), task[1])
        if note := _FOOTNOTE.match(text, at, limit):
            small = "" if note[1] else SMALL_PRINT
            shown = f"{note[1]}{small}{MARKED.literal(footnote(note[2]))} "
            return self._marked(Piece(note.end(), shown), note[1])
        margin = _MARGIN.match(text, at, limit)
        assert margin is not None
        line = f"{self._line or ''}{margin[0]}"[-LINE_LENGTH:]
        piece = self._within_line(Piece(margin.end(), margin[0]), line)
        self._line = line
        return piece

    def _marked(self, piece: Piece, margin: str) -> Piece:
        """Go on with the prose that *piece* began."""
        self._within_line(piece, margin)
        self._line = piece.shown
        return piece

    def _within_line(self, piece: Piece, margin: str) -> Piece:
        """Go on within the line that *piece* began."""
        self._inline.begin_line(_blank(margin))
        self._begins_line = self._is_left_out = False
        self._line = None
        return piece

    def _prose(self, source: Source, at: int) -> Piece:
        if source.text[at] == "\n":
            self._end_line()
            self._doubts.follow("\n")
            return Piece(at + 1, "\n")
        if source.text[at] == "`" and (fence := _SUDDEN_FENCE.match(source, at)):
            self._fence = _Fence(fence[1], is_sudden=True, is_doubtful=True)
            self._doubts.rise()  # It is not closed where the text ends or is cut.
            self._line = None
            return Piece(fence.end(), fence[0])
        return self._inline_piece(source, at)

    def _inline_piece(self, source: Source, at: int) -> Piece:
        margin = self._line if self._line is not None and _MARGIN.fullmatch(self._line) else None
        tag = self._block_tags.match(source, at, margin) if source.text[at] == "<" else None
        if tag is None:
            piece = self._inline.piece(source, at)
        else:
            piece = self._inline.left_out(source, tag.end())
            self._block_tags.leave_out(tag)
        if not piece.shown and margin is not None:
            # What is left out, a tag or a comment, leaves the line to begin behind it.
            self._begins_line, self._is_left_out = True, not self._line
            return piece
        if not piece.begins_line:
            self._go_on(source.text[at : piece.end], piece.shown)
            return piece
        shown, _, margin = piece.shown.rpartition("\n")
        self._go_on(shown, shown)
        self._end_line()
        self._line = margin
        return piece

    def _go_on(self, text: str, shown: str) -> None:
        if self._line is not None:
            line = self._line + text
            is_one = len(line) <= LINE_LENGTH and "\n" not in line and "\n" not in shown
            self._line = line if is_one else None

    def _end_line(self) -> None:
        self._begins_line = True
        self._above = self._line if self._line and self._line.strip("> \t\r") else ""
        self._line, self._is_left_out = "", False

    # Tables

    def _open_table(self, source: Source, end: int, table: _OpenTable) -> Piece:
        self._table = table
        self._above, self._line, self._is_left_out = "", "", False
        table.ends_line = end < len(source.text)
        return Piece(end + table.ends_line, "")

    def _row(self, source: Source, at: int, table: _OpenTable) -> Piece:
        line = None
        if not _NO_ROW.match(source.text, at, at + LINE_LENGTH):
            line = _line(source, at, _ROW_BEGUN)
        row = None if line is None else _ROW.match(line)
        if line is None or row is None or _NO_ROW.match(line) or not table.takes(row[1]):
            self._table = None
            self._begins_line = True
            return Piece(at, self._closed(table))
        full = table if table.length + len(line) > TABLE_LENGTH else None
        if full:
            table = self._table = full.anew()
        table.add(line[len(row[1]) :])
        end = at + len(line)
        table.ends_line = end < len(source.text)
        return Piece(end + table.ends_line, self._closed(full) if full else "")

    def _closed(self, table: _OpenTable) -> str:
        shown = table.shown()
        if not shown.startswith(table.first_margin + FENCE):
            self._doubts.follow(shown)
            return shown
        return unmasked(shown) if self._doubts.block() else closed(shown)


@dataclass(slots=True)
class _Fence:
    run: str
    is_sudden: bool  # opened within a line, and closed by the same run anywhere
    is_doubtful: bool  # Discord may not see code in it
    has_code: bool = False
    in_brackets: bool = False

    def take(self, code: str) -> None:
        self.has_code = self.has_code or bool(code.strip("> \t\r\n"))
        opening, closing = code.rfind("["), max(code.rfind("]"), code.rfind("\n"))
        if opening != closing:
            self.in_brackets = opening > closing

    def closing(self, line: str) -> str | None:
        """Return how *line* is shown if it ends the block."""
        match = _CLOSING.fullmatch(line)
        if match is None or not match[2].startswith(self.run):
            return None
        shown = f"{match[1]}{FENCE}{match[3]}"
        # Of a block without code Discord makes one that lasts until the next.
        return shown if self.has_code else f"{match[1]}{ZERO_WIDTH_SPACE}\n{shown}"


@dataclass(slots=True)
class _OpenTable:
    """A table whose rows are still coming; *margin* is what its lines begin with."""

    table: Table
    margin: str
    first_margin: str
    length: int = 0  # of its rows
    ends_line: bool = True

    def takes(self, quote: str) -> bool:
        """Whether a line that begins with *quote* is in the same quotation."""
        return quote.count(">") == self.margin.count(">")

    def add(self, row: str) -> None:
        self.table.add(row)
        self.length += max(len(row), len(self.table.header))  # Cells that are empty cost, too.

    def anew(self) -> _OpenTable:
        table = Table(self.table.header, self.table.alignments)
        return _OpenTable(table, self.margin, self.margin)

    def shown(self) -> str:
        first, *rest = self.table.lines()
        lines = [self.first_margin + first, *(self.margin + line for line in rest)]
        return "\n".join(lines) + "\n" * self.ends_line


def _line(source: Source, at: int, *begun: re.Pattern[str]) -> str | None:
    """Return the line at *at*; None where it cannot become what *begun* begins, or is too long.

    Raises Undecided where it can and its end has not arrived.
    """
    text = source.text
    if (
        not source.covers(at, LINE_LENGTH)
        and text.find("\n", at) < 0
        and not any(one.fullmatch(text, at) for one in begun)
    ):
        return None
    return source.line(at, LINE_LENGTH)


def _line_under(source: Source, end: int) -> str | None:
    """Return the line after the one that ends at *end*, where it may be a delimiter."""
    if end >= len(source.text):
        source.char(end)
        return None
    return _line(source, end + 1, _DELIMITER_BEGUN)


def _table(header: str, delimiter: str) -> _OpenTable | None:
    """Return the table that two lines begin, if they do."""
    margin, quote = _MARGIN.match(header), _QUOTE.match(delimiter)
    assert margin is not None
    assert quote is not None
    sides = alignments(delimiter[quote.end() :])
    titles = cells(header[margin.end() :], len(sides) if sides else None)
    if sides is None or len(titles) != len(sides):
        return None
    table = _OpenTable(Table(titles, sides), _blank(margin[0]), margin[0])
    return table if table.takes(quote[0]) else None


def _blank(margin: str) -> str:
    """Return what the next lines begin with where one begins with *margin*."""
    return re.sub(r"[^\s>]", " ", margin)


def _title(text: str) -> str:
    """Return the text of a heading without the signs that close it."""
    text = text.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text
