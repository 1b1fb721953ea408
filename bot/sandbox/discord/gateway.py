"""Discord's gateway v10: HELLO to READY, heartbeats, resumes and the dispatch of events."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from bot.sandbox.discord import payloads
from bot.sandbox.discord.connection import Connection
from bot.sandbox.discord.gateway_faults import GatewayFaults
from bot.sandbox.discord.gateway_session import Session
from bot.sandbox.discord.intents import VALID, Intent, blank_content, disallowed, wants

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Guild, Json

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE_STATE, RESUME = 0, 1, 2, 3, 4, 6
RECONNECT, REQUEST_MEMBERS, INVALID_SESSION, HELLO, ACK = 7, 8, 9, 10, 11
CLOSE_SECONDS = 5.0
GOING_AWAY_SECONDS = 1.0
PAYLOAD_LIMIT = 4096  # Discord: bytes of one event from a client
_ENDS_SESSION = frozenset({1000, 1001})
_WITH_CONTENT = frozenset({"MESSAGE_CREATE", "MESSAGE_UPDATE"})


class Gateway:
    """All sessions and connections, and the events for them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.faults = GatewayFaults(self)
        self.identifies = 0
        self.resumes = 0
        self.heartbeats = 0
        self.invalid_sessions = 0
        self.presence: Json | None = None
        self._identified: dict[int, float] = {}  # when, by rate limit key

    def dispatch(
        self,
        event: str,
        data: Json,
        *,
        guild_id: int | None = None,
        channel: Channel | None = None,
    ) -> None:
        """Send *event* to every session with its intent, if the bot can view *channel*."""
        world = self._state.world
        if channel is not None:
            guild_id = channel.guild_id
            if not world.can_view(channel, world.bot.id):
                return
        if guild_id is not None and not self._receives_events_of(guild_id):
            return
        for session in list(self.sessions.values()):
            if not wants(session.intents, event, in_guild=guild_id is not None):
                continue
            if session.owns_guild(guild_id):
                self._emit(session, event, self._shown(session, event, data, guild_id))

    def _receives_events_of(self, guild_id: int) -> bool:
        guild = self._state.world.guilds.get(guild_id)
        return guild is None or (guild.available and self._state.world.bot.id in guild.members)

    def _shown(self, session: Session, event: str, data: Json, guild_id: int | None) -> Json:
        if event not in _WITH_CONTENT or session.intents & Intent.MESSAGE_CONTENT:
            return data
        return blank_content(data, self._state.world.bot.id, in_guild=guild_id is not None)

    def dispatch_interaction(self, data: Json, guild_id: int | None) -> None:
        """Send an interaction, which needs no intent, to the sessions of its shard."""
        for session in list(self.sessions.values()):
            if self._receives_interactions(session, guild_id):
                self._emit(session, "INTERACTION_CREATE", data)

    def _receives_interactions(self, session: Session, guild_id: int | None) -> bool:
        world, foreign = self._state.world, self._state.knobs.foreign_shard
        guild = None if guild_id is None else world.guilds[guild_id]
        is_foreign = guild is not None and world.bot.id not in guild.members
        if is_foreign and foreign >= 0:
            return session.is_shard(foreign)
        return session.owns_guild(guild_id) and (is_foreign or guild is None or guild.available)

    def announce_guild(self, guild: Guild) -> None:
        """Send GUILD_CREATE for *guild* to every session with the intent."""
        for session in self.sessions.values():
            if session.owns_guild(guild.id) and session.intents & Intent.GUILDS:
                self._emit(session, "GUILD_CREATE", self._guild_create(session, guild))

    def _guild_create(self, session: Session, guild: Guild) -> Json:
        everyone = bool(session.intents & Intent.GUILD_MEMBERS)
        return payloads.guild_create(self._state.world, guild, all_members=everyone)

    def broadcast(self, event: str, data: Any) -> None:
        """Send *event* unchanged to every session, whatever its intents."""
        for session in self.sessions.values():
            session.emit(event, data)

    def _emit(self, session: Session, event: str, data: Json) -> None:
        for name, body in self.faults.bend(session, event, data):
            session.emit(name, body, delay_seconds=self._state.knobs.event_delay_seconds)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one websocket from HELLO to the end."""
        refusal = self.faults.refusal(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(timeout=CLOSE_SECONDS, compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        if request.query.get("v", "10") not in {"9", "10"}:
            await socket.close(code=4012, message=b"Invalid API version")
            return socket
        wants_zlib = request.query.get("compress") == "zlib-stream"
        connection = Connection(
            socket,
            request.transport,
            compress=wants_zlib and self._state.knobs.compress,
            process=request.match_info.get("process", ""),
        )
        self.faults.greet(connection)
        self.connections.add(connection)
        self._state.journal.note("gateway_connect")
        tasks = [
            asyncio.create_task(connection.write_forever()),
            asyncio.create_task(self._watch_heartbeats(connection)),
        ]
        try:
            interval = self.faults.interval(
                int(self._state.knobs.heartbeat_interval_seconds * 1000)
            )
            connection.send({"op": HELLO, "d": {"heartbeat_interval": interval, "_trace": []}})
            await self._read(connection)
        finally:
            await self._hang_up(connection, tasks)
        return socket

    async def _hang_up(self, connection: Connection, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.connections.discard(connection)
        code = connection.socket.close_code
        session = connection.session
        if session is not None and session.connection is connection:
            session.detach()
            if code in _ENDS_SESSION and not connection.closed_by_us:
                self.sessions.pop(session.id, None)
        self._state.journal.note(
            "gateway_disconnect",
            code=code,
            by_us=connection.closed_by_us,
            shard=list(session.shard) if session is not None else None,
            process=connection.process,
            session=session.id if session is not None else None,
        )

    async def _watch_heartbeats(self, connection: Connection) -> None:
        while True:
            patience = self._state.knobs.heartbeat_interval_seconds * 2
            wait = connection.last_heartbeat + patience - time.monotonic()
            if wait <= 0:
                await self.hang_up(connection, 4009, "Session timed out.")
                return
            await asyncio.sleep(wait)

    async def hang_up(self, connection: Connection, code: int, reason: str = "") -> None:
        """Close a connection from our side."""
        connection.closed_by_us = True
        await connection.socket.close(code=code, message=reason.encode())

    def hang_up_soon(self, connection: Connection, code: int, reason: str = "") -> None:
        """Close a connection without waiting for the client's consent."""
        self._state.spawn(self.hang_up(connection, code, reason))

    async def close(self) -> None:
        """Close every connection, as Discord does when a node goes away."""
        closing = [asyncio.create_task(self.hang_up(item, 1001)) for item in self.connections]
        if closing:
            await asyncio.wait(closing, timeout=GOING_AWAY_SECONDS)

    async def _read(self, connection: Connection) -> None:
        async for frame in connection.socket:
            if frame.type is not WSMsgType.TEXT or len(frame.data.encode()) > PAYLOAD_LIMIT:
                await self.hang_up(connection, 4002, "Error while decoding payload.")
                return
            try:
                payload = json.loads(frame.data)
            except ValueError:
                await self.hang_up(connection, 4002, "Error while decoding payload.")
                return
            close = await self._handle(connection, payload)
            if close is not None:
                await self.hang_up(connection, *close)
                return

    async def _handle(self, connection: Connection, payload: Any) -> tuple[int, str] | None:
        if not isinstance(payload, dict) or not isinstance(payload.get("op"), int):
            return 4002, "Error while decoding payload."
        op, data = payload["op"], payload.get("d")
        if connection.too_many_commands():
            return 4008, "Rate limited."
        if op == HEARTBEAT:
            return self._heartbeat(connection, data)
        if op in {IDENTIFY, RESUME}:
            return self._authenticate(connection, op, data)
        if op not in {PRESENCE, VOICE_STATE, REQUEST_MEMBERS}:
            return 4001, "Unknown opcode."
        if connection.session is None:
            return 4003, "Not authenticated."
        if op == PRESENCE:
            self.presence = data
        elif op == REQUEST_MEMBERS and isinstance(data, dict):
            self._send_members(connection.session, data)
        return None

    def _authenticate(self, connection: Connection, op: int, data: Any) -> tuple[int, str] | None:
        if connection.session is not None or connection.waiting:
            return 4005, "Already authenticated."
        if not isinstance(data, dict):
            return 4002, "Error while decoding payload."
        if op == IDENTIFY:
            return self._identify(connection, data)
        return self._resume(connection, data)

    def _heartbeat(self, connection: Connection, seq: Any) -> tuple[int, str] | None:
        session = connection.session
        if seq is not None and (not isinstance(seq, int) or (session and seq > session.seq)):
            return 4007, "Invalid seq."
        self.heartbeats += 1
        connection.last_heartbeat = time.monotonic()
        if not self.faults.withholds_ack():
            connection.send({"op": ACK, "d": None})
        return None

    def _identify(self, connection: Connection, data: Json) -> tuple[int, str] | None:
        intents, shard = data.get("intents"), data.get("shard", [0, 1])
        knobs = self._state.knobs
        self._state.journal.note("gateway_identify", intents=intents, shard=shard)
        self.identifies += 1
        if data.get("token") != self._state.token:
            return 4004, "Authentication failed."
        if not _valid_shard(shard) or shard[1] % knobs.shard_multiple:
            return 4010, "Invalid shard."
        if not isinstance(intents, int) or intents & ~VALID:
            return 4013, "Invalid intent(s)."
        if disallowed(intents, knobs.portal):
            return 4014, "Disallowed intent(s)."
        if self.identifies > knobs.identify_limit:
            self._state.reset_token()
            return 4004, "Authentication failed."
        key, now = shard[0] % knobs.max_concurrency, time.monotonic()
        if now - self._identified.get(key, -1e9) < knobs.identify_interval_seconds:
            self._refuse_session(connection, shard)
            return None
        self._identified[key] = now
        return self._admit(
            connection, lambda: self._begin(connection, intents, (shard[0], shard[1]))
        )

    def _admit(
        self, connection: Connection, give: Callable[[], tuple[int, str] | None]
    ) -> tuple[int, str] | None:
        """Give a session now, or when the gateway gives sessions again."""
        if not self.faults.holds_sessions:
            return give()
        connection.waiting = True
        self._state.spawn(self._admit_later(connection, give))
        return None

    async def _admit_later(
        self, connection: Connection, give: Callable[[], tuple[int, str] | None]
    ) -> None:
        await self.faults.sessions_given()
        connection.waiting = False
        if connection in self.connections and not connection.socket.closed:
            close = give()
            if close is not None:
                await self.hang_up(connection, *close)

    def _begin(
        self, connection: Connection, intents: int, shard: tuple[int, int]
    ) -> tuple[int, str] | None:
        state, world = self._state, self._state.world
        session = Session(
            secrets.token_hex(16), intents, shard, connection=connection, process=connection.process
        )
        guilds = [
            guild
            for guild in world.guilds.values()
            if world.bot.id in guild.members and session.owns_guild(guild.id)
        ]
        if len(guilds) > state.knobs.guilds_per_shard:
            return 4011, "Sharding required."
        connection.session = session
        self.sessions[session.id] = session
        application = payloads.application_object(world, state.knobs.portal)
        ready = {
            "v": 10,
            "user": payloads.own_user_object(world.bot),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": f"{state.gateway_url}/{session.process}".rstrip("/"),
            "shard": list(shard),
            "application": {"id": application["id"], "flags": application["flags"]},
            "private_channels": [],
            "presences": [],
            "relationships": [],
            "user_settings": {},
            "_trace": [],
        }
        session.emit("READY", self.faults.mangled(ready))
        state.journal.note(
            "gateway_ready",
            session=session.id,
            intents=intents,
            shard=list(shard),
            process=session.process,
        )
        if intents & Intent.GUILDS:
            for guild in guilds:
                if guild.available:
                    session.emit("GUILD_CREATE", self._guild_create(session, guild))
        return None

    def _resume(self, connection: Connection, data: Json) -> tuple[int, str] | None:
        if data.get("token") != self._state.token:
            return 4004, "Authentication failed."
        code = self.faults.resume_code()
        if code is not None:
            return code, "Not today."
        return self._admit(connection, lambda: self._reattach(connection, data))

    def _reattach(self, connection: Connection, data: Json) -> tuple[int, str] | None:
        seq = data.get("seq")
        session = self.sessions.get(str(data.get("session_id")))
        if session is None or self._expired(session) or not isinstance(seq, int):
            self._refuse_session(connection)
            return None
        if seq > session.seq:
            return 4007, "Invalid seq."
        if not session.can_replay(seq):
            self.sessions.pop(session.id)
            self._refuse_session(connection)
            return None
        before = session.connection
        if before is not None:
            self.hang_up_soon(before, 4000)
        self.resumes += 1
        session.attach(connection, seq)
        self._state.journal.note(
            "gateway_resume",
            session=session.id,
            seq=seq,
            shard=list(session.shard),
            process=session.process,
        )
        return None

    def _expired(self, session: Session) -> bool:
        lifetime = self._state.knobs.session_lifetime_seconds
        if session.connection is None and time.monotonic() - session.lost_at > lifetime:
            self.sessions.pop(session.id, None)
            return True
        return False

    def _refuse_session(self, connection: Connection, shard: list[int] | None = None) -> None:
        self.invalid_sessions += 1
        self._state.journal.note("gateway_invalid_session", shard=shard)
        connection.send({"op": INVALID_SESSION, "d": False})

    def _send_members(self, session: Session, data: Json) -> None:
        world = self._state.world
        guild = world.guilds.get(int(data.get("guild_id") or 0))
        if guild is None or world.bot.id not in guild.members:
            return
        asked = data.get("user_ids") or []
        ids = {int(item) for item in (asked if isinstance(asked, list) else [asked])}
        query = data.get("query")
        members = [
            payloads.member_object(world, member)
            for member in guild.members.values()
            if member.user_id in ids
            or (query is not None and world.users[member.user_id].name.lower().startswith(query))
        ]
        chunk = {
            "guild_id": str(guild.id),
            "members": members,
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [str(item) for item in ids if item not in guild.members],
        }
        session.emit("GUILD_MEMBERS_CHUNK", chunk | {"nonce": data.get("nonce")})

    def as_json(self) -> Json:
        """Return the gateway's state as the control interface shows it."""
        live = [item for item in self.connections if item.session is not None]
        now = time.monotonic()
        return {
            "connected": bool(live),
            "connections": len(self.connections),
            "sessions": [
                {
                    "id": session.id,
                    "intents": session.intents,
                    "seq": session.seq,
                    "shard": list(session.shard),
                    "process": session.process,
                    "connected": session.connection is not None,
                }
                for session in self.sessions.values()
            ],
            "intents": live[0].session.intents if live and live[0].session else None,
            "identifies": self.identifies,
            "resumes": self.resumes,
            "heartbeats": self.heartbeats,
            "invalid_sessions": self.invalid_sessions,
            "heartbeat_age_seconds": min((now - c.last_heartbeat for c in live), default=None),
            "presence": self.presence,
        }


def _valid_shard(shard: Any) -> bool:
    return (
        isinstance(shard, list)
        and len(shard) == 2
        and all(isinstance(item, int) for item in shard)
        and 0 <= shard[0] < shard[1]
    )
