"""The tasks that a shutdown waits for."""

import asyncio
from typing import Any


class InFlight:
    """Knows the answers and commands in progress, and whether new ones may begin."""

    def __init__(self) -> None:
        self.draining = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def track(self) -> None:
        """Have a shutdown wait for the current task, within the grace period."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Cancel all tracked tasks."""
        for task in set(self._tasks):
            task.cancel()

    async def wait(self, timeout_seconds: float) -> None:
        """Wait until all tracked tasks are done or the time is over."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_seconds)
