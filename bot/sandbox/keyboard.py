"""Read what a person types or pastes at a terminal: a paste of several lines is one text."""

import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

with suppress(ImportError):  # Not every Python has it; input() then has no line editing.
    import readline

PASTE_SECONDS: Final = 0.05  # Nobody types the next line so soon after Enter.
COMMAND: Final = "/"  # what a line begins with that is a command


def take_pastes_whole() -> None:
    """Have the terminal mark pastes, which Python switches off: Enter is then pressed by hand."""
    if "readline" in globals():
        readline.parse_and_bind("set enable-bracketed-paste on")


def recall(texts: Iterable[str]) -> None:
    """Let the arrow keys bring back *texts*, the newest of which is the last."""
    if "readline" in globals():
        for text in texts:
            readline.add_history(text)


def read_text(prompt: str) -> str:
    """Return what is entered at *prompt*, with the lines that came with it; raises as input() does.

    Lines come together where the terminal does not mark pastes, or where something is pasted while
    no prompt is shown. A command is a line of its own.
    """
    lines = [input(prompt)]
    with suppress(EOFError):
        while not lines[0].startswith(COMMAND) and _more_waits():
            lines.append(input())
    return "\n".join(lines)


def _more_waits() -> bool:
    return bool(select.select([sys.stdin], [], [], PASTE_SECONDS)[0])
