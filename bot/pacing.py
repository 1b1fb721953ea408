"""One budget for all REST calls: what people wait for goes first, nothing runs into a limit."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import Final

WINDOW_SECONDS: Final = 1.0
EDIT_SECONDS: Final = 1.0  # No faster, even where the limit would allow: text should not flicker.
IN_HAND: Final = 2  # Edits left for the end; one alone would put the caller to sleep behind it.


class Urgency(IntEnum):
    """What a call is for; the lower goes first when the budget is short."""

    LAST_WORDS = 0
    FIRST_WORDS = 1
    EDIT = 2
    TYPING = 3


# Discord: 50 requests a second for the whole bot. The rest is left for what discord.py sends by
# itself, and for requests that bunch up on the way; edits and typing leave room for what matters.
REQUESTS_PER_SECOND: Final = {
    Urgency.LAST_WORDS: 45,
    Urgency.FIRST_WORDS: 43,
    Urgency.EDIT: 35,
    Urgency.TYPING: 20,
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
        self._sent: deque[float] = deque()
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._edit_buckets: dict[int, _Bucket] = {}

    async def turn(self, urgency: Urgency) -> None:
        """Wait until a call may go; the most urgent first."""
        if not self._waiting and self._has_room(urgency):
            self._sent.append(self._clock())
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._number), granted))
        self._grant()
        await granted

    def has_spare(self) -> bool:
        """Whether there is room for what nobody waits for."""
        return not self._waiting and self._has_room(Urgency.TYPING)

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

    def _has_room(self, urgency: Urgency) -> bool:
        expired = self._clock() - WINDOW_SECONDS
        while self._sent and self._sent[0] <= expired:
            self._sent.popleft()
        return len(self._sent) < REQUESTS_PER_SECOND[urgency]

    def _grant(self) -> None:
        """Let go who may, and look again when the oldest call leaves the window."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and (self._waiting[0][2].done() or self._has_room(self._waiting[0][0])):
            granted = heapq.heappop(self._waiting)[2]
            if not granted.done():
                self._sent.append(self._clock())
                granted.set_result(None)
        if self._waiting:
            delay = max(0.0, self._sent[0] + WINDOW_SECONDS - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._grant)
