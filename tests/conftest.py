"""Fixtures that the tests of several rooms share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.storage.exchanges import History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet."""
    return tmp_path / "bot.db"


@pytest.fixture
async def history(path: Path) -> AsyncIterator[History]:
    """Return an open store without exchanges."""
    async with History.open(path) as history:
        yield history
