"""Keep a model's reasoning, `<think>…</think>`, out of what is shown.

It stands in front of the answer, or within it where a line or a sentence would begin; what is in
code stays. In front of an answer that never comes it is hidden to the end. Within one it is
reasoning only if it is closed soon enough: an answer that explains the tag must not lose its end.

Where a server has put the opening tag into the prompt, only the closing one comes, with a line end
behind it. What was shown until then is taken back.
"""

import re
from typing import Final

OPENING: Final = "<think>"
CLOSING: Final = "</think>"
HELD_LENGTH: Final = 1000  # characters; of blanks in front of an answer no more are kept
WITHIN_LENGTH: Final = 8000  # characters between the tags within an answer, some 2000 tokens

_PIECE: Final = re.compile(r"[^<\n]+|\n|<")
# One that an answer speaks of has words behind it.
_CLOSES: Final = re.compile(r"</think>[ \t]{0,9}\r?\n")
_CLOSING_BEGUN: Final = re.compile(r"</?t?h?i?n?k?>?[ \t]{0,9}\r?")
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

    @property
    def replaces(self) -> bool:
        """Whether what the last `write` returned stands in the place of all before."""
        return self._answer is not None and self._answer.replaces

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
                self._answer = _Answer(may_close=not self._reasoned)
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
    """Passes an answer on, but for the reasoning within it.

    *may_close*: whether a closing tag without an opening one ends reasoning.
    """

    def __init__(self, *, may_close: bool) -> None:
        self.reasons = self.replaces = False
        self._may_close = may_close
        self._held = ""
        self._line = ""  # how it begins
        self._before = ""  # the last few characters
        self._ticks = 0  # in this line
        self._fence = ""
        self._left_out = ""  # white space right behind reasoning

    def write(self, text: str) -> str:
        self._held += text
        self.replaces = False
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
            elif (tag := self._tag(at)) is None:
                break
            elif tag:
                at += len(tag)
                if tag == CLOSING:
                    self._begin_anew()
                    shown.clear()
                else:
                    self.reasons = True
            else:
                self._left_out = ""
                piece = _PIECE.match(self._held, at)
                assert piece is not None
                shown.append(self._followed(piece[0]))
                at = piece.end()
        self._held = self._held[at:]
        return "".join(shown)

    def end(self) -> str:
        return (OPENING if self.reasons else "") + self._held

    def _tag(self, at: int) -> str | None:
        """Return which tag is one here, "" where none is, None where that is not known yet."""
        begun = self._held[at : at + len(CLOSING)]
        if not begun.startswith("<"):
            return ""
        may_begin = self._may_begin()
        if begun.startswith(OPENING):
            self._may_close = False  # Whoever writes both tags means them, or explains them.
            return OPENING if may_begin else ""
        if OPENING.startswith(begun) and (may_begin or self._may_close):
            return None
        if not self._may_close or self._fence or self._ticks % 2:
            return ""
        if _CLOSES.match(self._held, at):
            return CLOSING
        return (
            None if CLOSING.startswith(begun) and _CLOSING_BEGUN.fullmatch(self._held, at) else ""
        )

    def _begin_anew(self) -> None:
        """Take all before for reasoning."""
        self.replaces, self._may_close = True, False
        self._line = self._before = ""
        self._ticks = 0
        self._left_out = " \t\r\n"

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
