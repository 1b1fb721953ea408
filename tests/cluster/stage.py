"""Processes of a cluster within one test: each with its own session, and a host that notes all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bot.cluster.cluster import Cluster
from bot.shards import Shard
from bot.storage.leases import at_once
from bot.storage.location import PostgresLocation, location_of
from bot.storage.postgres import PostgresDatabase
from bot.storage.postgres_schema import prepare
from bot.storage.postgres_session import Session

DEADLINE_SECONDS: Final = 20.0


@dataclass
class NotingHost:
    """A host that connects nothing, and notes which shards it would run."""

    journal: list[str] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, shard: Shard) -> None:
        self.running.add(shard.id)
        self.journal.append(f"start {shard.id}")

    async def drain(self, shard: Shard, _grace_seconds: float) -> None:
        await self.drained.wait()
        self.running.discard(shard.id)
        self.journal.append(f"drain {shard.id}")

    async def abandon(self, shard: Shard) -> None:
        self.running.discard(shard.id)
        self.journal.append(f"abandon {shard.id}")


@dataclass
class Member:
    """A process of the cluster, as far as its leases go."""

    cluster: Cluster
    database: PostgresDatabase
    host: NotingHost
    poolers: list[str]
    task: "asyncio.Task[None]"

    async def holds(self, *shards: int) -> None:
        """Return when it runs exactly *shards*."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self.host.running != set(shards) or self.cluster.held != set(shards):  # noqa: ASYNC110  # no event for it
                await asyncio.sleep(0.01)

    @property
    def session(self) -> Session:
        session = self.database.session
        assert session is not None
        return session


@asynccontextmanager
async def member(url: str, name: str, *, total: int = 1, most: int = 0) -> AsyncIterator[Member]:
    """Run a process *name* on the database of *url*."""
    location = location_of(url)
    assert isinstance(location, PostgresLocation)
    poolers: list[str] = []
    found = partial(poolers.append, name)
    cluster = Cluster(name, most=most, pooler_found=found)

    async def admit(session: Session) -> None:
        await prepare(session)
        await cluster.admit(session, at_once(session))

    host = NotingHost()
    async with PostgresDatabase.open(
        location, admit=admit, refused=lambda error: poolers.append(str(error))
    ) as database:
        task = asyncio.create_task(cluster.run(database, host, total))
        try:
            yield Member(cluster, database, host, poolers, task)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
