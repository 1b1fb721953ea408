"""Markdown that several modules read in the same way: markers, margins, fences, emphasis."""

import re
from typing import Final

FENCE: Final = "```"  # Discord knows no other.
SMALL_PRINT: Final = "-# "  # Discord: at the beginning of a line
MARKER: Final = r"(?:[-*+•]|\d{1,9}[.)])"  # of a list item
# The indentation, quote marks and list markers in front of the text of a line.
MARGIN: Final = rf"[ \t]*+(?:(?:>|{MARKER})[ \t]++|>)*+"
# A line that opens a fence: its margin, the run of signs and the text after that. CommonMark.
OPENING_FENCE: Final = re.compile(rf"({MARGIN})(`{{3,}}(?=[^`]*$)|~{{3,}})(.*)$")
# A line whose end opens one for Discord, though not for CommonMark: Run: ```sh
_OPENING_AT_END: Final = re.compile(r"(?:(?!```).)*(`{3,})[ \t]*[\w+#.-]*[ \t\r]*$")
# A line that may close one: its margin, the run of signs, and blanks.
CLOSING_FENCE: Final = re.compile(r"([> \t]*+)(`+|~+)([ \t\r]*)")
# As Discord reads it: a lone star or underscore is a character like any other. The text within is
# group 2 or 4.
EMPHASIS: Final = re.compile(
    r"(\*{1,3}|~~|\|\|)(?=[^\s*])(.+?)(?<=\S)\1|(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\3(?!\w)",
    re.DOTALL,
)
# What is left of marks in the names of files; a name may begin a line, where "#" and "-" are marks.
NAME_MARK: Final = re.compile(r"_|^[#-]")


def opened_fence(line: str) -> str:
    """Return the run of signs of the code fence that *line* opens, "" if it opens none."""
    if found := OPENING_FENCE.match(line):
        return found[2]
    found = _OPENING_AT_END.match(line)
    return found[1] if found else ""


def closing_fence(line: str, run: str) -> re.Match[str] | None:
    """Return the match of CLOSING_FENCE if *line* closes the fence that *run* opened."""
    found = CLOSING_FENCE.fullmatch(line)
    return found if found and found[2].startswith(run) else None


def continued_margin(margin: str) -> str:
    """Return what the next lines begin with if the first one begins with *margin*."""
    return re.sub(r"[^\s>]", " ", margin)


def escaped_name(name: str) -> str:
    """Return the *name* of a file so that Discord shows each character, as in `__init__.py`."""
    return NAME_MARK.sub(r"\\\g<0>", name)
