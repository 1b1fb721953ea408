"""A database of PostgreSQL as the source or the target of a move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from bot.errors import MoveFailed
from bot.storage.location import PostgresLocation
from bot.storage.move_ends import Batch, Table, tables
from bot.storage.postgres_errors import FAILURES, in_use, is_lost, reason, refusal
from bot.storage.postgres_opening import connected
from bot.storage.postgres_schema import MIGRATION_LOCK, SCHEMA, VERSION, found_in, prepare
from bot.storage.postgres_session import Session

BATCH_ROWS: Final = 1000
# A bot that writes fails the move at once; a VACUUM of the server's own ends for it.
SETTINGS: Final = (
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
    " SET lock_timeout = '5s'"
)


@asynccontextmanager
async def source(location: PostgresLocation) -> AsyncIterator["SourceDatabase"]:
    """Open a database that no bot uses, without changing it; raises what `target` raises."""
    async with _opened(location) as session:
        found = await found_in(session)
        if not found.version:
            raise MoveFailed(f"There are no tables of this program in the database {location}.")
        if found.version != VERSION:
            raise MoveFailed(
                f"The database {location} is at version {found.version}, and this program at "
                f"{VERSION}, so nothing was moved. Start the newer of the two once, and move with "
                "it."
            )
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield SourceDatabase(session)


@asynccontextmanager
async def target(location: PostgresLocation) -> AsyncIterator["TargetDatabase"]:
    """Open a database without any rows, and make its tables if there are none.

    A bot that is started meanwhile waits. Raises MoveFailed or HistoryUnusable.
    """
    async with _opened(location) as session:
        await prepare(session)
        names = [f'"{SCHEMA}".{table.name}' for table in tables()]
        await session.execute("BEGIN")
        await session.execute(f"LOCK TABLE {', '.join(names)} IN EXCLUSIVE MODE")
        filled = [name for name in names if await _count(session, name)]
        if filled:
            raise MoveFailed(
                f"The database {location} is not empty (there are rows in {', '.join(filled)}), so "
                "nothing was moved. Create another one (createdb --encoding=UTF8). Or, if nothing "
                f'in this one is needed any more, run there: DROP SCHEMA "{SCHEMA}" CASCADE'
            )
        yield TargetDatabase(session, location)


@asynccontextmanager
async def _opened(location: PostgresLocation) -> AsyncIterator[Session]:
    """Open a session that keeps every bot from starting; whatever it has begun is undone."""
    session = await connected(location)
    try:
        await session.execute(SETTINGS)
        await session.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        if (await found_in(session)).running:
            raise in_use(location)
        yield session
    except asyncpg.LockNotAvailableError as error:
        raise in_use(location) from error
    except FAILURES as error:
        raise refusal(error, location) or MoveFailed(
            f"The database {location} failed ({reason(error)}), so nothing was moved. Run the same "
            "command again."
        ) from error
    finally:
        session.terminate()


class SourceDatabase:
    """A database that is read."""

    corrected = 0

    def __init__(self, session: Session) -> None:
        self._session = session

    async def count(self, table: Table) -> int:
        """Return how many rows *table* has."""
        return await _count(self._session, f'"{SCHEMA}".{table.name}')

    async def batches(self, table: Table) -> AsyncIterator[Batch]:
        """Yield the rows of *table*."""
        names, cursor = ", ".join(table.columns), f"rows_of_{table.name}"
        await self._session.execute(
            f'DECLARE {cursor} NO SCROLL CURSOR FOR SELECT {names} FROM "{SCHEMA}".{table.name}'
        )
        while rows := await self._session.fetch(f"FETCH {BATCH_ROWS} FROM {cursor}"):
            yield [tuple(row) for row in rows]


class TargetDatabase:
    """A database that is written, in one transaction."""

    def __init__(self, session: Session, location: PostgresLocation) -> None:
        self._session = session
        self._location = location

    async def count(self, table: Table) -> int:
        """Return how many rows *table* has."""
        return await _count(self._session, f'"{SCHEMA}".{table.name}')

    async def write(self, table: Table, batches: AsyncIterator[Batch]) -> None:
        """Store rows in *table*."""

        async def rows() -> AsyncIterator[tuple[object, ...]]:
            async for batch in batches:
                for row in batch:
                    yield row

        await self._session.copy_in(SCHEMA, table.name, table.columns, rows())
        # Without statistics, the server would plan badly until it counts the rows by itself.
        await self._session.execute(f'ANALYZE "{SCHEMA}".{table.name}')

    async def commit(self) -> None:
        """Keep what was written; raises MoveFailed if it is unknown whether it was kept."""
        try:
            await self._session.commit()
        except FAILURES as error:
            if not is_lost(error):
                raise
            raise MoveFailed(
                f"The connection to {self._location.server} was lost at the very end "
                f"({reason(error)}). Run the same command again: if it says that "
                f"{self._location.database} is not empty, every row is there."
            ) from error


async def _count(session: Session, table: str) -> int:
    [(count,)] = await session.fetch(f"SELECT count(*) FROM {table}")
    return int(count)
