"""Stand between the bot and a chat server, and note what that answered."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp import web

WORDS: Final = re.compile(rb'"content":\s*"[^"]')
BODY_LIMIT: Final = 10_000_000  # bytes of a request


@dataclass
class Asked:
    """A request for a completion, and what the server answered as far as that came."""

    status: int = 0
    answer: bytearray = field(default_factory=bytearray)

    @property
    def refused(self) -> bool:
        """Return whether the answer has no word."""
        return self.status != 200 or WORDS.search(self.answer) is None

    @property
    def said(self) -> str:
        """Return the server's answer on one line."""
        return f"{self.status} {' '.join(self.answer.decode(errors='replace').split())}"


@dataclass
class Recorder:
    """Passes on all requests to *server* and records those for completions."""

    server: str
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def refused(self) -> list[Asked]:
        """Return the requests that were refused so far."""
        return [one for one in self.asked if one.refused]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Recorder"]:
        """Listen on a free port of this machine."""
        app = web.Application(client_max_size=BODY_LIMIT)
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(force_close=True)  # The server may have closed the last.
        async with aiohttp.ClientSession(self.server, connector=connector, timeout=timeout) as http:

            async def pass_on(request: web.Request) -> web.StreamResponse:
                return await self._passed_on(request, http)

            app.router.add_route("*", "/{path:.*}", pass_on)
            runner = web.AppRunner(app)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                host, port = runner.addresses[0][:2]
                self.url = f"http://{host}:{port}"
                yield self
            finally:
                await runner.cleanup()

    async def _passed_on(
        self, request: web.Request, http: aiohttp.ClientSession
    ) -> web.StreamResponse:
        asked = Asked()
        if request.method == "POST":
            self.asked.append(asked)
        names = ("Authorization", "Content-Type", "Accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        async with http.request(
            request.method, request.path_qs, headers=headers, data=await request.read()
        ) as response:
            asked.status = response.status
            answer = web.StreamResponse(status=response.status)
            answer.content_type = response.content_type
            await answer.prepare(request)
            async for data in response.content.iter_any():
                asked.answer += data
                await answer.write(data)
        return answer
