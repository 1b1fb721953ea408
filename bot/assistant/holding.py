"""Bound the bytes that are held in memory at a time, however many want some."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager


class Holding:
    """Shares out *most_bytes*, first come first served."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def share(self, count: int, *, within_seconds: float) -> AsyncIterator[ExitStack]:
        """Wait for *count* bytes and hold them; closing what this yields gives them back early.

        Raises TimeoutError where they are not free *within_seconds*.
        """
        async with asyncio.timeout(within_seconds):
            await self._take(count)
        with ExitStack() as held:
            held.callback(self._give, count)
            yield held

    async def _take(self, count: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        self._give(0)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((count, turn))
            self._give(0 if turn.cancelled() else count)
            raise

    def _give(self, count: int) -> None:
        """Take *count* back, and give what there is to those who wait, in their order."""
        self._left += count
        while self._waiting and self._waiting[0][0] <= self._left:
            wanted, turn = self._waiting[0]
            if turn.cancelled():
                return  # It takes itself out.
            self._waiting.popleft()
            self._left -= wanted
            turn.set_result(None)
