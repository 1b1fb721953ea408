"""Let one process at a time use a database: two would answer everything twice."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from bot.errors import HistoryInUse

PATIENCE_SECONDS: Final = 1.0  # An instance that is just leaving may still hold it.


@contextmanager
def only_user_of(path: Path) -> Iterator[None]:
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
