"""Read typed and pasted text at a terminal: a paste of several lines is one text."""

import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

with suppress(ImportError):  # Not every Python has it; input() then has no line editing.
    import readline

PASTE_SECONDS: Final = 0.05  # Nobody types the next line so soon after Enter.
COMMAND: Final = "/"  # the beginning of a command


def take_pastes_whole() -> None:
    """Make readline read a paste as one text, which Python switches off; Enter then sends it."""
    if "readline" in globals():
        readline.parse_and_bind("set enable-bracketed-paste on")


def recall(texts: Iterable[str]) -> None:
    """Let the arrow keys bring back *texts*, oldest first."""
    if "readline" in globals():
        for text in texts:
            readline.add_history(text)


def read_text(prompt: str) -> str:
    """Return the text entered at *prompt*, which may have several lines; raises like input().

    Lines that arrive together are one text: a paste that the terminal does not mark, or that came
    while no prompt was shown. A command is always one line.
    """
    lines = [input(prompt)]
    with suppress(EOFError):
        while not lines[0].startswith(COMMAND) and _more_waits():
            lines.append(input())
    return "\n".join(lines)


def _more_waits() -> bool:
    return bool(select.select([sys.stdin], [], [], PASTE_SECONDS)[0])
