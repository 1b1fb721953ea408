"""Space and count the IDENTIFYs of all processes of a bot, through the database."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from bot.cluster.fence import Fence
from bot.errors import HistoryFailed
from bot.shards import Shard
from bot.storage.identify import IdentifyStore
from bot.transport.identify_budget import (
    StartLimit,
    capacity_of,
    pause_for_budget,
    pause_for_reset,
    refill_seconds,
)
from bot.transport.sign_ins import SLOT_SECONDS, LocalSlots

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
# A busy process may learn late that its slot has begun, and the next slot would follow its IDENTIFY
# too soon. So it lets the slot begin anew until it learns that in time.
PROMPT_SECONDS: Final = 0.25
PROLONGATIONS: Final = 5  # A database that is always slower than that is far away.
WAKE_SECONDS: Final = 0.2  # Processes that wait for the same slot do not all ask at once.


class ClusterSlots:
    """Spaces the IDENTIFYs of all processes by the clock of the database.

    A process that is alone goes on without its database.
    """

    def __init__(
        self,
        store: IdentifyStore,
        fence: Fence,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._fence = fence
        self._sleep = sleep
        self._own = LocalSlots()

    async def reserve(self, shard: Shard, max_concurrency: int) -> None:
        """Return when *shard* may send its IDENTIFY; raises ConnectionError if it is lost."""
        key = shard.id % max_concurrency
        while True:
            try:
                await self._take(key)
                break
            except HistoryFailed as error:
                log.warning("Cannot reserve a sign-in at Discord's gateway: %s", error)
                if self._fence.alone:
                    await self._own.reserve(shard, max_concurrency)
                    break
            await self._sleep(AGAIN_SECONDS)
        await self._fence.passed()

    async def _take(self, key: int) -> None:
        """Return as soon as the next slot of *key* has begun, and belongs to this process."""
        while wait_seconds := await self._store.take(key, SLOT_SECONDS):
            await self._sleep(wait_seconds + random.uniform(0, WAKE_SECONDS))
        for _ in range(PROLONGATIONS):
            asked_at = self._fence.clock()
            await self._store.prolong(key, SLOT_SECONDS)
            if self._fence.clock() - asked_at <= PROMPT_SECONDS:
                return


class ClusterBudget:
    """The IDENTIFYs that are left of a day for all processes of a bot."""

    def __init__(
        self,
        store: IdentifyStore,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._shards = 1
        self._left = self._capacity = capacity_of(1)
        self._sleep = sleep

    def scale_to(self, shards: int) -> None:
        """Let the budget suffice for the starts of so many shards."""
        self._shards = shards
        self._capacity = capacity_of(shards)

    async def wait(self) -> None:
        """Return when the budget allows another IDENTIFY."""
        await self._change(self._store.spend, 0.0)
        await pause_for_budget(self._left, self._capacity, self._sleep)

    def left_now(self) -> float:
        """Return how many were left when this process asked last."""
        return self._left

    async def lower_to(self, discords: StartLimit) -> None:
        """Adopt Discord's count if it is smaller; if it is 0, wait until Discord resets it."""
        self._capacity = capacity_of(self._shards, discords.total)
        await self._change(self._store.lower_to, float(discords.left))
        await pause_for_reset(discords, self._sleep)

    async def spend(self) -> None:
        """Take one IDENTIFY from the budget."""
        await self._change(self._store.spend, 1.0)

    async def _change(
        self, change: Callable[[float, float, float], Awaitable[float]], count: float
    ) -> None:
        try:
            self._left = await change(count, self._capacity, refill_seconds(self._capacity))
        except HistoryFailed as error:
            log.warning("Cannot count the sign-ins at Discord's gateway: %s", error)
