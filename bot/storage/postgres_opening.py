"""Open the database at a PostgreSQL server: check the server, then make the tables."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from bot.metrics import NO_METRICS, Metrics
from bot.storage.leases import Run, at_once
from bot.storage.location import PostgresLocation
from bot.storage.postgres import PostgresDatabase
from bot.storage.postgres_errors import (
    FAILURES,
    OLDEST_VERSION,
    POOLED,
    ReadOnlyServer,
    not_utf8,
    pooler,
    reason,
    refusal,
    too_old,
    unreachable,
)
from bot.storage.postgres_link import Refused
from bot.storage.postgres_schema import prepare
from bot.storage.postgres_session import Session

Joined = Callable[[Session, Run], Awaitable[None]]
_PID: Final = "SELECT pg_backend_pid()"
_SERVER: Final = """
    SELECT current_setting('server_encoding'),
        pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'
"""


async def alone(_session: Session, _run: Run) -> None:
    """Retake no shards: this process holds none."""


@asynccontextmanager
async def open_postgres(
    location: PostgresLocation,
    metrics: Metrics = NO_METRICS,
    *,
    refused: Refused,
    joined: Joined = alone,
) -> AsyncIterator[PostgresDatabase]:
    """Open the database with its newest tables; raises HistoryUnusable.

    *joined* is awaited with each new session, before anything else uses it. *refused* is called if
    the database becomes unusable later, as by a newer version of its tables.
    """
    admit = partial(_admit, location, joined)
    async with PostgresDatabase.open(location, metrics, admit=admit, refused=refused) as database:
        yield database


async def _admit(location: PostgresLocation, joined: Joined, session: Session) -> None:
    """Check and prepare a new session; raises HistoryUnusable or what asyncpg raises."""
    await check_server(location, session)
    await prepare(session)
    await joined(session, at_once(session))


async def check_server(location: PostgresLocation, session: Session) -> None:
    """Raise HistoryUnusable, or what asyncpg raises, if the bot cannot use the server."""
    if session.server_version < OLDEST_VERSION:
        raise too_old(location, session.server_version)
    [(encoding, is_read_only)] = await session.fetch(_SERVER)
    if is_read_only:
        raise ReadOnlyServer
    if encoding != "UTF8":
        raise not_utf8(location, encoding)
    await _refuse_pooler(location, session)


async def connected(location: PostgresLocation) -> Session:
    """Return a session with a server that the bot can use, for a command that does not wait.

    Raises HistoryUnusable.
    """
    session = None
    try:
        session = await Session.open(location)
        await check_server(location, session)
    except BaseException as error:
        if session is not None:
            session.terminate()
        if isinstance(error, FAILURES):
            raise refusal(error, location) or unreachable(reason(error), location) from error
        raise
    return session


async def _refuse_pooler(location: PostgresLocation, session: Session) -> None:
    """Raise HistoryUnusable if statements of one connection run in changing sessions.

    A pooler announces a process number that differs from the server's. A second connection then
    takes the session away from the first, unless the pooler is in session mode.
    """
    [(pid,)] = await session.fetch(_PID)
    if pid == session.pid:
        return
    other = await Session.open(location)
    try:
        await other.execute("BEGIN")
        [(others_pid,)] = await other.fetch(_PID)
        [(pid_now,)] = await session.fetch(_PID)
    except POOLED as error:
        raise pooler(location) from error
    finally:
        other.terminate()
    if others_pid == pid or pid_now != pid:
        raise pooler(location)
