"""Markdown that several modules read in the same way: markers, margins, fences, emphasis."""

import re
from typing import Final

FENCE: Final = "```"  # Discord knows no other.
SMALL_PRINT: Final = "-# "  # Discord: at the beginning of a line
MARKER: Final = r"(?:[-*+•]|\d{1,9}[.)])"  # of a list item
# The indentation, quote marks and list markers in front of the text of a line.
MARGIN: Final = rf"[ \t]*+(?:(?:>|{MARKER})[ \t]++|>)*+"
# As Discord reads it: a lone star or underscore is a character like any other. The text within is
# group 2 or 4.
EMPHASIS: Final = re.compile(
    r"(\*{1,3}|~~|\|\|)(?=[^\s*])(.+?)(?<=\S)\1|(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\3(?!\w)",
    re.DOTALL,
)


def closes_fence(line: str, run: str) -> bool:
    """Whether *line* closes the fence that a *run* of backticks or tildes opened."""
    found = line.rstrip(" \t\r").lstrip("> \t")
    return found.startswith(run) and not found.strip(run[0])
