"""The membership of this process in its cluster, once the database is open."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from bot.cluster.cluster import Cluster
from bot.cluster.identify import ClusterBudget, ClusterSlots
from bot.cluster.ports import Database, Host
from bot.errors import HistoryFailed
from bot.storage.database import Row
from bot.storage.identify import IdentifyStore
from bot.storage.leases import CHANGES_CHANNEL

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
TELL_SECONDS: Final = 60.0  # for telling others, while the database is away
Changed = Callable[[], Awaitable[None]]


class WaitingHost(Host, Protocol):
    """A host that can say when it fails for good."""

    async def wait(self) -> None:
        """Wait until a connection ends for good; raises StartRefused."""


class Membership:
    """A process as a member of its *cluster*, which coordinates through *database*."""

    def __init__(self, cluster: Cluster, database: Database) -> None:
        self._cluster = cluster
        self._database = database
        self._changes = asyncio.Event()
        self._telling = set[asyncio.Task[None]]()

    @property
    def is_standby(self) -> bool:
        """Whether other processes hold all shards."""
        return self._cluster.is_standby

    async def passed(self) -> None:
        """Wait until a request may change something at Discord; raises ConnectionError."""
        await self._cluster.fence.passed()

    def slots(self) -> ClusterSlots:
        """Return the slots that space the IDENTIFYs of all processes."""
        return ClusterSlots(IdentifyStore(self._run), self._cluster.fence)

    def budget(self) -> ClusterBudget:
        """Return the budget that counts the IDENTIFYs of all processes."""
        return ClusterBudget(IdentifyStore(self._run))

    async def run(
        self,
        host: WaitingHost,
        total: int,
        *,
        adopted: Changed,
        changed: Changed,
        outdated: Callable[[], None],
        resized: Callable[[float], None],
    ) -> None:
        """Run the shards that this process gets until one fails for good; raises StartRefused.

        *changed* is awaited after another process has reported a change, and may raise
        HistoryFailed. The other parameters are those of `Cluster.run`.
        """
        holding = asyncio.create_task(
            self._cluster.run(
                self._database, host, total, adopted=adopted, resized=resized, outdated=outdated
            )
        )
        looking = asyncio.create_task(self._look_forever(changed))
        waiting = asyncio.create_task(host.wait())
        tasks = {holding, looking, waiting}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def tell_others(self) -> None:
        """Notify the other processes of a change, in the background."""
        task = asyncio.create_task(self._tell_others())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_others(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(TELL_SECONDS):
                while True:
                    try:
                        await self._cluster.tell_others(self._database)
                    except HistoryFailed:
                        await asyncio.sleep(AGAIN_SECONDS)
                    else:
                        return

    async def _look_forever(self, changed: Changed) -> None:
        """Await *changed* after each notification, and in each new session: one may be missed.

        A process without shards need not: it reads all changes before it starts its first one.
        """

        def note(name: str) -> None:
            if name != self._cluster.name:
                self._changes.set()

        self._cluster.admitted = self._changes.set
        is_listening = False
        while True:
            try:
                if not is_listening:
                    await self._database.listen(CHANGES_CHANNEL, note)
                    is_listening = True
                await self._changes.wait()
                self._changes.clear()
                await changed()
            except HistoryFailed:
                self._changes.set()
                await asyncio.sleep(AGAIN_SECONDS)

    async def drain(self, grace_seconds: float) -> None:
        """Hand each shard over as soon as its answers are done."""
        await self._cluster.drain(grace_seconds)

    async def _run(self, sql: str, /, **named: object) -> Sequence[Row]:
        session = self._database.session
        if session is None:
            raise HistoryFailed("there is no session")
        return await self._database.fetch_in(session, sql, **named)
