"""Let one instance of the program use a database: a lock of the session, as long as it lasts."""

import asyncio
import logging
import time
from typing import Final

from bot.storage.location import PostgresLocation
from bot.storage.postgres_errors import in_use
from bot.storage.postgres_session import Session

log = logging.getLogger(__name__)

LOCK: Final = (0x43484154, 0x7FFFFFFF)  # "CHAT", and a number that no shard has
# The server needs 20 s to notice that the machine of the last instance is gone.
START_SECONDS: Final = 25.0
AGAIN_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.2
_HOLDER: Final = """
    SELECT a.pid, a.backend_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
        AND CAST(l.classid AS BIGINT) = $1 AND CAST(l.objid AS BIGINT) = $2
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_SELF: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
IS_HELD: Final = f"SELECT 1 FROM ({_HOLDER}) AS holder WHERE pid = pg_backend_pid()"


class InstanceLock:
    """The lock. Each new session takes it again, unless another instance has it by then."""

    def __init__(self, location: PostgresLocation) -> None:
        self._location = location
        self._own: object = None

    async def take(self, session: Session) -> None:
        """Take the lock; raises HistoryInUse."""
        wait_seconds = START_SECONDS if self._own is None else AGAIN_SECONDS
        deadline = time.monotonic() + wait_seconds
        is_logged = False
        while not await self._taken(session):
            if time.monotonic() > deadline:
                raise in_use(self._location)
            if not is_logged:
                log.info("Wait for database %s: another instance uses it", self._location)
                is_logged = True
            await asyncio.sleep(PAUSE_SECONDS)
        [own] = await session.fetch(_SELF)
        self._own = tuple(own)

    async def _taken(self, session: Session) -> bool:
        [(taken,)] = await session.fetch("SELECT pg_try_advisory_lock($1, $2)", *LOCK)
        if not taken:
            for holder in await session.fetch(_HOLDER, *LOCK):
                # The server has not noticed yet that the last session of this process is lost.
                if tuple(holder) == self._own:
                    await session.fetch("SELECT pg_terminate_backend($1)", holder[0])
        return bool(taken)
