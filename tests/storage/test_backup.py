"""Copies of the database: whole, private, checked, and deleted in time."""

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import BackupFailed, HistoryUnusable
from bot.storage import schema
from bot.storage.backup import Backup, back_up
from bot.storage.copies import Copies, LastBackup, Origin, copy_name
from bot.storage.retention import Retention
from bot.storage.schema import MIGRATIONS
from tests.doubles import open_database, open_history
from tests.storage.files import INSERT, contents

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
VERSION = len(MIGRATIONS)
BIG_ROWS = 60_000


def rows(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as copy:
        return list(copy.execute("SELECT * FROM facts ORDER BY name"))


def named(folder: Path, days_ago: float, origin: Origin = Origin.COMMAND, version: int = 3) -> Path:
    """Return a file that is named as a copy of bot.db which was made *days_ago*."""
    name = copy_name(Path("bot.db"), 3, origin, NOW - timedelta(days=days_ago))
    (folder / name).write_text("an old copy")
    return folder / name


async def made(path: Path, folder: Path, keep_days: int = 7) -> Backup:
    return await asyncio.to_thread(back_up, path, folder, keep_days)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copies"


async def test_a_copy_of_an_open_database_has_all_that_was_committed(
    path: Path, folder: Path
) -> None:
    """It is private, has its time in UTC and its schema in its name, and is recorded."""
    async with open_database(path) as database:
        await database.change(INSERT, "a", "b")
        copy = await made(path, folder)
        await database.change(INSERT, "c", "d")
        assert await database.truncate_log(), "the backup reads no more"
    assert rows(copy.path) == [("a", "b")]
    assert list(folder.iterdir()) == [copy.path]
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    time_in_name = copy.path.name.removeprefix(f"bot.db.v{VERSION}-")
    stamp = datetime.strptime(time_in_name, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - stamp < timedelta(minutes=5)
    at = int(stamp.timestamp())
    assert Copies(path).last_backup() == LastBackup(str(copy.path), at, keep_days=7)


async def test_a_backup_never_moves_the_log_into_the_file(path: Path, folder: Path) -> None:
    """Two connections that checkpoint meet SQLite's WAL-reset bug."""
    async with open_database(path) as database:
        await database.change(INSERT, "a", "b")
        log = Path(f"{path}-wal")
        before = path.read_bytes(), log.read_bytes()
        await made(path, folder)
        assert (path.read_bytes(), log.read_bytes()) == before


def test_a_copy_of_a_database_that_nobody_uses(path: Path, folder: Path) -> None:
    """Also after a crash, when its newest data is only in its log."""
    asyncio.run(created(path))
    assert rows(back_up(path, folder, 7).path) == [("a", "b")]
    insert = f"""
        import os, sqlite3
        connection = sqlite3.connect({str(path)!r}, isolation_level=None)
        connection.execute("INSERT INTO facts VALUES ('c', 'd')")
        os._exit(1)
    """
    subprocess.run([sys.executable, "-c", "if True:" + insert], check=False)
    assert Path(f"{path}-wal").stat().st_size
    assert rows(back_up(path, folder, 7).path) == [("a", "b"), ("c", "d")]


async def test_a_restored_copy_is_the_database_again(path: Path, folder: Path) -> None:
    async with open_database(path) as database:
        await database.change(INSERT, "a", "b")
    copy = await made(path, folder)
    restored = path.with_name("restored.db")
    copy.path.rename(restored)
    async with open_database(restored) as database:
        assert await database.fetch("SELECT * FROM facts") == [("a", "b")]
        [(mode,)] = await database.fetch("PRAGMA journal_mode")
        assert mode == "wal"


async def test_copies_of_one_second_do_not_overwrite_each_other(path: Path, folder: Path) -> None:
    async with open_database(path):
        copies = await asyncio.gather(*(made(path, folder) for _ in range(8)))
    assert len({copy.path for copy in copies}) == 8
    assert set(folder.iterdir()) == {copy.path for copy in copies}
    assert all(rows(copy.path) == [] for copy in copies)


async def test_only_own_copies_past_their_days_are_deleted(path: Path, folder: Path) -> None:
    """A file with another name, and a copy that was made before a migration, are not its own."""
    folder.mkdir()
    old = [named(folder, 7.1), named(folder, 400)]
    kept = [named(folder, 6.9), named(folder, 400, Origin.MIGRATION)]
    for name in ("other.db.v3-2020-01-01T000000Z", "bot.db", "bot.db.v3-2020-99-01T000000Z", "x"):
        (folder / name).write_text("not a copy of bot.db")
        kept.append(folder / name)
    link = folder / copy_name(path, 3, Origin.COMMAND, NOW - timedelta(days=30))
    link.symlink_to(kept[0])
    async with open_database(path):
        copy = await made(path, folder, keep_days=7)
    assert set(folder.iterdir()) == {*kept, link, copy.path}
    assert copy.deleted == len(old)


async def test_what_a_killed_backup_left_is_deleted_by_a_later_one(
    path: Path, folder: Path
) -> None:
    """A file that is written to may belong to a backup that still runs."""
    folder.mkdir()
    left, running, other = (
        folder / f"{name}.part"
        for name in ("bot.db.v3-2026-01-01T000000Z", "bot.db.v3-2026-01-02T000000Z", "mine")
    )
    for file in (left, running, other):
        file.write_text("half a copy")
    os.utime(left, (time.time() - 4000, time.time() - 4000))
    async with open_database(path):
        copy = await made(path, folder)
    assert set(folder.iterdir()) == {running, other, copy.path}


async def test_what_is_not_named_as_an_unfinished_copy_is_left_alone(
    path: Path, folder: Path
) -> None:
    folder.mkdir()
    files = {folder / "bot.db.v2.parts-list", folder / "bot.db.very-own.partial"}
    for file in files:
        file.write_text("somebody's own")
        os.utime(file, (0, 0))
    own = folder / "bot.db.v3-2026-01-01T000000Z.part"
    own.mkdir()
    os.utime(own, (0, 0))
    async with open_database(path):
        copy = await made(path, folder)
    assert set(folder.iterdir()) == {*files, own, copy.path}


async def test_no_half_written_record_stays(path: Path, folder: Path) -> None:
    """Also not of a backup that was killed while it wrote the record."""
    async with open_database(path):
        await made(path, folder)
        left = path.with_name("bot.db.last-backup0a_b1.part")
        left.write_text("{")
        os.utime(left, (0, 0))
        await made(path, folder)
        assert set(path.parent.glob("bot.db.last*")) == {Path(f"{path}.last-backup")}


async def test_every_user_who_reaches_the_record_may_read_it(path: Path, folder: Path) -> None:
    """Root may back up a bot that runs as another user and shows the record in /privacy."""
    async with open_database(path):
        await made(path, folder)
    assert stat.S_IMODE(Path(f"{path}.last-backup").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "name",
    [b'it\'s "a" 100%41 #?&', b"file:copies", b"file:c?mode=memory", b"c\xff", "사본".encode()],
)
def test_a_folder_may_have_any_name(path: Path, name: bytes) -> None:
    """In any language of the terminal, and named from the folder where the command runs."""
    asyncio.run(created(path))
    done = subprocess.run(
        [sys.executable, "-m", "bot", "backup", os.fsdecode(name)],
        env=os.environ
        | {"DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(ROOT)}
        | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        cwd=path.parent,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Copied ")
    [copy] = (path.parent / os.fsdecode(name)).iterdir()
    assert rows(copy) == [("a", "b")]


async def refused(path: Path, folder: Path) -> str:
    with pytest.raises(BackupFailed) as caught:
        await made(path, folder)
    return str(caught.value)


async def test_a_missing_database_is_named(path: Path, folder: Path) -> None:
    assert f"There is no database {path}" in await refused(path, folder)
    assert not folder.exists()


async def test_a_database_that_cannot_be_looked_up_is_named(path: Path, folder: Path) -> None:
    too_long = path.with_name("x" * 300)
    assert "(File name too long)" in await refused(too_long, folder)


async def test_a_copy_that_cannot_be_recorded_is_named(path: Path, folder: Path) -> None:
    """It is made all the same."""
    async with open_database(path):
        record = Path(f"{path}.last-backup")
        record.mkdir()
        sentence = await refused(path, folder)
    [copy] = folder.iterdir()
    assert sentence.startswith(f"The copy {copy} was made, but {record}")
    assert not list(path.parent.glob("*.part"))


async def test_a_damaged_database_is_not_copied(path: Path, folder: Path) -> None:
    path.write_text("Dear diary, " * 400)
    sentence = await refused(path, folder)
    assert f"The database {path} is damaged or not a database (" in sentence
    assert list(folder.iterdir()) == []


async def test_damage_that_only_a_check_finds_leaves_no_copy(path: Path, folder: Path) -> None:
    """VACUUM INTO copies rows whose index lacks them; quick_check of the copy does not."""
    async with open_database(path) as database:
        await database.change(INSERT, "a", "b")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'value TEXT', 'value INTEGER')"
            " WHERE name = 'facts'"
        )
        connection.commit()
    sentence = await refused(path, folder)
    assert f"The database {path} is damaged or" in sentence
    assert list(folder.iterdir()) == []


async def test_a_folder_that_is_a_file_is_named(path: Path, folder: Path) -> None:
    folder.write_text("")
    async with open_database(path):
        sentence = await refused(path, folder)
    assert sentence == (
        f"The database {path} cannot be copied to {folder} (File exists). Make the database "
        "readable and the folder writable, or name another folder."
    )


def test_a_full_disk_is_named_and_gets_no_copy(path: Path, folder: Path) -> None:
    """A disk of 1 MB, mounted where the system lets a test mount one."""
    in_namespace = ("unshare", "--map-root-user", "--mount")
    if shutil.which("unshare") is None or subprocess.call([*in_namespace, "true"]):
        pytest.skip("this system does not let a test mount a disk")
    asyncio.run(created(path, "b" * 3_000_000))
    folder.mkdir()
    script = f"""
        mount -t tmpfs -o size=1m none {folder} || exit 3
        {sys.executable} -m bot backup {folder}
        code=$?
        ls -A {folder}
        exit $code
    """
    done = subprocess.run(
        [*in_namespace, "sh", "-c", script],
        env=os.environ | {"DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(ROOT)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr == (
        f"There is no space in {folder} for a copy of the database {path} (3 MB). Free some, or "
        "name another folder.\n"
    )


async def test_a_write_that_the_system_refuses_leaves_no_copy(path: Path, folder: Path) -> None:
    """The system limits the size of a file."""
    async with open_database(path) as database:
        await database.change(INSERT, "a", "b" * 3_000_000)
    code = f"""
        import resource, signal
        from pathlib import Path
        from bot.storage.backup import back_up
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        back_up(Path({str(path)!r}), Path({str(folder)!r}), 7)
    """
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "if True:" + code), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await done.communicate()
    assert done.returncode == 1
    assert b"BackupFailed: " in errors
    assert list(folder.iterdir()) == []


@pytest.fixture
async def big(path: Path) -> Path:
    """Return a database whose copy takes long enough to be interrupted."""
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        many = (INSERT, ((str(number), "x" * 1000) for number in range(BIG_ROWS)))
        connection.executemany(*many)
        connection.commit()
    return path


def backup_process(path: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bot", "backup", str(folder)],
        env=os.environ | {"DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(ROOT)},
        cwd=path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_copies(folder: Path) -> None:
    deadline = time.monotonic() + 40
    while not (folder.exists() and any(one.stat().st_size for one in folder.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_backup_leaves_nothing_behind(
    big: Path, folder: Path, number: signal.Signals
) -> None:
    with backup_process(big, folder) as process:
        wait_until_it_copies(folder)
        process.send_signal(number)
        out, errors = process.communicate(timeout=40)
    assert (out, errors, process.returncode) == ("", "", 130)
    assert list(folder.iterdir()) == []
    assert Copies(big).last_backup() is None


def test_a_killed_backup_leaves_no_file_that_looks_like_a_copy(big: Path, folder: Path) -> None:
    before = contents(big.parent)
    with backup_process(big, folder) as process:
        wait_until_it_copies(folder)
        process.kill()
        process.communicate(timeout=40)
    assert all(left.name.partition(".part")[1] for left in folder.iterdir())
    assert contents(big.parent)[big] == before[big]
    with backup_process(big, folder) as process:
        out, _ = process.communicate(timeout=40)
        assert process.returncode == 0
    assert out.startswith(f"Copied {big} to {folder}/bot.db.v{VERSION}-")
    assert len(rows(Path(out.split()[3]))) == BIG_ROWS


def test_the_command_copies_beside_the_database_and_needs_no_token(path: Path) -> None:
    asyncio.run(created(path))
    with backup_process(path, path.parent / "backups") as named_folder:
        named_folder.communicate(timeout=40)
    done = subprocess.run(
        [sys.executable, "-m", "bot", "backup"],
        env=os.environ | {"DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(ROOT)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    [sentence] = done.stdout.splitlines()
    assert sentence.startswith(f"Copied {path} to {path.parent}/backups/bot.db.v{VERSION}-")
    assert "MB) in " in sentence
    assert len(list((path.parent / "backups").iterdir())) == 2


async def created(path: Path, value: str = "b") -> None:
    async with open_database(path) as database:
        await database.change(INSERT, "a", value)


async def test_a_database_is_copied_before_it_is_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The copy has the old schema, and is logged before the migration."""
    caplog.set_level("INFO", "bot.storage")
    await created(path)
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS | {"Add": "CREATE TABLE more (x);"})
    async with open_database(path) as database:
        assert await database.fetch("PRAGMA user_version") == [(VERSION + 1,)]
    [copy] = path.parent.glob("bot.db.v*")
    assert copy.name in {copy_name(path, VERSION, Origin.MIGRATION, day) for day in (NOW, later())}
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert old.execute("SELECT * FROM facts").fetchall() == [("a", "b")]
    copied, migrated = caplog.messages[-2:]
    assert copied == f"Copy database {path} to {copy}: it will be migrated"
    assert migrated.startswith(f"Migrate database {path}")


def later() -> datetime:
    return datetime.now(UTC)


async def test_a_database_of_the_newest_schema_is_not_copied(path: Path) -> None:
    await created(path)
    await created_again(path)
    assert not list(path.parent.glob("bot.db.v*"))


async def created_again(path: Path) -> None:
    async with open_database(path):
        pass


async def test_the_last_two_copies_before_migrations_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await created(path)
    _old, newer = (named(path.parent, days, Origin.MIGRATION) for days in (9, 2))
    backup = named(path.parent, 400)
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS | {"Add": "CREATE TABLE more (x);"})
    await created_again(path)
    copies = set(path.parent.glob("bot.db.v*"))
    assert copies > {newer, backup}
    assert len(copies) == 3


async def test_a_migration_that_fails_at_each_start_loses_no_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy of the version that was in use stays, beside the last two."""
    await created(path)
    steps = {"Add": "CREATE TABLE more (x);", "Fail": "CREATE TABLE more (x);"}
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS | steps)
    for _start in range(4):
        with pytest.raises(HistoryUnusable):
            await created_again(path)
    [in_use] = path.parent.glob(f"bot.db.v{VERSION}-*")
    assert len(list(path.parent.glob(f"bot.db.v{VERSION + 1}-*"))) == 2
    with closing(sqlite3.connect(in_use)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_a_database_that_cannot_be_copied_is_not_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the copy's unfinished file would be, as a folder without room for it."""
    await created(path)
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS | {"Add": "CREATE TABLE more (x);"})
    monkeypatch.setattr("bot.storage.backup.copy_name", lambda *_: "no such folder/bot.db")
    with pytest.raises(HistoryUnusable) as caught:
        await created_again(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"The database {path} must be migrated and is copied first. ")
    assert "(No such file or directory)" in sentence
    with closing(sqlite3.connect(path)) as untouched:
        assert untouched.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_copies_before_migrations_are_deleted_after_a_month(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They hold what was forgotten since; copies of the command are left to the command."""
    caplog.set_level("INFO", "bot.storage")
    async with open_history(path) as history:
        named(path.parent, 30.1, Origin.MIGRATION)
        kept = {named(path.parent, 28, Origin.MIGRATION), named(path.parent, 400)}
        copies = Copies(path)
        stores = (history.erasure, history.usage, copies, history.spending)
        retention = Retention(*stores, keep_seconds=0, retention_days=0)
        assert copies.kept_days() == 30
        retention.delete_copies()
        assert set(path.parent.glob("bot.db.v*")) == kept
        [line] = [one for one in caplog.messages if one.startswith("Delete")]
        assert line == "Delete 1 old copies of the database: they were made before an update"


@pytest.mark.parametrize(
    "written",
    [
        *("{}", "[]", "no JSON", '{"path": "x"}'),
        '{"path": "x", "at": "now", "keep_days": 7}',
        '{"path": "x", "at": 7, "keep_days": 7, "elsewhere": ["y"]}',
    ],
)
def test_an_edited_record_of_the_last_backup_counts_as_none(path: Path, written: str) -> None:
    Path(f"{path}.last-backup").write_text(written)
    assert Copies(path).last_backup() is None


async def test_of_several_folders_the_longest_time_counts(path: Path, tmp_path: Path) -> None:
    """Such as a copy of each day for a week, and one of each month for a year."""
    await created(path)
    days, months = tmp_path / "days", tmp_path / "months"
    await made(path, months, keep_days=365)
    await made(path, days, keep_days=7)
    await made(path, days, keep_days=6)
    last = Copies(path).last_backup()
    assert last is not None
    assert (Path(last.path).parent, last.keep_days) == (days, 6)
    assert Copies(path).kept_days() == 365
    await made(path, months, keep_days=30)
    assert Copies(path).kept_days() == 30


async def test_a_copy_says_for_how_long_it_keeps_what_is_forgotten(
    path: Path, folder: Path
) -> None:
    await created(path)
    assert Copies(path).kept_days() == 0
    await made(path, folder, keep_days=3)
    assert Copies(path).kept_days() == 3
    named(path.parent, 1, Origin.MIGRATION)
    assert Copies(path).kept_days() == 30
