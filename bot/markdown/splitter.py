"""Cut a reply into parts that fit into Discord messages.

A part is at least half full, unless the next part begins with a row (a list item, a table row or a
line of code) that would have been cut although it fits into a part. So a reply of n characters
makes about 2n / limit parts at most, and within the second half of a part the best place wins: see
`_Rank`. A row that is longer than a part is cut like a paragraph.

Fences are read as in CommonMark, because models write them so: three or more backticks or tildes
that begin a line, after any indentation, list markers or quote marks; closed by at least as many
alone on a line. Discord takes three backticks anywhere for a fence. If the two views differ (a
longer fence, or a tilde fence with backtick fences inside), CommonMark's decides what is closed and
opened again, and a cut is preferred where Discord's view is balanced too. A fence that opens in the
middle of a line is prose to CommonMark, so it is not opened again when its code is cut.

Discord strips the indentation of the first line of a message, so a nested list item loses it if it
begins a part. Cuts before items without indentation are preferred; nothing replaces a lost one.

All decisions depend on the first `limit + LOOKAHEAD` characters of the text that is not cut yet
and, if a row would be cut, on whether its line ends soon enough to fit into a part. Both are the
same however the text arrives.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import IntEnum, auto
from itertools import accumulate, count
from operator import add
from typing import TYPE_CHECKING, Final

from bot.markdown.characters import is_boundary, last_boundary, shows_anything, utf16_units
from bot.markdown.syntax import (
    FENCE,
    MARGIN,
    MARKER,
    OPENING_FENCE,
    closing_fence,
    continued_margin,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Discord: message content, counted in code points by the API; measured here in UTF-16 units, which
# is never too long.
MESSAGE_LIMIT: Final = 2000
# "```", a line end, one character of two units, a line end and "```" take 10 units; the rest makes
# cuts between words possible now and then.
MINIMUM_LIMIT: Final = 16
# How far to look past a full part to classify the next line (closing fence, table delimiter,
# indentation). Streaming lags by this many characters.
LOOKAHEAD: Final = 64

_OPENING_PREFIX: Final = re.compile(rf"{MARGIN}(?:`{{1,2}}|`{{3,}}[^`]*|~{{1,2}}|~{{3,}}.*)$")
# Text that Discord takes for the beginning of a code block in the middle of a line.
_DISCORD_OPENING: Final = re.compile(r"```[\w+#.-]*\r?\n")
_HEADING: Final = re.compile(r" {0,3}(?:#{1,6}|-#)\s")
_BOLD_LINE: Final = re.compile(r"\s*(\*\*|__)[^*_]+\1\s*$")
_ITEM: Final = re.compile(rf"\s*{MARKER}\s+\S")
_BLOCK_BEGINNING: Final = re.compile(
    rf"(?:#{{1,6}}|-#|{MARKER})\s|>|\|(?!\|)|`{{3,}}[^`\n]*$|~{{3,}}", re.MULTILINE
)
_LINE_MARKER: Final = re.compile(rf"{MARGIN}(?:\[[ xX]\]\s+)?")

# Scripts written without spaces may be cut between any two characters, except beside these.
_UNSPACED: Final = (
    "\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u3001-\u3029\uff01-\uff60"
)
_NOT_FIRST: Final = (
    "、。，．！？：；）」』】〕〉》｝］…‥・ーゝゞ々〜～ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
_NOT_LAST: Final = "（「『【〔〈《｛［"
_BREAK: Final = re.compile(
    rf"\s+|(?:(?<=[{_UNSPACED}])(?=\S)|(?<=\S)(?=[{_UNSPACED}]))(?![{_NOT_FIRST}])(?<![{_NOT_LAST}])"
)
_BREAK_IN_CODE: Final = re.compile(r"\s+|[,;](?!\s)")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？؟।]['\"’”»)\]」』）*_]*$")

# Code, links, mentions and the like, which a cut would break; `open` ones may end later.
_UNBREAKABLE: Final = re.compile(
    r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)"
    r"|!?\[[^\]\n]*\]\([^)\n]*\)"
    r"|<(?:[@#][!&]?\d+|a?:\w+:\d+|t:-?\d+(?::\w)?|/[^>\n]+|https?://[^>\s]+)>"
    r"|https?://[^\s<>]+"
    r"|(?P<open>`+[^`\n]*\Z|!?\[[^\]\n]*(?:\](?:\([^)\n]*)?)?\Z|<[^\s>]*\Z)"
)
# Text that would lose its emphasis by a cut.
_EMPHASIS: Final = re.compile(
    r"(\*{1,3}|__|~~|\|\|)(?=[^\s*])[^\n]+?(?<=\S)\1|(?P<open>(?:\*\*|~~|\|\|)(?=\S)[^\n]*\Z)"
)


def split(text: str, limit: int = MESSAGE_LIMIT) -> list[str]:
    """Return the parts of *text*: none is blank or longer than *limit* UTF-16 units.

    Every part is valid by itself: a code block that is cut is closed at the end of a part and
    opened again, with its language, in the next. Apart from these fences, the parts are slices of
    *text* that leave out nothing but white space around them. A fence that is open at the end of
    *text* is closed.
    """
    splitter = Splitter(limit)
    splitter.write(text)
    return splitter.finish()


def beginning(text: str, limit: int) -> str:
    """Return the longest prefix of *text* in *limit* UTF-16 units that ends with a word.

    Code is cut between lines. The last word is left out because it may still grow: if a text is a
    prefix of another, so is its beginning.
    """
    at = _units_before(text)
    best: tuple[int, str] = 0, ""
    scan = _Scan(None)
    for start, end in _lines(text):
        before, after = scan.fence, _fence_after(scan.fence, text[start:end])
        scan.take(text[start:end], after)
        closing = f"\n{after.closing}" if after else ""
        cuts: list[int] = []
        if before is None and after is None:
            cuts = _word_ends(text, start, end)
        if end < len(text) and not scan.is_empty:
            cuts.append(end)
        for cut in cuts:
            if at[cut] + utf16_units(closing) <= limit:
                best = cut, closing
    prefix = text[: best[0]]
    return prefix.rstrip() + best[1] if shows_anything(prefix) else ""


def _word_ends(text: str, start: int, end: int) -> list[int]:
    """Return where the words of a line of prose end, except for the last word."""
    unbreakable = [match.span() for match in _UNBREAKABLE.finditer(text, start, end)]
    marker = _LINE_MARKER.match(text, start, end)
    lowest = marker.end() + 1 if marker else start
    return [
        match.start()
        for match in _BREAK.finditer(text, lowest, end)
        if is_boundary(text, match.end()) and not _is_within(unbreakable, match.start())
    ]


class Splitter:
    """Splits a text that is still arriving into the parts that `split` makes of the whole.

    Raises ValueError if *limit* is less than MINIMUM_LIMIT.
    """

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        if limit < MINIMUM_LIMIT:
            raise ValueError(f"limit must be at least {MINIMUM_LIMIT}, not {limit}")
        self._limit = limit
        self._window = limit + LOOKAHEAD
        self.sealed: list[str] = []  # the first parts, which never change again
        self._sources: list[str] = []  # for each sealed part, the text that it was cut from
        self._fence: _Fence | None = None
        self._unsealed: list[str] = []
        self._length = 0  # of the unsealed text
        self._enough = self._window  # A text of this length seals a part.

    def write(self, delta: str) -> None:
        """Append *delta*, and seal each part that can no longer change."""
        self._unsealed.append(delta)
        self._length += len(delta)
        if self._length >= self._enough or ("\n" in delta and self._enough > self._window):
            self._seal(final=False)

    @property
    def open_part(self) -> str:
        """The part after the sealed ones so far, valid by itself; "" if nothing is visible.

        It lacks an end that may still become a fence, and text beyond the limit that is not enough
        to seal the part. Costs one pass over at most two parts of text.
        """
        text = _without_open_end(self._open_text(), self._fence)
        cut = self._next_cut(text, final=True)
        return "" if cut is None else _rendered(text, cut, self._fence)

    def beginning_of(self, number: int, limit: int) -> str:
        """Return the `beginning` of the text of a part, sealed or open."""
        if number < len(self.sealed):
            return beginning(self._sources[number], limit)
        text = _without_open_end(self._open_text(), self._fence)
        return beginning(_reopened(self._fence, text), limit)

    def finish(self) -> list[str]:
        """Seal the rest and return all parts; nothing can be written afterwards."""
        self._seal(final=True)
        return self.sealed

    def _open_text(self) -> str:
        text = "".join(self._unsealed)
        if self._fence is None:
            text = text.lstrip()
        self._unsealed, self._length = [text], len(text)
        return text

    def _seal(self, *, final: bool) -> None:
        self._enough = self._window
        while (text := self._open_text()) and (final or len(text) >= self._window):
            cut = self._next_cut(text, final=final)
            if cut is None:
                break
            part = _rendered(text, cut, self._fence)
            if part:
                self.sealed.append(part)
                self._sources.append(_reopened(self._fence, text[: self._window]))
            self._unsealed = [text[cut.resume :]]
            self._fence = cut.fence and cut.fence.fitted(self._limit)

    def _next_cut(self, text: str, *, final: bool) -> _Cut | None:
        """Return where the first part of *text* ends, or None if that needs more text."""
        cut, divided = _Page(text[: self._window], self._limit, self._fence).cut()
        if divided is None:
            return cut
        longest = divided.start + self._window
        end = text.find("\n", divided.start, longest)
        if end < 0:
            if len(text) < longest and not final:
                self._enough = longest
                return None
            end = min(len(text), longest)
        for before in divided.cuts_before:
            row = text[before.resume : end]
            if utf16_units(_framed(row, before.fence, divided.closing, self._limit)) <= self._limit:
                return before
        return cut


class _Rank(IntEnum):
    """Places to cut at, best first."""

    PARAGRAPH = auto()
    LINE = auto()
    NESTED = auto()  # before a nested list item, or after a blank line of code
    INNER = auto()  # before another line of a list item or of code
    UNEVEN = auto()  # between lines, but Discord takes a fence for open
    SENTENCE = auto()
    WORD = auto()
    LEAD = auto()  # after a heading, or after a line that announces what follows
    EMPHASIS = auto()
    UNBREAKABLE = auto()
    CLUSTER = auto()
    EMPTY = auto()  # in a code block that has no code yet


@dataclass(frozen=True, slots=True)
class _Fence:
    margin: str
    run: str
    info: str

    @property
    def opening(self) -> str:
        # Stripped, because Discord strips the beginning of a message, and only there is it used.
        return (self.margin + self.run + self.info).lstrip()

    @property
    def closing(self) -> str:
        return self.margin + self.run

    def fitted(self, limit: int) -> _Fence:
        """Return this fence, shortened until code fits into a part with it."""
        if self._frame() * 2 <= limit:
            return self
        language = "".join(self.info.split()[:1]).partition("~")[0]
        for margin, info in ((self.margin, language), ("", language), ("", "")):
            fence = _Fence(margin, self.run, info)
            if fence._frame() * 4 <= limit * 3:
                return fence
        return _Fence("", self.run[:3], "")

    def _frame(self) -> int:
        return utf16_units(self.opening) + utf16_units(self.closing) + 2


@dataclass(frozen=True, slots=True)
class _DividedRow:
    """A row (list item, table row or line of code) that a cut would divide."""

    start: int
    closing: str  # of the fence around it
    cuts_before: list[_Cut]  # which leave it whole if it fits into a part; best first


@dataclass(frozen=True, slots=True)
class _Cut:
    rank: _Rank
    end: int  # the part shows the text up to here
    resume: int  # the next part goes on from here
    closing: str = ""
    fence: _Fence | None = None  # to be opened again


class _Scan:
    """The state of a part after some of its lines."""

    def __init__(self, fence: _Fence | None) -> None:
        self.fence = fence
        self._ticks = fence.opening.count(FENCE) if fence else 0
        self._has_code = False
        self._after_paragraph = False
        self._blank = False
        self._announces = False
        self._in_table = False

    @property
    def is_empty(self) -> bool:
        """Whether the part ends in a block of code that has no code yet."""
        return self.fence is not None and not self._has_code

    def rank(self, line: str, after: _Fence | None) -> _Rank:
        """Rank a cut before *line*, after which the fence *after* is open."""
        if self.fence is not None:
            if self.is_empty or after is None:
                return _Rank.EMPTY
            if (self._ticks + self.fence.closing.count(FENCE)) % 2:
                return _Rank.UNEVEN
            return _Rank.NESTED if self._blank else _Rank.INNER
        if self._announces or (_is_rule(line) and not self._blank):
            return _Rank.LEAD
        if self._ticks % 2:
            return _Rank.UNEVEN
        if line[0] in " \t":
            return _Rank.NESTED if _ITEM.match(line) else _Rank.INNER
        if self._after_paragraph or _HEADING.match(line) or after is not None:
            return _Rank.PARAGRAPH
        return _Rank.LINE

    def is_row(self, line: str, after: _Fence | None) -> bool:
        """Whether *line* is a list item, a table row or a line of code."""
        if self.fence is not None:
            return after is not None
        return bool(
            _ITEM.match(line) or line.lstrip().startswith("|") or (self._in_table and "|" in line)
        )

    def take(self, line: str, after: _Fence | None) -> None:
        before, self.fence = self.fence, after
        self._ticks += line.count(FENCE)
        self._blank = not line.strip()
        self._after_paragraph = self._blank or before is not None
        if after is not None:
            self._has_code = before is not None and (self._has_code or not self._blank)
        elif not self._blank:
            is_delimiter = _is_rule(line) and "|" in line
            self._announces = is_delimiter or _announces(line)
            self._in_table = is_delimiter or (self._in_table and "|" in line)


class _Page:
    """The text from which one part is cut."""

    def __init__(self, text: str, limit: int, fence: _Fence | None) -> None:
        self._text = text
        self._fence = fence
        self._at = _units_before(text)
        self._limit = limit - (utf16_units(fence.opening) + 1 if fence else 0)

    def cut(self) -> tuple[_Cut, _DividedRow | None]:
        """Return the best cut, and the row that it divides, if any."""
        scan = _Scan(self._fence)
        cuts: list[_Cut] = []
        last_end = 0
        closing = ""
        for start, end in _lines(self._text):
            line = self._text[start:end]
            before, after = scan.fence, _fence_after(scan.fence, line)
            closing = after.closing if after else ""
            is_blank = not line.strip()
            if start and before is not None:
                cuts.append(_Cut(scan.rank(line, after), start, start, before.closing, before))
            elif start and not is_blank:
                cuts.append(_Cut(scan.rank(line, after), last_end, start))
            if before is not None or not is_blank:
                last_end = end if after else start + len(line.rstrip())
                if not self._fits(last_end, closing):
                    best = self._best([*cuts, *self._line_cuts(start, end, before, after)])
                    if start and best.resume > start and scan.is_row(line, after):
                        good = [cut for cut in cuts if cut.rank < _Rank.LEAD][-1:]
                        last = [cut for cut in cuts[-1:] if cut.rank < _Rank.EMPTY]
                        return best, _DividedRow(start, closing, good + last)
                    return best, None
            scan.take(line, after)
        return _Cut(_Rank.PARAGRAPH, last_end, len(self._text), closing), None

    def _fits(self, end: int, closing: str) -> bool:
        return self._at[end] + (1 + utf16_units(closing) if closing else 0) <= self._limit

    def _best(self, cuts: list[_Cut]) -> _Cut:
        filled = [
            cut for cut in cuts if self._at[cut.end] * 2 >= self._limit and cut.rank < _Rank.EMPTY
        ]
        if filled:
            return min(filled, key=lambda cut: (cut.rank, -cut.end))
        return min(cuts, key=lambda cut: (cut.rank == _Rank.EMPTY, -cut.end))

    def _line_cuts(
        self, start: int, end: int, before: _Fence | None, after: _Fence | None
    ) -> Iterator[_Cut]:
        """Yield the cuts within a line that does not fit, the last one of each rank."""
        if start and before is not None and after is None and end - start <= LOOKAHEAD:
            # This closing fence is longer than the one that we write, which replaces it.
            yield _Cut(_Rank.PARAGRAPH, start, min(end + 1, len(self._text)), before.closing)
            return
        if start and before is None and after is not None:
            return
        last = self._last_fitting(start, end, before)
        if before is not None:
            yield from self._word_cuts_in_code(start, last, end, before)
        elif after is None:
            yield from self._word_cuts(start, last, end)
        boundary = last_boundary(self._text, last, start)
        if boundary == start > 0:
            return
        # Cutting beside backticks may need an extra closing fence that does not fit; then try the
        # next index. A grapheme cluster longer than a part is split.
        for index in (self._beside_run(start, boundary, before), boundary, last):
            cut = self._cut_in_line(_Rank.CLUSTER, start, index, index, before)
            if index > start and self._fits(index, cut.closing):
                yield cut
                return

    def _cut_in_line(
        self, rank: _Rank, start: int, end: int, resume: int, before: _Fence | None
    ) -> _Cut:
        fence = _fence_after(before, self._text[start:end])
        if fence is None:
            return _Cut(rank, end, resume)
        if before is not None:
            return _Cut(rank, end, resume, fence.closing, fence)
        # An opening line is cut: the rest of the line is code now, if it was a fence at all.
        line_end = self._text.find("\n", start)
        opened = _opened_by(self._text[start : line_end if line_end >= 0 else None])
        is_fence = opened is not None and opened.run == fence.run
        reopened = replace(fence, info="") if is_fence else None
        return _Cut(rank, end, resume, fence.closing, reopened)

    def _last_fitting(self, start: int, end: int, before: _Fence | None) -> int:
        """Return the last index up to *end* that fits with the closing fence needed there."""
        index = min(bisect_right(self._at, self._limit) - 1, end)
        while index > start:
            fence = _fence_after(before, self._text[start:index])
            over = self._at[index] - self._limit + (1 + utf16_units(fence.closing) if fence else 0)
            if over <= 0:
                break
            # Step back by half of the excess: each backtick removed from a cut run also shortens
            # its closing run.
            index -= (over + 1) // 2
        return max(index, start)

    def _beside_run(self, start: int, index: int, before: _Fence | None) -> int:
        """Return *index*, moved before a run of backticks that would begin or end a fence."""
        text = self._text
        run = index
        while run > start and text[run] in "`~" and text[run - 1] == text[run]:
            run -= 1
        makes_fence = text.startswith((FENCE, "~~~"), run)
        if makes_fence and (before is not None or not _DISCORD_OPENING.match(text, run)):
            run = last_boundary(text, max(run - 1, start), start)
        return run if self._at[run] * 2 >= self._limit else index

    def _word_cuts_in_code(self, start: int, last: int, end: int, fence: _Fence) -> Iterator[_Cut]:
        breaks = _BREAK_IN_CODE.finditer(self._text, self._middle(start), last)
        for match in reversed(list(breaks)):
            index = match.end()
            rest = self._text[index:end]
            if not is_boundary(self._text, index) or closing_fence(rest, fence.run):
                continue
            # A longer part may fit although this one does not: if it ends the code by itself.
            if self._fits(index, fence.closing):
                yield self._cut_in_line(_Rank.WORD, start, index, index, fence)
                return

    def _word_cuts(self, start: int, last: int, end: int) -> Iterator[_Cut]:
        text = self._text
        unbreakable = self._spans(_UNBREAKABLE, start, end)
        emphases = self._spans(_EMPHASIS, start, end)
        is_heading = _HEADING.match(text, start) is not None
        marker = _LINE_MARKER.match(text, start)
        lowest = max(self._middle(start), marker.end() + 1 if marker else 0)
        breaks = [(match.start(), match.end()) for match in _BREAK.finditer(text, lowest, end)]
        breaks += [(first, first) for first, _ in unbreakable if first >= lowest]
        found: set[_Rank] = set()
        for word_end, resume in sorted(breaks, reverse=True):
            if word_end > last or not is_boundary(text, resume):
                continue
            begins_block = _BLOCK_BEGINNING.match(text, resume) is not None
            if is_heading or begins_block or _is_within(unbreakable, resume):
                rank = _Rank.UNBREAKABLE
            elif _is_within(emphases, resume):
                rank = _Rank.EMPHASIS
            elif _SENTENCE_END.search(text, max(0, word_end - 8), word_end):
                rank = _Rank.SENTENCE
            else:
                rank = _Rank.WORD
            if rank in found:
                continue
            cut = self._cut_in_line(rank, start, word_end, resume, None)
            if self._fits(word_end, cut.closing):
                found.add(rank)
                yield cut
            if rank == _Rank.SENTENCE:
                return

    def _middle(self, start: int) -> int:
        """Return the first index in the line at *start* where the part is half full."""
        return max(start + 1, bisect_right(self._at, (self._limit - 1) // 2))

    def _spans(self, pattern: re.Pattern[str], start: int, end: int) -> list[tuple[int, int]]:
        """Return where *pattern* matches; matches without an end count only late in the part."""
        return [
            match.span()
            for match in pattern.finditer(self._text, start, end)
            if match["open"] is None or self._at[match.start()] * 4 >= self._limit * 3
        ]


def _framed(row: str, reopened: _Fence | None, closing: str, limit: int) -> str:
    """Return the part that begins with *row*, with the fences around it."""
    if reopened is None:
        return row.strip() if not closing else f"{row.lstrip()}\n{closing}"
    return f"{reopened.fitted(limit).opening}\n{row}\n{closing}"


def _rendered(text: str, cut: _Cut, fence: _Fence | None) -> str:
    """Return the part of *text* up to *cut*, "" if nothing of it is visible."""
    part = text[: cut.end]
    if cut.fence is None and not shows_anything(part):
        return ""
    part = part.removesuffix("\n") + f"\n{cut.closing}" if cut.closing else part.rstrip()
    return _reopened(fence, part)


def _reopened(fence: _Fence | None, text: str) -> str:
    return f"{fence.opening}\n{text}" if fence else text


def _without_open_end(text: str, fence: _Fence | None) -> str:
    """Return *text* without an end that may become a fence, or opens a fence without code."""
    opened = 0  # the start of the open block of code
    has_code = False
    for start, end in _lines(text):
        line = text[start:end]
        if end == len(text):
            begun = closing_fence(line, fence.run[0]) if fence else _OPENING_PREFIX.match(line)
            if begun is not None:
                text = text[:start]
                break
        has_code = fence is not None and (has_code or bool(line.strip()))
        if fence is None:
            opened = start
        fence = _fence_after(fence, line)
    return text if fence is None or has_code else text[:opened]


def _fence_after(fence: _Fence | None, line: str) -> _Fence | None:
    if fence is None:
        return _opened_by(line)
    return None if closing_fence(line, fence.run) else fence


def _opened_by(line: str) -> _Fence | None:
    match = OPENING_FENCE.match(line)
    return match and _Fence(continued_margin(match[1]), match[2], match[3].rstrip())


def _announces(line: str) -> bool:
    """Whether *line* belongs to the text after it."""
    return bool(
        _HEADING.match(line)
        or _BOLD_LINE.match(line)
        or line.rstrip(" \t\r*_").endswith((":", "："))
    )


def _is_rule(line: str) -> bool:
    """Whether *line* belongs to the one above: a table's delimiter, a heading's underline."""
    return ("-" in line or "=" in line) and not line.strip("|:-= \t\r")


def _is_within(spans: list[tuple[int, int]], index: int) -> bool:
    nearest = bisect_right(spans, (index, -1)) - 1
    return nearest >= 0 and spans[nearest][0] < index < spans[nearest][1]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each line, without its line end."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield start, end
        start = end + 1
    yield start, len(text)


def _units_before(text: str) -> Sequence[int]:
    """Return the number of UTF-16 units before each index of *text*, and in all of it."""
    if text.isascii() or max(text) <= "\uffff":
        return range(len(text) + 1)
    second_units = accumulate(map("\uffff".__lt__, text), initial=0)
    return list(map(add, count(), second_units))
