"""Pauses between the attempts of recovery, for each queue of questions and each kind of work."""

import asyncio
from collections.abc import Callable, Collection, Hashable
from typing import Final

from bot.backoff import Backoff

BACKOFF: Final = Backoff(2.0, 300.0)


class Backoffs:
    """Counts failures in a row for each key and lets it pause. Calls *ended* after each pause."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._failures: dict[Hashable, int] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def begin(self, key: Hashable) -> None:
        """Begin a pause, unless one is active; it is longer with each failure in a row."""
        if key not in self._timers:
            self._failures[key] = self._failures.get(key, 0) + 1
            seconds = BACKOFF.seconds(self._failures[key])
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(seconds, self._end, key)

    def active(self, key: Hashable) -> bool:
        """Whether the key is pausing."""
        return key in self._timers

    def reset(self, key: Hashable) -> None:
        """Let the next pause be the first again."""
        self._failures.pop(key, None)

    def clear(self) -> None:
        """End all pauses without a call of *ended*, and reset all keys."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._failures.clear()

    def keep_only(self, keys: Collection[Hashable]) -> None:
        """Reset the keys that are not among these and are not pausing."""
        for key in [*self._failures]:
            if key not in keys and key not in self._timers:
                self.reset(key)

    def _end(self, key: Hashable) -> None:
        del self._timers[key]
        self._ended()
