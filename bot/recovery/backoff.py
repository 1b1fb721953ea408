"""When to try again: each place has a pause of its own, which grows while nothing gets better."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

PAUSE_SECONDS: Final = (2.0, 300.0)  # the first, and the longest


class Pauses:
    """Calls *again* when the pause of some place is over.

    A place is named by its id, what else pauses by a number below 0.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._next_seconds: dict[int, float] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def begin(self, place_id: int) -> None:
        """Let a place pause, a longer time each time in a row."""
        if place_id not in self._timers:
            seconds = self._next_seconds.get(place_id, PAUSE_SECONDS[0])
            self._next_seconds[place_id] = min(seconds * 2, PAUSE_SECONDS[1])
            loop = asyncio.get_running_loop()
            self._timers[place_id] = loop.call_later(seconds, self._over, place_id)

    def holds(self, place_id: int) -> bool:
        """Whether a place pauses."""
        return place_id in self._timers

    def got_better(self, place_id: int) -> None:
        """Let the next pause of a place be a short one."""
        self._next_seconds.pop(place_id, None)

    def end_all(self) -> None:
        """Let no place pause any more, and the next pause of each be a short one."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._next_seconds.clear()

    def forget_others(self, place_ids: Collection[int]) -> None:
        """Keep no pause in mind but of these places, and what has a name below 0."""
        for place_id in [*self._next_seconds]:
            if 0 < place_id not in place_ids and place_id not in self._timers:
                del self._next_seconds[place_id]

    def _over(self, place_id: int) -> None:
        del self._timers[place_id]
        self._again()
