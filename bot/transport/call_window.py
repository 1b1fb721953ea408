"""Limit how many calls a window of time contains, by priority."""

import asyncio
import heapq
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count, islice
from typing import NamedTuple


class _Waiter(NamedTuple):
    priority: int
    number: int  # Waiters of one priority are ordered by it; no two have the same.
    granted: asyncio.Future[int]


class CallWindow:
    """Gives slots to calls: in any *seconds*, at most as many as *limits* says for a priority.

    The lowest priority number goes first. A call that has no response after *stalled_seconds* gives
    up its slot. *earlier_calls* were made just before by somebody else and count as well. Times are
    in seconds of *clock*.
    """

    def __init__(
        self,
        limits: Mapping[int, int],
        seconds: float,
        clock: Callable[[], float],
        *,
        stalled_seconds: float = math.inf,
        earlier_calls: int = 0,
    ) -> None:
        self._limits = limits
        self._seconds = seconds
        self._clock = clock
        self._stalled_seconds = stalled_seconds
        self._number = count()
        self._in_flight: dict[int, float] = {}
        self._completed = deque([clock()] * earlier_calls)
        self._waiting: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None
        self._blocked_until = 0.0

    @asynccontextmanager
    async def slot(self, priority: int) -> AsyncIterator[None]:
        """Wait for a slot, given by priority, and make the call within the block.

        Discord counts a call at some moment between its start and its response. Here it counts from
        its start until *seconds* after its response, so no window at Discord sees more calls than
        the limit, whatever the latency.
        """
        call = await self._acquire(priority)
        try:
            yield
        finally:
            self._release(call)

    def block(self, seconds: float) -> None:
        """Give no slots for *seconds*, because Discord refuses all calls."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def limit(self, limits: Mapping[int, int]) -> None:
        """Use other *limits* from now on."""
        self._limits = limits
        self._grant()

    def waiting(self) -> int:
        """Return how many calls wait for a slot."""
        return len(self._waiting)

    def has_room(self, priority: int) -> bool:
        """Whether a call of this priority would get a slot at once, and no other call waits."""
        return not self._waiting and self._may_send(priority)

    async def _acquire(self, priority: int) -> int:
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, _Waiter(priority, next(self._number), granted))
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._release(granted.result())
            raise

    def _start(self) -> int:
        call = next(self._number)
        self._in_flight[call] = self._clock()
        return call

    def _release(self, call: int) -> None:
        if self._in_flight.pop(call, None) is not None:
            self._completed.append(self._clock())
            self._grant()

    def _may_send(self, priority: int) -> bool:
        now = self._clock()
        if now < self._blocked_until:
            return False
        while self._completed and self._completed[0] <= now - self._seconds:
            self._completed.popleft()
        stalled_at = now - self._stalled_seconds
        while self._in_flight and next(iter(self._in_flight.values())) <= stalled_at:
            del self._in_flight[next(iter(self._in_flight))]
        return len(self._in_flight) + len(self._completed) < self._limits[priority]

    def _grant(self) -> None:
        """Give slots to those who wait, and set a timer for when there may be more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            first = self._waiting[0]
            if not first.granted.done():
                if not self._may_send(first.priority):
                    break
                first.granted.set_result(self._start())
            heapq.heappop(self._waiting)
        if self._waiting and self._limits[self._waiting[0].priority]:
            free_at = [at + self._seconds for at in islice(self._completed, 1)]
            free_at += [at + self._stalled_seconds for at in islice(self._in_flight.values(), 1)]
            free_at = [min(free_at, default=0.0), self._blocked_until]
            delay = max(0.0, max(free_at) - self._clock())
            if delay < math.inf:  # Otherwise the next response gives a slot.
                self._timer = asyncio.get_running_loop().call_later(delay, self._grant)
