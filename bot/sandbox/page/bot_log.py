"""Read the bot's log as it grows: one JSON object a line."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple


class Logged(NamedTuple):
    """One line; *at* is seconds on the machine's clock, *level* a name as logging has it."""

    at: float
    level: str
    sentence: str


class BotLog:
    """Reads the new lines of the log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Once: lines of the same millisecond must keep their order.
        self._boot = time.time() - time.monotonic()
        self._read = 0
        self._rest = b""

    def new(self) -> list[Logged]:
        """Return the new complete lines, except those that are not JSON."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [logged for line in lines if (logged := self._parsed(line)) is not None]

    def _parsed(self, line: bytes) -> Logged | None:
        try:
            event = json.loads(line)
            written = datetime.fromisoformat(event["time"])
        except (ValueError, TypeError, KeyError):
            return None
        at = written.timestamp() - self._boot
        return Logged(at, str(event["level"]), str(event["message"]))
