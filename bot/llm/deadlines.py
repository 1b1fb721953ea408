"""The deadlines of one answer: for its first token, for each next one, and for its end."""

import asyncio
from collections.abc import AsyncIterator


class Deadlines:
    """When the first token, the next one and the end must have come, on the loop's clock.

    One timer serves all reads, because a timer for each costs as much as decoding the data. If the
    deadline moves to a later time, the timer keeps its time and is set again when it fires.
    """

    def __init__(self, first_seconds: float, idle_seconds: float, all_seconds: float) -> None:
        self.now = asyncio.get_running_loop().time
        self._alarm: asyncio.TimerHandle | None = None
        self._reading: asyncio.Timeout | None = None
        self._idle_seconds = idle_seconds
        self._end = self.now() + all_seconds
        self.next_at = min(self.now() + first_seconds, self._end)

    async def next(self, body: AsyncIterator[bytes]) -> bytes | None:
        """Return the next bytes, None at the end; raises TimeoutError."""
        passed = self.passed_in(0)
        if passed:
            self.cancel_timer()  # It would disturb the timeout below, which fires at once.
        else:
            self._watch()
        async with asyncio.timeout_at(self.next_at if passed else None) as reading:
            self._reading = reading
            try:
                return await anext(body, None)
            finally:
                self._reading = None

    def cancel_timer(self) -> None:
        """Cancel the timer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _watch(self) -> None:
        if self._alarm is None or self.next_at < self._alarm.when():
            self.cancel_timer()
            self._alarm = asyncio.get_running_loop().call_at(self.next_at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if not self.passed_in(0):
            self._watch()
        elif self._reading is not None:
            self._reading.reschedule(self.next_at)

    def progress(self) -> None:
        """Note that a token arrived; the next one gets a full interval."""
        self.next_at = min(self.now() + self._idle_seconds, self._end)

    def expect_whole(self) -> None:
        """Note that nothing comes before the end, because the answer is not streamed."""
        self.next_at = self._end

    def come_within(self, seconds: float) -> None:
        """Note that only the end is missing, and that it must arrive within *seconds*."""
        self.next_at = min(self.now() + seconds, self.next_at)

    def passed_in(self, seconds: float) -> bool:
        """Whether the deadline will have passed in *seconds*."""
        return self.now() + seconds >= self.next_at
