"""Stop a process that may have lost its shards from acting at Discord."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

# The server waits at least 20 s before it ends a silent session. Until then it keeps the locks, so
# no other process can take the shards.
HOLD_SECONDS: Final = 15.0
STOPPED_SECONDS: Final = 5.0  # A process that has not run for so long was stopped.


class FenceClosed(ConnectionError):
    """A request is not made, because another process may hold the shards."""

    def __init__(self) -> None:
        super().__init__("this process may have lost its shards")


def awake_clock() -> float:
    """Return the time in seconds; it goes on while the process is stopped or the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Fence:
    """Knows whether this process is certain to hold its shards.

    It is certain for HOLD_SECONDS after the start of a statement that found the locks, unless the
    session is lost: then the locks are free at once. A process that is alone needs no locks. If it
    was stopped, it is no longer certain to be alone: others may have started meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = awake_clock) -> None:
        self.clock = clock
        self._is_alone = False
        self._ticked_at = clock()
        self._found_at = -HOLD_SECONDS + clock()
        self._has_session = False
        self._changed = asyncio.Event()

    @property
    def alone(self) -> bool:
        """Whether the database showed no other process, and this one was not stopped since."""
        return self._is_alone and self.clock() - self._ticked_at < STOPPED_SECONDS

    def tick(self) -> None:
        """Note that the process runs; called several times in STOPPED_SECONDS."""
        self._is_alone = self.alone
        self._ticked_at = self.clock()

    @property
    def seconds_left(self) -> float:
        """For how long this process is certain to hold its shards, unless it loses its session."""
        return self._found_at + HOLD_SECONDS - self.clock()

    @property
    def is_open(self) -> bool:
        """Whether requests may be made now."""
        return self.alone or (self._has_session and self.seconds_left > 0)

    def open(self, found_at: float, *, alone: bool | None = None) -> None:
        """Note that a statement that began at *found_at* found all locks.

        *alone* is whether it found no other process, None if it did not look.
        """
        if alone is not None:
            self.tick()
            self._is_alone = alone
        self._found_at = max(self._found_at, found_at)
        self._has_session = True
        self._change()

    def suspend(self) -> None:
        """Note that the session is lost: requests wait."""
        self._has_session = False
        self._change()

    def close(self) -> None:
        """Note that the shards are lost: requests fail."""
        self._has_session = False
        self._found_at = self.clock() - HOLD_SECONDS
        self._change()

    async def passed(self) -> None:
        """Wait until a request may be made; raises FenceClosed once the shards may be lost."""
        while not self.is_open:
            left = self.seconds_left
            if left <= 0:
                raise FenceClosed
            changed = self._changed
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                continue

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
