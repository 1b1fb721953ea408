"""Few at a time, without those that take long: one that hangs holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Final

SLOW_SECONDS: Final = 5.0  # What takes longer does not count any more: others go on beside it.


class ConcurrencyLimit:
    """Lets *at_once* go on side by side."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until few others are at it."""
        await self._free.acquire()
        counted = ExitStack()
        counted.callback(self._free.release)
        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, counted.close)
        try:
            yield
        finally:
            timer.cancel()
            counted.close()

    async def run_all(self, acts: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Do all of these, and wait until they are done; what fails first is raised.

        Each gets its task when its turn comes: thousands that wait would be thousands of tasks.
        """

        async def done(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
            async with self.slot():
                begun.set()
                await act()

        try:
            async with asyncio.TaskGroup() as group:
                for act in acts:
                    begun = asyncio.Event()
                    group.create_task(done(act))
                    await begun.wait()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
