"""The engines that hold what the stores write, for tests that run on both."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from bot.errors import HistoryUnusable
from bot.sandbox.postgres_server import PostgresServer
from bot.storage.database import Database
from bot.storage.exchanges import History
from bot.storage.location import PostgresLocation, location_of
from bot.storage.postgres_opening import open_postgres
from tests.doubles import file_bytes, open_database

SQLITE_ONLY: Final = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


class Engine(ABC):
    """A database that is empty at first. It may be opened several times, one after the other."""

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[Database]:
        """Open the database, as the program does."""

    @abstractmethod
    async def contains(self, text: bytes) -> bool:
        """Whether the database's files contain *text*, apart from a server's log."""

    @asynccontextmanager
    async def history(self) -> AsyncIterator[History]:
        """Open the store, as the program does."""
        async with self.open() as database, History.over(database) as history:
            yield history


class Sqlite(Engine):
    """A file of SQLite."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> AbstractAsyncContextManager[Database]:
        return open_database(self._path)

    async def contains(self, text: bytes) -> bool:
        return text in file_bytes(self._path)


class Postgres(Engine):
    """A database of PostgreSQL, with the tables that the test before left, emptied."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        location = location_of(url)
        assert isinstance(location, PostgresLocation)
        self._location = location
        self._server = server
        self._is_empty = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Database]:
        async with open_postgres(self._location, refused=_refused) as database:
            if not self._is_empty:
                await _empty(database)
                self._is_empty = True
            yield database

    async def contains(self, text: bytes) -> bool:
        def read() -> bool:
            self._server.execute("CHECKPOINT")  # What is in memory goes to the files.
            files = (one for one in (self._server.folder / "data" / "base").rglob("*"))
            return any(text in one.read_bytes() for one in files if one.is_file())

        return await asyncio.to_thread(read)


async def _empty(database: Database) -> None:
    tables = await database.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        " AND tablename <> 'schema_version' ORDER BY tablename = 'parts' DESC"
    )
    await database.change_all(*(f'DELETE FROM "{name}"' for (name,) in tables))


def _refused(error: HistoryUnusable) -> None:
    raise AssertionError from error
