"""Keep a model's reasoning, `<think>…</think>` in front of its answer, out of what is shown."""

from typing import Final

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


class ReasoningFilter:
    """Let the answer pass; text may arrive in any pieces, the tags may be cut in two."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._passed = False

    @property
    def reasoning(self) -> bool:
        """Whether the model is reasoning right now."""
        return self._inside

    def write(self, text: str) -> str:
        """Return what of the text so far may be shown and was not returned before."""
        if self._passed:
            return text
        self._held += text
        if not self._inside:
            start = self._held.lstrip()
            if OPENING.startswith(start[: len(OPENING)]) and len(start) < len(OPENING):
                return ""
            if not start.startswith(OPENING):
                return self._pass(self._held)
            self._inside = True
            self._held = start.removeprefix(OPENING)
        before, closing, answer = self._held.partition(CLOSING)
        if closing:
            return self._pass(answer.lstrip())
        self._held = before[-len(CLOSING) :]
        return ""

    def end(self) -> str:
        """Return what was held back although it was no reasoning."""
        return "" if self._inside or self._passed else self._held

    def _pass(self, answer: str) -> str:
        self._inside = False
        # White space right after the reasoning belongs to it, also when it comes in a later piece.
        self._passed = bool(answer)
        self._held = ""
        return answer
