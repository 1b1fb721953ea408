"""Limit all REST calls, by priority, and pace the edits in each channel: decision 007."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import IntEnum
from typing import Final, NamedTuple

from bot.bounded import BoundedDict
from bot.conversation.snowflakes import HOUR_SECONDS, seconds_of
from bot.transport.call_window import CallWindow

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
REQUESTS_PER_SECOND: Final[Mapping[int, int]] = {
    Priority.FINAL: 45,
    Priority.RESPONSE: 43,
    Priority.EDIT: 35,
    Priority.TYPING: 20,
}

# What a process that has just ended may have sent in the same second, at the rate of its backfill.
# This leaves 10 calls for people, and hardly any for backfill, in the first second.
EARLIER_CALLS: Final = 33

SHARE_SECONDS: Final = 2.0  # After so long, Discord no longer counts calls of the last holder.

# Discord: 3 edits of messages older than an hour, in 6 s and channel (code 30046). Intermediate
# edits leave one for the final edit.
OLD_EDIT_WINDOW_SECONDS: Final = 6.0
OLD_EDITS: Final[Mapping[int, int]] = {Priority.FINAL: 3, Priority.RESPONSE: 3, Priority.EDIT: 2}
# Discord: an hour; the margin is for the difference between Discord's clock and this one.
OLD_SECONDS: Final = HOUR_SECONDS - 300


def shared(limits: Mapping[int, int], part: float) -> Mapping[int, int]:
    """Return the limits of a process that has a *part* of the shards.

    A process with a shard may make one call, or its answers would never end.
    """
    least = 1 if part else 0
    return {priority: max(least, int(limit * part)) for priority, limit in limits.items()}


class _Bucket(NamedTuple):
    limit: int
    remaining: int
    reset_at: float


class Pacer:
    """Gives calls their slots. Times are in seconds of *clock*; *now* returns those since 1970.

    The bot makes *per_second* calls at most, in all its processes. *earlier_calls* are those of the
    second before that were made without this pacer. *passed* is awaited right before each request
    that changes something, and may raise ConnectionError.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        *,
        earlier_calls: int = 0,
        per_second: int = REQUESTS_PER_SECOND[Priority.FINAL],
        passed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.passed = passed
        self._clock = clock
        self._now = now
        self._limits = shared(REQUESTS_PER_SECOND, per_second / REQUESTS_PER_SECOND[Priority.FINAL])
        self._share = 1.0
        self._raising: asyncio.TimerHandle | None = None
        self._calls = CallWindow(
            self._limits,
            WINDOW_SECONDS,
            clock,
            stalled_seconds=STALLED_SECONDS,
            earlier_calls=earlier_calls,
        )
        self._old_edits = BoundedDict[int, CallWindow](KNOWN_CHANNELS)
        self._edit_buckets = BoundedDict[int, _Bucket](KNOWN_CHANNELS)
        self._typed = BoundedDict[int, float](KNOWN_CHANNELS)
        # When Discord first and last refused access to direct messages, in time of the loop
        self.direct_refusals = BoundedDict[int, tuple[float, float]](KNOWN_CHANNELS)

    def slot(self, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Wait for one of the slots of the whole bot, and make the call within the block."""
        return self._calls.slot(priority)

    def edit_slot(
        self, channel_id: int, message_id: int | None, priority: Priority
    ) -> AbstractAsyncContextManager[None]:
        """Wait until Discord accepts an edit of this message, and make it within the block.

        The old messages of a channel share a limit. None stands for a call that edits no message.
        """
        if message_id is None or not self._is_old(message_id):
            return nullcontext()
        if channel_id not in self._old_edits:
            self._old_edits[channel_id] = CallWindow(
                OLD_EDITS, OLD_EDIT_WINDOW_SECONDS, self._clock
            )
        return self._old_edits[channel_id].slot(priority)

    def waiting(self) -> int:
        """Return how many calls wait for a slot."""
        return self._calls.waiting()

    def share(self, part: float) -> None:
        """Use this *part* of the bot's requests; other processes have the rest.

        A smaller part counts at once. A larger one counts SHARE_SECONDS later: by then, Discord no
        longer counts the calls of the process that had it before.
        """
        if self._raising is not None:
            self._raising.cancel()
            self._raising = None
        if part > self._share:
            loop = asyncio.get_running_loop()
            self._raising = loop.call_later(SHARE_SECONDS, self._use, part)
        else:
            self._use(part)

    def _use(self, part: float) -> None:
        self._share = part
        self._calls.limit(shared(self._limits, part))

    def block(self, seconds: float) -> None:
        """Give no slots for *seconds*, because Discord refuses all calls."""
        self._calls.block(seconds)

    def try_typing(self, channel_id: int) -> bool:
        """Whether the bot may show that it types in a channel; if so, it is recorded as doing so.

        Not if others wait for a slot, nor twice within TYPING_INTERVAL_SECONDS: a quick answer ends
        the typing call before Discord's response, so discord.py does not learn what was counted.
        """
        now = self._clock()
        just_typed = now - self._typed.get(channel_id, -math.inf) < TYPING_INTERVAL_SECONDS
        if just_typed or not self._calls.has_room(Priority.TYPING):
            return False
        self._typed[channel_id] = now
        return True

    def seconds_to_edit(self, channel_id: int, message_id: int | None = None) -> float:
        """Return how long to wait before the next intermediate edit of this message.

        The edits that are left, except the reserved ones, are spread evenly over the time until the
        channel's bucket refills. The edits of an old message are spread over the window of those.
        """
        seconds = self._seconds_to_refill(channel_id)
        if message_id is None or not self._is_old(message_id):
            return seconds
        return max(seconds, OLD_EDIT_WINDOW_SECONDS / OLD_EDITS[Priority.EDIT])

    def _seconds_to_refill(self, channel_id: int) -> float:
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

    def _is_old(self, message_id: int) -> bool:
        return self._now() - seconds_of(message_id) > OLD_SECONDS
