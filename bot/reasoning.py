"""Keep a model's reasoning, `<think>…</think>`, out of what is shown.

It stands in front of the answer, or within it where a line or a sentence would begin; what is in
code stays. In front of an answer that never comes it is hidden to the end. Within one it is
reasoning only if it is closed soon enough: an answer that explains the tag must not lose its end.
"""

import re
from typing import Final

OPENING: Final = "<think>"
CLOSING: Final = "</think>"
HELD_LENGTH: Final = 1000  # characters; of blanks in front of an answer no more are kept
WITHIN_LENGTH: Final = 8000  # characters between the tags within an answer, some 2000 tokens

_PIECE: Final = re.compile(r"[^<\n]+|\n|<")
_LINE_LENGTH: Final = 300  # characters of a line that tell what it begins
_FENCE: Final = re.compile(r"(?:[> \t]|(?:[-*+•]|\d{1,9}[.)])[ \t])*(`{3,}|~{3,})")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"'”’)*_]*[ \t]+\Z")


class ReasoningFilter:
    """Let the answer pass; text may arrive in any pieces, the tags may be cut in two."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._reasoned = False
        self._answer: _Answer | None = None

    @property
    def reasons(self) -> bool:
        """Whether what comes next is reasoning."""
        return self._inside if self._answer is None else self._answer.reasons

    def write(self, text: str) -> str:
        """Return what of the text so far may be shown and was not returned before."""
        if self._answer is not None:
            return self._answer.write(text)
        self._held += text
        while True:
            if self._inside:
                _, closing, behind = self._held.partition(CLOSING)
                if not closing:
                    self._held = self._held[-len(CLOSING) :]
                    return ""
                self._inside, self._reasoned, self._held = False, True, behind
            start = self._held.lstrip()
            if start.startswith(OPENING):
                self._inside, self._held = True, start.removeprefix(OPENING)
            elif OPENING.startswith(start):  # It may yet become one.
                self._held = self._held[-HELD_LENGTH:]
                return ""
            else:
                self._answer = _Answer()
                return self._answer.write(self._begun())

    def end(self) -> str:
        """Return what was held back although it was no reasoning."""
        if self._answer is not None:
            return self._answer.end()
        return "" if self._inside else self._begun()

    def _begun(self) -> str:
        # White space right behind the reasoning belongs to it.
        return self._held.lstrip() if self._reasoned else self._held


class _Answer:
    """Passes an answer on, but for the reasoning within it."""

    def __init__(self) -> None:
        self.reasons = False
        self._held = ""
        self._line = ""  # how it begins
        self._before = ""  # the last few characters
        self._ticks = 0  # in this line
        self._fence = ""
        self._left_out = ""  # white space right behind reasoning

    def write(self, text: str) -> str:
        self._held += text
        shown: list[str] = []
        at = 0
        while at < len(self._held):
            if self.reasons:
                end = self._held.find(CLOSING, at, at + WITHIN_LENGTH + len(CLOSING))
                if end >= 0:
                    self.reasons = False
                    self._left_out = " \t" if self._line.strip() else " \t\r\n"
                    at = end + len(CLOSING)
                elif len(self._held) - at < WITHIN_LENGTH + len(CLOSING):
                    break
                else:
                    self.reasons = False
                    shown.append(self._followed(OPENING))
            elif self._left_out and self._held[at] in self._left_out:
                at += 1
            else:
                self._left_out = ""
                if self._held[at] == "<" and self._may_begin():
                    if self._held.startswith(OPENING, at):
                        self.reasons = True
                        at += len(OPENING)
                        continue
                    if OPENING.startswith(self._held[at : at + len(OPENING)]):
                        break
                piece = _PIECE.match(self._held, at)
                assert piece is not None
                shown.append(self._followed(piece[0]))
                at = piece.end()
        self._held = self._held[at:]
        return "".join(shown)

    def end(self) -> str:
        return (OPENING if self.reasons else "") + self._held

    def _may_begin(self) -> bool:
        """Whether reasoning may begin here."""
        if self._fence:
            return False
        if not self._line.strip():  # Indented by four, it is code.
            return len(self._line.expandtabs(4)) < 4
        return self._ticks % 2 == 0 and _SENTENCE_END.search(self._before) is not None

    def _followed(self, piece: str) -> str:
        if piece != "\n":
            self._line += piece[: _LINE_LENGTH - len(self._line)]
            self._before = (self._before + piece)[-16:]
            self._ticks += piece.count("`")
            return piece
        fence = _FENCE.match(self._line)
        if self._fence:
            run = self._line.strip("> \t\r")
            if run.startswith(self._fence) and not run.strip(self._fence[0]):
                self._fence = ""
        elif fence and not (fence[1][0] == "`" and self._ticks > len(fence[1])):
            self._fence = fence[1]
        self._line = self._before = ""
        self._ticks = 0
        return piece
