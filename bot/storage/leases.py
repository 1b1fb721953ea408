"""Leases of shards: the locks of PostgreSQL's sessions, and rows that name their holders."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from bot.storage.database import Row
from bot.storage.postgres_statements import compiled

LOCK_CLASS: Final = 0x43484154  # "CHAT"
SHARDS_CHANNEL: Final = "shards"  # NOTIFY: a shard has become free
CHANGES_CHANNEL: Final = "changes"  # NOTIFY: a process has changed what the others have read
SILENT_SECONDS: Final = 25  # A holder that has not renewed for so long hangs: it is cut off.
FORGET_SECONDS: Final = 60  # After so long, the row of a process that crashed is deleted.

# The number of a shard's lock is LOCKS_OF_TOTAL times all shards, and the shard. So bots with
# another number of shards have other locks. The rest of 31 bits is for locks of other kinds.
LOCKS_OF_TOTAL: Final = 65_536
END_OF_LOCKS: Final = 2**31 - LOCKS_OF_TOTAL
_LOCK: Final = f"CAST(:total AS INT) * {LOCKS_OF_TOTAL} + CAST(:shard AS INT)"
_LOCKS: Final = f"""
    FROM pg_locks AS lock WHERE lock.locktype = 'advisory' AND lock.granted
    AND CAST(lock.classid AS BIGINT) = {LOCK_CLASS} AND lock.objsubid = 2
    AND CAST(lock.objid AS BIGINT) >= {LOCKS_OF_TOTAL}
    AND CAST(lock.objid AS BIGINT) < {END_OF_LOCKS}
    AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_OWN_START: Final = "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"


class Lease(NamedTuple):
    """A shard that a process holds. Each new holder has a higher *epoch*."""

    shard: int
    epoch: int


class Lock(NamedTuple):
    """The lock of a shard, as the server has it."""

    total: int
    shard: int


class Run(Protocol):
    """Runs one statement in the session that has the locks, and returns its rows."""

    async def __call__(self, sql: str, /, **named: object) -> Sequence[Row]:
        """Run *sql*, whose parameters are `:name`."""


class Direct(Protocol):
    """A session of which the caller is the only user."""

    async def fetch(self, query: str, /, *arguments: object) -> Sequence[Row]:
        """Run a statement in PostgreSQL's own words, and return its rows."""


class Leases:
    """The leases of the process *holder* on some of *total* shards, all through one session.

    The session's lock is the lease. When the session ends, the lock is free, and the holder can
    write nothing more. The rows name the holders, for people and for `retake`.
    """

    def __init__(self, run: Run, holder: str, total: int) -> None:
        self._run = run
        self._holder = holder
        self._total = total

    async def locks(self) -> frozenset[Lock]:
        """Return the locks of all processes, including those for another number of shards."""
        rows = await self._run(
            f"SELECT CAST(lock.objid AS BIGINT) / {LOCKS_OF_TOTAL},"
            f" CAST(lock.objid AS BIGINT) % {LOCKS_OF_TOTAL} {_LOCKS}"
        )
        return frozenset(Lock(int(total), int(shard)) for total, shard in rows)

    async def take(self, shard: int) -> Lease | None:
        """Take *shard*; None if another process holds it."""
        if not await self._lock(shard):
            return None
        [(epoch,)] = await self._run(
            f"""
            INSERT INTO shards (total, shard, holder, pid, backend_start, epoch, seen_at)
            VALUES (:total, :shard, :holder, pg_backend_pid(), {_OWN_START}, 1, clock_timestamp())
            ON CONFLICT (total, shard) DO UPDATE SET holder = excluded.holder, pid = excluded.pid,
                backend_start = excluded.backend_start, epoch = shards.epoch + 1,
                seen_at = excluded.seen_at
            RETURNING epoch
            """,
            total=self._total,
            shard=shard,
            holder=self._holder,
        )
        return Lease(shard, int(epoch))

    async def retake(self, lease: Lease) -> bool:
        """Take a shard again in a new session; False if another process has had it since.

        The server may not know yet that the last session is lost. This process knows it, because
        that session was its own, so it ends it.
        """
        if not await self._lock(lease.shard):
            await self._run(
                "SELECT pg_terminate_backend(CAST(a.pid AS INT)) FROM shards AS s"
                " JOIN pg_stat_activity AS a ON a.pid = s.pid AND a.backend_start = s.backend_start"
                " WHERE s.total = :total AND s.shard = :shard AND s.holder = :holder"
                " AND a.pid <> pg_backend_pid()",
                total=self._total,
                shard=lease.shard,
                holder=self._holder,
            )
            if not await self._lock_within_seconds(lease.shard):
                return False
        rows = await self._run(
            f"""
            UPDATE shards SET pid = pg_backend_pid(), backend_start = {_OWN_START},
                seen_at = clock_timestamp()
            WHERE total = :total AND shard = :shard AND holder = :holder AND epoch = :epoch
            RETURNING epoch
            """,
            total=self._total,
            shard=lease.shard,
            holder=self._holder,
            epoch=lease.epoch,
        )
        if not rows:
            await self._unlock(lease.shard)
        return bool(rows)

    async def release(self, shard: int) -> None:
        """Release *shard*, and notify the other processes."""
        await self._run(
            "UPDATE shards SET holder = NULL, pid = NULL, backend_start = NULL"
            " WHERE total = :total AND shard = :shard AND holder = :holder RETURNING shard",
            total=self._total,
            shard=shard,
            holder=self._holder,
        )
        await self._unlock(shard)
        await self._run(
            "SELECT pg_notify(:channel, CAST(CAST(:shard AS INT) AS TEXT))",
            channel=SHARDS_CHANNEL,
            shard=shard,
        )

    async def renew(self) -> frozenset[Lease]:
        """Record that this process is alive; return the leases whose locks the session holds."""
        await self._run(
            f"""
            INSERT INTO processes (process, pid, backend_start, total, started_at, seen_at)
            VALUES (:holder, pg_backend_pid(), {_OWN_START}, :total, clock_timestamp(),
                clock_timestamp())
            ON CONFLICT (process) DO UPDATE SET pid = excluded.pid,
                backend_start = excluded.backend_start, seen_at = excluded.seen_at
            RETURNING process
            """,
            holder=self._holder,
            total=self._total,
        )
        rows = await self._run(
            f"""
            UPDATE shards SET seen_at = clock_timestamp()
            WHERE total = :total AND holder = :holder AND pid = pg_backend_pid()
                AND total * {LOCKS_OF_TOTAL} + shard IN (
                    SELECT CAST(lock.objid AS BIGINT) {_LOCKS} AND lock.pid = pg_backend_pid())
            RETURNING shard, epoch
            """,
            total=self._total,
            holder=self._holder,
        )
        return frozenset(Lease(int(shard), int(epoch)) for shard, epoch in rows)

    async def others(self) -> frozenset[str]:
        """Delete the rows of processes that crashed, and return the other processes."""
        await self._run(
            "DELETE FROM processes WHERE process <> :holder"
            f" AND seen_at < clock_timestamp() - interval '{FORGET_SECONDS} s' RETURNING process",
            holder=self._holder,
        )
        rows = await self._run(
            "SELECT process FROM processes WHERE process <> :holder", holder=self._holder
        )
        return frozenset(str(process) for (process,) in rows)

    async def cut_off_silent(self) -> frozenset[str]:
        """End the sessions of holders that hang, so that their shards become free.

        The start of the session must match, because the server may have given its process number to
        another one. `pg_terminate_backend` is among the columns, which are computed after the join:
        as a condition, the server might call it for every session.
        """
        rows = await self._run(
            f"""
            SELECT silent.holder, pg_terminate_backend(a.pid) FROM (
                SELECT DISTINCT holder, pid, backend_start FROM shards
                WHERE seen_at < clock_timestamp() - interval '{SILENT_SECONDS} s'
                    AND holder <> :holder
            ) AS silent JOIN pg_stat_activity AS a
                ON a.pid = silent.pid AND a.backend_start = silent.backend_start
            """,
            holder=self._holder,
        )
        return frozenset(str(holder) for holder, _ in rows)

    async def tell_others(self) -> None:
        """Notify the other processes of a change in the database."""
        await self._run(
            "SELECT pg_notify(:channel, :holder)", channel=CHANGES_CHANNEL, holder=self._holder
        )

    async def leave(self) -> None:
        """Delete the row of this process, because it ends."""
        await self._run(
            "DELETE FROM processes WHERE process = :holder RETURNING process", holder=self._holder
        )

    async def _lock(self, shard: int) -> bool:
        [(taken,)] = await self._run(
            f"SELECT pg_try_advisory_lock({LOCK_CLASS}, {_LOCK})", total=self._total, shard=shard
        )
        return bool(taken)

    async def _lock_within_seconds(self, shard: int) -> bool:
        """Take a lock whose holder is ending."""
        for _ in range(20):
            if await self._lock(shard):
                return True
            await self._run("SELECT pg_sleep(0.05)")
        return False

    async def _unlock(self, shard: int) -> None:
        """Give a lock back; a session may have taken it more than once."""
        unlocked = True
        while unlocked:
            [(unlocked,)] = await self._run(
                f"SELECT pg_advisory_unlock({LOCK_CLASS}, {_LOCK})", total=self._total, shard=shard
            )


def at_once(session: Direct) -> Run:
    """Return a function that runs statements in *session*, which nothing else uses yet."""

    async def run(sql: str, /, **named: object) -> Sequence[Row]:
        statement = compiled(sql)
        return await session.fetch(statement.text, *statement.arguments((), named))

    return run
