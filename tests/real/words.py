"""The words that the model of these tests knows, and those that it says."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TEXTS: Final = (ROOT / "README.md", ROOT / "docs" / "usage.md")
SAID: Final = 300  # words of an answer


def known_words() -> list[str]:
    """Return the plain words of TEXTS in their order, each once."""
    text = "".join(path.read_text(encoding="utf-8") for path in TEXTS)
    return list(dict.fromkeys(re.findall(r"(?<= )[a-z]{2,}(?=[ ,.])", text)))


def answer() -> list[str]:
    """Return the words of each answer of the model."""
    return known_words()[:SAID]
