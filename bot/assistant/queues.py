"""One answer at a time per place: first come, first served, and only so many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bot.conversation.exchange import QueueKey
from bot.errors import QueueFull

WAITING_LIMIT: Final = 10


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    inside: int = 0
    refused: bool = False


class PlaceQueues:
    """The queues of all places; one that is empty is gone, and with it that it was too long."""

    def __init__(self) -> None:
        self._queues: dict[QueueKey, _Queue] = {}

    @asynccontextmanager
    async def turn(self, key: QueueKey) -> AsyncIterator[None]:
        """Wait for the turn in this queue and keep it; raises QueueFull if too many wait."""
        queue = self._queues.setdefault(key, _Queue())
        if queue.inside > WAITING_LIMIT:
            first, queue.refused = not queue.refused, True
            raise QueueFull(first=first)
        async with self.patient_turn(key):
            yield

    @asynccontextmanager
    async def patient_turn(self, key: QueueKey) -> AsyncIterator[None]:
        """Wait for the turn in this queue, however many wait already, and keep it."""
        queue = self._queues.setdefault(key, _Queue())
        queue.inside += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.inside -= 1
            if not queue.inside:
                del self._queues[key]
