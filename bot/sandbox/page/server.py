"""Serve the page: its files, the stream of changes, and people's actions."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from bot.sandbox.driver import ControlError
from bot.sandbox.page.deeds import NotAllowed
from bot.sandbox.page.feed import Feed
from bot.sandbox.page.guard import HOST, guarded, made_token, with_headers

Json = dict[str, Any]
Deed = Callable[[Json], Awaitable[Any]]

_STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_SHOWN_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BODY_LIMIT: Final = 25 * 2**20  # Discord: bytes of one request
_QUIET_SECONDS: Final = 15.0  # after which the stream sends a keep-alive
_SHUTDOWN_SECONDS: Final = 2.0


class Server:
    """The routes of one page. *files_url* is the address of uploaded files on the stand-in."""

    def __init__(self, feed: Feed, deeds: Mapping[str, Deed], files_url: str) -> None:
        self._feed = feed
        self._deeds = deeds
        self._files_url = files_url

    @asynccontextmanager
    async def running(self, port: int) -> AsyncIterator[str]:
        """Serve on 127.0.0.1 and yield the address; 0 is any free port. Raises OSError."""
        token = made_token()
        app = web.Application(middlewares=[guarded(token)], client_max_size=_BODY_LIMIT)
        app.on_response_prepare.append(with_headers)
        app.router.add_get(f"/{token}/", self._index)
        app.router.add_get(f"/{token}/static/{{name}}", self._static)
        app.router.add_get(f"/{token}/events", self._events)
        app.router.add_get(f"/{token}/files/{{channel}}/{{attachment}}/{{name}}", self._file)
        app.router.add_post(f"/{token}/do/{{deed}}", self._do)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port).start()
            yield f"http://{HOST}:{runner.addresses[0][1]}/{token}/"
        finally:
            self._feed.end()
            await runner.cleanup()

    async def _index(self, _request: web.Request) -> web.Response:
        return _own_file("index.html")

    async def _static(self, request: web.Request) -> web.Response:
        return _own_file(request.match_info["name"])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with self._feed.watched() as queue, suppress(ConnectionResetError):  # They have left.
            while True:
                try:
                    async with asyncio.timeout(_QUIET_SECONDS):
                        change = await queue.get()
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    return response
                await response.write(b"data: " + json.dumps(change).encode() + b"\n\n")
        return response

    async def _file(self, request: web.Request) -> web.Response:
        """Serve a file of the stand-in: an image as it is, any other as plain text."""
        at = request.match_info
        if not (at["channel"].isdigit() and at["attachment"].isdigit()):
            raise web.HTTPNotFound
        url = f"{self._files_url}/{at['channel']}/{at['attachment']}/file"
        async with aiohttp.ClientSession() as http, http.get(url, allow_redirects=False) as found:
            if found.status != 200:
                raise web.HTTPNotFound
            body = await found.read()
        kind = found.content_type if found.content_type in _SHOWN_TYPES else "text/plain"
        headers = {"Content-Type": kind, "Content-Security-Policy": "sandbox; default-src 'none'"}
        if kind == "text/plain":
            headers["Content-Type"] += "; charset=utf-8"
        return web.Response(body=body, headers=headers)

    async def _do(self, request: web.Request) -> web.Response:
        deed = self._deeds.get(request.match_info["deed"])
        if deed is None:
            raise web.HTTPNotFound
        try:
            what = await request.json()
            return web.json_response({"done": await deed(what)})
        except (NotAllowed, ControlError) as error:
            return web.json_response({"error": _sentence(str(error))}, status=409)
        except web.HTTPRequestEntityTooLarge:
            error_text = "That is too large: Discord takes 10 MiB a file."
            return web.json_response({"error": error_text}, status=413)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            error_text = f"The request makes no sense: {type(error).__name__}."
            return web.json_response({"error": error_text}, status=400)


def _own_file(name: str) -> web.Response:
    path = _STATIC / name
    if path not in _STATIC.iterdir() or path.suffix not in _TYPES:
        raise web.HTTPNotFound
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
