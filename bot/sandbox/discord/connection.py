"""One gateway websocket: it sends frames in order, compressed or delayed on request."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

    from bot.sandbox.discord.gateway_session import Session
    from bot.sandbox.discord.world import Json

COMMANDS_PER_MINUTE: Final = 120  # Discord: gateway events that a client may send


class Connection:
    """A websocket and its queue of frames."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        compress: bool,
        process: str = "",
    ) -> None:
        self.socket = socket
        self._transport = transport
        self.process = process  # the name at the end of the address that the client used
        self.session: Session | None = None
        self.waiting = False  # It has identified or resumed, and its session is held back.
        self._silent_until = 0.0
        self._unmuted = asyncio.Event()
        self.closed_by_us = False
        self.last_heartbeat = time.monotonic()
        self._compressor = zlib.compressobj() if compress else None
        self._frames: asyncio.Queue[tuple[float, str | bytes, bool]] = asyncio.Queue()
        self._commands: deque[float] = deque()

    def send(self, payload: Json, *, delay_seconds: float = 0.0) -> None:
        """Queue a payload; it leaves after those queued before, *delay_seconds* from now."""
        self.send_text(json.dumps(payload, ensure_ascii=False), delay_seconds=delay_seconds)

    def send_text(
        self, text: str | bytes, *, delay_seconds: float = 0.0, plain: bool = False
    ) -> None:
        """Queue a frame as it is; *plain* leaves it uncompressed."""
        self._frames.put_nowait((time.monotonic() + delay_seconds, text, plain))

    def be_silent(self, seconds: float) -> None:
        """Send nothing for *seconds*; send the queued frames afterwards."""
        self._silent_until = time.monotonic() + seconds
        self._unmuted = asyncio.Event()

    def speak_again(self) -> None:
        """End the silence now."""
        self._silent_until = 0.0
        self._unmuted.set()

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        self.closed_by_us = True
        if self._transport is not None:
            self._transport.abort()

    def too_many_commands(self) -> bool:
        """Count one event from the client; return whether it sent too many in a minute."""
        now = time.monotonic()
        self._commands.append(now)
        while self._commands[0] < now - 60.0:
            self._commands.popleft()
        return len(self._commands) > COMMANDS_PER_MINUTE

    async def _until(self, due: float) -> None:
        now = time.monotonic()
        if due > now:
            await asyncio.sleep(due - now)
        silence = self._silent_until - time.monotonic()
        if silence > 0:
            try:
                async with asyncio.timeout(silence):
                    await self._unmuted.wait()
            except TimeoutError:
                return

    async def write_forever(self) -> None:
        """Send each queued frame when it is due."""
        while True:
            due, text, plain = await self._frames.get()
            await self._until(due)
            raw = text.encode() if isinstance(text, str) else text
            if self._compressor is not None and not plain:
                data = self._compressor.compress(raw)
                await self.socket.send_bytes(data + self._compressor.flush(zlib.Z_SYNC_FLUSH))
            elif isinstance(text, str):
                await self.socket.send_str(text)
            else:
                await self.socket.send_bytes(text)
