"""Claim shards through the database, run them while their locks are held, and hand them over."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

from bot.cluster.claim_plan import claim_plan
from bot.cluster.fence import Fence
from bot.cluster.ports import Database, Host, Session
from bot.errors import HistoryFailed
from bot.log_events import as_event
from bot.shards import Shard
from bot.storage.leases import SHARDS_CHANNEL, SILENT_SECONDS, Lease, Leases, Run

log = logging.getLogger(__name__)

CLAIM_SECONDS: Final = (1.5, 2.5)  # between two searches for free shards: not all processes at once
RENEW_SECONDS: Final = 5.0
GLANCE_SECONDS: Final = 0.5  # between two checks of the clock of the fence
ABANDON_SECONDS: Final = 10.0


class ShardsLost(ConnectionError):
    """A new session may not be used yet: shards of the last one are still being closed."""

    def __init__(self) -> None:
        super().__init__("shards of the last session are being closed")


async def _nothing() -> None:
    pass


class Cluster:
    """The shards that this process holds, at most *most* of them (0: any number).

    *name* is unique to the process. *pooler_found* is called if locks do not stay with the session,
    as behind a pooler in transaction mode.
    """

    def __init__(
        self,
        name: str,
        *,
        most: int = 0,
        pooler_found: Callable[[], None],
        fence: Fence | None = None,
    ) -> None:
        self.fence = fence or Fence()
        self.name = name
        self.admitted: Callable[[], None] = lambda: None  # called after each new session
        self._total = 0  # until `run` knows it
        self._most = most
        self._pooler_found = pooler_found
        self._resized: Callable[[float], None] = lambda _: None
        self._adopted: Callable[[], Awaitable[None]] = _nothing
        self._outdated: Callable[[], None] = lambda: None
        self._database: Database | None = None
        self._held: dict[int, Lease] = {}
        self._abandoning: set[int] = set()
        self._session: Session | None = None
        self._watching: asyncio.Task[None] | None = None
        self._abandonment: asyncio.Task[None] | None = None
        self._host: Host | None = None
        self._woken = asyncio.Event()
        self._draining = False
        self._waits_for: object = None  # what the log said last

    @property
    def held(self) -> frozenset[int]:
        """The shards that this process holds."""
        return frozenset(self._held)

    @property
    def is_standby(self) -> bool:
        """Whether other processes hold all shards, so that this one waits."""
        return not self._held and self._waits_for is not None

    async def admit(self, session: Session, run: Run) -> None:
        """Take the shards again in a new *session*, before anything else uses it.

        Raises ShardsLost while shards that another process took meanwhile are still open here:
        this process must write nothing more for them.
        """
        if self._abandoning:
            raise ShardsLost
        began = self.fence.clock()
        leases = Leases(run, self.name, self._total)
        lost = [one for one in self._held.values() if not await leases.retake(one)]
        if lost or self._abandoning:
            if lost:
                self._begin_to_abandon(lost, "another process took it")
            raise ShardsLost
        if self._total:
            await leases.renew()
        self._session = session
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(self._suspend_when_lost(session))
        self.fence.open(began)
        self.admitted()

    async def run(
        self,
        database: Database,
        host: Host,
        total: int,
        *,
        adopted: Callable[[], Awaitable[None]] = _nothing,
        resized: Callable[[float], None] = lambda _: None,
        outdated: Callable[[], None] = lambda: None,
    ) -> NoReturn:
        """Take free shards of *total* for *host* and keep them, until cancelled.

        *adopted* is awaited before the first of them starts; no process runs shards of another
        total then. *resized* is called with the held part of all shards whenever it changes.
        *outdated* is called every few seconds while there are other processes, because they may
        change what this one has read.
        """
        self._database, self._host, self._total = database, host, total
        self._adopted, self._resized, self._outdated = adopted, resized, outdated
        self._resized(0.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim_forever(database))
            group.create_task(self._renew_forever(database))
            group.create_task(self._watch_the_clock())
        raise AssertionError("the tasks never end")

    async def tell_others(self, database: Database) -> None:
        """Notify the other processes of a change in the database; raises HistoryFailed."""
        session = database.session
        if session is None:
            raise HistoryFailed("there is no session")
        await self._leases(database, session).tell_others()

    async def drain(self, grace_seconds: float) -> None:
        """Release each shard as soon as its answers are done; claim no others."""
        self._draining = True
        if (database := self._database) is None:
            return
        leaving = [self._hand_over(database, one, grace_seconds) for one in self._held.values()]
        await asyncio.gather(*leaving)
        if (session := database.session) is not None:
            with suppress(HistoryFailed):
                await self._leases(database, session).leave()

    async def _claim_forever(self, database: Database) -> None:
        listening = False
        while True:
            self._woken.clear()
            try:
                if not listening:
                    await database.listen(SHARDS_CHANNEL, lambda _: self._woken.set())
                    listening = True
                await self._claim(database)
            except HistoryFailed as error:
                self._log_failure(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(*CLAIM_SECONDS)):
                    await self._woken.wait()

    async def _claim(self, database: Database) -> None:
        session = database.session
        if session is None or self._draining or self._abandoning:
            return
        leases = self._leases(database, session)
        for silent in await leases.cut_off_silent():
            log.warning(
                "Cut off process %s: it has not renewed its leases for %d s",
                *(silent, SILENT_SECONDS),
                extra=as_event("process_cut_off"),
            )
        plan = claim_plan(await leases.locks(), self._held, total=self._total, most=self._most)
        for shard in plan.free:
            lease = await leases.take(shard)
            if lease is None:
                continue
            # Two processes that begin together see each other's locks only now.
            now = claim_plan(await leases.locks(), (), total=self._total, most=self._most)
            if now.other_totals or self._draining:
                await leases.release(shard)
                plan = now
                break
            if not self._held:
                await self._adopted()
            self._begin(session, lease)
        self._log_waiting(plan.other_totals)

    def _begin(self, session: Session, lease: Lease) -> None:
        if session is not self._session or session.lost.is_set():
            return  # The lock went with the session.
        assert self._host is not None
        self._held[lease.shard] = lease
        log.info(
            "Take shard %d of %d",
            *(lease.shard, self._total),
            extra=as_event("shard_taken", shard=lease.shard),
        )
        self._host.start(Shard(lease.shard, self._total))
        self._resized(len(self._held) / self._total)

    def _log_waiting(self, other_totals: Sequence[int]) -> None:
        """Log what a process without shards waits for, once."""
        waits_for = None if self._held else (*other_totals,)
        if waits_for == self._waits_for:
            return
        self._waits_for = waits_for
        if other_totals:
            log.warning(
                "Wait for processes with SHARDS=%s to end, because this one has SHARDS=%d. Stop "
                "all of them.",
                *(" and ".join(map(str, other_totals)), self._total),
                extra=as_event("standby"),
            )
        elif waits_for is not None:
            log.info(
                "Wait as a standby: other processes hold all %d shards",
                self._total,
                extra=as_event("standby"),
            )

    async def _renew_forever(self, database: Database) -> None:
        while True:
            try:
                await self._renew(database)
            except HistoryFailed as error:
                self._log_failure(error)
            await asyncio.sleep(RENEW_SECONDS)

    async def _renew(self, database: Database) -> None:
        session = database.session
        if session is None:
            return
        began, before = self.fence.clock(), set(self._held.values())
        leases = self._leases(database, session)
        found = await leases.renew()
        others = await leases.others()
        if others:
            self._outdated()
        if session is not self._session or session.lost.is_set() or self._abandoning:
            return
        if before & set(self._held.values()) - found:
            self._pooler_found()
            return
        self.fence.open(began, alone=self._total == 1 and not others)

    async def _watch_the_clock(self) -> None:
        """Abandon all shards once another process may hold them."""
        while True:
            await asyncio.sleep(GLANCE_SECONDS)
            self.fence.tick()
            if self._held and not self.fence.alone and self.fence.seconds_left <= 0:
                self.fence.close()
                self._begin_to_abandon(self._held.values(), "the database is silent")
                assert self._abandonment is not None
                await self._abandonment
                if self._session is not None:
                    self._session.terminate()

    def _log_failure(self, error: HistoryFailed) -> None:
        """Log a failure that waiting does not mend; the database logs its outages itself."""
        if not error.is_transient:
            log.error("Cannot claim or renew shards: %s", error, extra=as_event("shards_failed"))

    async def _suspend_when_lost(self, session: Session) -> None:
        await session.lost.wait()
        self.fence.suspend()

    def _begin_to_abandon(self, leases: Iterable[Lease], why: str) -> None:
        """Begin to close shards that another process may hold. Requests wait until then."""
        lost = {one.shard for one in leases} - self._abandoning
        self._abandoning |= lost
        self._abandonment = asyncio.create_task(self._abandon(lost, why, self._abandonment))

    async def _abandon(self, lost: set[int], why: str, before: "asyncio.Task[None] | None") -> None:
        assert self._host is not None
        if before is not None:
            await asyncio.wait({before})
        for shard in sorted(lost):
            log.warning(
                "Abandon shard %d of %d: %s",
                *(shard, self._total, why),
                extra=as_event("shard_lost", shard=shard),
            )
        closing = [self._host.abandon(Shard(shard, self._total)) for shard in sorted(lost)]
        with suppress(TimeoutError):
            async with asyncio.timeout(ABANDON_SECONDS):
                await asyncio.gather(*closing)
        for shard in lost:
            self._held.pop(shard, None)
        self._abandoning -= lost
        self._resized(len(self._held) / self._total)

    async def _hand_over(self, database: Database, lease: Lease, grace_seconds: float) -> None:
        assert self._host is not None
        await self._host.drain(Shard(lease.shard, self._total), grace_seconds)
        if self._held.pop(lease.shard, None) is None:
            return
        self._resized(len(self._held) / self._total)
        if (session := database.session) is not None:
            with suppress(HistoryFailed):  # A lost session has no locks.
                await self._leases(database, session).release(lease.shard)

    def _leases(self, database: Database, session: Session) -> Leases:
        return Leases(partial(database.fetch_in, session), self.name, self._total)
