"""The schema of the database: how a new file is made and an older one migrated."""

import logging
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple, Self

from bot.errors import HistoryUnusable
from bot.log_events import as_event

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x43484154  # "CHAT": the file's header names the program that owns it.
# SQLite waits so long for a lock, in its thread, where nothing can interrupt it. SqliteDatabase
# tries again after that.
BUSY_SECONDS: Final = 0.1


# A description of each migration, and its SQL. Each runs in one transaction. PRAGMA user_version is
# the number of migrations that a file has had. New ones are appended; a released one never changes.
MIGRATIONS: Final = {
    "Store exchanges, their messages, places, resets, prompts, calibrations and facts": """
        CREATE TABLE exchanges (
            message_id INTEGER PRIMARY KEY,
            channel_id INTEGER NOT NULL,
            place_id INTEGER NOT NULL,
            guild_id INTEGER,
            parent_id INTEGER,
            author_id INTEGER NOT NULL,
            author TEXT NOT NULL,
            question TEXT NOT NULL,
            quoted TEXT NOT NULL,
            reply TEXT NOT NULL DEFAULT '',
            cut INTEGER NOT NULL DEFAULT 0,
            tokens INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL
                CHECK (state IN ('received', 'answering', 'answered', 'failed', 'cancelled'))
        ) STRICT;
        CREATE INDEX exchanges_by_channel ON exchanges (channel_id, message_id)
            WHERE author_id <> 0;
        CREATE TABLE parts (
            part_id INTEGER PRIMARY KEY,
            message_id INTEGER NOT NULL REFERENCES exchanges
        ) STRICT;
        CREATE INDEX parts_by_message ON parts (message_id);
        CREATE TABLE places (
            place_id INTEGER PRIMARY KEY,
            parent_id INTEGER,
            own INTEGER NOT NULL,
            hinted INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE TABLE resets (channel_id INTEGER PRIMARY KEY, before_id INTEGER NOT NULL) STRICT;
        CREATE TABLE system_prompts (
            scope TEXT NOT NULL CHECK (scope IN ('channel', 'guild')),
            scope_id INTEGER NOT NULL,
            prompt TEXT NOT NULL,
            PRIMARY KEY (scope, scope_id)
        ) STRICT;
        CREATE TABLE calibrations (
            model TEXT PRIMARY KEY,
            factor REAL NOT NULL,
            weight REAL NOT NULL,
            samples INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
        """,
    "Count attempts, keep pending notices, and record the guilds that the bot is in": """
        ALTER TABLE exchanges ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE exchanges ADD COLUMN unshown TEXT;
        CREATE INDEX exchanges_open ON exchanges (message_id)
            WHERE state IN ('received', 'answering') OR unshown IS NOT NULL;
        CREATE INDEX tombstones ON exchanges (message_id) WHERE author_id = 0;
        ALTER TABLE places ADD COLUMN guild_id INTEGER;
        INSERT INTO places (place_id, parent_id, guild_id, own)
            SELECT channel_id, max(parent_id), max(guild_id), 0 FROM exchanges GROUP BY channel_id
            ON CONFLICT DO UPDATE SET guild_id = excluded.guild_id;
        UPDATE places SET guild_id = (SELECT guild_id FROM exchanges WHERE message_id = place_id)
            WHERE guild_id IS NULL AND place_id IN (SELECT message_id FROM exchanges);
        CREATE TABLE guilds (guild_id INTEGER PRIMARY KEY, since_id INTEGER NOT NULL) STRICT;
        """,
    "Record the message that a question replies to, which its author may edit or delete": """
        ALTER TABLE exchanges ADD COLUMN quoted_id INTEGER;
        CREATE INDEX exchanges_by_quoted ON exchanges (quoted_id) WHERE quoted_id IS NOT NULL;
        """,
    "Look up places by guild and by channel": """
        CREATE INDEX places_by_guild ON places (guild_id) WHERE guild_id IS NOT NULL;
        CREATE INDEX places_by_parent ON places (parent_id, own) WHERE parent_id IS NOT NULL;
        """,
    "Store the text of a question's files": (
        "ALTER TABLE exchanges ADD COLUMN files TEXT NOT NULL DEFAULT '';"
    ),
    "Record the author of quoted text, who may export it or have it erased": """
        ALTER TABLE exchanges ADD COLUMN quoted_author_id INTEGER;
        CREATE INDEX exchanges_by_author ON exchanges (author_id, message_id) WHERE author_id <> 0;
        CREATE INDEX exchanges_by_quoted_author ON exchanges (quoted_author_id)
            WHERE quoted_author_id IS NOT NULL;
        """,
    "Store what a question forwards and embeds": (
        "ALTER TABLE exchanges ADD COLUMN embedded TEXT NOT NULL DEFAULT '';"
    ),
    "Store exchanges that only one person sees, and the token that answers an interaction": """
        ALTER TABLE exchanges ADD COLUMN private_to INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE exchanges ADD COLUMN token TEXT;
        DROP INDEX exchanges_by_channel;
        CREATE INDEX exchanges_by_channel ON exchanges (channel_id, private_to, message_id)
            WHERE author_id <> 0;
        """,
    "Store the model of a channel or guild": """
        CREATE TABLE models (
            scope TEXT NOT NULL CHECK (scope IN ('channel', 'guild')),
            scope_id INTEGER NOT NULL,
            model TEXT NOT NULL,
            PRIMARY KEY (scope, scope_id)
        ) STRICT;
        """,
    # Guild 0 is direct messages, person 0 is everybody who asked to be forgotten.
    "Store usage by day, in days since 1970 by UTC": """
        CREATE TABLE usage (
            person_id INTEGER NOT NULL,
            day INTEGER NOT NULL,
            guild_id INTEGER NOT NULL,
            channel_id INTEGER NOT NULL,
            model TEXT NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            answers INTEGER NOT NULL,
            estimated INTEGER NOT NULL,
            PRIMARY KEY (person_id, day, guild_id, channel_id, model)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX usage_by_guild ON usage (guild_id, day);
        CREATE INDEX usage_by_channel ON usage (channel_id);
        CREATE INDEX usage_by_day ON usage (day);
        """,
    "Record the button press whose token answers an exchange": (
        "ALTER TABLE exchanges ADD COLUMN pressed_id INTEGER;"
    ),
    "Record the language of an exchange that only one person sees": (
        "ALTER TABLE exchanges ADD COLUMN locale TEXT NOT NULL DEFAULT '';"
    ),
    # In the server's own tokens; until is in seconds since 1970.
    "Store the context window that a model's server enforces": """
        CREATE TABLE context_windows (
            model TEXT PRIMARY KEY,
            prompt_tokens INTEGER NOT NULL,
            total_tokens INTEGER NOT NULL,
            reply_tokens INTEGER NOT NULL,
            until INTEGER NOT NULL
        ) STRICT;
        """,
    # The scope is person, server or bot; the bot has the id 0. In days since 1970 by UTC.
    "Store what counts against budgets, in billionths of the currency and in tokens": """
        CREATE TABLE spent (
            scope TEXT NOT NULL CHECK (scope IN ('person', 'server', 'bot')),
            scope_id INTEGER NOT NULL,
            day INTEGER NOT NULL,
            nanos INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            PRIMARY KEY (scope, scope_id, day)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX spent_by_day ON spent (day);
        """,
    "Record which shard received an interaction, if the guild does not say so": """
        ALTER TABLE exchanges ADD COLUMN shard INTEGER;
        CREATE INDEX exchanges_by_shard ON exchanges (shard) WHERE shard IS NOT NULL;
        """,
}


PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # NORMAL loses committed rows if the power fails.
    "PRAGMA secure_delete = ON",  # Overwrites deleted text instead of only unlinking it.
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -512",  # KiB: a conversation is a few pages, and the system caches files.
)


class FileHeader(NamedTuple):
    """What a file says of itself: the version of its schema, its owner, and how many tables."""

    version: int
    owner: int
    tables: int

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> Self:
        """Read the header of an open file."""
        return cls(
            _number(connection, "PRAGMA user_version"),
            _number(connection, "PRAGMA application_id"),
            _number(connection, "SELECT count(*) FROM sqlite_schema"),
        )


def refusal(header: FileHeader, path: Path) -> str:
    """Return why this program does not open the database at *path*, "" if it does."""
    if header.owner != APPLICATION_ID and header.tables:
        return f"The database {path} belongs to another program. Name another file in DATABASE_URL."
    if header.version > len(MIGRATIONS):
        return (
            f"The database {path} was written by a newer version of this program. "
            "Run that version, or name another file in DATABASE_URL."
        )
    return ""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate the database to the newest version and set how SQLite treats it.

    An older database is copied first. Raises HistoryUnusable if the file belongs to another program
    or to a newer version, or if the copy cannot be made.
    """
    header = FileHeader.of(connection)
    if reason := refusal(header, path):
        raise HistoryUnusable(reason)
    version = header.version
    for pragma in PRAGMAS:
        connection.execute(pragma).fetchall()
    missing = list(MIGRATIONS.items())[version:]
    if version and missing:
        # Imported late, because it is needed once after an update.
        from bot.storage.backup import copy_before_migration  # noqa: PLC0415

        copy_before_migration(connection, path)
    for number, (description, sql) in enumerate(missing, start=version + 1):
        if version:
            migrated = as_event("database_migrated", count=number)
            log.info(
                "Migrate database %s to version %d: %s",
                *(path, number, description),
                extra=migrated,
            )
        connection.executescript(
            f"BEGIN IMMEDIATE; {sql} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {number}; COMMIT;"
        )
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}").fetchall()


def _number(connection: sqlite3.Connection, sql: str) -> int:
    [(number,)] = connection.execute(sql)
    return int(number)
