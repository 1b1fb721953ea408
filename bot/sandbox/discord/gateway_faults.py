"""Faults of the gateway on demand: closed, silent, refused, doubled, garbled."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.sandbox.discord.connection import Connection
    from bot.sandbox.discord.gateway import Gateway
    from bot.sandbox.discord.gateway_session import Session
    from bot.sandbox.discord.world import Json

FOREVER: Final = 1e9
REORDER_PATIENCE_SECONDS: Final = 1.0


class GatewayFaults:
    """The gateway's faults: `apply` sets them, the other methods inject them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sessions_changed = asyncio.Event()
        self.clear()

    def clear(self) -> None:
        """Remove all faults."""
        self._refuse_until = 0.0
        self._refuse_status: int | None = None
        self._mute_new_until = self._deaf_until = 0.0
        self._hold_sessions(0.0)
        self._refuse_resumes = self._mangle_hellos = self._mangle_readies = 0
        self._resume_code = 4000
        self._interval: object = None
        self._ready_changes: Json = {}
        self._ready_drops: list[str] = []
        self._duplicate = self._swallow = self._reorder = 0
        self._duplicated = self._swallowed = re.compile("")
        self._delayed: list[tuple[Session, str, Json]] = []
        for connection in self._gateway.connections:
            connection.speak_again()

    async def apply(self, spec: Json) -> None:
        """Inject the fault that *spec* names; raise ValueError for an unknown name."""
        actions = {
            "close": self._close,
            "abort": self._abort,
            "reconnect": self._reconnect,
            "invalid_session": self._invalid_session,
            "silence": self._silence,
            "deaf": self._be_deaf,
            "hold_sessions": self._start_holding,
            "refuse_resume": self._refuse_resume,
            "hello": self._mangle_hello,
            "ready": self._mangle_ready,
            "raw": self._raw,
            "dispatch": self._dispatch,
            "refuse": self._refuse,
            "duplicate": self._start_duplicating,
            "swallow": self._start_swallowing,
            "reorder": self._start_reordering,
        }
        action = actions.get(str(spec.get("action")))
        if action is None:
            raise ValueError(f"There is no gateway fault {spec.get('action')!r}: {list(actions)}")
        await action(spec)

    def _struck(self, spec: Json) -> list[Connection]:
        """Return the connections of the shard that *spec* names, all if it names none."""
        shard = spec.get("shard")
        return [
            connection
            for connection in self._gateway.connections
            if shard is None
            or (connection.session is not None and connection.session.shard[0] == shard)
        ]

    def _forget_sessions(self, spec: Json) -> None:
        shard = spec.get("shard")
        for session in list(self._gateway.sessions.values()):
            if shard is None or session.shard[0] == shard:
                del self._gateway.sessions[session.id]

    async def _close(self, spec: Json) -> None:
        code, reason = int(spec.get("code", 4000)), str(spec.get("reason", ""))
        if spec.get("forget_session"):
            self._forget_sessions(spec)
        # A client that does not read for a while must not hold up the control interface.
        for connection in self._struck(spec):
            self._gateway.hang_up_soon(connection, code, reason)

    async def _abort(self, spec: Json) -> None:
        if spec.get("forget_session"):
            self._forget_sessions(spec)
        for connection in self._struck(spec):
            connection.abort()

    async def _reconnect(self, spec: Json) -> None:
        for connection in self._struck(spec):
            connection.send({"op": 7, "d": None})

    async def _invalid_session(self, spec: Json) -> None:
        resumable = bool(spec.get("resumable", False))
        if not resumable:
            self._forget_sessions(spec)
        for connection in self._struck(spec):
            connection.send({"op": 9, "d": resumable})

    async def _silence(self, spec: Json) -> None:
        seconds = float(spec.get("seconds") or FOREVER)
        for connection in self._struck(spec):
            connection.be_silent(seconds)
        if spec.get("new_connections"):
            self._mute_new_until = time.monotonic() + seconds

    async def _be_deaf(self, spec: Json) -> None:
        self._deaf_until = time.monotonic() + float(spec.get("seconds") or FOREVER)

    async def _start_holding(self, spec: Json) -> None:
        self._hold_sessions(float(spec.get("seconds") or FOREVER))

    def _hold_sessions(self, seconds: float) -> None:
        self._held_until = time.monotonic() + seconds
        self._sessions_changed.set()
        self._sessions_changed = asyncio.Event()

    async def _refuse_resume(self, spec: Json) -> None:
        self._refuse_resumes = int(spec.get("count", 1))
        self._resume_code = int(spec.get("code", 4000))

    async def _mangle_hello(self, spec: Json) -> None:
        self._mangle_hellos = int(spec.get("count", 1))
        self._interval = spec.get("interval")

    async def _mangle_ready(self, spec: Json) -> None:
        self._mangle_readies = int(spec.get("count", 1))
        self._ready_changes = dict(spec.get("changes") or {})
        self._ready_drops = list(spec.get("drop") or [])

    async def _raw(self, spec: Json) -> None:
        plain = bool(spec.get("plain", False))
        data = bytes.fromhex(spec["hex"]) if "hex" in spec else str(spec["text"])
        for connection in self._gateway.connections:
            connection.send_text(data, plain=plain)

    async def _dispatch(self, spec: Json) -> None:
        if "op" in spec:
            text = json.dumps({"op": spec["op"], "d": spec.get("d")})
            for connection in self._gateway.connections:
                connection.send_text(text)
        else:
            self._gateway.broadcast(str(spec["t"]), spec.get("d", {}))

    async def _refuse(self, spec: Json) -> None:
        self._refuse_until = time.monotonic() + float(spec.get("seconds") or FOREVER)
        self._refuse_status = spec.get("status")

    async def _start_duplicating(self, spec: Json) -> None:
        self._duplicate = int(spec.get("count", 1))
        self._duplicated = re.compile(spec.get("event") or "")

    async def _start_swallowing(self, spec: Json) -> None:
        self._swallow = int(spec.get("count", 1))
        self._swallowed = re.compile(spec.get("event") or "")

    async def _start_reordering(self, spec: Json) -> None:
        self._reorder = int(spec.get("count", 2))
        loop = asyncio.get_running_loop()
        loop.call_later(float(spec.get("seconds", REORDER_PATIENCE_SECONDS)), self._release)

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        """Return the refusal of a new connection, or None to accept it."""
        if time.monotonic() >= self._refuse_until:
            return None
        if self._refuse_status is None and request.transport is not None:
            request.transport.abort()
        return web.Response(status=self._refuse_status or 503)

    def greet(self, connection: Connection) -> None:
        """Silence a new connection if the fault is to silence new ones."""
        if self._mute_new_until > time.monotonic():
            connection.be_silent(self._mute_new_until - time.monotonic())

    def withholds_ack(self) -> bool:
        """Return whether the gateway leaves heartbeats without an ACK."""
        return time.monotonic() < self._deaf_until

    @property
    def holds_sessions(self) -> bool:
        """Whether the gateway answers IDENTIFY and RESUME later, and acknowledges heartbeats."""
        return time.monotonic() < self._held_until

    async def sessions_given(self) -> None:
        """Wait until the gateway gives sessions again."""
        while self.holds_sessions:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._held_until - time.monotonic()):
                    await self._sessions_changed.wait()

    def resume_code(self) -> int | None:
        """Return the close code for a RESUME, or None to accept it."""
        if not self._refuse_resumes:
            return None
        self._refuse_resumes -= 1
        return self._resume_code

    def interval(self, milliseconds: int) -> object:
        """Return the heartbeat interval for HELLO: *milliseconds* or a wrong one."""
        if not self._mangle_hellos:
            return milliseconds
        self._mangle_hellos -= 1
        return self._interval

    def mangled(self, ready: Json) -> Json:
        """Return *ready* with the changes of the fault."""
        if not self._mangle_readies:
            return ready
        self._mangle_readies -= 1
        kept = {key: value for key, value in ready.items() if key not in self._ready_drops}
        return kept | self._ready_changes

    def bend(self, session: Session, event: str, data: Json) -> Iterator[tuple[str, Json]]:
        """Yield *event* as often as the gateway sends it now: once, twice or not at all."""
        if self._swallow and self._swallowed.search(event):
            self._swallow -= 1
            return
        if self._reorder:
            self._delayed.append((session, event, data))
            if len(self._delayed) >= self._reorder:
                self._release()
            return
        yield event, data
        if self._duplicate and self._duplicated.search(event):
            self._duplicate -= 1
            yield event, data

    def _release(self) -> None:
        delayed, self._delayed, self._reorder = self._delayed, [], 0
        for session, event, data in reversed(delayed):
            session.emit(event, data)
