"""Move the database from SQLite to PostgreSQL, or back: every row of it, or none."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple

from bot.errors import MoveFailed
from bot.storage.location import Location, PostgresLocation, SqliteLocation
from bot.storage.move_ends import Batch, Source, Table, Target, tables

PROGRESS_ROWS: Final = 100_000

Say = Callable[[str], None]


class Moved(NamedTuple):
    """The result of a move: the number of rows and of tables.

    *corrected* counts the texts that were changed, because PostgreSQL cannot store some characters.
    """

    rows: int
    tables: int
    corrected: int
    seconds: float


async def move(source: Location, target: Location, say: Say) -> Moved:
    """Copy every row of *source* into the empty *target*, and count them there.

    *say* is called with a line for each table. The source stays as it is. Raises MoveFailed or
    HistoryUnusable: then the target stays empty.
    """
    begun = time.monotonic()
    opened_source, opened_target = _opened(source, target)
    moved, kept = 0, tables()
    async with opened_source as read, opened_target as written:
        for table in kept:
            count = await read.count(table)
            await written.write(table, _announced(table, read.batches(table), count, say))
            arrived = await written.count(table)
            if arrived != count:
                raise MoveFailed(
                    f"The table {table.name} has {count} rows in {source} and {arrived} in "
                    f"{target}, so nothing was moved. Please report this fault."
                )
            say(f"{table.name}: {count:,} rows")
            moved += count
        await written.commit()
        return Moved(moved, len(kept), read.corrected, time.monotonic() - begun)


def _opened(
    source: Location, target: Location
) -> tuple[AbstractAsyncContextManager[Source], AbstractAsyncContextManager[Target]]:
    """Return the two databases, not opened yet; raises MoveFailed if both are of one engine."""
    # Late, because asyncpg is an extra.
    from bot.storage import postgres_move, sqlite_move  # noqa: PLC0415

    match source, target:
        case SqliteLocation(), PostgresLocation():
            return sqlite_move.source(source.path), postgres_move.target(target)
        case PostgresLocation(), SqliteLocation():
            return postgres_move.source(source), sqlite_move.target(target.path)
        case SqliteLocation(), SqliteLocation():
            advice = (
                "Both are files of SQLite. Name the target after the source, or in DATABASE_URL."
            )
        case _:
            advice = "Both are databases of PostgreSQL: use pg_dump and pg_restore."
    raise MoveFailed(f"The command copies from SQLite to PostgreSQL, or back. {advice}")


async def _announced(
    table: Table, batches: AsyncIterator[Batch], count: int, say: Say
) -> AsyncIterator[Batch]:
    """Yield *batches*, and say now and then how many rows of a large table were read."""
    done = 0
    async for batch in batches:
        yield batch
        before, done = done, done + len(batch)
        if done // PROGRESS_ROWS > before // PROGRESS_ROWS and done < count:
            say(f"{table.name}: {done:,} of {count:,} rows …")
