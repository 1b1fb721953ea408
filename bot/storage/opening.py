"""Open the database that the settings name, whichever engine holds it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from bot.errors import HistoryUnusable
from bot.metrics import NO_METRICS, Metrics
from bot.storage.copies import Copies, NoCopies
from bot.storage.database import Database
from bot.storage.database_file import DatabaseFile
from bot.storage.location import Location, PostgresLocation

if TYPE_CHECKING:
    from bot.storage.postgres_opening import Joined


class StoppedEarly(Exception):
    """The program is to end while it waits for its database."""


@asynccontextmanager
async def open_database(
    source: DatabaseFile | PostgresLocation,
    metrics: Metrics = NO_METRICS,
    *,
    refused: Callable[[HistoryUnusable], None],
    joined: "Joined | None" = None,
) -> AsyncIterator[Database]:
    """Open a locked file or a database of PostgreSQL; raises HistoryUnusable.

    *refused* is called if the database becomes unusable for good while it is open. *joined* is
    awaited with each new session of PostgreSQL, before anything else uses it.
    """
    if isinstance(source, DatabaseFile):
        # Late, as below: each engine's library takes memory.
        from bot.storage.sqlite import SqliteDatabase  # noqa: PLC0415

        async with SqliteDatabase.open(source, metrics) as file:
            yield file
        return
    # Late, because asyncpg is an extra, which most bots have no use for.
    from bot.storage.postgres_opening import alone, open_postgres  # noqa: PLC0415

    join = joined or alone
    async with open_postgres(source, metrics, refused=refused, joined=join) as database:
        yield database


@asynccontextmanager
async def opened_unless(
    stop: asyncio.Event, database: AbstractAsyncContextManager[Database]
) -> AsyncIterator[Database]:
    """Open *database*, which may take long; raises StoppedEarly if *stop* is set before that."""
    async with AsyncExitStack() as stack:
        opening = asyncio.create_task(stack.enter_async_context(database))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
            raise StoppedEarly
        yield opening.result()


def copies_of(location: Location) -> Copies:
    """Return the copies that this program made of a database; it copies only files."""
    return NoCopies() if isinstance(location, PostgresLocation) else Copies(location.path)
