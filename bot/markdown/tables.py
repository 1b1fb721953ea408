"""Write a Markdown table, which Discord does not render, as an aligned block of code.

A table that is too wide for a block becomes a list with one bullet for each row.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import zip_longest
from typing import Final

from bot.markdown.inline import MARKED, Style, emphasised, rendered
from bot.markdown.latex import to_unicode
from bot.markdown.links import Link
from bot.markdown.syntax import EMPHASIS, FENCE

# Characters. Discord wraps a line of code that is too long, and then nothing is aligned any more.
# An upright phone shows 40 to 45, a phone held across or a desktop at least 80. At 60, the usual
# table of three or four columns stays a table, and all but upright phones show it whole.
MAX_WIDTH: Final = 60
MAX_COLUMNS: Final = 60  # A wider table never fits, and each of its rows would be filled up.
COLUMN_GAP: Final = "  "
_CELL_END: Final = re.compile(r"\\.|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|(?P<pipe>\|)")
_PIPE: Final = re.compile(r"\\.|(?P<pipe>\|)")
_DELIMITER: Final = re.compile(r"\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?")
_KEPT: Final = re.compile("\ue000(\\d+)\ue001")
_KEPT_SIGNS: Final = re.compile("[\ue000\ue001]")
_JOINER: Final = "\u200d"
_EMOJI_SIGN: Final = "\ufe0f"


class Alignment(Enum):
    """The alignment of a column: the share of the blanks that precede a cell's text."""

    LEFT = 0.0
    CENTRE = 0.5
    RIGHT = 1.0


@dataclass(slots=True)
class Table:
    """A table whose rows are still arriving. Cells are Markdown."""

    header: list[str]
    alignments: list[Alignment]
    first_margin: str
    margin: str  # of its further lines
    rows: list[list[str]] = field(default_factory=list)
    length: int = 0  # of the rows
    ends_line: bool = True

    def takes(self, quote: str) -> bool:
        """Whether a line with the marks of *quote* is in the same quotation."""
        return quote.count(">") == self.margin.count(">")

    def add(self, row: str) -> None:
        """Add a row; as on GitHub, missing cells are empty and surplus cells are left out."""
        found = cells(row, len(self.header))[: len(self.header)]
        self.rows.append(found + [""] * (len(self.header) - len(found)))
        self.length += max(len(row), len(self.header))  # Empty cells cost too.

    def continued(self) -> "Table":
        """Return a table for further rows, under the same header."""
        return Table(self.header, self.alignments, self.margin, self.margin)

    def shown(self) -> str:
        """Return the lines that show the table."""
        columns = [self.header, *self.rows]
        lines = _block([[_plain(cell) for cell in row] for row in columns], self.alignments)
        if all(width(line) <= MAX_WIDTH for line in lines):
            lines = [FENCE, *lines, FENCE]
        else:
            lines = _list(self.header, self.rows)
        return self.first_margin + f"\n{self.margin}".join(lines) + "\n" * self.ends_line


def cells(row: str, count: int | None = None) -> list[str]:
    """Return the cells of a line. A pipe within code ends a cell only if that makes *count* cells.

    On GitHub every pipe that is not escaped ends a cell, but models forget to escape pipes in code.
    """
    found = _cells(row, _CELL_END)
    if count is None or len(found) == count:
        return found
    strict = _cells(row, _PIPE)
    return strict if len(strict) == count else found


def alignments(line: str) -> list[Alignment] | None:
    """Return the alignments in the line under a table's header, None if it is no such line."""
    if not 0 < line.count("|") <= MAX_COLUMNS + 1 or not _DELIMITER.fullmatch(line.strip()):
        return None
    return [_alignment(cell) for cell in _cells(line, _PIPE)]


def _alignment(cell: str) -> Alignment:
    if not cell.endswith(":"):
        return Alignment.LEFT
    return Alignment.CENTRE if cell.startswith(":") else Alignment.RIGHT


def width(text: str) -> int:
    """Return the width of *text* in a monospaced font, in which East Asian letters count twice."""
    if text.isascii():
        return len(text)
    columns = last = 0
    is_joined = False
    for char in text:
        if char == _EMOJI_SIGN:
            columns += last == 1
            last = 2
        elif char == _JOINER or is_joined:
            is_joined = char == _JOINER
        elif own := _columns(char, last):
            columns += own
            last = own
    return columns


def _columns(char: str, before: int) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf", "Cc"}:
        return 0
    is_vowel_or_final = "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb"
    is_skin_tone = "\U0001f3fb" <= char <= "\U0001f3ff"
    if before == 2 and (is_vowel_or_final or is_skin_tone):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cells(row: str, ends: re.Pattern[str]) -> list[str]:
    row = row.strip().removeprefix("|")
    found: list[str] = []
    start = 0
    for end in ends.finditer(row):
        if end["pipe"]:
            found.append(row[start : end.start()])
            start = end.end()
    if row[start:].strip() or not found:
        found.append(row[start:])
    return [cell.strip().replace("\\|", "|") for cell in found]


class _Plain(Style):
    """Text without markup, for a block of code.

    Literal text is kept in *kept*, under a number, so that no emphasis is found in it.
    """

    def __init__(self) -> None:
        self.kept: list[str] = []

    def literal(self, text: str) -> str:
        self.kept.append(_KEPT_SIGNS.sub("", text))  # An entity may stand for a sign.
        return f"\ue000{len(self.kept) - 1}\ue001"

    def kept_as(self, number: str) -> str:
        """Return the text kept under *number*, "" if an entity in a link made the number up."""
        return self.kept[int(number)] if int(number) < len(self.kept) else ""

    escape = character = literal

    def code(self, source: str, content: str) -> str:  # noqa: ARG002  # of the base
        return self.literal(content.strip())

    def math(self, source: str) -> str:
        return self.literal(to_unicode(source) or source.strip())

    def link(self, found: Link) -> tuple[str, str]:
        return found.text, f" ({found.target})" if found.target else ""

    def tagged(self, mark: str, content: str) -> str:  # noqa: ARG002  # of the base
        return content


def _plain(cell: str) -> list[str]:
    """Return the lines of a cell without markup."""
    if not cell:
        return [""]
    style = _Plain()
    text = rendered(_KEPT_SIGNS.sub("", cell), style)
    while (bare := EMPHASIS.sub(r"\2\4", text)) != text:
        text = bare
    text = _KEPT.sub(lambda found: style.kept_as(found[1]), text)
    # Backticks in a row would end the block.
    text = text.replace("``", "`\u200b`").replace("``", "`\u200b`")
    return [" ".join(line.split()) for line in text.split("\n")]


def _block(rows: Sequence[Sequence[list[str]]], alignments: Sequence[Alignment]) -> list[str]:
    """Return aligned lines for *rows* of cells of lines, with a rule under the first row."""
    widths = [max(width(line) for row in rows for line in row[at]) for at in range(len(alignments))]
    lines = [
        COLUMN_GAP.join(map(_padded, cell_lines, widths, alignments)).rstrip()
        for row in rows
        for cell_lines in zip_longest(*row, fillvalue="")
    ]
    height = max(map(len, rows[0]))
    # Not box-drawing characters: in some fonts they are twice as wide as letters.
    rule = COLUMN_GAP.join("-" * max(columns, 1) for columns in widths)
    return [*lines[:height], rule, *lines[height:]]


def _padded(text: str, columns: int, alignment: Alignment) -> str:
    padding = columns - width(text)
    left = int(padding * alignment.value)
    return " " * left + text + " " * (padding - left)


def _list(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    titles = [_in_line(cell) for cell in header]
    lines: list[str] = []
    for row in rows:
        values = [_in_line(cell) for cell in row]
        entries = [
            f"{title}: {value}" if title else value
            for title, value in zip(titles[1:], values[1:], strict=True)
            if value
        ]
        if values[0]:
            entries.insert(0, emphasised("**", values[0]) if len(row) > 1 else values[0])
        if entries:
            lines += [f"- {entries[0]}", *(f"  {line}" for line in entries[1:])]
    return lines or [COLUMN_GAP.join(emphasised("**", title) for title in titles if title)]


def _in_line(cell: str) -> str:
    if not cell:
        return ""
    parts = rendered(cell, MARKED).split("\n")
    return "; ".join(filter(None, (" ".join(part.split()) for part in parts)))
