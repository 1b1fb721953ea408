"""Keep a model's reasoning, `<think>…</think>` in front of its answer, out of what is shown."""

from typing import Final

OPENING: Final = "<think>"
CLOSING: Final = "</think>"
HELD_LENGTH: Final = 1000  # characters; of blanks in front of an answer no more are kept


class ReasoningFilter:
    """Let the answer pass; text may arrive in any pieces, the tags may be cut in two."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._reasoned = False
        self._passed = False

    @property
    def reasons(self) -> bool:
        """Whether what comes next is reasoning."""
        return self._inside

    def write(self, text: str) -> str:
        """Return what of the text so far may be shown and was not returned before."""
        if self._passed:
            return text
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
                self._passed = True
                return self._answer()

    def end(self) -> str:
        """Return what was held back although it was no reasoning."""
        return "" if self._inside or self._passed else self._answer()

    def _answer(self) -> str:
        # White space right behind the reasoning belongs to it.
        return self._held.lstrip() if self._reasoned else self._held
