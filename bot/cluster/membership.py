"""What the bot uses of its cluster, once the database is open."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from bot.cluster.cluster import Cluster
from bot.cluster.ports import Database, Host
from bot.cluster.sign_ins import SharedBudget, SharedSlots
from bot.errors import HistoryFailed
from bot.storage.database import Row
from bot.storage.leases import SignInStore


class WaitingHost(Host, Protocol):
    """A host that can say when it fails for good."""

    async def wait(self) -> None:
        """Wait until a connection ends for good; raises StartRefused."""


class Membership:
    """A process in its *cluster*, with the database through which it agrees with the others."""

    def __init__(self, cluster: Cluster, database: Database) -> None:
        self._cluster = cluster
        self._database = database

    @property
    def is_standby(self) -> bool:
        """Whether other processes have all shards."""
        return self._cluster.is_standby

    async def passed(self) -> None:
        """Return when a request that changes something may be made; raises ConnectionError."""
        await self._cluster.fence.passed()

    def slots(self) -> SharedSlots:
        """Return what spaces the IDENTIFYs of all processes."""
        return SharedSlots(SignInStore(self._run), self._cluster.fence)

    def budget(self) -> SharedBudget:
        """Return what counts the IDENTIFYs of all processes."""
        return SharedBudget(SignInStore(self._run))

    async def run(
        self,
        host: WaitingHost,
        total: int,
        *,
        adopted: Callable[[], Awaitable[None]],
        resized: Callable[[float], None],
    ) -> None:
        """Run what shards this process gets until one fails for good; raises StartRefused."""
        holding = asyncio.create_task(
            self._cluster.run(self._database, host, total, adopted=adopted, resized=resized)
        )
        waiting = asyncio.create_task(host.wait())
        try:
            done, _ = await asyncio.wait({holding, waiting}, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in (holding, waiting):
                one.cancel()
            await asyncio.gather(holding, waiting, return_exceptions=True)

    async def drain(self, grace_seconds: float) -> None:
        """Hand each shard over as soon as its answers are done."""
        await self._cluster.drain(grace_seconds)

    async def _run(self, sql: str, /, **named: object) -> Sequence[Row]:
        session = self._database.session
        if session is None:
            raise HistoryFailed("there is no session")
        return await self._database.fetch_in(session, sql, **named)
