"""One budget for all REST calls: what people wait for goes first, nothing runs into a limit."""

import asyncio
import heapq
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from itertools import count, islice
from typing import Final

from bot.bounded import BoundedDict

WINDOW_SECONDS: Final = 1.0
STALLED_SECONDS: Final = 10.0  # A call without an answer for so long no longer keeps others back.
EDIT_SECONDS: Final = 1.0  # No faster, even where the limit would allow: text should not flicker.
TYPE_AGAIN_SECONDS: Final = 1.25  # Discord: 5 in 5 s in one channel.
NEVER_SECONDS: Final = 3600.0  # Longer than any answer takes: the only edit is for its end.
KNOWN_BUCKETS: Final = 1000  # At 35 edits a second, some 200 refill within the next 5 s.
IN_HAND: Final = 2  # Edits left for the end; one alone would put the caller to sleep behind it.


class Priority(IntEnum):
    """What a call is for; the lower goes first when the budget is short."""

    FINAL = 0
    RESPONSE = 1
    EDIT = 2
    TYPING = 3


# Discord: 50 requests a second for the whole bot. The rest is left for what discord.py sends by
# itself, and for requests that bunch up on the way; edits and typing leave room for what matters.
REQUESTS_PER_SECOND: Final = {
    Priority.FINAL: 45,
    Priority.RESPONSE: 43,
    Priority.EDIT: 35,
    Priority.TYPING: 20,
}


@dataclass(slots=True)
class _Bucket:
    limit: int
    remaining: int
    reset_at: float


class Pacer:
    """Says when a call may go. Times are in seconds, those of *clock*."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number = count()
        self._under_way: dict[int, float] = {}
        self._answered: deque[float] = deque()
        self._waiting: list[tuple[Priority, int, asyncio.Future[int]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._edit_buckets = BoundedDict[int, _Bucket](KNOWN_BUCKETS)
        self._typed = OrderedDict[int, float]()
        self._blocked_until = 0.0

    @asynccontextmanager
    async def slot(self, priority: Priority) -> AsyncIterator[None]:
        """Wait until a call may go, the most urgent first; the call is made within the block.

        Discord counts a call somewhere between its beginning and its answer. So a call counts here
        until a second after its answer: however long the way, no second there sees more calls.
        """
        call = await self._granted(priority)
        try:
            yield
        finally:
            self._end(call)

    def block(self, seconds: float) -> None:
        """Let no call go for so long: Discord takes none."""
        self._blocked_until = max(self._blocked_until, self._clock() + seconds)

    def try_typing(self, channel_id: int) -> bool:
        """Whether there is room for what nobody waits for; if so, the bot types there next.

        Not soon again: an answer that comes at once ends the call before Discord says what it
        counted, so that discord.py does not know.
        """
        now = self._clock()
        while self._typed and next(iter(self._typed.values())) <= now - TYPE_AGAIN_SECONDS:
            self._typed.popitem(last=False)
        if channel_id in self._typed or self._waiting or not self._has_room(Priority.TYPING):
            return False
        self._typed[channel_id] = now
        return True

    def seconds_to_edit(self, channel_id: int) -> float:
        """Return how long the next intermediate edit in this channel should wait.

        The edits that are left, without those kept in hand, are spread evenly over the time until
        the channel's bucket refills.
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
        usable = bucket.remaining - min(IN_HAND, bucket.limit - 1)
        return max(EDIT_SECONDS, seconds_left / (max(usable, 0) + 1))

    def observe_edit(self, channel_id: int, headers: Mapping[str, str]) -> None:
        """Learn from what Discord's answer to an edit says about its bucket."""
        try:
            limit = int(headers["X-RateLimit-Limit"])
            remaining = int(headers["X-RateLimit-Remaining"])
            reset_at = self._clock() + float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        self._edit_buckets[channel_id] = _Bucket(limit, remaining, reset_at)

    async def _granted(self, priority: Priority) -> int:
        if not self._waiting and self._has_room(priority):
            return self._begin()
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._number), granted))
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._end(granted.result())
            raise

    def _begin(self) -> int:
        call = next(self._number)
        self._under_way[call] = self._clock()
        return call

    def _end(self, call: int) -> None:
        if self._under_way.pop(call, None) is not None:
            self._answered.append(self._clock())
            self._grant()

    def _has_room(self, priority: Priority) -> bool:
        now = self._clock()
        if now < self._blocked_until:
            return False
        while self._answered and self._answered[0] <= now - WINDOW_SECONDS:
            self._answered.popleft()
        while self._under_way and next(iter(self._under_way.values())) <= now - STALLED_SECONDS:
            del self._under_way[next(iter(self._under_way))]
        return len(self._under_way) + len(self._answered) < REQUESTS_PER_SECOND[priority]

    def _grant(self) -> None:
        """Let go who may, and look again when there may be room."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and (self._waiting[0][2].done() or self._has_room(self._waiting[0][0])):
            granted = heapq.heappop(self._waiting)[2]
            if not granted.done():
                granted.set_result(self._begin())
        if self._waiting:
            free_at = [at + WINDOW_SECONDS for at in islice(self._answered, 1)]
            free_at += [at + STALLED_SECONDS for at in islice(self._under_way.values(), 1)]
            free_at = [min(free_at, default=0.0), self._blocked_until]
            delay = max(0.0, max(free_at) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._grant)
