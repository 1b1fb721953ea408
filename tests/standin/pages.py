"""Run the sandbox page as a process, for tests with HTTP or a browser."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

Json = dict[str, Any]
PATIENCE_SECONDS = 60.0


@dataclass
class Page:
    """A running `python -m bot sandbox --no-browser`."""

    process: asyncio.subprocess.Process
    address: str
    promise: str  # the line after the address

    @property
    def origin(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    async def perform(self, deed: str, what: object, **headers: str) -> tuple[int, Json]:
        given = {"Origin": self.origin, **headers}
        data = what if isinstance(what, str) else json.dumps(what)
        url = f"{self.address}do/{deed}"
        async with aiohttp.ClientSession() as http, http.post(url, data=data, headers=given) as got:
            return got.status, (await got.json() if got.content_type == "application/json" else {})

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Json]]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.address}events") as stream:
            assert stream.content_type == "text/event-stream"
            yield _read(stream)


async def _read(stream: aiohttp.ClientResponse) -> AsyncIterator[Json]:
    # Lines are longer than the limit of aiohttp for a line.
    rest = b""
    async for data in stream.content.iter_any():
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: "):
                yield json.loads(event.removeprefix(b"data: "))


def environment(folder: Path, **settings: str) -> dict[str, str]:
    names = ("DISCORD_", "OPENAI_", "LOG_", "CONTEXT_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return inherited | {"TMPDIR": str(folder)} | settings


async def started(
    folder: Path, *arguments: str, no_browser: bool = True, **settings: str
) -> asyncio.subprocess.Process:
    silent = ("--no-browser",) if no_browser else ()
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "sandbox", *silent, *arguments),
        env=environment(folder, **settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


@asynccontextmanager
async def snares() -> AsyncIterator[tuple[dict[str, str], list[str]]]:
    """Yield settings and proxy variables for a server, and the requests that it gets.

    An offline program must ignore them and send no request.
    """
    requests: list[str] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readline()).decode())
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        address = f"http://{host}:{port}"
        names = ("OPENAI_BASE_URL", "openai_base_url", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY")
        given = dict.fromkeys((*names, "ALL_PROXY", "all_proxy"), address)
        keys = {"OPENAI_API_KEY": "sk-real", "openai_api_key": "sk-real"}
        options = {"OPENAI_MODEL": "gpt-real", "OPENAI_OPTIONS": '{"real": true}'}
        yield given | keys | options, requests


@asynccontextmanager
async def opened(
    folder: Path, *arguments: str, no_browser: bool = True, **settings: str
) -> AsyncIterator[Page]:
    process = await started(folder, *arguments, no_browser=no_browser, **settings)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := re.search(rb"http://\S+", line := await process.stdout.readline())):
                assert line, "it ended"
            promise = await process.stdout.readline()
        yield Page(process, found[0].decode(), promise.decode())
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.communicate()
