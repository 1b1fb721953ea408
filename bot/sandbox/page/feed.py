"""Send watching browsers a snapshot first, then each change."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

Json = dict[str, Any]

_WAITING_AT_MOST: Final = 5000  # changes; a browser further behind reconnects


class Feed:
    """Sends changes to all watching browsers; a new one gets *snapshot* first."""

    def __init__(self, snapshot: Callable[[], Json]) -> None:
        self._snapshot = snapshot
        self._watching: set[asyncio.Queue[Json | None]] = set()

    def send(self, changes: Iterable[Json]) -> None:
        """Send *changes* to all watchers."""
        for change in changes:
            for queue in self._watching:
                if queue.qsize() < _WAITING_AT_MOST:
                    queue.put_nowait(change)
                else:
                    queue.put_nowait(None)

    def end(self) -> None:
        """End the stream of all watchers."""
        for queue in self._watching:
            queue.put_nowait(None)

    @contextmanager
    def watched(self) -> Iterator["asyncio.Queue[Json | None]"]:
        """Yield the queue of one watcher; None ends it."""
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        queue.put_nowait({"kind": "snapshot", **self._snapshot()})
        self._watching.add(queue)
        try:
            yield queue
        finally:
            self._watching.discard(queue)
