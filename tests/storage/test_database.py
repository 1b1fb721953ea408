"""Transactions, and the locks of other programs."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import HistoryFailed
from bot.storage import sqlite
from bot.storage.sqlite import SqliteDatabase
from tests.doubles import file_bytes, open_database
from tests.storage.files import INSERT

TWO = ("INSERT INTO facts VALUES (:first, '')", "INSERT INTO facts VALUES (:second, '')")


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[SqliteDatabase]:
    async with open_database(path) as one:
        yield one


async def test_a_failed_transaction_changes_nothing(opened: SqliteDatabase) -> None:
    with pytest.raises(HistoryFailed, match="IntegrityError"):
        await opened.change_all(*TWO, first="a", second="a")
    assert await opened.fetch("SELECT * FROM facts") == []
    assert await opened.change_all(*TWO, first="a", second="c") == [1, 1]


async def test_transactions_never_interleave(opened: SqliteDatabase) -> None:
    """All tasks share one connection, so interleaved units would share a transaction."""
    failing = [opened.change_all(*TWO, first=f"bad{n}", second=f"bad{n}") for n in range(20)]
    good = [opened.change(INSERT, f"good{n}", "") for n in range(20)]
    results = await asyncio.gather(
        *(one for pair in zip(failing, good, strict=True) for one in pair), return_exceptions=True
    )
    assert sum(isinstance(result, HistoryFailed) for result in results) == 20
    assert await opened.fetch("SELECT count(*) FROM facts") == [(20,)]


@pytest.mark.parametrize("steps", range(25))
async def test_a_cancelled_transaction_is_atomic(opened: SqliteDatabase, steps: int) -> None:
    """Wherever it is cancelled: both rows or none, and no transaction is left open."""
    unit = asyncio.create_task(opened.change_all(*TWO, first="a", second="b"))
    for _ in range(steps):
        await asyncio.sleep(0 if steps % 2 else 0.0001)
    unit.cancel()
    await asyncio.wait({unit})
    assert await opened.fetch("SELECT count(*) FROM facts") in ([(0,)], [(2,)])
    assert await opened.change_all(TWO[0], first="c") == [1]


async def test_a_cancelled_callers_failure_is_not_logged(
    opened: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    unit = asyncio.create_task(opened.change_all(*TWO, first="a", second="a"))
    await asyncio.sleep(0)
    unit.cancel()
    await asyncio.wait({unit})
    assert unit.cancelled()
    del unit
    gc.collect()  # asyncio logs what nobody has looked at when it goes.
    assert caplog.records == []


async def test_a_closed_database_raises_history_failed(path: Path) -> None:
    async with open_database(path) as opened:
        pass
    for unit in (opened.fetch("SELECT 1"), opened.change(INSERT, "a", "b"), opened.change_all()):
        with pytest.raises(HistoryFailed, match="ValueError"):
            await unit


async def test_another_reader_does_not_block_writing(opened: SqliteDatabase, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM facts").fetchall()
        assert await opened.change(INSERT, "a", "b") == 1


async def test_a_lock_of_another_program_is_waited_for(opened: SqliteDatabase, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(opened.change(INSERT, "a", "b"))
        done, _ = await asyncio.wait({writing}, timeout=0.1)
        assert not done
        other.execute("ROLLBACK")
    assert await writing == 1


async def test_transactions_share_the_wait_for_a_lock(
    opened: SqliteDatabase,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Later units fail at once, readers can read, and units wait again for the next lock."""
    monkeypatch.setattr(sqlite, "LOCKED_SECONDS", 1.5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for unit in [opened.change(INSERT, str(number), "") for number in range(5)]:
            with pytest.raises(HistoryFailed, match="locked") as caught:
                await unit
            assert caught.value.is_transient
        assert time.monotonic() - began < 1.5 * 4  # Each of the five would take as long else.
        assert await opened.fetch("SELECT * FROM facts") == []
        other.execute("ROLLBACK")
        assert await opened.change(INSERT, "a", "b") == 1
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(opened.change(INSERT, "c", "d"))
        done, _ = await asyncio.wait({writing}, timeout=0.5)
        assert not done
        other.execute("ROLLBACK")
    assert await writing == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "Wait for the database: another program locks it"
    ]


async def test_no_transaction_waits_after_waiting_is_stopped(
    opened: SqliteDatabase, path: Path
) -> None:
    """A unit that waits already fails, too."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(opened.change(INSERT, "a", "b"))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        opened.stop_waiting()
        for unit in (waiting, opened.change_all(TWO[0], first="c")):
            async with asyncio.timeout(20):
                with pytest.raises(HistoryFailed, match="locked"):
                    await unit
        other.execute("ROLLBACK")


async def test_parameters_are_never_part_of_the_statement(
    opened: SqliteDatabase, path: Path
) -> None:
    await opened.change(INSERT, "'); DROP TABLE facts; --", "x")
    assert await opened.fetch("SELECT value FROM facts") == [("x",)]
    assert b"DROP TABLE facts" in file_bytes(path)
