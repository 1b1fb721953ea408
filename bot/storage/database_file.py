"""Lock the database's file for this process, and check that the whole file can be read."""

import asyncio
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Final, Self

from bot.errors import HistoryInUse, HistoryUnusable
from bot.log_events import as_event

log = logging.getLogger(__name__)

SMALLEST_PAGE: Final = 512  # SQLite, in bytes
LOCK_SECONDS: Final = 1.0  # An instance that is about to exit may still hold the lock.
LOCKED_SECONDS: Final = 60.0  # the wait for another program, such as a backup, that locks the file


class DatabaseFile:
    """A locked file. A thread checks it, because reading a large file takes long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checking: Future[None] = Future()
        # A daemon: the process may exit before it has read the whole file.
        Thread(target=self._check, daemon=True).start()

    @classmethod
    @contextmanager
    def hold(cls, path: Path) -> Iterator[Self]:
        """Lock *path* for this process and create its folder; raises HistoryUnusable."""
        with ExitStack() as locks:
            with unusable(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                locks.enter_context(_locked(path))
            yield cls(path)

    async def checked(self) -> None:
        """Wait until the whole file has been read; raises HistoryUnusable if it cannot be."""
        with unusable(self.path):
            await asyncio.wrap_future(self._checking)

    def _check(self) -> None:
        self._checking.set_running_or_notify_cancel()
        try:
            _read_through(self.path)
        except Exception as error:  # noqa: BLE001  # `checked` raises it.
            self._checking.set_exception(error)
        else:
            self._checking.set_result(None)


@contextmanager
def unusable(path: Path) -> Iterator[None]:
    """Translate errors of a file into HistoryUnusable, which says what to do."""
    try:
        yield
    except OSError as error:
        raise HistoryUnusable(
            f"The database {path} cannot be opened ({error.strerror}). {_owner(path)}"
            "Make the folder writable, or name another file in DATABASE_URL."
        ) from error
    except sqlite3.OperationalError as error:
        raise HistoryUnusable(
            f"The database {path} cannot be opened ({error}). {_owner(path)}Make the file and its "
            "folder writable, end other programs that use it, or name another file in DATABASE_URL."
        ) from error
    except sqlite3.DatabaseError as error:
        raise HistoryUnusable(
            f"The file {path} is damaged or not a database ({error}). It was left as it is: move "
            "it aside to start afresh, or name another file in DATABASE_URL."
        ) from error


def _owner(path: Path) -> str:
    """Return a sentence about who owns the file or folder that is not writable, or ""."""
    if sys.platform == "win32":
        return ""
    folder = next(one for one in path.absolute().parents if os.access(one, os.F_OK))
    for one in (path, folder):
        if os.access(one, os.F_OK) and not os.access(one, os.W_OK):
            owner, own = one.stat().st_uid, os.geteuid()
            return f"{one} belongs to uid {owner}, and the bot runs as uid {own}. "
    return ""


def lock_path_of(path: Path) -> Path:
    """Return the file whose lock a bot holds while it has the database at *path* open."""
    return Path(f"{path.resolve()}.lock")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the database *path* within the block; raises HistoryInUse if another process has it.

    Two processes would answer everything twice. The lock is an open transaction on an empty file
    beside the database: it works on every system, ends with the process, even if that crashes, and
    leaves the database readable for others.
    """
    lock_path = lock_path_of(path)
    lock_path.touch(mode=0o600)
    lock = sqlite3.connect(lock_path, isolation_level=None, timeout=LOCK_SECONDS)
    with closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise HistoryInUse(
                f"Another instance of this program is using the database {path}. Stop it first, "
                "or name another file in DATABASE_URL."
            ) from None
        yield


def _read_through(path: Path) -> None:
    """Read the whole file before anything may write to it. A new file is created private."""
    size, is_logged = path.stat().st_size if path.exists() else 0, _is_logged(path)
    if size < SMALLEST_PAGE and (size or is_logged):
        # SQLite would treat it as a new file, and delete the write-ahead log.
        raise sqlite3.DatabaseError("the file is cut short")
    if not size:
        log.info("Create database %s: there is none", path, extra=as_event("database_created"))
        path.touch(mode=0o600)  # Other users of the system must not read it.
    # If the file cannot be read, aiosqlite would fail as well, and its thread would die with a
    # traceback.
    with closing(reader_of(path)) as reader:
        for (finding,) in reader.execute("PRAGMA quick_check(1)"):
            if finding != "ok":
                raise sqlite3.DatabaseError(finding)
        [(page_bytes,)] = reader.execute("PRAGMA page_size")
        if size % page_bytes and not is_logged:  # SQLite reads zeros for what is missing.
            raise sqlite3.DatabaseError("the file is cut short")


def reader_of(path: Path) -> sqlite3.Connection:
    """Open the database at *path*, whose lock this process holds, without changing anything.

    A read-only connection does not move the log of a crash into the file, which may be damaged. If
    there is no log, no process has the file open, and "immutable" creates no files beside it.
    """
    how = "mode=ro" if _is_logged(path) else "immutable=1"
    address = f"{path.resolve().as_uri()}?{how}"
    return sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS)


def _is_logged(path: Path) -> bool:
    log_path = Path(f"{path}-wal")
    return log_path.exists() and log_path.stat().st_size > 0
