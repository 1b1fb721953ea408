"""Limit all REST calls, by priority, and pace the edits in each channel: decision 007."""

import asyncio
import heapq
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count, islice
from typing import Final, NamedTuple

from bot.bounded import BoundedDict

WINDOW_SECONDS: Final = 1.0
STALLED_SECONDS: Final = 10.0  # A call that takes longer gives up its slot.
EDIT_SECONDS: Final = 1.0  # at least, between two edits: the text should not flicker
TYPING_INTERVAL_SECONDS: Final = 1.25  # Discord: 5 typing calls in 5 s in one channel; one to spare
NEVER_SECONDS: Final = 3600.0  # Longer than any answer takes: the only edit is the final one.
KNOWN_CHANNELS: Final = 1000  # At 35 edits a second, some 200 channels wait for a refill.
RESERVED_EDITS: Final = 2  # for the final edit, which must not wait behind one in flight


class Priority(IntEnum):
    """What a call is for; the lowest number goes first."""

    FINAL = 0  # the final text of an answer
    RESPONSE = 1  # whatever somebody waits for
    EDIT = 2  # intermediate edits and backfill
    TYPING = 3


# Discord: 50 requests a second for the whole bot. The margin is for the requests that discord.py
# makes on its own, and for calls that arrive closer together than they were sent. Edits and typing
# leave the rest to more important calls.
REQUESTS_PER_SECOND: Final = {
    Priority.FINAL: 45,
    Priority.RESPONSE: 43,
    Priority.EDIT: 35,
    Priority.TYPING: 20,
}


class _Waiter(NamedTuple):
    priority: Priority
    number: int  # Waiters of one priority are ordered by it; no two have the same.
    granted: asyncio.Future[int]


class _Bucket(NamedTuple):
    limit: int
    remaining: int
    reset_at: float


class Pacer:
    """Gives calls their slots. Times are in seconds of *clock*."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number = count()
        self._in_flight: dict[int, float] = {}
        self._completed: deque[float] = deque()
        self._waiting: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None
        self._edit_buckets = BoundedDict[int, _Bucket](KNOWN_CHANNELS)
        self._typed = BoundedDict[int, float](KNOWN_CHANNELS)
        self._blocked_until = 0.0
        # Since when Discord refuses access to direct messages, by channel, in time of the loop
        self.direct_refusals = BoundedDict[int, float](KNOWN_CHANNELS)

    @asynccontextmanager
    async def slot(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for a slot, given by priority, and make the call within the block.

        Discord counts a call at some moment between its start and its response. Here it counts from
        its start until a second after its response, so no second at Discord sees more calls than
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

    def try_typing(self, channel_id: int) -> bool:
        """Whether the bot may show that it types in a channel; if so, it is recorded as doing so.

        Not if others wait for a slot, nor twice within TYPING_INTERVAL_SECONDS: a quick answer ends
        the typing call before Discord's response, so discord.py does not learn what was counted.
        """
        now = self._clock()
        just_typed = now - self._typed.get(channel_id, -math.inf) < TYPING_INTERVAL_SECONDS
        if just_typed or self._waiting or not self._may_send(Priority.TYPING):
            return False
        self._typed[channel_id] = now
        return True

    def seconds_to_edit(self, channel_id: int) -> float:
        """Return how long to wait before the next intermediate edit in this channel.

        The edits that are left, except the reserved ones, are spread evenly over the time until the
        channel's bucket refills.
        """
        bucket = self._edit_buckets.get(channel_id)
        if bucket is None:
            return EDIT_SECONDS
        seconds_left = bucket.reset_at - self._clock()
        if seconds_left <= 0:
            del self._edit_buckets[channel_id]
            return EDIT_SECONDS
        if bucket.limit == 1:
            return NEVER_SECONDS
        usable = bucket.remaining - min(RESERVED_EDITS, bucket.limit - 1)
        return max(EDIT_SECONDS, seconds_left / (max(usable, 0) + 1))

    def observe_edit(self, channel_id: int, headers: Mapping[str, str]) -> None:
        """Learn the state of the channel's bucket from the response to an edit."""
        try:
            limit = int(headers["X-RateLimit-Limit"])
            remaining = int(headers["X-RateLimit-Remaining"])
            reset_at = self._clock() + float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        self._edit_buckets[channel_id] = _Bucket(limit, remaining, reset_at)

    async def _acquire(self, priority: Priority) -> int:
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

    def _may_send(self, priority: Priority) -> bool:
        now = self._clock()
        if now < self._blocked_until:
            return False
        while self._completed and self._completed[0] <= now - WINDOW_SECONDS:
            self._completed.popleft()
        while self._in_flight and next(iter(self._in_flight.values())) <= now - STALLED_SECONDS:
            del self._in_flight[next(iter(self._in_flight))]
        return len(self._in_flight) + len(self._completed) < REQUESTS_PER_SECOND[priority]

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
        if self._waiting:
            free_at = [at + WINDOW_SECONDS for at in islice(self._completed, 1)]
            free_at += [at + STALLED_SECONDS for at in islice(self._in_flight.values(), 1)]
            free_at = [min(free_at, default=0.0), self._blocked_until]
            delay = max(0.0, max(free_at) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._grant)
