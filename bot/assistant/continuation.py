"""Join a continued completion to the text that it continues."""

import re
from os.path import commonprefix
from typing import Final

from bot.markdown.syntax import MARKER

PENDING: Final = 200  # characters that decide how the model continued
SHORTEST: Final = 8  # A shorter overlap may be a coincidence.
_BLOCK: Final = re.compile(rf"(?:#{{1,6}}|>|{MARKER})\s|\||`{{3}}|~{{3}}")
_FENCE: Final = re.compile(r"^\s*(?:`{3,}|~{3,})", re.MULTILINE)
_UNSPACED: Final = re.compile(r"[\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WORD: Final = re.compile(r"\w")


class Continuation:
    """Takes the text that follows *before*, whose end a model often repeats.

    The model is asked to repeat the last line, which shows what is missing between: half a word, a
    space or a line end. If it does not repeat the line, this is guessed.
    """

    def __init__(self, before: str) -> None:
        self._before = before
        self._pending = ""
        self._joined = not before

    def write(self, delta: str) -> str:
        """Return the next piece to append to the text before."""
        if self._joined:
            return delta
        self._pending += delta
        last_line = self._before.rstrip().rpartition("\n")[2][-PENDING:]
        return self.finish() if len(self._pending) >= PENDING + len(last_line) else ""

    def finish(self) -> str:
        """Return the last piece."""
        if self._joined or not self._pending.strip():
            return ""
        self._joined = True
        return joined(self._before, self._pending)


def joined(before: str, after: str) -> str:
    """Return what to append to *before* for *after*: without an overlap, or with a separator."""
    end, beginning = before.rstrip(), after.lstrip()
    for length in range(min(len(end), len(beginning), 2 * PENDING), 0, -1):
        if end.endswith(beginning[:length]) and _is_repeated(end, length):
            rest = beginning[length:]
            # White space after the cut is there already.
            common = commonprefix((before[len(end) :], rest))  # noqa: RUF071 - no paths
            return rest[len(common) :]
    return _between(before, after) + after


def _is_repeated(end: str, length: int) -> bool:
    """Whether the last *length* characters of *end* are repeated, not equal by coincidence."""
    return length >= SHORTEST or length == len(end.rpartition("\n")[2])


def _between(before: str, after: str) -> str:
    """Return the separator that is missing between two texts."""
    if not before or before[-1].isspace() or after[0].isspace():
        return ""
    if _BLOCK.match(after) or len(_FENCE.findall(before)) % 2:
        return "\n"
    both_words = _WORD.match(before[-1]) and _WORD.match(after[0])
    if both_words and not _UNSPACED.match(before[-1]):
        return " "
    return " " if before[-1] in ".,;:!?" else ""
