"""Look at a database of PostgreSQL without changing it, also while bots have it open."""

import time
from statistics import median
from typing import Final

from bot.errors import HistoryUnusable
from bot.storage.leases import END_OF_LOCKS, LOCK_CLASS, LOCKS_OF_TOTAL
from bot.storage.location import PostgresLocation
from bot.storage.orders import FACT, orders_from
from bot.storage.postgres_errors import FAILURES, no_rights, reason, refusal, unreachable
from bot.storage.postgres_opening import connected
from bot.storage.postgres_schema import COMPATIBLE, SCHEMA, VERSION, found_in, lock_class_of
from bot.storage.postgres_schema import refusal as schema_refusal
from bot.storage.postgres_session import Session
from bot.storage.server_facts import ServerFacts, Stored, User
from bot.storage.spending import SpentRow

TRIPS: Final = 9
# The rights that the bot needs: to make its tables, or to use those that are there.
_RIGHTS: Final = f"""
    SELECT 'permission denied for database ' || current_database()
    WHERE to_regnamespace('{SCHEMA}') IS NULL
        AND NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL SELECT 'permission denied for schema {SCHEMA}' FROM pg_namespace
    WHERE nspname = '{SCHEMA}' AND NOT has_schema_privilege(oid, 'USAGE')
    UNION ALL SELECT 'permission denied for table ' || relname FROM pg_class
    WHERE relnamespace = to_regnamespace('{SCHEMA}') AND relkind = 'r' AND NOT (
        has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
        AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
"""
_NOT_OWNED: Final = f"""
    SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('{SCHEMA}')
        AND relkind = 'r' AND NOT pg_has_role(relowner, 'USAGE') ORDER BY relname
"""
# Each bot holds the lock of its version, and those of its shards.
_USERS: Final = f"""
    SELECT lock.pid, coalesce(host(activity.client_addr), 'this machine'), ARRAY(
        SELECT CAST(held.objid AS BIGINT) FROM pg_locks AS held
        WHERE held.locktype = 'advisory' AND held.granted AND held.pid = lock.pid
            AND CAST(held.classid AS BIGINT) = {LOCK_CLASS} AND held.objsubid = 2
        ORDER BY 1)
    FROM pg_locks AS lock JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 2
        AND CAST(lock.classid AS BIGINT) = $1
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY lock.pid
"""
_SPENT: Final = "SELECT scope, scope_id, day, nanos, tokens FROM spent WHERE scope = 'bot'"
_FIRST: Final = "SELECT min(message_id) FROM exchanges WHERE author_id <> 0"


async def inspect(location: PostgresLocation) -> tuple[ServerFacts, Stored]:
    """Return what the doctor judges; raises HistoryUnusable as the start of the bot does."""
    session = await connected(location)
    try:
        await session.execute("SET default_transaction_read_only = on")
        return await _inspected(session, location)
    except FAILURES as error:
        raise refusal(error, location) or unreachable(reason(error), location) from error
    finally:
        session.terminate()


async def _inspected(session: Session, location: PostgresLocation) -> tuple[ServerFacts, Stored]:
    for (why,) in (await session.fetch(_RIGHTS))[:1]:
        raise no_rights(location, why)
    found = await found_in(session)
    if refused := schema_refusal(found, SCHEMA, VERSION, COMPATIBLE):
        raise HistoryUnusable(refused)
    users = await session.fetch(_USERS, lock_class_of())
    [(size,)] = await session.fetch("SELECT pg_database_size(current_database())")
    facts = ServerFacts(
        session.server_version,
        await _trip_seconds(session),
        int(size),
        found.version,
        VERSION,
        tuple(str(name) for (name,) in await session.fetch(_NOT_OWNED)),
        tuple(User(pid, address, _shards(locks)) for pid, address, locks in users),
    )
    return facts, await _stored(session) if found.version else Stored()


async def _stored(session: Session) -> Stored:
    await session.execute(f'SET search_path TO "{SCHEMA}"')
    orders = await session.fetch("SELECT value FROM facts WHERE name = $1", FACT)
    [(first,)] = await session.fetch(_FIRST)
    spent = await session.fetch(_SPENT)
    return Stored(
        orders_from(orders[0][0] if orders else None),
        first,
        tuple(SpentRow(*row) for row in spent),
    )


async def _trip_seconds(session: Session) -> float:
    """Return how long a round trip to the server takes."""
    times = list[float]()
    for _ in range(TRIPS):
        begun = time.perf_counter()
        await session.fetch("SELECT 1")
        times.append(time.perf_counter() - begun)
    return median(times)


def _shards(locks: list[int]) -> tuple[int, ...]:
    """Return the shards of *locks*; another lock there is that of a whole bot."""
    return tuple(lock % LOCKS_OF_TOTAL for lock in locks if LOCKS_OF_TOTAL <= lock < END_OF_LOCKS)
