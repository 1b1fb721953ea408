"""The numbered record of all events; clients wait for new ones without polling."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.sandbox.discord.world import Json

KEPT = 200_000


class Journal:
    """The newest *KEPT* events, numbered."""

    def __init__(self) -> None:
        self._entries: deque[Json] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()
        self.last = 0

    def note(self, kind: str, **data: object) -> None:
        """Record an event of *kind* and wake all waiting tasks."""
        self.last += 1
        self._entries.append({"seq": self.last, "type": kind, "at": time.monotonic(), "data": data})
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, seq: int, kinds: Iterable[str] = (), about: str | None = None) -> list[Json]:
        """Return the events after *seq*, of the given *kinds* or of all, oldest first.

        *about* is the id of a channel or an interaction: return only its events.
        """
        wanted = frozenset(kinds)
        found: list[Json] = []
        for entry in reversed(self._entries):
            if entry["seq"] <= seq:
                break
            if (not wanted or entry["type"] in wanted) and _is_about(entry, about):
                found.append(entry)
        found.reverse()
        return found

    async def wait(
        self,
        seq: int,
        timeout_seconds: float,
        kinds: Iterable[str] = (),
        about: str | None = None,
    ) -> list[Json]:
        """Return the events as `after` does, waiting up to *timeout_seconds* for the first."""
        wanted = frozenset(kinds)
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    changed = self._changed
                    found = self.after(seq, wanted, about)
                    if found:
                        return found
                    seq = max(seq, self.last)
                    await changed.wait()
        except TimeoutError:
            return []


def _is_about(entry: Json, about: str | None) -> bool:
    data = entry["data"]
    return about is None or about in {
        data.get("message", {}).get("channel_id"),
        data.get("interaction", {}).get("id"),
    }
