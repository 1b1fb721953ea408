"""Run units of work on PostgreSQL, one at a time in one session, and translate its errors."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Final, Self, TypeVar

import asyncpg

from bot.errors import HistoryFailed, HistoryInDoubt
from bot.metrics import NO_METRICS, Metrics
from bot.storage.database import Row
from bot.storage.location import PostgresLocation
from bot.storage.postgres_errors import FAILURES, is_lost, is_refused, is_transient, reason
from bot.storage.postgres_link import Link, Refused
from bot.storage.postgres_session import STATEMENT_TIMEOUT, Admit, Notified, Session
from bot.storage.postgres_statements import compiled
from bot.storage.postgres_units import Call, Change, Fetch, Step, Transaction, Unit

ANSWER_SECONDS: Final = 35.0  # The server ends a statement after 30 s: a longer silence is a loss.
HURRIED_SECONDS: Final = 2.0  # for units that run while the bot stops, or whose caller is cancelled
VACUUM_SECONDS: Final = 3600.0
STATUS_PAUSE_SECONDS: Final = 0.2
# A reader of the tables, such as pg_dump, would hold up VACUUM, and everything else behind it.
LOCK_TIMEOUT: Final = "100ms"
# VACUUM alone leaves the bytes of deleted rows in the free space of a page (measured).
VACUUM: Final = "VACUUM (FULL) exchanges, parts, places, system_prompts, models, usage, facts"
SIZE: Final = """
    SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT) FROM pg_class
    WHERE relnamespace = to_regnamespace(current_schema()) AND relkind = 'r'
"""
DO_NOTHING: Final = "ON CONFLICT DO NOTHING"

T = TypeVar("T")


class PostgresDatabase:
    """One session with the server. Units of work never interleave, and each fails as a whole.

    While the server is away, units of work wait. They share one limit, OUTAGE_SECONDS since the
    session was lost: once it has passed, all fail at once until there is a session again.

    `change` and `change_all` say what happens if the answer to a write is lost. A write that
    returns rows, such as UPDATE … RETURNING, then fails with HistoryInDoubt.
    """

    def __init__(self, link: Link, metrics: Metrics = NO_METRICS) -> None:
        self._link = link
        self._metrics = metrics
        self._unit = asyncio.Lock()
        self._ordinary = asyncio.Lock()  # Only one of these units waits for `_unit` at a time.
        self._running: Session | None = None
        self._is_failing = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        location: PostgresLocation,
        metrics: Metrics = NO_METRICS,
        *,
        admit: Admit,
        refused: Refused,
    ) -> AsyncIterator[Self]:
        """Open the database; raises HistoryUnusable.

        *admit* prepares each session, and *refused* is called if it refuses a later one.
        """
        link = Link(location, admit, refused)
        try:
            await link.start()
            yield cls(link, metrics)
        finally:
            await link.close()

    @property
    def is_failing(self) -> bool:
        """Whether a unit failed and none has written since, or the server is away."""
        return self._is_failing or self._link.session is None

    @property
    def session(self) -> Session | None:
        """The session that units of work run in, None while there is none.

        It says when it is lost, and by which process the server serves it.
        """
        return self._link.session

    def stop_waiting(self) -> None:
        """Fail at once from now on if the server is away."""
        self._link.stop_waiting()
        if self._running is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(HURRIED_SECONDS, self._cut_if_running, self._running)

    async def listen(self, channel: str, notified: Notified) -> None:
        """Call *notified* with each text that is sent to *channel*; raises HistoryFailed."""

        async def listen(_session: Session) -> None:
            await self._link.listen(channel, notified)

        await self._run("read", Call(listen))

    async def fetch(self, sql: str, *parameters: object, **named: object) -> list[Row]:
        """Run one statement as a unit of work and return its rows."""
        writes = _writes(sql)
        unit = Fetch(_step(sql, parameters, named), writes=writes)
        return await self._run("write" if writes else "read", unit)

    async def fetch_in(
        self, session: Session, sql: str, *parameters: object, **named: object
    ) -> list[Row]:
        """Run one statement in *session* and no other; raises HistoryFailed if it is lost.

        It goes before the units that wait: with a thousand questions at once, a process would say
        too late that it is alive.
        """
        unit = Fetch(_step(sql, parameters, named), writes=_writes(sql))
        return await self._measured("write", partial(self._in_turn, unit, only=session))

    async def change(self, sql: str, *parameters: object, **named: object) -> int:
        """Run one statement as a unit of work and return how many rows it changed.

        If its answer is lost, the statement runs again, so it must be harmless to run it twice. An
        INSERT with ON CONFLICT DO NOTHING that then finds a row raises HistoryInDoubt: the row may
        be its own.
        """
        unit = Change(_step(sql, parameters, named))
        changed = await self._run("write", unit)
        if unit.is_repeated and not changed and DO_NOTHING in sql:
            raise HistoryInDoubt(
                "in doubt: the row is there, but the connection was lost meanwhile"
            )
        return changed

    async def change_all(self, *statements: str, **named: object) -> list[int]:
        """Run *statements* in one transaction and return how many rows each changed.

        They share the parameters *named*. If the answer to COMMIT is lost, the server is asked what
        became of the transaction, so that sums are never added to twice.
        """
        return await self._run("write", Transaction([_step(sql, (), named) for sql in statements]))

    async def truncate_log(self) -> bool:
        """Return True: only the server can empty its log."""
        return True

    async def rewrite(self) -> None:
        """Rewrite the tables without the remains of overwritten rows; the server's log keeps those.

        Other units of work wait, in all processes. Raises HistoryFailed if somebody reads a table.
        """

        async def vacuum(session: Session) -> None:
            await session.execute(f"SET statement_timeout = 0; SET lock_timeout = '{LOCK_TIMEOUT}'")
            try:
                await session.execute(VACUUM)
            except asyncpg.LockNotAvailableError as error:
                raise HistoryFailed("somebody reads the database", is_transient=False) from error
            finally:
                if session.is_usable:
                    await session.execute(
                        f"SET statement_timeout = '{STATEMENT_TIMEOUT}'; SET lock_timeout = 0"
                    )

        await self._run("erase", Call(vacuum), seconds=VACUUM_SECONDS)

    async def size_bytes(self) -> int:
        """Return the size of the tables with their indexes; this takes a few milliseconds."""
        [(size,)] = await self.fetch(SIZE)
        return int(size)

    async def _run(self, kind: str, unit: Unit[T], seconds: float | None = None) -> T:
        return await self._measured(kind, partial(self._in_turn, unit, seconds=seconds))

    async def _measured(self, kind: str, work: "partial[Coroutine[Any, Any, T]]") -> T:
        """Run *work* in its turn, and note how it ended."""
        began = time.perf_counter()
        try:
            result = await work()
        except HistoryFailed as error:
            self._is_failing |= error.is_transient
            self._metrics.database_used(kind, time.perf_counter() - began, failed=True)
            raise
        self._is_failing = self._is_failing and kind == "read"  # A full disk can still be read.
        self._metrics.database_used(kind, time.perf_counter() - began, failed=False)
        return result

    async def _in_turn(
        self, unit: Unit[T], seconds: float | None = None, only: Session | None = None
    ) -> T:
        """Run *unit* after those before it, as soon as there is a session."""
        async with self._ordinary if only is None else nullcontext(), self._unit:
            while True:
                session = await self._link.usable() if only is None else only
                if session is not self._link.session:
                    raise HistoryFailed("the session was lost")
                try:
                    return await self._finished(session, unit.run(session), seconds)
                except FAILURES as error:
                    if not is_lost(error):
                        why = reason(error)
                        raise HistoryFailed(why, is_transient=is_transient(error)) from error
                    self._link.lose(session, reason(error))
                    in_doubt = unit.may_be_stored and not is_refused(error)
                    unit.is_repeated |= in_doubt and unit.may_be_repeated
                    if in_doubt and not unit.is_repeated and await self._is_stored(unit, error):
                        return unit.result

    async def _finished(
        self, session: Session, work: Coroutine[Any, Any, T], seconds: float | None = None
    ) -> T:
        """Return what *work* returns, and never leave it running: the next unit comes after it.

        If the caller is cancelled, the cancellation takes effect once it has ended.
        """
        task = asyncio.ensure_future(work)
        self._running = session
        try:
            limit = (seconds or ANSWER_SECONDS) if self._link.may_wait else HURRIED_SECONDS
            await asyncio.wait({task}, timeout=limit)
            if not task.done():
                await _cut(session, task)
                raise TimeoutError(f"no answer within {limit:.0f} s")
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=HURRIED_SECONDS)
            await _cut(session, task)
            raise
        finally:
            self._running = None
        return task.result()

    async def _is_stored(self, unit: Unit[Any], error: BaseException) -> bool:
        """Ask the server what became of a unit whose answer was lost; raises HistoryInDoubt."""
        doubt = HistoryInDoubt(f"in doubt, the connection was lost: {reason(error)}")
        status: str | None = "in progress" if unit.transaction else None
        while status == "in progress":
            try:
                session = await self._link.usable()
                outcome = session.outcome(unit.transaction)
                status = await self._finished(session, outcome)
            except HistoryFailed:
                raise doubt from error
            except FAILURES as again:
                if not is_lost(again):
                    raise doubt from error
                self._link.lose(session, reason(again))
            if status == "in progress":
                await asyncio.sleep(STATUS_PAUSE_SECONDS)
        if status is None:
            raise doubt from error
        return status == "committed"

    def _cut_if_running(self, session: Session) -> None:
        if self._running is session:
            session.terminate()


async def _cut(session: Session, task: Awaitable[object]) -> None:
    """End *task* by cutting its session, unless it has ended."""
    future = asyncio.ensure_future(task)
    if not future.done():
        session.terminate()
        future.cancel()
        await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # Nobody else reads a failure; asyncio would log it.


def _step(sql: str, parameters: tuple[object, ...], named: dict[str, object]) -> Step:
    statement = compiled(sql)
    return statement.text, statement.arguments(parameters, named)


def _writes(sql: str) -> bool:
    return sql.lstrip().startswith(("UPDATE", "INSERT", "DELETE"))
