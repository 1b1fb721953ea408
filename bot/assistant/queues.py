"""One answer at a time per queue: first come, first served, with a limit on who may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bot.conversation.exchange import QueueKey
from bot.errors import QueueFull
from bot.metrics import NO_METRICS, QUEUE_FULL, Metrics

WAITING_LIMIT: Final = 10  # A longer queue would take minutes.


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    entered: int = 0
    rejected: bool = False


class PlaceQueues:
    """The queues by place. A queue that becomes empty is deleted."""

    def __init__(self, metrics: Metrics = NO_METRICS) -> None:
        self._metrics = metrics
        self._queues: dict[QueueKey, _Queue] = {}

    @asynccontextmanager
    async def enter(self, key: QueueKey) -> AsyncIterator[None]:
        """Be first in a queue within the block; raises QueueFull if too many wait."""
        queue = self._queues.setdefault(key, _Queue())
        if queue.entered > WAITING_LIMIT:
            self._metrics.refused(QUEUE_FULL)
            first, queue.rejected = not queue.rejected, True
            raise QueueFull(first=first)
        async with self.enter_unlimited(key):
            yield

    @asynccontextmanager
    async def enter_unlimited(self, key: QueueKey) -> AsyncIterator[None]:
        """Be first in a queue within the block, however many wait."""
        queue = self._queues.setdefault(key, _Queue())
        queue.entered += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.entered -= 1
            if not queue.entered:
                del self._queues[key]
