"""The file of SQLite as the source or the target of a move."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

from bot.errors import MoveFailed
from bot.storage.database_file import DatabaseFile, reader_of, unusable
from bot.storage.move_ends import Batch, Table
from bot.storage.schema import APPLICATION_ID, MIGRATIONS, FileHeader, prepare, refusal

BATCH_ROWS: Final = 1000


@asynccontextmanager
async def source(path: Path) -> AsyncIterator["SourceFile"]:
    """Open a file that no bot uses, without changing it; raises MoveFailed or HistoryUnusable."""
    if not _is_there(path):
        raise MoveFailed(f"There is no database {path}, so there is nothing to move.")
    with DatabaseFile.hold(path) as file:
        await file.checked()
        with unusable(path):
            connection = reader_of(path)
        with closing(connection):
            with unusable(path):
                header = FileHeader.of(connection)
            if reason := refusal(header, path) or _outdated(header, path):
                raise MoveFailed(reason)
            yield SourceFile(connection, path)


@asynccontextmanager
async def target(path: Path) -> AsyncIterator["TargetFile"]:
    """Open a file without any rows, which is made if there is none.

    Raises MoveFailed or HistoryUnusable.
    """
    was_there, target = _is_there(path), None
    with DatabaseFile.hold(path) as file:
        await file.checked()
        with unusable(path):
            connection = sqlite3.connect(path, isolation_level=None)
        try:
            with closing(connection):
                with unusable(path):
                    _refuse_rows(connection, path)
                    prepare(connection, path)
                    connection.execute("BEGIN IMMEDIATE")
                target = TargetFile(connection, path)
                yield target
        finally:
            if not was_there and not (target and target.is_committed):
                _delete(path)


class SourceFile:
    """A file that is read."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        connection.text_factory = self._text
        self._connection = connection
        self._path = path
        self.corrected = 0

    async def count(self, table: Table) -> int:
        """Return how many rows *table* has."""
        with unusable(self._path):
            return _count(self._connection, table.name)

    async def batches(self, table: Table) -> AsyncIterator[Batch]:
        """Yield the rows of *table*."""
        sql = f"SELECT {', '.join(table.columns)} FROM {table.name}"
        with unusable(self._path):
            cursor = self._connection.execute(sql)
        while batch := self._fetched(cursor):
            yield batch
            await asyncio.sleep(0)  # Ctrl-C takes effect here.

    def _fetched(self, cursor: sqlite3.Cursor) -> Batch:
        with unusable(self._path):
            return cursor.fetchmany(BATCH_ROWS)

    def _text(self, stored: bytes) -> str:
        """Return a text without what PostgreSQL cannot store: NULs, and what is not UTF-8.

        The bot writes neither, but an old version or another program may have.
        """
        try:
            text = stored.decode()
        except UnicodeDecodeError:
            text = stored.decode(errors="replace")
            self.corrected += 1
        else:
            self.corrected += "\0" in text
        return text.replace("\0", "")


class TargetFile:
    """A file that is written, in one transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.is_committed = False

    async def count(self, table: Table) -> int:
        """Return how many rows *table* has."""
        with unusable(self._path):
            return _count(self._connection, table.name)

    async def write(self, table: Table, batches: AsyncIterator[Batch]) -> None:
        """Store rows in *table*."""
        places = ", ".join("?" for _ in table.columns)
        sql = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"
        async for batch in batches:
            with unusable(self._path):
                self._connection.executemany(sql, batch)

    async def commit(self) -> None:
        """Keep what was written."""
        with unusable(self._path):
            self._connection.execute("COMMIT")
        self.is_committed = True


def _is_there(path: Path) -> bool:
    return path.exists()


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)


def _outdated(header: FileHeader, path: Path) -> str:
    """Return why a file is not moved as it is, "" if it has the newest schema."""
    if header.owner == APPLICATION_ID and header.version == len(MIGRATIONS):
        return ""
    return (
        f"The database {path} was last used by an older version of this program, so nothing was "
        f"moved. Start this version once with DATABASE_URL=sqlite:///{path}, which updates the "
        "file, and stop it again."
    )


def _refuse_rows(connection: sqlite3.Connection, path: Path) -> None:
    made = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    if any(_count(connection, f'"{name}"') for (name,) in made):
        raise MoveFailed(
            f"The database {path} is not empty, so nothing was moved. Name a file that does not "
            "exist."
        )


def _count(connection: sqlite3.Connection, table: str) -> int:
    [(count,)] = connection.execute(f"SELECT count(*) FROM {table}")
    return int(count)
