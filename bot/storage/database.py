"""Open the SQLite file: schema versions, one unit of work at a time, errors translated."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiosqlite

from bot.errors import HistoryFailed, HistoryUnusable
from bot.storage.database_file import LOCKED_SECONDS, DatabaseFile, unusable

log = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x43484154  # "CHAT", in the file's header: whose database it is.
SAID_SECONDS: Final = 1.0  # A lock that is shorter is nothing to say.
# How long SQLite itself waits, in its thread, where nothing can cut that short; then once more.
TRY_SECONDS: Final = 0.1
PAUSE_SECONDS: Final = 0.05
PRIMARY_CODE: Final = 0xFF  # SQLite: the bits of an error code that say its kind

# One entry a schema version; PRAGMA user_version counts how many a file has seen.
SCHEMA: Final = (
    """
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
    CREATE INDEX exchanges_by_channel ON exchanges (channel_id, message_id) WHERE author_id <> 0;
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
    # What is open after a crash; the places and guilds in which something may have been missed.
    """
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
    # Whose words a question replies to: they are its author's to edit and to delete.
    """
    ALTER TABLE exchanges ADD COLUMN quoted_id INTEGER;
    CREATE INDEX exchanges_by_quoted ON exchanges (quoted_id) WHERE quoted_id IS NOT NULL;
    """,
    # A place for each mention, in the end: they are looked up by guild and by channel.
    """
    CREATE INDEX places_by_guild ON places (guild_id) WHERE guild_id IS NOT NULL;
    CREATE INDEX places_by_parent ON places (parent_id, own) WHERE parent_id IS NOT NULL;
    """,
    # What the files of a question say.
    "ALTER TABLE exchanges ADD COLUMN files TEXT NOT NULL DEFAULT '';",
    # Whose words they are: a person may have them all, or have them forgotten.
    """
    ALTER TABLE exchanges ADD COLUMN quoted_author_id INTEGER;
    CREATE INDEX exchanges_by_author ON exchanges (author_id, message_id) WHERE author_id <> 0;
    CREATE INDEX exchanges_by_quoted_author ON exchanges (quoted_author_id)
        WHERE quoted_author_id IS NOT NULL;
    """,
    # What a question forwarded and embedded.
    "ALTER TABLE exchanges ADD COLUMN embedded TEXT NOT NULL DEFAULT '';",
    # What one person alone sees, and with what an interaction is answered.
    """
    ALTER TABLE exchanges ADD COLUMN private_to INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE exchanges ADD COLUMN token TEXT;
    DROP INDEX exchanges_by_channel;
    CREATE INDEX exchanges_by_channel ON exchanges (channel_id, private_to, message_id)
        WHERE author_id <> 0;
    """,
    # Which model answers where somebody chose one.
    """
    CREATE TABLE models (
        scope TEXT NOT NULL CHECK (scope IN ('channel', 'guild')),
        scope_id INTEGER NOT NULL,
        model TEXT NOT NULL,
        PRIMARY KEY (scope, scope_id)
    ) STRICT;
    """,
    # What was used: days since 1970 by UTC; guild 0 is direct messages, person 0 who is forgotten.
    """
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
    # Whose token it is, where somebody pressed a button under what they alone see.
    "ALTER TABLE exchanges ADD COLUMN pressed_id INTEGER;",
    # In which language one person is told what they alone see.
    "ALTER TABLE exchanges ADD COLUMN locale TEXT NOT NULL DEFAULT '';",
    # The limits of a model's server, in its own tokens; until is in seconds since 1970.
    """
    CREATE TABLE context_windows (
        model TEXT PRIMARY KEY,
        prompt_tokens INTEGER NOT NULL,
        total_tokens INTEGER NOT NULL,
        reply_tokens INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) STRICT;
    """,
)

PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # NORMAL loses committed rows with the power.
    "PRAGMA secure_delete = ON",  # What is forgotten is overwritten, not only unlinked.
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -512",  # KiB: a conversation is a few pages, and the system caches files.
)

Row = sqlite3.Row | tuple[Any, ...]
Statement = tuple[str, Sequence[object] | Mapping[str, object]]
T = TypeVar("T")


class Database:
    """One open file. Units of work never interleave; each raises HistoryFailed as a whole.

    While another program locks the file they wait, together for `LOCKED_SECONDS`: the first one
    that waited in vain is followed by others that fail at once, until one can write again.
    """

    def __init__(
        self, connection: aiosqlite.Connection, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._unit = asyncio.Lock()
        self._locked_since: float | None = None
        self._lock_said = False
        self._hurried = False

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Self]:
        """Open *path*, made if it does not exist; raises HistoryUnusable with what to do."""
        with DatabaseFile.hold(path) as file:
            async with cls.of(file) as database:
                yield database

    @classmethod
    @asynccontextmanager
    async def of(cls, file: DatabaseFile) -> AsyncIterator[Self]:
        """Open a file that is held, when all of it is read; raises HistoryUnusable."""
        await file.checked()
        with unusable(file.path):
            connection = await aiosqlite.connect(
                file.path, isolation_level=None, timeout=LOCKED_SECONDS
            )
        try:
            with unusable(file.path):
                await _prepare(connection, file.path)
            yield cls(connection)
        finally:
            await connection.close()

    def hurry(self) -> None:
        """Wait for no other program any more."""
        self._hurried = True

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        """Run one statement, a unit of its own, and return its rows."""
        rows = partial(self._connection.execute_fetchall, sql, named or parameters)
        return list(await self._alone(rows))

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        """Run one statement, a unit of its own, and return how many rows it changed."""
        change = partial(_change, (sql, named or parameters))
        changed = await self._alone(partial(self._work, change))
        self._written()
        return changed

    async def change_all(self, *statements: Statement) -> list[int]:
        """Run *statements* in one transaction and return how many rows each changed.

        Whoever is cancelled meanwhile leaves when it has ended, whole or not at all.
        """
        transaction = partial(self._work, partial(_transact, statements))
        unit = asyncio.ensure_future(self._alone(transaction))
        try:
            changed = await asyncio.shield(unit)
        except asyncio.CancelledError:
            # A transaction left open would take in all that others write from then on.
            await asyncio.wait({unit})
            raise
        self._written()
        return changed

    async def empty_log(self) -> bool:
        """Work the log of what was written into the file; False while somebody else reads that.

        What was overwritten stands in the log until then.
        """
        checkpoint = partial(self._connection.execute_fetchall, "PRAGMA wal_checkpoint(TRUNCATE)")
        [(is_busy, *_)] = await self._alone(checkpoint)
        return not is_busy

    async def rewrite(self) -> None:
        """Rewrite the whole file (VACUUM); all units of work wait meanwhile.

        If cancelled, the file is unchanged.
        """

        async def vacuum() -> None:
            try:
                await self._connection.execute_fetchall("VACUUM")
            except asyncio.CancelledError:
                await self._connection.interrupt()  # Otherwise its thread runs to the end.
                raise

        await self._alone(vacuum)
        self._written()

    async def size_bytes(self) -> int:
        """Return how long the file is."""
        sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        [(size,)] = await self.fetch(sql)
        return int(size)

    async def _alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do *work* when its turn comes and no other program locks the file."""
        async with self._unit:
            with _failed():
                while True:
                    try:
                        return await work()
                    except sqlite3.OperationalError as error:
                        if not _is_locked(error) or not self._may_wait():
                            raise
                    await asyncio.sleep(PAUSE_SECONDS)

    def _may_wait(self) -> bool:
        """Whether to wait for another program, which locks the file; said once for each lock."""
        now = self._clock()
        if self._locked_since is None:
            self._locked_since = now
        locked_seconds = now - self._locked_since
        if locked_seconds >= SAID_SECONDS and not self._lock_said:
            self._lock_said = True
            log.warning("Another program locks the database; what is to be stored waits for it")
        return locked_seconds < LOCKED_SECONDS and not self._hurried

    def _written(self) -> None:
        """Note that nobody locks the file; who only reads does not see that."""
        if self._lock_said:
            log.info("No other program locks the database any more")
        self._locked_since, self._lock_said = None, False

    async def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do *work* in the thread of the connection, in one go.

        aiosqlite has a method for each step, and each costs a way there and back, 30 microseconds:
        eight for a transaction of two statements, on the way of each question to the model.
        """
        result: T = await self._connection._execute(  # type: ignore[no-untyped-call]
            work, self._connection._conn
        )
        return result


def _change(statement: Statement, connection: sqlite3.Connection) -> int:
    return connection.execute(*statement).rowcount


def _transact(statements: Sequence[Statement], connection: sqlite3.Connection) -> list[int]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        changed = [_change(statement, connection) for statement in statements]
        connection.execute("COMMIT")
    except BaseException:
        # Where the disk fails, SQLite has ended it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return changed


async def _prepare(connection: aiosqlite.Connection, path: Path) -> None:
    version = await _pragma(connection, "user_version")
    owner = await _pragma(connection, "application_id")
    tables = await _number(connection, "SELECT count(*) FROM sqlite_schema")
    if owner != APPLICATION_ID and tables:
        raise HistoryUnusable(
            f"The database {path} belongs to another program. Name another file in DATABASE_URL."
        )
    if version > len(SCHEMA):
        raise HistoryUnusable(
            f"The database {path} was written by a newer version of this program. "
            "Run that version, or name another file in DATABASE_URL."
        )
    for pragma in PRAGMAS:
        await connection.execute_fetchall(pragma)
    for number, statements in enumerate(SCHEMA[version:], start=version + 1):
        await connection.executescript(
            f"BEGIN IMMEDIATE; {statements} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {number}; COMMIT;"
        )
    await connection.execute_fetchall(f"PRAGMA busy_timeout = {int(TRY_SECONDS * 1000)}")


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    return await _number(connection, f"PRAGMA {name}")


async def _number(connection: aiosqlite.Connection, sql: str) -> int:
    [(number,)] = await connection.execute_fetchall(sql)
    return int(number)


def _is_locked(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & PRIMARY_CODE == sqlite3.SQLITE_BUSY


@contextmanager
def _failed() -> Iterator[None]:
    try:
        yield
    # aiosqlite: ValueError once closed. An id from outside may be larger than SQLite's.
    except (sqlite3.Error, ValueError, OverflowError) as error:
        may_pass = isinstance(error, sqlite3.OperationalError)
        raise HistoryFailed(f"{type(error).__name__}: {error}", may_pass=may_pass) from error
