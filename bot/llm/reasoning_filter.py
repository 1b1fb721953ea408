"""Remove a model's reasoning, `<think>…</think>`, from its answer.

Reasoning comes before the answer, or within it at the beginning of a line or a sentence; tags in
code stay. Before the answer it is removed even if it is never closed. Within the answer it must be
closed soon, so that an answer that explains the tag does not lose its end.

If a server put the opening tag into the prompt, only the closing tag comes, followed by a line end.
Then all text before it turns out to be reasoning, and later text replaces it.
"""

import re
from typing import Final

from bot.markdown.syntax import OPENING_FENCE, closing_fence

OPENING: Final = "<think>"
CLOSING: Final = "</think>"
PENDING_LENGTH: Final = 1000  # the most characters of white space before an answer that are kept
WITHIN_LENGTH: Final = 8000  # characters between the tags within an answer, some 2000 tokens

_PIECE: Final = re.compile(r"[^<\n]+|\n|<")
# If an answer only mentions the tag, words follow it on the line.
_CLOSES: Final = re.compile(r"</think>[ \t]{0,9}\r?\n")
_CLOSING_BEGUN: Final = re.compile(r"</?t?h?i?n?k?>?[ \t]{0,9}\r?")
_LINE_LENGTH: Final = 300  # the most characters of a line that decide what it is
_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"'”’)*_]*[ \t]+\Z")


class ReasoningFilter:
    """Passes the answer on. Text may arrive in any pieces, even with tags cut in two.

    *reasons* means that the next text is reasoning, *replaces* that the text which the last `write`
    returned replaces all before it.
    """

    def __init__(self) -> None:
        self.reasons = self.replaces = False
        self._begun = False  # the answer
        self._may_close = True  # A closing tag without an opening one ends reasoning.
        self._pending = ""
        self._line = ""  # its beginning
        self._before = ""  # the last few characters
        self._ticks = 0  # in this line
        self._fence = ""  # the open code fence
        self._skipped = ""  # white space to skip right after reasoning

    def write(self, text: str) -> str:
        """Return the next piece of the answer."""
        self._pending += text
        self.replaces = False
        return self._answer() if self._begun or self._begins() else ""

    def end(self) -> str:
        """Return the text that was pending and is no reasoning."""
        if self._begun:
            return (OPENING if self.reasons else "") + self._pending
        return "" if self.reasons else self._beginning()

    def _begins(self) -> bool:
        """Remove reasoning before the answer; return whether the answer has begun."""
        while True:
            if self.reasons:
                _, closing, behind = self._pending.partition(CLOSING)
                if not closing:
                    self._pending = self._pending[-len(CLOSING) :]
                    return False
                self.reasons, self._may_close, self._pending = False, False, behind
            start = self._pending.lstrip()
            if start.startswith(OPENING):
                self.reasons, self._pending = True, start.removeprefix(OPENING)
            elif OPENING.startswith(start):  # It may become the tag.
                self._pending = self._pending[-PENDING_LENGTH:]
                return False
            else:
                self._begun, self._pending = True, self._beginning()
                return True

    def _beginning(self) -> str:
        # White space right after the reasoning belongs to it.
        return self._pending if self._may_close else self._pending.lstrip()

    def _answer(self) -> str:
        shown: list[str] = []
        at = 0
        while at < len(self._pending):
            if self.reasons:
                end = self._pending.find(CLOSING, at, at + WITHIN_LENGTH + len(CLOSING))
                if end >= 0:
                    self.reasons = False
                    self._skipped = " \t" if self._line.strip() else " \t\r\n"
                    at = end + len(CLOSING)
                elif len(self._pending) - at < WITHIN_LENGTH + len(CLOSING):
                    break
                else:
                    self.reasons = False
                    shown.append(self._followed(OPENING))
            elif self._skipped and self._pending[at] in self._skipped:
                at += 1
            elif (tag := self._tag(at)) is None:
                break
            elif tag:
                at += len(tag)
                if tag == CLOSING:
                    self._restart()
                    shown.clear()
                else:
                    self.reasons = True
            else:
                self._skipped = ""
                piece = _PIECE.match(self._pending, at)
                assert piece is not None
                shown.append(self._followed(piece[0]))
                at = piece.end()
        self._pending = self._pending[at:]
        return "".join(shown)

    def _tag(self, at: int) -> str | None:
        """Return the tag that counts here, "" if there is none, None if that is not known yet."""
        begun = self._pending[at : at + len(CLOSING)]
        if not begun.startswith("<"):
            return ""
        may_begin = self._may_begin()
        if begun.startswith(OPENING):
            self._may_close = False  # From now on, a closing tag belongs to this opening one.
            return OPENING if may_begin else ""
        if OPENING.startswith(begun) and (may_begin or self._may_close):
            return None
        if not self._may_close or self._fence or self._ticks % 2:
            return ""
        if _CLOSES.match(self._pending, at):
            return CLOSING
        may_close = CLOSING.startswith(begun) and _CLOSING_BEGUN.fullmatch(self._pending, at)
        return None if may_close else ""

    def _restart(self) -> None:
        """Treat all text before as reasoning."""
        self.replaces, self._may_close = True, False
        self._line = self._before = ""
        self._ticks = 0
        self._skipped = " \t\r\n"

    def _may_begin(self) -> bool:
        if self._fence:
            return False
        if not self._line.strip():  # With an indent of four it is code.
            return len(self._line.expandtabs(4)) < 4
        return self._ticks % 2 == 0 and _SENTENCE_END.search(self._before) is not None

    def _followed(self, piece: str) -> str:
        if piece != "\n":
            self._line += piece[: _LINE_LENGTH - len(self._line)]
            self._before = (self._before + piece)[-16:]
            self._ticks += piece.count("`")
            return piece
        if self._fence:
            if closing_fence(self._line, self._fence):
                self._fence = ""
        elif opening := OPENING_FENCE.match(self._line):
            self._fence = opening[2]
        self._line = self._before = ""
        self._ticks = 0
        return piece
