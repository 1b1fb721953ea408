"""The gateway's websocket: closes quickly, checks heartbeats and sizes, knows if it is alive."""

import asyncio
import json
import logging
import time
import zlib
from typing import Any, Final

import yarl
from discord.gateway import DiscordClientWebSocketResponse, DiscordWebSocket, KeepAliveHandler

log = logging.getLogger(__name__)

# Decision 005 has the reasons for these times.
CLOSE_SECONDS: Final = 2.0
HELLO_SECONDS: Final = 45.0  # A connection without HELLO has no heartbeats to judge it by.
SESSION_SECONDS: Final = 900.0  # for READY or RESUMED: Discord may take minutes in an outage
# Each heartbeat gets an ACK, so a connection that lives is never silent for so long.
QUIET_SECONDS: Final = 45.0
USUAL_BEAT_SECONDS: Final = 41.25  # Discord has named this interval for years.
SHORTEST_BEAT_SECONDS: Final = 0.2  # An interval outside of these bounds is implausible.
LONGEST_BEAT_SECONDS: Final = 300.0
EARLY_SECONDS: Final = 0.5  # A missing ACK counts at most so long before the next beat.
# discord.py ends a connection after this time without any frame. It is longer than any of ours.
SILENCE_SECONDS: Final = 2 * LONGEST_BEAT_SECONDS + HELLO_SECONDS
LARGEST_FRAME: Final = 64 * 2**20  # bytes, inflated; the largest guilds have some 10 MB
SYNC_FLUSH: Final = b"\x00\x00\xff\xff"  # zlib: ends each of Discord's messages


class FrameTooLarge(Exception):
    """A frame is larger than any of Discord's."""


class QuickCloseSocket(DiscordClientWebSocketResponse):
    """A websocket that closes within CLOSE_SECONDS, whatever the server does.

    discord.py waits 30 s for the server's close frame, and again after each other frame.
    """

    async def close(self, *, code: int = 4000, message: bytes = b"") -> bool:
        """Send a close frame; abort the connection if it is not answered in time."""
        transport = None if self._conn is None else self._conn.transport
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                return await super().close(code=code, message=message)
        except TimeoutError:
            if transport is not None:
                transport.abort()
            return True


class KeepAlive(KeepAliveHandler):
    """Sends heartbeats at a plausible interval; a second HELLO replaces the first."""

    def __init__(self, *, ws: DiscordWebSocket, interval: float, shard_id: int | None) -> None:
        if not SHORTEST_BEAT_SECONDS <= interval <= LONGEST_BEAT_SECONDS:
            log.warning("Use the usual heartbeat interval: Discord named one of %s s", interval)
            interval = USUAL_BEAT_SECONDS
        super().__init__(ws=ws, interval=interval, shard_id=shard_id)
        self.beat_seconds = interval
        self._sent_at = time.perf_counter()
        self._unanswered_since: float | None = None  # the first beat since the last ACK
        before = ws._keep_alive
        if isinstance(before, KeepAlive):
            before.stop()
            self._unanswered_since = before._unanswered_since

    def get_payload(self) -> dict[str, Any]:
        """Return the next heartbeat and record it as sent.

        discord.py 2.7 does that after sending: a quick ACK then counts as late by a whole interval.
        """
        self._last_send = self._sent_at = time.perf_counter()
        if self._unanswered_since is None:
            self._unanswered_since = self._sent_at
        return super().get_payload()

    def ack(self) -> None:
        """Record that Discord acknowledged the heartbeats so far."""
        self._unanswered_since = None
        super().ack()

    @property
    def heard_at(self) -> float:
        """When the last frame arrived."""
        return self._last_recv

    def dead_at(self) -> float:
        """Return when the connection counts as dead unless an ACK arrives: before the next beat.

        Discord: without an ACK between two heartbeats, close the connection and resume.
        """
        since = self._unanswered_since
        due = self._sent_at + 2 * self.beat_seconds if since is None else since + self.beat_seconds
        return due - min(EARLY_SECONDS, self.beat_seconds / 10)


class Inflate:
    """Inflates Discord's zlib stream up to LARGEST_FRAME; discord.py's own has no limit."""

    COMPRESSION_TYPE: Final = "zlib-stream"

    def __init__(self) -> None:
        self._context = zlib.decompressobj()
        self._buffer = bytearray()

    def decompress(self, data: bytes, /) -> str | None:
        """Return a message once it is whole; raises FrameTooLarge, zlib.error or UnicodeError."""
        self._buffer += data
        if len(self._buffer) >= LARGEST_FRAME:
            raise FrameTooLarge
        if not data.endswith(SYNC_FLUSH):
            return None
        message = self._context.decompress(self._buffer, LARGEST_FRAME)
        self._buffer.clear()
        if len(message) >= LARGEST_FRAME:
            raise FrameTooLarge
        return message.decode()


class GatewaySocket(DiscordWebSocket):
    """A connection to the gateway that knows whether it is alive.

    *proven* means that its session exists: READY was processed, or any event after a RESUME.
    *resuming* means that RESUME was sent.
    """

    _sequence: int | None = None

    def __init__(self, socket: Any, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket, loop=loop)
        self.proven = False
        self.resuming = False
        self._opened = time.perf_counter()

    @property
    def sequence(self) -> int | None:
        """The number of the newest event. Invalid ones are ignored: they would break a resume."""
        return self._sequence

    @sequence.setter
    def sequence(self, value: Any) -> None:
        newest = -1 if self._sequence is None else self._sequence
        if value is None or (type(value) is int and value > newest):
            self._sequence = value

    @property
    def close_code(self) -> int | None:
        """The code with which Discord closed the connection; None if this side closed it."""
        return self.socket.close_code if self._close_code is None else None

    async def resume(self) -> None:
        """Send RESUME."""
        self.resuming = True
        await super().resume()

    async def poll_event(self) -> None:
        """Process a frame. From the first one on, the client can close this socket."""
        self._connection._get_client().ws = self
        await super().poll_event()

    async def received_message(self, msg: Any, /) -> None:
        """Process the content of a frame."""
        before = self._sequence
        if self.session_id is None:
            if isinstance(msg, bytes):
                msg = self._decompressor.decompress(msg)
            msg = _with_address(msg, self.gateway)
        if msg is not None:
            await super().received_message(msg)
        if self._sequence != before and self.session_id is not None:
            self.proven = True

    def hears(self) -> bool:
        """Whether the session exists, and frames still arrive."""
        beats = self._keep_alive
        if not (self.proven and self.open and isinstance(beats, KeepAlive)):
            return False
        return time.perf_counter() - beats.heard_at < max(QUIET_SECONDS, 1.1 * beats.beat_seconds)

    def age_seconds(self) -> float:
        """Return for how long the connection has been open."""
        return time.perf_counter() - self._opened

    def seconds_left(self) -> float:
        """Return the time until the connection counts as dead if nothing arrives.

        It is dead if a heartbeat has no ACK when the next one is due. As long as Discord
        acknowledges them, it has SESSION_SECONDS to begin or resume the session.
        """
        beats = self._keep_alive
        dead_at = self._opened + HELLO_SECONDS
        if isinstance(beats, KeepAlive):
            dead_at = beats.dead_at()
        if not self.proven:
            dead_at = min(dead_at, self._opened + SESSION_SECONDS)
        return dead_at - time.perf_counter()


def _with_address(msg: str | None, address: yarl.URL) -> str | None:
    """Return READY with an address to resume at, and any other event unchanged.

    A proxy may leave the address out. discord.py rejects a READY without one, and would identify
    again and again.
    """
    if msg is None or '"READY"' not in msg:
        return msg
    frame = json.loads(msg)
    ready = frame.get("d") if isinstance(frame, dict) and frame.get("t") == "READY" else None
    if not isinstance(ready, dict) or isinstance(ready.get("resume_gateway_url"), str):
        return msg
    return json.dumps(frame | {"d": ready | {"resume_gateway_url": str(address)}})
