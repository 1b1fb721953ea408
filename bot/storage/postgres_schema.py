"""The tables in PostgreSQL, and which versions of this program may run on them."""

import logging
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from bot.errors import HistoryUnusable
from bot.log_events import as_event

log = logging.getLogger(__name__)

SCHEMA: Final = "chatbot"  # a PostgreSQL schema, which holds the tables of one bot
MIGRATION_LOCK: Final = 0x43484154_00000001  # "CHAT"; one process migrates, the others wait

# A description of each migration, and its SQL. The table schema_version holds the number of those
# that a database has had. New ones are appended; a released one never changes. Other processes run
# meanwhile, some of them older: a migration only adds what they ignore, such as a table, an index,
# or a column that may be null or has a default. What nothing uses any more is removed by a later
# release, and COMPATIBLE is raised with it.
MIGRATIONS: Final = {
    # What SQLite's file has at its version 14.
    "Store exchanges, places, settings, usage and what was spent": """
        CREATE TABLE exchanges (
            message_id BIGINT PRIMARY KEY,
            channel_id BIGINT NOT NULL,
            place_id BIGINT NOT NULL,
            guild_id BIGINT,
            parent_id BIGINT,
            author_id BIGINT NOT NULL,
            author TEXT NOT NULL,
            question TEXT NOT NULL,
            quoted TEXT NOT NULL,
            reply TEXT NOT NULL DEFAULT '',
            cut BIGINT NOT NULL DEFAULT 0,
            tokens BIGINT NOT NULL DEFAULT 0,
            state TEXT NOT NULL
                CHECK (state IN ('received', 'answering', 'answered', 'failed', 'cancelled')),
            attempts BIGINT NOT NULL DEFAULT 0,
            unshown TEXT,
            quoted_id BIGINT,
            files TEXT NOT NULL DEFAULT '',
            quoted_author_id BIGINT,
            embedded TEXT NOT NULL DEFAULT '',
            private_to BIGINT NOT NULL DEFAULT 0,
            token TEXT,
            pressed_id BIGINT,
            locale TEXT NOT NULL DEFAULT ''
        );
        CREATE INDEX exchanges_open ON exchanges (message_id)
            WHERE state IN ('received', 'answering') OR unshown IS NOT NULL;
        CREATE INDEX tombstones ON exchanges (message_id) WHERE author_id = 0;
        CREATE INDEX exchanges_by_channel ON exchanges (channel_id, private_to, message_id)
            WHERE author_id <> 0;
        CREATE INDEX exchanges_by_author ON exchanges (author_id, message_id) WHERE author_id <> 0;
        CREATE INDEX exchanges_by_quoted ON exchanges (quoted_id) WHERE quoted_id IS NOT NULL;
        CREATE INDEX exchanges_by_quoted_author ON exchanges (quoted_author_id)
            WHERE quoted_author_id IS NOT NULL;
        CREATE TABLE parts (
            part_id BIGINT PRIMARY KEY,
            message_id BIGINT NOT NULL REFERENCES exchanges
        );
        CREATE INDEX parts_by_message ON parts (message_id);
        CREATE TABLE places (
            place_id BIGINT PRIMARY KEY,
            parent_id BIGINT,
            own BIGINT NOT NULL,
            hinted BIGINT NOT NULL DEFAULT 0,
            guild_id BIGINT
        );
        CREATE INDEX places_by_guild ON places (guild_id) WHERE guild_id IS NOT NULL;
        CREATE INDEX places_by_parent ON places (parent_id, own) WHERE parent_id IS NOT NULL;
        CREATE TABLE guilds (guild_id BIGINT PRIMARY KEY, since_id BIGINT NOT NULL);
        CREATE TABLE resets (channel_id BIGINT PRIMARY KEY, before_id BIGINT NOT NULL);
        CREATE TABLE system_prompts (
            scope TEXT NOT NULL CHECK (scope IN ('channel', 'guild')),
            scope_id BIGINT NOT NULL,
            prompt TEXT NOT NULL,
            PRIMARY KEY (scope, scope_id)
        );
        CREATE TABLE models (
            scope TEXT NOT NULL CHECK (scope IN ('channel', 'guild')),
            scope_id BIGINT NOT NULL,
            model TEXT NOT NULL,
            PRIMARY KEY (scope, scope_id)
        );
        CREATE TABLE calibrations (
            model TEXT PRIMARY KEY,
            factor DOUBLE PRECISION NOT NULL,
            weight DOUBLE PRECISION NOT NULL,
            samples BIGINT NOT NULL
        );
        CREATE TABLE context_windows (
            model TEXT PRIMARY KEY,
            prompt_tokens BIGINT NOT NULL,
            total_tokens BIGINT NOT NULL,
            reply_tokens BIGINT NOT NULL,
            until BIGINT NOT NULL
        );
        CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE usage (
            person_id BIGINT NOT NULL,
            day BIGINT NOT NULL,
            guild_id BIGINT NOT NULL,
            channel_id BIGINT NOT NULL,
            model TEXT NOT NULL,
            prompt_tokens BIGINT NOT NULL,
            completion_tokens BIGINT NOT NULL,
            answers BIGINT NOT NULL,
            estimated BIGINT NOT NULL,
            PRIMARY KEY (person_id, day, guild_id, channel_id, model)
        );
        CREATE INDEX usage_by_guild ON usage (guild_id, day);
        CREATE INDEX usage_by_channel ON usage (channel_id);
        CREATE INDEX usage_by_day ON usage (day);
        CREATE TABLE spent (
            scope TEXT NOT NULL CHECK (scope IN ('person', 'server', 'bot')),
            scope_id BIGINT NOT NULL,
            day BIGINT NOT NULL,
            nanos BIGINT NOT NULL,
            tokens BIGINT NOT NULL,
            PRIMARY KEY (scope, scope_id, day)
        );
        CREATE INDEX spent_by_day ON spent (day);
        """,
    # A shard without a holder is free. The lock of a session is what counts; the rows are for
    # people, and for a process whose session was lost. The day's IDENTIFYs are those of the bot.
    "Record which process holds which shard, and when each may send its next IDENTIFY": """
        CREATE TABLE processes (
            process TEXT PRIMARY KEY,
            pid BIGINT NOT NULL,
            backend_start TIMESTAMPTZ NOT NULL,
            total BIGINT NOT NULL,
            started_at TIMESTAMPTZ NOT NULL,
            seen_at TIMESTAMPTZ NOT NULL
        );
        CREATE TABLE shards (
            total BIGINT NOT NULL,
            shard BIGINT NOT NULL,
            holder TEXT,
            pid BIGINT,
            backend_start TIMESTAMPTZ,
            epoch BIGINT NOT NULL,
            seen_at TIMESTAMPTZ NOT NULL,
            PRIMARY KEY (total, shard)
        );
        CREATE TABLE identify_slots (key BIGINT PRIMARY KEY, free_at TIMESTAMPTZ NOT NULL);
        CREATE TABLE identify_budget (
            name TEXT PRIMARY KEY,
            left_over DOUBLE PRECISION NOT NULL,
            at TIMESTAMPTZ NOT NULL
        );
        """,
    # SQLite's version 15.
    "Record which shard received an interaction, if the guild does not say so": """
        ALTER TABLE exchanges ADD COLUMN shard BIGINT;
        CREATE INDEX exchanges_by_shard ON exchanges (shard) WHERE shard IS NOT NULL;
        """,
}
VERSION: Final = len(MIGRATIONS)
COMPATIBLE: Final = 1  # the oldest version whose program may run on what MIGRATIONS make


class Found(NamedTuple):
    """The state of a database, as it is stored there.

    *version* is 0 if it has no tables of this program, and *compatible* is the oldest version that
    may run on it. *others* counts the tables of another program in the same schema. *running* has
    the versions of the processes that have the database open.
    """

    version: int = 0
    compatible: int = 0
    others: int = 0
    running: frozenset[int] = frozenset()


class Session(Protocol):
    """The part of asyncpg's connection that is used here."""

    async def execute(self, query: str, /, *args: object) -> str:
        """Run one statement, or several without parameters."""

    async def fetch(self, query: str, /, *args: object) -> Sequence[Any]:
        """Run one statement and return its rows."""


def refusal(found: Found, schema: str, version: int, compatible: int) -> str:
    """Return why the program of *version* does not use a database, "" if it does.

    Programs from version *compatible* on understand the tables that it makes.
    """
    if found.others and not found.version:
        return (
            f'The PostgreSQL schema "{schema}" belongs to another program. Name another database '
            "in DATABASE_URL."
        )
    if version < found.compatible:
        return (
            f"The database is at version {found.compatible} at least, and this program knows only "
            f"version {version}. Install the newer version of the program, or name another "
            "database in DATABASE_URL."
        )
    if found.version < version and (too_old := min(found.running, default=version)) < compatible:
        return (
            f"A program of version {too_old} has the database open and could not run on version "
            f"{version}. Stop it first, then start this one."
        )
    return ""


async def prepare(session: Session, schema: str = SCHEMA) -> None:
    """Migrate the database to the newest version, and keep the session from losing its tables.

    Called for each new session. While it is open, no newer program changes the tables in a way that
    this one does not understand. Raises HistoryUnusable; after any failure, the caller closes the
    session.
    """
    await session.execute("BEGIN")
    await session.execute("SET LOCAL statement_timeout = 0")  # Another process may be migrating.
    await session.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
    found = await found_in(session, schema)
    if reason := refusal(found, schema, VERSION, COMPATIBLE):
        raise HistoryUnusable(reason)
    await _migrate(session, schema, found.version)
    await session.execute("SELECT pg_advisory_lock_shared($1, $2)", lock_class_of(schema), VERSION)
    await session.execute("COMMIT")
    await session.execute(f'SET search_path TO "{schema}"')


async def found_in(session: Session, schema: str = SCHEMA) -> Found:
    """Return what the database says of itself, before this session is prepared."""
    tables = await session.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
    names = {str(name) for (name,) in tables}
    if "schema_version" not in names:
        return Found(others=len(names))
    sql = f'SELECT version, compatible FROM "{schema}".schema_version'
    [(version, compatible)] = await session.fetch(sql)
    running = await session.fetch(
        "SELECT DISTINCT CAST(objid AS BIGINT) FROM pg_locks WHERE locktype = 'advisory'"
        " AND CAST(classid AS BIGINT) = $1 AND objsubid = 2 AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        lock_class_of(schema),
    )
    return Found(version, compatible, running=frozenset(held for (held,) in running))


async def _migrate(session: Session, schema: str, version: int) -> None:
    """Run the migrations after *version*, within the transaction of the caller."""
    if version >= VERSION:
        return
    await session.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    await session.execute(f'SET LOCAL search_path TO "{schema}"')
    for number, (description, sql) in enumerate(MIGRATIONS.items(), start=1):
        if number > version:
            log.info(
                "Migrate database %s to version %d: %s",
                *(schema, number, description),
                extra=as_event("database_migrated", count=number),
            )
            await session.execute(sql)
    if not version:
        await session.execute(
            "CREATE TABLE schema_version (version BIGINT NOT NULL, compatible BIGINT NOT NULL);"
            "INSERT INTO schema_version VALUES (0, 0)"
        )
    await session.execute(
        "UPDATE schema_version SET version = $1, compatible = $2", VERSION, COMPATIBLE
    )


def lock_class_of(schema: str = SCHEMA) -> int:
    """Return the number of the locks that say which versions have a schema open."""
    return zlib.crc32(schema.encode()) & 0x7FFF_FFFF
