"""A proxy between the bot and PostgreSQL that delays, cuts, refuses or goes silent when told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

LENGTH_BYTES: Final = 4
START: Final = 196_608  # PostgreSQL: the version in the message that ends the untyped ones
CHUNK_BYTES: Final = 65_536


@dataclass
class Proxy:
    """How the proxy treats its connections now; tests change it while it runs.

    Messages are those that the bot sends, counted over all connections. *cut_at* is the number of
    the first message that is not forwarded: its connection is cut instead. *cut_answer_to* is a
    text: the connection is cut once the server has answered a message that contains it, and the
    answer is withheld.
    """

    url: str
    delay_seconds: float = 0.0
    is_silent: bool = False
    refuses: bool = False
    cut_at: int | None = None
    cut_answer_to: bytes | None = None
    messages: list[bytes] = field(default_factory=list)
    cuts: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _links: "set[_Link]" = field(default_factory=set)

    def silence(self) -> None:
        """Forward nothing more over the connections of now, without closing them."""
        for link in self._links:
            link.is_silent = True

    def cut(self) -> None:
        """Cut all connections."""
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def running_proxy(url: str) -> AsyncIterator[Proxy]:
    """Yield a proxy to the server of *url*, with a URL of its own."""
    target = urlsplit(url)
    tasks = set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if proxy.refuses:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        proxy._writers.add(writer)  # A test may end before the server answers.
        server_reader, server_writer = await asyncio.open_connection(target.hostname, target.port)
        link = _Link(proxy)
        proxy._writers.add(server_writer)
        proxy._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.to_server(reader, server_writer))
                group.create_task(link.to_bot(server_reader, writer))
        except* (OSError, EOFError):
            pass
        finally:
            proxy._writers -= {writer, server_writer}
            proxy._links.discard(link)
            writer.transport.abort()
            server_writer.transport.abort()
            tasks.discard(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    proxy = Proxy(url.replace(f":{target.port}/", f":{port}/"))
    try:
        yield proxy
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        for writer in proxy._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # The loop closes what was aborted in its next rounds.


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._withholds = False
        self.is_silent = False

    async def to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_typed = False
        while True:
            kind = await reader.readexactly(1) if is_typed else b""
            length = await reader.readexactly(LENGTH_BYTES)
            body = await reader.readexactly(int.from_bytes(length, "big") - LENGTH_BYTES)
            is_typed |= int.from_bytes(body[:LENGTH_BYTES], "big") == START
            await self._pause()
            message = kind + length + body
            self._proxy.messages.append(message)
            if self._proxy.cut_at == len(self._proxy.messages):
                self._proxy.cut()
            if self._proxy.cut_answer_to is not None and self._proxy.cut_answer_to in message:
                self._withholds = True
            writer.write(message)
            await writer.drain()

    async def to_bot(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._pause()
            if self._withholds:
                self._proxy.cut_answer_to = None  # Only once: the next connection works.
                self._proxy.cut()
            writer.write(chunk)
            await writer.drain()
        raise EOFError

    async def _pause(self) -> None:
        await asyncio.sleep(self._proxy.delay_seconds)
        while self._proxy.is_silent or self.is_silent:  # noqa: ASYNC110  # Tests change a plain value.
            await asyncio.sleep(0.01)
