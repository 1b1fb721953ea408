"""The schema: new files, migrations, and the files of others."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import HistoryUnusable
from bot.storage import schema
from bot.storage.schema import APPLICATION_ID, MIGRATIONS
from tests.doubles import open_database
from tests.storage.files import INSERT, refusal


async def test_a_new_file_is_private_and_has_the_application_id(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "bot.db"
    async with open_database(path) as opened:
        assert await opened.fetch("PRAGMA application_id") == [(APPLICATION_ID,)]
        assert await opened.fetch("PRAGMA user_version") == [(len(MIGRATIONS),)]
        await opened.change(INSERT, "a", "b")
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
        assert set(modes.values()) == {0o600}
        assert "bot.db-wal" in modes


async def test_commits_survive_power_loss_and_deleted_text_is_overwritten(path: Path) -> None:
    """These settings are on: synchronous FULL (2), WAL, secure_delete, foreign keys."""
    async with open_database(path) as opened:
        values = [
            (await opened.fetch(f"PRAGMA {name}"))[0]
            for name in ("synchronous", "journal_mode", "secure_delete", "foreign_keys")
        ]
    assert values == [(2,), ("wal",), (1,), (1,)]


async def test_a_newer_schema_is_refused(path: Path) -> None:
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "was written by a newer version of this program. Run that version" in await refusal(path)


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE exchanges (id)")
        connection.commit()
    assert "belongs to another program. Name another file" in await refusal(path)


async def test_a_failed_migration_leaves_the_old_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration and its version number are one transaction."""
    async with open_database(path) as opened:
        await opened.change(INSERT, "a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(
            schema,
            "MIGRATIONS",
            MIGRATIONS | {"Fail": "CREATE TABLE more (x); CREATE TABLE facts (x);"},
        )
        with pytest.raises(HistoryUnusable):
            async with open_database(path):
                pass
    async with open_database(path) as opened:
        assert await opened.fetch("PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert not await opened.fetch("SELECT 1 FROM sqlite_schema WHERE name = 'more'")
        assert await opened.fetch("SELECT * FROM facts") == [("a", "b")]


async def test_a_migration_keeps_the_rows_and_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", schema.__name__)
    async with open_database(path) as opened:
        await opened.change(INSERT, "a", "b")
    more = {"Add a table": "CREATE TABLE more (x);"}
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS | more)
    async with open_database(path) as opened:
        assert await opened.fetch("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
        assert await opened.fetch("SELECT * FROM facts, more") == []
        number = len(MIGRATIONS) + 1
        logged = [one.getMessage() for one in caplog.records if one.name == schema.__name__]
        assert logged == [f"Migrate database {path} to version {number}: Add a table"]
        assert await opened.fetch("SELECT * FROM facts") == [("a", "b")]
