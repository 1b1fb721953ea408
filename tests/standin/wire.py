"""Plain clients of Discord's API without any logic: one for REST, one for the gateway."""

from __future__ import annotations

import asyncio
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver

ALL_INTENTS = 1 << 0 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15
MESSAGE_CONTENT = 1 << 15
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> int:
        return int(self.body["code"])


class Api:
    """Sends REST requests as the bot; channels, people and messages are ids."""

    def __init__(self, people: Driver) -> None:
        self._people = people
        self._session = aiohttp.ClientSession()
        guild = people.world["guilds"][0]
        self.guild: str = guild["id"]
        self.channels: dict[str, str] = guild["channels"]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any
    ) -> Answer:
        headers = {"Authorization": f"Bot {token or self._people.token}"}
        if body is not None:
            more["data"] = json.dumps(body)
            headers["Content-Type"] = "application/json"
        async with self._session.request(
            method, self._people.api_url + path, headers=headers, **more
        ) as response:
            text = await response.text()
            is_json = response.headers.get("Content-Type") == "application/json"
            parsed = json.loads(text) if is_json else (text or None)
            return Answer(response.status, parsed, dict(response.headers))

    async def send(self, channel: str, text: str = "hello", **more: Any) -> Answer:
        place = self.channels.get(channel, channel)
        return await self.request("POST", f"/channels/{place}/messages", {"content": text} | more)

    async def fetch(self, url: str) -> bytes:
        async with self._session.get(url) as response:
            return await response.read()


class Socket:
    """A gateway connection that records every frame that it receives."""

    def __init__(self, url: str, token: str, *, query: str = "?v=10&encoding=json") -> None:
        self._url = url + query
        self._token = token
        self._session = aiohttp.ClientSession()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._inflate = zlib.decompressobj()
        self.frames: list[Any] = []
        self.binary_frames = 0

    async def __aenter__(self) -> Self:
        try:
            self._socket = await self._session.ws_connect(self._url)
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            await self._socket.close()
        await self._session.close()

    @property
    def socket(self) -> aiohttp.ClientWebSocketResponse:
        assert self._socket is not None
        return self._socket

    async def send(self, op: int, data: Any) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def identify(self, intents: int = ALL_INTENTS, **more: Any) -> Any:
        await self.send_identify(intents, **more)
        return (await self.event("READY"))["d"]

    async def send_identify(self, intents: int = ALL_INTENTS, **more: Any) -> None:
        identity = {"token": self._token, "properties": {}, "intents": intents}
        await self.send(2, identity | more)

    async def receive(self) -> Any:
        """Return the next frame, or the close code of a closed connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame = await self.socket.receive()
        if frame.type is aiohttp.WSMsgType.TEXT:
            self.frames.append(json.loads(frame.data))
        elif frame.type is aiohttp.WSMsgType.BINARY:
            self.binary_frames += 1
            self.frames.append(json.loads(self._inflate.decompress(frame.data)))
        else:
            return self.socket.close_code
        return self.frames[-1]

    async def op(self, number: int) -> Any:
        while True:
            frame = await self.receive()
            assert isinstance(frame, dict), f"closed with {frame} while waiting for op {number}"
            if frame["op"] == number:
                return frame

    async def event(self, name: str) -> Any:
        while True:
            frame = await self.op(0)
            if frame["t"] == name:
                return frame

    async def events(self, count: int) -> list[str]:
        return [(await self.op(0))["t"] for _ in range(count)]

    async def close_code(self) -> int:
        while True:
            frame = await self.receive()
            if not isinstance(frame, dict):
                return int(frame)

    async def nothing(self, seconds: float = 0.1) -> None:
        """Fail if any frame arrives within *seconds*."""
        try:
            async with asyncio.timeout(seconds):
                frame = await self.socket.receive()
        except TimeoutError:
            return
        raise AssertionError(f"unexpected {frame}")


class Bot:
    """Gets interactions from the gateway and responds over REST."""

    def __init__(self, api: Api, socket: Socket, people: Driver) -> None:
        self.api, self.socket, self.people = api, socket, people
        self.heard: Any = None

    async def register(self, *commands: Any) -> Answer:
        path = f"/applications/{self.people.bot_id}/commands"
        return await self.api.request("PUT", path, list(commands))

    async def hear(self) -> Any:
        self.heard = (await self.socket.event("INTERACTION_CREATE"))["d"]
        return self.heard

    async def answer(self, kind: int, data: Any = None, query: str = "") -> Answer:
        path = f"/interactions/{self.heard['id']}/{self.heard['token']}/callback{query}"
        return await self.api.request("POST", path, {"type": kind, "data": data})

    async def hook(self, method: str, path: str = "", body: Any = None) -> Answer:
        hook = f"/webhooks/{self.people.bot_id}/{self.heard['token']}{path}"
        return await self.api.request(method, hook, body)


def code_at(body: Any, *path: str) -> str:
    """Return the code of the first error at *path* in a 50035."""
    node = body["errors"]
    for key in path:
        node = node[key]
    return str(node["_errors"][0]["code"])
