"""The database file: checks, migrations, locks, units of work."""

import asyncio
import gc
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import HistoryFailed, HistoryUnusable
from bot.storage import database, schema
from bot.storage.database import Database
from bot.storage.exchanges import History
from bot.storage.schema import APPLICATION_ID, MIGRATIONS, Migration
from tests.doubles import an_exchange, file_bytes, keep

INSERT = "INSERT INTO facts VALUES (?, ?)"


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[Database]:
    async with Database.open(path) as one:
        yield one


async def refusal(path: Path) -> str:
    """Return the error with which *path* is refused, and check that its folder is unchanged."""
    folder = path.parent
    before = contents(folder)
    with pytest.raises(HistoryUnusable) as caught:
        async with History.open(path):
            pass
    assert contents(folder) == before
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.endswith("name another file in DATABASE_URL.") or "Name another" in sentence
    return sentence


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the content of a folder, without the empty lock file."""
    files = (one for one in folder.glob("*") if one.is_file() and one.suffix != ".lock")
    return {one: one.read_bytes() for one in files}


def overwrite(path: Path, start: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:start] + b"\xaa" * (len(data) - start))


async def test_a_new_file_is_private_and_has_the_application_id(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "bot.db"
    async with Database.open(path) as opened:
        assert await opened.fetch("PRAGMA application_id") == [(APPLICATION_ID,)]
        assert await opened.fetch("PRAGMA user_version") == [(len(MIGRATIONS),)]
        await opened.change(INSERT, "a", "b")
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
        assert set(modes.values()) == {0o600}
        assert "bot.db-wal" in modes


async def test_commits_survive_power_loss_and_deleted_text_is_overwritten(
    opened: Database,
) -> None:
    """These settings are on: synchronous FULL (2), WAL, secure_delete, foreign keys."""
    values = [
        (await opened.fetch(f"PRAGMA {name}"))[0]
        for name in ("synchronous", "journal_mode", "secure_delete", "foreign_keys")
    ]
    assert values == [(2,), ("wal",), (1,), (1,)]


async def test_a_newer_schema_is_refused(path: Path) -> None:
    async with Database.open(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "was written by a newer version of this program. Run that version" in await refusal(path)


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE exchanges (id)")
        connection.commit()
    assert "belongs to another program. Name another file" in await refusal(path)


@pytest.mark.parametrize("content", [b"Dear diary, " * 400, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    await asyncio.to_thread(path.write_bytes, content)
    assert "is damaged or not a database" in await refusal(path)


async def test_a_damaged_database_is_refused(path: Path) -> None:
    """The first page is intact, the others are garbled: found at the start, not weeks later."""
    async with History.open(path) as history:
        await keep(history, *(an_exchange(number, reply="x" * 2000) for number in range(1, 50)))
        await history.erasure.reset(1, 2, "Reset.")
    await asyncio.to_thread(overwrite, path, 4096)
    assert "is damaged or not a database" in await refusal(path)


async def test_the_log_of_a_crash_is_not_moved_into_a_damaged_file(path: Path) -> None:
    """Data that can still be rescued by hand must not be damaged further."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA wal_autocheckpoint = 0');"
        "[c.execute('INSERT INTO facts VALUES (?, ?)', (str(n), 'x' * 500)) for n in range(50)];"
        "os.kill(os.getpid(), 9)"
    )
    async with History.open(path) as history:
        await keep(history, *(an_exchange(number, reply="x" * 9000) for number in range(1, 50)))
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(path)], check=False)
    await asyncio.to_thread(overwrite, path, path.stat().st_size // 2)
    assert path.with_name("bot.db-wal").stat().st_size
    before = path.read_bytes(), path.with_name("bot.db-wal").read_bytes()
    with pytest.raises(HistoryUnusable, match="is damaged or not a database"):
        async with History.open(path):
            pass
    assert (path.read_bytes(), path.with_name("bot.db-wal").read_bytes()) == before


async def test_a_second_instance_is_refused_and_the_first_works_on(path: Path) -> None:
    async with Database.open(path) as opened:
        with pytest.raises(HistoryUnusable, match=r"Another instance .* Stop it first"):
            async with Database.open(path.parent / "." / path.name):
                pass
        await opened.change(INSERT, "a", "b")
    async with Database.open(path):
        pass


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be opened" in await refusal(tmp_path)


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    sentence = await refusal(tmp_path / "file" / "bot.db")
    assert "Make the folder writable" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert "Make the folder writable" in await refusal(folder / "bot.db")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
async def test_a_folder_that_even_root_cannot_write_to_is_refused() -> None:
    with pytest.raises(HistoryUnusable, match="Make the folder writable"):
        async with History.open(Path("/proc/self/bot.db")):
            pass


async def test_a_locked_database_is_refused_after_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCKED_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryUnusable, match=r"database is locked.*end other programs"):
            async with Database.open(path):
                pass


async def test_a_migration_that_fails_leaves_the_old_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration and its version number are one transaction."""
    async with Database.open(path) as opened:
        await opened.change(INSERT, "a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(
            schema,
            "MIGRATIONS",
            (*MIGRATIONS, Migration("Fail", "CREATE TABLE more (x); CREATE TABLE facts (x);")),
        )
        with pytest.raises(HistoryUnusable):
            async with Database.open(path):
                pass
    async with Database.open(path) as opened:
        assert await opened.fetch("PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert not await opened.fetch("SELECT 1 FROM sqlite_schema WHERE name = 'more'")
        assert await opened.fetch("SELECT * FROM facts") == [("a", "b")]


async def test_a_migration_keeps_the_rows_and_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", schema.__name__)
    async with Database.open(path) as opened:
        await opened.change(INSERT, "a", "b")
    more = Migration("Add a table", "CREATE TABLE more (x);")
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, more))
    async with Database.open(path) as opened:
        assert await opened.fetch("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
        assert await opened.fetch("SELECT * FROM facts, more") == []
        number = len(MIGRATIONS) + 1
        assert caplog.messages == [f"Migrate database {path} to version {number}: Add a table"]
        assert await opened.fetch("SELECT * FROM facts") == [("a", "b")]


async def test_a_unit_that_fails_changes_nothing(opened: Database) -> None:
    with pytest.raises(HistoryFailed, match="IntegrityError"):
        await opened.change_all((INSERT, ("a", "b")), (INSERT, ("a", "c")))
    assert await opened.fetch("SELECT * FROM facts") == []
    assert await opened.change_all((INSERT, ("a", "b")), (INSERT, ("c", "d"))) == [1, 1]


async def test_units_never_interleave(opened: Database) -> None:
    """All tasks share one connection, so interleaved units would share a transaction."""
    failing = [
        opened.change_all((INSERT, (f"bad{n}", "")), (INSERT, (f"bad{n}", ""))) for n in range(20)
    ]
    good = [opened.change(INSERT, f"good{n}", "") for n in range(20)]
    results = await asyncio.gather(
        *(one for pair in zip(failing, good, strict=True) for one in pair), return_exceptions=True
    )
    assert sum(isinstance(result, HistoryFailed) for result in results) == 20
    assert await opened.fetch("SELECT count(*) FROM facts") == [(20,)]


@pytest.mark.parametrize("steps", range(25))
async def test_a_cancelled_unit_is_done_whole_or_not_at_all(opened: Database, steps: int) -> None:
    """Wherever it is cancelled: both rows or none, and no transaction is left open."""
    unit = asyncio.create_task(opened.change_all((INSERT, ("a", "")), (INSERT, ("b", ""))))
    for _ in range(steps):
        await asyncio.sleep(0 if steps % 2 else 0.0001)
    unit.cancel()
    await asyncio.wait({unit})
    assert await opened.fetch("SELECT count(*) FROM facts") in ([(0,)], [(2,)])
    assert await opened.change_all((INSERT, ("c", ""))) == [1]


async def test_a_failure_of_a_unit_whose_caller_was_cancelled_is_not_logged(
    opened: Database, caplog: pytest.LogCaptureFixture
) -> None:
    unit = asyncio.create_task(opened.change_all((INSERT, ("a", "")), (INSERT, ("a", ""))))
    await asyncio.sleep(0)
    unit.cancel()
    await asyncio.wait({unit})
    assert unit.cancelled()
    del unit
    gc.collect()  # asyncio logs what nobody has looked at when it goes.
    assert caplog.records == []


async def test_a_closed_database_raises_history_failed(path: Path) -> None:
    async with Database.open(path) as opened:
        pass
    for unit in (opened.fetch("SELECT 1"), opened.change(INSERT, "a", "b"), opened.change_all()):
        with pytest.raises(HistoryFailed, match="ValueError"):
            await unit


async def test_another_reader_does_not_block_writing(opened: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM facts").fetchall()
        assert await opened.change(INSERT, "a", "b") == 1


async def test_a_lock_of_another_program_is_waited_for(opened: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(opened.change(INSERT, "a", "b"))
        done, _ = await asyncio.wait({writing}, timeout=0.1)
        assert not done
        other.execute("ROLLBACK")
    assert await writing == 1


async def test_units_share_the_wait_for_a_lock(
    opened: Database, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Later units fail at once, readers can read, and units wait again for the next lock."""
    monkeypatch.setattr(database, "LOCKED_SECONDS", 1.5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for unit in [opened.change(INSERT, str(number), "") for number in range(5)]:
            with pytest.raises(HistoryFailed, match="locked") as caught:
                await unit
            assert caught.value.may_pass
        assert time.monotonic() - began < 1.5 * 2  # Each of the five would take as long else.
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


async def test_no_unit_waits_for_a_lock_once_waiting_is_stopped(
    opened: Database, path: Path
) -> None:
    """A unit that waits already fails, too."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(opened.change(INSERT, "a", "b"))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        opened.stop_waiting()
        for unit in (waiting, opened.change_all((INSERT, ("c", "d")))):
            async with asyncio.timeout(20):
                with pytest.raises(HistoryFailed, match="locked"):
                    await unit
        other.execute("ROLLBACK")


async def test_parameters_are_never_part_of_the_statement(opened: Database, path: Path) -> None:
    await opened.change(INSERT, "'); DROP TABLE facts; --", "x")
    assert await opened.fetch("SELECT value FROM facts") == [("x",)]
    assert b"DROP TABLE facts" in file_bytes(path)
