"""Run units of work on the SQLite file, one at a time, and translate its errors."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Self, TypeVar

import aiosqlite

from bot.errors import HistoryFailed
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Metrics
from bot.storage.database import Row
from bot.storage.database_file import LOCKED_SECONDS, DatabaseFile, unusable
from bot.storage.schema import prepare

log = logging.getLogger(__name__)

LOGGED_LOCK_SECONDS: Final = 1.0  # Shorter locks are not logged.
LOCK_RETRY_SECONDS: Final = 0.05  # while another program locks the file
PRIMARY_CODE: Final = 0xFF  # SQLite: the low byte of an error code is its kind

Parameters = Sequence[object] | Mapping[str, object]
T = TypeVar("T")


class SqliteDatabase:
    """One open file. Units of work never interleave, and each fails as a whole: HistoryFailed.

    While another program locks the file, units of work wait. They share one limit, LOCKED_SECONDS
    since the lock was met: once it has passed, all fail at once until one of them can write again.
    """

    def __init__(self, connection: aiosqlite.Connection, metrics: Metrics = NO_METRICS) -> None:
        self._is_failing = False
        self._connection = connection
        self._metrics = metrics
        self._unit = asyncio.Lock()
        self._locked_since: float | None = None
        self._lock_logged = False
        self._waiting_allowed = True

    @classmethod
    @asynccontextmanager
    async def open(cls, file: DatabaseFile, metrics: Metrics = NO_METRICS) -> AsyncIterator[Self]:
        """Open a locked file once it has been checked; raises HistoryUnusable."""
        await file.checked()
        with unusable(file.path):
            connection = await aiosqlite.connect(
                file.path, isolation_level=None, timeout=LOCKED_SECONDS
            )
        try:
            database = cls(connection, metrics)
            with unusable(file.path):
                await database._in_thread(partial(prepare, path=file.path))
            yield database
        finally:
            await connection.close()

    @property
    def is_failing(self) -> bool:
        """Whether a unit failed and none has written since, or another program locks the file."""
        return self._is_failing or self._lock_logged

    def stop_waiting(self) -> None:
        """Fail at once from now on if another program locks the file."""
        self._waiting_allowed = False

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        """Run one statement as a unit of work and return its rows."""
        rows = partial(self._connection.execute_fetchall, sql, named or parameters)
        kind = "write" if sql.lstrip().startswith("UPDATE") else "read"
        return list(await self._run(kind, rows))

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        """Run one statement as a unit of work and return how many rows it changed."""
        change = partial(_change, sql, named or parameters)
        changed = await self._run("write", partial(self._in_thread, change))
        self._note_unlocked()
        return changed

    async def change_all(self, *statements: str, **named: object) -> list[int]:
        """Run *statements* in one transaction and return how many rows each changed.

        They share the parameters *named*. If the caller is cancelled, the cancellation takes effect
        once the transaction has ended.
        """
        transaction = partial(self._in_thread, partial(_transact, statements, named))
        unit = asyncio.ensure_future(self._run("write", transaction))
        try:
            changed = await asyncio.shield(unit)
        except asyncio.CancelledError:
            # A transaction that is left open would swallow everything that is written after it.
            await asyncio.wait({unit})
            unit.exception()  # Nobody else reads a failure; asyncio would log it.
            raise
        self._note_unlocked()
        return changed

    async def truncate_log(self) -> bool:
        """Move the write-ahead log into the file and empty it; False if a reader prevents that.

        Until then, the log still holds text that was overwritten.
        """
        checkpoint = partial(self._connection.execute_fetchall, "PRAGMA wal_checkpoint(TRUNCATE)")
        [(is_busy, *_)] = await self._run("erase", checkpoint)
        return not is_busy

    async def rewrite(self) -> None:
        """Rewrite the whole file (VACUUM); other units of work wait.

        If it is cancelled, the file is unchanged.
        """

        async def vacuum() -> None:
            try:
                await self._connection.execute_fetchall("VACUUM")
            except asyncio.CancelledError:
                await self._connection.interrupt()  # Otherwise the thread would finish the rewrite.
                raise

        await self._run("erase", vacuum)
        self._note_unlocked()

    async def size_bytes(self) -> int:
        """Return the size of the file."""
        sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        [(size,)] = await self.fetch(sql)
        return int(size)

    async def _run(self, kind: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run *work* in its turn, and note how it ended."""
        began = time.perf_counter()
        try:
            result = await self._in_turn(work)
        except HistoryFailed as error:
            self._is_failing |= isinstance(error.__cause__, sqlite3.Error)
            self._metrics.database_used(kind, time.perf_counter() - began, failed=True)
            raise
        self._is_failing = self._is_failing and kind == "read"  # A full disk can still be read.
        self._metrics.database_used(kind, time.perf_counter() - began, failed=False)
        return result

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run *work* after the units before it, as soon as no other program locks the file."""
        async with self._unit:
            while True:
                try:
                    return await work()
                # ValueError: the connection is closed. OverflowError: an id is too large.
                except (sqlite3.Error, ValueError, OverflowError) as error:
                    if not (_is_locked(error) and self._waits()):
                        is_transient = isinstance(error, sqlite3.OperationalError)
                        why = f"{type(error).__name__}: {error}"
                        raise HistoryFailed(why, is_transient=is_transient) from error
                await asyncio.sleep(LOCK_RETRY_SECONDS)

    def _waits(self) -> bool:
        """Whether to wait for the program that locks the file; each lock is logged once."""
        now = time.monotonic()
        if self._locked_since is None:
            self._locked_since = now
        locked_seconds = now - self._locked_since
        if locked_seconds >= LOGGED_LOCK_SECONDS and not self._lock_logged:
            self._lock_logged = True
            log.warning(
                "Wait for the database: another program locks it",
                extra=as_event("database_locked", wait_s=locked_seconds),
            )
        return locked_seconds < LOCKED_SECONDS and self._waiting_allowed

    def _note_unlocked(self) -> None:
        """Note that no other program locks the file, which only a write can show."""
        if self._lock_logged:
            log.info(
                "Resume writing to the database: no other program locks it",
                extra=as_event("database_unlocked"),
            )
        self._locked_since, self._lock_logged = None, False

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run *work* in the thread of the connection.

        aiosqlite has a method for each step, and each switches threads twice, which takes 30
        microseconds. A transaction of two statements, as each question needs before the model is
        asked, would take eight of them.
        """
        result: T = await self._connection._execute(  # type: ignore[no-untyped-call]
            work, self._connection._conn
        )
        return result


def _change(sql: str, parameters: Parameters, connection: sqlite3.Connection) -> int:
    return connection.execute(sql, parameters).rowcount


def _transact(
    statements: Sequence[str], parameters: Parameters, connection: sqlite3.Connection
) -> list[int]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        changed = [_change(sql, parameters, connection) for sql in statements]
        connection.execute("COMMIT")
    except BaseException:
        # If the disk failed, SQLite has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return changed


def _is_locked(error: Exception) -> bool:
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & PRIMARY_CODE == sqlite3.SQLITE_BUSY
