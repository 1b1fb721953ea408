"""One gateway session: it outlives its connection, numbers its events and can replay them."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bot.sandbox.discord.connection import Connection

REPLAYED_AT_MOST: Final = 10_000


@dataclass(slots=True, eq=False)
class Session:
    """The session of one IDENTIFY."""

    id: str
    intents: int
    shard: tuple[int, int]
    seq: int = 0
    connection: Connection | None = None
    process: str = ""
    lost_at: float = 0.0
    _replay: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=REPLAYED_AT_MOST))

    def emit(self, event: str, data: Any, *, delay_seconds: float = 0.0) -> None:
        """Add the event with a number for a resume, and send it if a client is connected."""
        self.seq += 1
        frame = {"op": 0, "t": event, "s": self.seq, "d": data}
        text = json.dumps(frame, ensure_ascii=False)
        self._replay.append((self.seq, text))
        if self.connection is not None:
            self.connection.send_text(text, delay_seconds=delay_seconds)

    def can_replay(self, seq: int) -> bool:
        """Return whether the session still stores every event after *seq*."""
        return not self._replay or self._replay[0][0] <= seq + 1

    def attach(self, connection: Connection, seq: int) -> None:
        """Resume on *connection*: replay the events after *seq*, then send RESUMED."""
        self.connection = connection
        self.process = connection.process
        connection.session = self
        for number, text in self._replay:
            if number > seq:
                connection.send_text(text)
        self.emit("RESUMED", {"_trace": ["stand-in"]})

    def detach(self) -> None:
        """Keep the session without a connection."""
        self.connection = None
        self.lost_at = time.monotonic()

    def owns_guild(self, guild_id: int | None) -> bool:
        """Return whether this shard gets the events of *guild_id*; the first shard gets DMs."""
        return self.is_shard(0 if guild_id is None else guild_id >> 22)

    def is_shard(self, number: int) -> bool:
        """Return whether this is the shard *number*, modulo the number of shards."""
        shard, total = self.shard
        return number % total == shard
