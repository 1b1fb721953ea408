"""The words that the model of these tests knows, and those that it says."""

import re
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[2] / "README.md"
SAID: Final = 300  # words of an answer


def known_words() -> list[str]:
    """Return the plain words of README in their order, each once."""
    text = README.read_text(encoding="utf-8")
    return list(dict.fromkeys(re.findall(r"(?<= )[a-z]{2,}(?=[ ,.])", text)))


def answer() -> list[str]:
    """Return the words of each answer of the model."""
    return known_words()[:SAID]
