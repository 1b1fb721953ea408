"""A database file from outside: its content, and the error with which it is refused."""

from pathlib import Path

import pytest

from bot.errors import HistoryUnusable
from tests.doubles import open_history

INSERT = "INSERT INTO facts VALUES (?, ?)"


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the content of a folder, without the empty lock file."""
    files = (one for one in folder.glob("*") if one.is_file() and one.suffix != ".lock")
    return {one: one.read_bytes() for one in files}


async def refusal(path: Path) -> str:
    """Return the error with which *path* is refused, and check that its folder is unchanged."""
    folder = path.parent
    before = contents(folder)
    with pytest.raises(HistoryUnusable) as caught:
        async with open_history(path):
            pass
    assert contents(folder) == before
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.endswith("name another file in DATABASE_URL.") or "Name another" in sentence
    return sentence
