"""The checks and the lock of the database file."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import HistoryUnusable
from bot.storage import sqlite
from tests.doubles import an_exchange, keep, open_database, open_history
from tests.storage.files import INSERT, refusal


def overwrite(path: Path, start: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:start] + b"\xaa" * (len(data) - start))


@pytest.mark.parametrize("content", [b"Dear diary, " * 400, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_a_file_that_is_not_a_database_is_refused(path: Path, content: bytes) -> None:
    await asyncio.to_thread(path.write_bytes, content)
    assert "is damaged or not a database" in await refusal(path)


async def test_a_damaged_database_is_refused(path: Path) -> None:
    """The first page is intact, the others are garbled: found at the start, not weeks later."""
    async with open_history(path) as history:
        await keep(history, *(an_exchange(number, reply="x" * 2000) for number in range(1, 50)))
        await history.erasure.reset(1, 2, "Reset.")
    await asyncio.to_thread(overwrite, path, 4096)
    assert "is damaged or not a database" in await refusal(path)


async def test_the_wal_is_not_written_into_a_damaged_file(path: Path) -> None:
    """Data that can still be rescued by hand must not be damaged further."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA wal_autocheckpoint = 0');"
        "[c.execute('INSERT INTO facts VALUES (?, ?)', (str(n), 'x' * 500)) for n in range(50)];"
        "os.kill(os.getpid(), 9)"
    )
    async with open_history(path) as history:
        await keep(history, *(an_exchange(number, reply="x" * 9000) for number in range(1, 50)))
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(path)], check=False)
    await asyncio.to_thread(overwrite, path, path.stat().st_size // 2)
    assert path.with_name("bot.db-wal").stat().st_size
    before = path.read_bytes(), path.with_name("bot.db-wal").read_bytes()
    with pytest.raises(HistoryUnusable, match="is damaged or not a database"):
        async with open_history(path):
            pass
    assert (path.read_bytes(), path.with_name("bot.db-wal").read_bytes()) == before


async def test_a_second_instance_is_refused(path: Path) -> None:
    async with open_database(path) as opened:
        with pytest.raises(HistoryUnusable, match=r"Another instance .* Stop it first"):
            async with open_database(path.parent / "." / path.name):
                pass
        await opened.change(INSERT, "a", "b")
    async with open_database(path):
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


HELD_AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from bot.storage.database_file import DatabaseFile
os.setuid(10001)
with DatabaseFile.hold(Path(sys.argv[1])): pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("name", ["bot.db", "new/bot.db", "there.db"])
def test_the_refusal_names_the_owner_of_the_folder_and_the_own_uid(name: str) -> None:
    """Containers and hosts often mount a folder of root for a program that is not root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        there = Path(folder, "there.db")
        there.touch(mode=0o600)
        wanted = there if name == there.name else Path(folder)
        done = subprocess.run(
            [sys.executable, "-c", HELD_AS_ANOTHER_USER, str(Path(folder, name))],
            capture_output=True,
            text=True,
            check=False,
        )
    assert f". {wanted} belongs to uid 0, and the bot runs as uid 10001. Make" in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
async def test_a_folder_that_even_root_cannot_write_to_is_refused() -> None:
    with pytest.raises(HistoryUnusable, match="Make the folder writable"):
        async with open_history(Path("/proc/self/bot.db")):
            pass


async def test_a_locked_database_is_refused_after_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCKED_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryUnusable, match=r"database is locked.*end other programs"):
            async with open_database(path):
                pass
