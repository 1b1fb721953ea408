"""Hold the database's file: for one process alone, and only when all of it can be read."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Final, Self

from bot.errors import HistoryInUse, HistoryUnusable

log = logging.getLogger(__name__)

LEAST_BYTES: Final = 512  # SQLite: the smallest page
PATIENCE_SECONDS: Final = 1.0  # An instance that is just leaving may still hold it.
LOCKED_SECONDS: Final = 60.0  # Another program may lock the file; so long it is waited for.


class DatabaseFile:
    """A file that is read through by a thread of its own, since that may take long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checking: Future[None] = Future()
        # It holds up nobody who leaves meanwhile.
        Thread(target=self._check, daemon=True).start()

    @classmethod
    @contextmanager
    def hold(cls, path: Path) -> Iterator[Self]:
        """Hold *path* for this process, made if it does not exist; raises HistoryUnusable."""
        with ExitStack() as held:
            with unusable(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(_locked(path))
            yield cls(path)

    async def checked(self) -> None:
        """Wait until all of it is read; raises HistoryUnusable where that cannot be."""
        with unusable(self.path):
            await asyncio.wrap_future(self._checking)

    def _check(self) -> None:
        self._checking.set_running_or_notify_cancel()
        try:
            _read_through(self.path)
        except Exception as error:  # noqa: BLE001  # It is raised where it is waited for.
            self._checking.set_exception(error)
        else:
            self._checking.set_result(None)


@contextmanager
def unusable(path: Path) -> Iterator[None]:
    """Raise HistoryUnusable, which says what to do, for what is wrong with a file."""
    try:
        yield
    except OSError as error:
        raise HistoryUnusable(
            f"The database {path} cannot be opened ({error.strerror}). "
            "Make the folder writable, or name another file in DATABASE_URL."
        ) from error
    except sqlite3.OperationalError as error:
        raise HistoryUnusable(
            f"The database {path} cannot be opened ({error}). Make the file and its folder "
            "writable, end other programs that use it, or name another file in DATABASE_URL."
        ) from error
    except sqlite3.DatabaseError as error:
        raise HistoryUnusable(
            f"The file {path} is damaged or not a database ({error}). It was left as it is: move "
            "it aside to start afresh, or name another file in DATABASE_URL."
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the database *path* for this process; raises HistoryInUse if another one has it.

    The lock is an open transaction on an empty file beside the database: it works on every system,
    ends with the process, however that ends, and leaves the database readable for others.
    """
    lock_path = Path(f"{path.resolve()}.lock")
    lock_path.touch(mode=0o600)
    lock = sqlite3.connect(lock_path, isolation_level=None, timeout=PATIENCE_SECONDS)
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
    """Read the whole file before anything may write into it; a new one is made private."""
    size = path.stat().st_size if path.exists() else 0
    log_path = Path(f"{path}-wal")
    is_logged = log_path.exists() and log_path.stat().st_size > 0
    if size < LEAST_BYTES and (size or is_logged):
        # SQLite would take it for a new file, and delete the log.
        raise sqlite3.DatabaseError("the file is cut short")
    if not size:
        log.info("The memory is empty: %s is a new database", path)
        path.touch(mode=0o600)  # What people wrote is nobody else's to read.
    # Where this fails, aiosqlite would fail too and leave its thread behind, to die noisily. Who
    # only reads does not work the log of a crash into a damaged file. Without a log nobody has the
    # file open, and reading it needs no files beside it.
    how = "mode=ro" if is_logged else "immutable=1"
    address = f"{path.resolve().as_uri()}?{how}"
    reader = sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS)
    with closing(reader):
        for (finding,) in reader.execute("PRAGMA quick_check(1)"):
            if finding != "ok":
                raise sqlite3.DatabaseError(finding)
        [(page_bytes,)] = reader.execute("PRAGMA page_size")
        if size % page_bytes and not is_logged:  # SQLite reads zeros for what is missing.
            raise sqlite3.DatabaseError("the file is cut short")
