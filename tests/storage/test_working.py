"""Whether the database works, as the health port asks."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import HistoryFailed
from bot.metrics import Metrics
from bot.storage import exchanges
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.sqlite import SqliteDatabase


class Units(Metrics):
    """Remembers the units of work by their kind, with a mark on those that failed."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def database_used(self, kind: str, seconds: float, *, failed: bool) -> None:
        assert seconds > 0
        self.seen.append(f"{kind} failed" if failed else kind)


@pytest.fixture
def units() -> Units:
    return Units()


@pytest.fixture
async def history(path: Path, units: Units) -> AsyncIterator[History]:
    with DatabaseFile.hold(path) as file:
        async with (
            SqliteDatabase.open(file, units) as database,
            History.over(database) as opened,
        ):
            units.seen.clear()
            yield opened


async def only_reads(history: History, *, on: bool) -> None:
    """Let SQLite refuse writes, as it does on a full or read-only disk."""
    await history._database.fetch(f"PRAGMA query_only = {int(on)}")


async def test_a_database_without_a_failure_is_not_written_to(
    history: History, units: Units
) -> None:
    assert await history.works()
    assert units.seen == []


async def test_after_a_failed_write_a_read_does_not_prove_that_it_works(history: History) -> None:
    await only_reads(history, on=True)
    with pytest.raises(HistoryFailed):
        await history.facts.set("any", "value")
    assert await history.facts.get("any") is None
    assert not await history.works()


async def test_it_works_again_as_soon_as_it_can_be_written_to(
    history: History, units: Units
) -> None:
    await only_reads(history, on=True)
    with pytest.raises(HistoryFailed):
        await history.facts.set("any", "value")
    await only_reads(history, on=False)
    assert await history.works()
    assert units.seen == ["read", "write failed", "read", "write"]


async def test_a_value_that_sqlite_cannot_hold_is_no_failure_of_the_database(
    history: History,
) -> None:
    with pytest.raises(HistoryFailed, match="OverflowError"):
        await history._database.fetch("SELECT ?", 2**64)
    assert await history.works()


async def test_a_lock_of_another_program_that_lasts_is_a_failure(
    history: History, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only until it ends."""
    monkeypatch.setattr(exchanges, "CHECK_SECONDS", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        history.stop_waiting()
        with pytest.raises(HistoryFailed, match="locked"):
            await history.facts.set("any", "value")
        assert not await history.works()
        other.execute("ROLLBACK")
    assert await history.works()
