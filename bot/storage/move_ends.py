"""The tables that a move copies, and the ports of its source and its target."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import NamedTuple, Protocol

from bot.storage.schema import MIGRATIONS

Batch = list[tuple[object, ...]]


class Table(NamedTuple):
    """A table that both engines have, with its columns."""

    name: str
    columns: tuple[str, ...]


class Source(Protocol):
    """The database that is read. It does not change meanwhile."""

    corrected: int

    async def count(self, table: Table) -> int:
        """Return how many rows *table* has."""

    def batches(self, table: Table) -> AsyncIterator[Batch]:
        """Yield the rows of *table*."""


class Target(Protocol):
    """An empty database in a transaction; it stays empty unless that is committed."""

    async def count(self, table: Table) -> int:
        """Return how many rows *table* has."""

    async def write(self, table: Table, batches: AsyncIterator[Batch]) -> None:
        """Store rows in *table*."""

    async def commit(self) -> None:
        """Keep what was written."""


def tables() -> tuple[Table, ...]:
    """Return the tables in an order in which a row comes after the rows that it refers to."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for sql in MIGRATIONS.values():
            connection.executescript(sql)
        made = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        names = [str(name) for (name,) in made.fetchall()]
        columns = "SELECT name FROM pragma_table_info(?)"
        return tuple(
            Table(name, tuple(column for (column,) in connection.execute(columns, (name,))))
            for name in names
        )
