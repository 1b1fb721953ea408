"""Remove a model's reasoning, such as `<think>…</think>`, from its answer.

`llm/reasoning_marks.py` knows the marks around reasoning. It comes before the answer; in tags such
as `<think>` also within it, at the beginning of a line or a sentence. Marks in code stay, and so do
those that a sentence is about. Before the answer, reasoning is removed even if it is never closed.
Within the answer it must be closed soon, so that an answer that explains the tag does not lose its
end.

If a server put the opening mark into the prompt, only the closing one comes. Then all text before
it turns out to be reasoning, and later text replaces it.
"""

import re
from typing import Final

from bot.llm.reasoning_marks import (
    LONGEST_CLOSING,
    MAY_BE_MARK,
    Kind,
    Mark,
    ending,
    front_mark,
    late_closing,
    mark_within,
    nested_opening,
    opening,
)
from bot.markdown.syntax import closing_fence, opened_fence

PENDING_LENGTH: Final = 1000  # the most characters of white space before an answer that are kept
WITHIN_LENGTH: Final = 8000  # characters between the tags within an answer, some 2000 tokens

_SPECIAL: Final = re.compile(r"[<\n]")
_PIECE: Final = re.compile(r"[^<\n]+|\n|<")
_MARK_LENGTH: Final = 400  # the most characters that decide whether there is a mark
_LINE_LENGTH: Final = 300  # the most characters of a line that decide what it is
_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"'”’)*_]*[ \t]+\Z")


class ReasoningFilter:
    """Passes the answer on. Text may arrive in any pieces, even with marks cut in two.

    *reasons* means that the next text is reasoning, *replaces* that the text which the last `write`
    returned replaces all before it.
    """

    def __init__(self) -> None:
        self.reasons = self.replaces = False
        self._begun = False  # the answer
        self._has_reasoned = False
        self._may_close = True  # A closing mark without an opening one ends reasoning.
        self._pending = ""
        self._opening = ""  # the mark of the open reasoning
        self._closing = ""  # the pattern of what closes it
        self._is_sure = True  # The open reasoning counts as such even if it is never closed.
        self._nests = False  # The open reasoning has reasoning in the same marks.
        self._outer_closing = ""  # the pattern that closes the outer reasoning, if that is open
        self._ends: tuple[str, ...] = ()  # the marks that may end the answer
        self._line = ""  # its beginning
        self._before = ""  # the last few characters
        self._ticks = 0  # in this line
        self._fence = ""  # the open code fence
        self._skipped = ""  # white space to skip right after reasoning

    def write(self, text: str) -> str:
        """Return the next piece of the answer."""
        self.replaces = False
        is_plain = self._begun and not (
            self.reasons or self._pending or self._skipped or _SPECIAL.search(text)
        )
        if is_plain:  # Most pieces are.
            return self._followed(text)
        self._pending += text
        shown: list[str] = []
        while self._begun or self._begins(shown):
            self._answer(shown)
            if self._begun:
                break
        return "".join(shown)

    def end(self) -> str:
        """Return the text that was pending and is no reasoning."""
        if self._begun and self.reasons:
            return self._opening + self._pending
        if self._begun:
            mark = ending(self._pending, self._ends, is_whole=True) if self._ends else None
            is_end = mark is not None and mark.kind is Kind.FRAMES
            return "" if is_end else self._pending
        if self.reasons:
            return "" if self._is_sure else self._opening + self._pending
        start = self._pending.lstrip()
        mark = front_mark(start, is_after_reasoning=self._has_reasoned, is_whole=True)
        return "" if mark is not None and mark.is_sure else self._beginning()

    def _begins(self, shown: list[str]) -> bool:
        """Remove reasoning before the answer; return whether the answer has begun."""
        while True:
            if self.reasons:
                closing = re.search(self._closing, self._pending)
                hidden = self._pending[: closing.end() if closing else None]
                self._nests |= nested_opening(self._opening).search(hidden) is not None
                if closing is None and self._is_sure:
                    self._pending = self._pending[-LONGEST_CLOSING:]
                    return False
                if closing is None:
                    self._begun = len(self._pending) >= WITHIN_LENGTH
                    if self._begun:
                        self.reasons = False
                        shown.append(self._followed(self._opening))
                    return self._begun
                self.reasons, self._pending = False, self._pending[closing.end() :]
                self._outer_closing = self._closing if self._nests else ""
            start = self._pending.lstrip()
            mark = front_mark(start, is_after_reasoning=self._has_reasoned)
            if mark is None:
                self._begun, self._pending = True, self._beginning()
                return True
            if mark.kind is Kind.UNDECIDED:
                self._pending = self._pending[-PENDING_LENGTH:]
                return False
            self._take(mark, start)
            # The line end sets the reasoning apart from what is before it.
            line_end = "\n" if self.reasons and mark.is_sure else ""
            self._pending = line_end + start[mark.length :]

    def _beginning(self) -> str:
        # White space right after the reasoning belongs to it.
        return self._pending.lstrip() if self._has_reasoned else self._pending

    def _take(self, mark: Mark, text: str) -> None:
        """Take the *mark* that *text* begins with."""
        self.reasons = mark.kind is Kind.OPENS
        self._opening, self._closing = text[: mark.length], mark.closing
        self._is_sure, self._nests, self._outer_closing = mark.is_sure, False, ""
        self._ends = mark.ends or self._ends
        # From now on, a closing mark belongs to an opening one.
        self._has_reasoned, self._may_close = True, False

    def _answer(self, shown: list[str]) -> None:
        """Append the answer to *shown*, up to a mark after which it begins anew."""
        at = 0
        while at < len(self._pending) and self._begun:
            if self.reasons:
                limit = at + WITHIN_LENGTH + len(self._opening) + 1
                closing = re.compile(self._closing).search(self._pending, at, limit)
                if closing is not None:
                    self.reasons = False
                    self._skipped = " \t" if self._line.strip() else " \t\r\n"
                    at = closing.end()
                elif len(self._pending) < limit:
                    break
                else:
                    self.reasons = False
                    shown.append(self._followed(self._opening))
            elif self._skipped and self._pending[at] in self._skipped:
                at += 1
            elif (mark := self._mark(at)) is None:
                self._skipped = ""
                piece = _PIECE.match(self._pending, at)
                assert piece is not None
                shown.append(self._followed(piece[0]))
                at = piece.end()
            elif mark.kind is Kind.UNDECIDED:
                break
            else:
                self._take(mark, self._pending[at : at + mark.length])
                at += mark.length
                self._begun = mark.kind is Kind.OPENS
                if mark.kind is Kind.CLOSES:
                    shown.clear()
                    self._restart()
        self._pending = self._pending[at:]

    def _mark(self, at: int) -> Mark | None:
        """Return the mark that counts here, None if there is none."""
        if self._pending[at] != "<":
            return None
        if not self._ends and not MAY_BE_MARK.match(self._pending, at):
            return None
        text = self._pending[at : at + _MARK_LENGTH]
        is_block = self._fence and not closing_fence(self._line, self._fence)
        is_code = bool(is_block) or (not self._fence and self._ticks % 2 > 0)
        if self._ends and not is_code and (end := ending(text, self._ends)) is not None:
            return end
        may_end = not is_code and self._may_end()
        if self._outer_closing and may_end and (end := late_closing(self._outer_closing, text)):
            return end
        may_close = self._may_close and may_end
        mark = mark_within(
            text, before=self._before, may_begin=self._may_begin(), may_close=may_close
        )
        if mark is None and self._may_close:
            mark = opening(text)
            if mark is not None and mark.kind is Kind.OPENS:
                self._may_close, mark = False, None  # The answer is about such marks.
        return mark

    def _restart(self) -> None:
        """Treat all text before as reasoning."""
        self.replaces = True
        self._line = self._before = ""
        self._ticks = 0

    def _may_begin(self) -> bool:
        if self._fence:
            return False
        if not self._line.strip():
            return self._may_end()
        return self._ticks % 2 == 0 and _SENTENCE_END.search(self._before) is not None

    def _may_end(self) -> bool:
        """Whether a closing mark may count here: after a word, or at the beginning of a line.

        A mark that a sentence mentions has a space before it. An indent of four means code.
        """
        if not self._line.strip():
            return len(self._line.expandtabs(4)) < 4
        is_apart = self._before[-1:].isspace() and not _SENTENCE_END.search(self._before)
        return not is_apart

    def _followed(self, piece: str) -> str:
        if piece != "\n":
            self._line += piece[: _LINE_LENGTH - len(self._line)]
            self._before = (self._before + piece)[-16:]
            self._ticks += piece.count("`")
            return piece
        if self._fence:
            if closing_fence(self._line, self._fence):
                self._fence = ""
        else:
            self._fence = opened_fence(self._line)
        self._line = self._before = ""
        self._ticks = 0
        return piece
