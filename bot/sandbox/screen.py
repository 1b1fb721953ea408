"""Show new and changed messages on a terminal, above the input line."""

import shutil
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

with suppress(ImportError):  # Windows has none; the line being typed is then not restored.
    import readline

ERASE_BELOW: Final = "\x1b[J"


class Screen:
    """Prints blocks of text; the newest one is rewritten in place when it changes.

    Only a terminal can rewrite. Elsewhere `settle` prints each block once, when it is complete.
    """

    def __init__(self, prompt: Callable[[], str], out: TextIO = sys.stdout) -> None:
        self._prompt = prompt
        self._out = out
        self._live = out.isatty()
        self._newest: str | None = None
        self._rows: list[str] = []
        self._waiting: dict[str, str] = {}

    def show(self, key: str, text: str) -> None:
        """Print the block *key*, or print it again if its text has changed."""
        text = "".join(char for char in text if char == "\n" or unicodedata.category(char) != "Cc")
        if not self._live:
            self._waiting[key] = text
            return
        size = shutil.get_terminal_size()
        rows = wrapped(text, size.columns - 1)
        kept = 0
        typed = self._typed()
        above = sum(_width(line) // size.columns + 1 for line in typed.split("\n")) - 1
        if key == self._newest:
            # Rows that scrolled away cannot be rewritten; a growing text does not need it.
            kept = max(0, len(self._rows) - (size.lines - 2 - above))
            above += max(0, len(self._rows) - kept)
        self._newest, self._rows = key, rows
        up = f"\x1b[{above}A" if above else ""
        block = "".join(f"{row}\n" for row in rows[kept:])
        self._out.write(f"\r{up}{ERASE_BELOW}{block}{typed}")
        self._out.flush()

    def entered(self) -> None:
        """Note that a line was entered: do not rewrite the blocks above it."""
        self._newest = None

    def settle(self) -> None:
        """Print the blocks that were waiting to be complete."""
        for text in self._waiting.values():
            self._out.write(f"{text}\n")
        self._waiting.clear()
        self._out.flush()

    def _typed(self) -> str:
        typed = readline.get_line_buffer() if "readline" in globals() else ""
        return f"{self._prompt()}{typed}"


def wrapped(text: str, columns: int) -> list[str]:
    """Return *text* in rows of at most *columns* cells, broken at spaces if possible."""
    return [row for line in text.split("\n") for row in _rows(line, columns)]


def _rows(line: str, columns: int) -> list[str]:
    rows = []
    while (end := _fitting(line, columns)) < len(line):
        at_space = line.rfind(" ", 0, end + 1)
        end = at_space + 1 if at_space > end // 2 else max(end, 1)
        rows.append(line[:end].rstrip())
        line = line[end:]
    return [*rows, line]


def _width(line: str) -> int:
    return sum(map(_cells, line))


def _fitting(line: str, columns: int) -> int:
    """Return how many characters of *line* fit into *columns* cells; wide ones take two."""
    used = 0
    for number, char in enumerate(line):
        used += _cells(char)
        if used > columns:
            return number
    return len(line)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Cc", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
