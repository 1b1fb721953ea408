"""Look at the database's file without changing it, also while the bot has it open."""

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bot.storage.database_file import SMALLEST_PAGE, lock_path_of, unusable
from bot.storage.orders import NO_ORDERS, Orders, orders_in
from bot.storage.schema import FileHeader, refusal

LOCK_WAIT_SECONDS: Final = 0.2  # The bot holds its lock for as long as it runs.
READ_SECONDS: Final = 5.0  # for the contents; a large file is then read in part
STEPS: Final = 10_000  # of SQLite's machine, between two looks at the clock


class FileFacts(NamedTuple):
    """What the file system says of the database and the disk below it.

    *folder* is the folder of the file, or the nearest one above that exists. *owner* and *mode* are
    None if there is no file yet.
    """

    path: Path
    folder: Path
    size: int
    owner: int | None
    mode: int | None
    file_writable: bool
    folder_writable: bool
    free_bytes: int
    free_files: bool


class Contents(NamedTuple):
    """What the database contains: *refused* says why the bot would not open it, "" if it would."""

    header: FileHeader
    refused: str
    read_whole: bool


def sqlite_version() -> tuple[int, ...]:
    """Return the version of the SQLite library that Python uses."""
    return sqlite3.sqlite_version_info


def file_facts(path: Path) -> FileFacts:
    """Return what the file system says of the database at *path*.

    Raises OSError, also if a folder is where a file should be, or the other way round.
    """
    file = path.resolve()
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    folder = next(one for one in file.parents if one.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    disk = os.statvfs(folder)
    status = file.stat() if file.exists() else None
    return FileFacts(
        path=file,
        folder=folder,
        size=status.st_size if status else 0,
        owner=status.st_uid if status else None,
        mode=stat.S_IMODE(status.st_mode) if status else None,
        file_writable=os.access(file, os.W_OK) if status else True,
        folder_writable=os.access(folder, os.W_OK | os.X_OK),
        free_bytes=disk.f_bavail * disk.f_frsize,
        free_files=disk.f_files == 0 or disk.f_favail > 0,
    )


def is_held(path: Path) -> bool:
    """Whether a running bot holds the lock of the database at *path*; raises HistoryUnusable."""
    lock_path = lock_path_of(path)
    if not lock_path.exists():
        return False
    address = f"{lock_path.as_uri()}?mode=ro"
    with (
        unusable(path),
        closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_SECONDS)) as lock,
    ):
        try:
            lock.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                return True
            raise
    return False


def contents(path: Path) -> Contents:
    """Return what the database at *path* contains; raises HistoryUnusable if it is damaged.

    If a bot starts meanwhile, it changes a file that is read as immutable. So damage counts only
    if it is found twice.
    """
    with unusable(path):
        try:
            return _contents(path)
        except sqlite3.DatabaseError:
            return _contents(path)


def _contents(path: Path) -> Contents:
    with _reading(path) as connection:
        header = FileHeader.of(connection)
        refused = refusal(header, path)
        return Contents(header, refused, not refused and _read_through(connection))


def first_question(path: Path) -> int | None:
    """Return the id of the oldest question in the database at *path*, None if there is none.

    Raises HistoryUnusable.
    """
    sql = "SELECT min(message_id) FROM exchanges WHERE author_id <> 0"
    rows = rows_of(path, "exchanges", sql)
    return rows[0][0] if rows else None


def rows_of(path: Path, table: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return the rows of *sql*, which reads *table*; none if there is no database or no table.

    Raises HistoryUnusable.
    """
    if not path.exists():
        return []
    with unusable(path), _reading(path) as connection:
        if refusal(FileHeader.of(connection), path):
            return []
        named = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?"
        [(is_there,)] = connection.execute(named, (table,))
        return connection.execute(sql, parameters).fetchall() if is_there else []


def orders_of(path: Path) -> Orders:
    """Return what operators set in the database at *path*; raises HistoryUnusable."""
    if not path.exists():
        return NO_ORDERS
    with unusable(path), _reading(path) as connection:
        header = FileHeader.of(connection)
        return NO_ORDERS if not header.tables or refusal(header, path) else orders_in(connection)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that creates no file beside the database, not even for a moment.

    SQLite creates the index of a write-ahead log if that is missing, unless it takes the file for
    immutable. Then it does not look into the log, which a crash may have left.
    """
    file = path.resolve()
    if 0 < file.stat().st_size < SMALLEST_PAGE:
        raise sqlite3.DatabaseError("the file is cut short")
    is_logged = all(Path(f"{file}{suffix}").exists() for suffix in ("-wal", "-shm"))
    address = f"{file.as_uri()}?{'mode=ro' if is_logged else 'immutable=1'}"
    with closing(sqlite3.connect(address, uri=True, timeout=READ_SECONDS)) as connection:
        yield connection


def _read_through(connection: sqlite3.Connection) -> bool:
    """Read the whole file; return False if that takes too long, raise if it is damaged."""
    deadline = time.monotonic() + READ_SECONDS
    connection.set_progress_handler(partial(_is_past, deadline), STEPS)
    try:
        [(finding,)] = connection.execute("PRAGMA quick_check(1)")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    if finding != "ok":
        raise sqlite3.DatabaseError(finding)
    return True


def _is_past(deadline: float) -> bool:
    return time.monotonic() > deadline
