"""When to try again: each place has a pause of its own, which grows while nothing gets better."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from bot.conversation.exchange import QueueKey

PAUSE_SECONDS: Final = (2.0, 300.0)  # the first, and the longest


class Pauses:
    """Calls *again* when the pause of some place is over.

    A place is named by the key of its queue, what else pauses by a key with a number below 0.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._next_seconds: dict[QueueKey, float] = {}
        self._timers: dict[QueueKey, asyncio.TimerHandle] = {}

    def begin(self, key: QueueKey) -> None:
        """Let a place pause, a longer time each time in a row."""
        if key not in self._timers:
            seconds = self._next_seconds.get(key, PAUSE_SECONDS[0])
            self._next_seconds[key] = min(seconds * 2, PAUSE_SECONDS[1])
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(seconds, self._over, key)

    def holds(self, key: QueueKey) -> bool:
        """Whether a place pauses."""
        return key in self._timers

    def got_better(self, key: QueueKey) -> None:
        """Let the next pause of a place be a short one."""
        self._next_seconds.pop(key, None)

    def end_all(self) -> None:
        """Let no place pause any more, and the next pause of each be a short one."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._next_seconds.clear()

    def forget_others(self, keys: Collection[QueueKey]) -> None:
        """Keep no pause in mind but of these places, and what has a name below 0."""
        for key in [*self._next_seconds]:
            if (0, 0) < key not in keys and key not in self._timers:
                del self._next_seconds[key]

    def _over(self, key: QueueKey) -> None:
        del self._timers[key]
        self._again()
