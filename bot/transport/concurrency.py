"""Limit how many tasks run at a time, without letting one that hangs block the rest."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Final

Call = Callable[[], Coroutine[Any, Any, None]]
SLOW_SECONDS: Final = 5.0  # A task that runs longer gives up its slot and runs on without it.


class ConcurrencyLimit:
    """Has *slots* for tasks that run side by side."""

    def __init__(self, slots: int) -> None:
        self._free = asyncio.Semaphore(slots)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free slot and occupy it within the block, for SLOW_SECONDS at most."""
        await self._free.acquire()
        occupied = ExitStack()
        occupied.callback(self._free.release)
        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, occupied.close)
        try:
            yield
        finally:
            timer.cancel()
            occupied.close()

    async def run_all(self, calls: Iterable[Call]) -> None:
        """Run all *calls* and wait until they are done; raises the first error.

        A call gets its task when there is a slot for it, so that thousands of waiting calls are not
        thousands of tasks.
        """

        async def run(call: Call, started: asyncio.Event) -> None:
            async with self.slot():
                started.set()
                await call()

        try:
            async with asyncio.TaskGroup() as group:
                for call in calls:
                    started = asyncio.Event()
                    group.create_task(run(call, started))
                    await started.wait()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
