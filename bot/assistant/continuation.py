"""Join what a model says when it goes on to what was cut short."""

import re
from typing import Final

HELD: Final = 200  # characters from which it is told how the model went on
SHORTEST: Final = 8  # characters in a row that are no chance
_BLOCK: Final = re.compile(r"(?:#{1,6}|[-*+•>]|\d{1,9}[.)])\s|\||`{3}|~{3}")
_FENCE: Final = re.compile(r"^\s*(?:`{3,}|~{3,})", re.MULTILINE)
_UNSPACED: Final = re.compile(r"[\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WORD: Final = re.compile(r"\w")


class Continuation:
    """Takes the text that is to follow *before*, of which a model often repeats the end.

    It is asked to begin with the last line, so that what is missing between both is known: half a
    word, a space, a line end. Where it does not, that is guessed.
    """

    def __init__(self, before: str) -> None:
        self._before = before
        self._held = ""
        self._joined = not before

    def write(self, delta: str) -> str:
        """Return what is to be appended to the text before and was not returned yet."""
        if self._joined:
            return delta
        self._held += delta
        return self._join() if len(self._held) >= HELD + len(self._last_line) else ""

    def finish(self) -> str:
        """Return the rest."""
        return "" if self._joined else self._join()

    @property
    def _last_line(self) -> str:
        return self._before.rstrip().rpartition("\n")[2][-HELD:]

    def _join(self) -> str:
        self._joined = True
        if not self._held.strip():
            return ""
        return joined(self._before, self._held)


def joined(before: str, after: str) -> str:
    """Return what of *after* is to be appended to *before*, with what belongs between both."""
    end, beginning = before.rstrip(), after.lstrip()
    for length in range(min(len(end), len(beginning), 2 * HELD), 0, -1):
        if end.endswith(beginning[:length]) and _is_repeated(end, length):
            rest = beginning[length:]
            # White space behind the cut is there already.
            return rest[_common(before[len(end) :], rest) :]
    return _between(before, after) + after


def _is_repeated(end: str, length: int) -> bool:
    """Whether so many characters at the *end* were said once more, and not by chance."""
    return length >= SHORTEST or length == len(end.rpartition("\n")[2])


def _common(one: str, other: str) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length


def _between(before: str, after: str) -> str:
    """Return what is missing between two texts of which neither has white space there."""
    if not before or before[-1].isspace() or after[0].isspace():
        return ""
    if _BLOCK.match(after) or len(_FENCE.findall(before)) % 2:
        return "\n"
    both_words = _WORD.match(before[-1]) and _WORD.match(after[0])
    if both_words and not _UNSPACED.match(before[-1]):
        return " "
    return " " if before[-1] in ".,;:!?" else ""
