"""The stand-in's CDN: serves the files of messages, and their redirects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State


class Cdn:
    """Serves `/attachments/{channel_id}/{attachment_id}/{filename}`."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        path = "/attachments/{channel_id}/{attachment_id}/{filename}"
        app.router.add_get(path, self._serve)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["attachment_id"]
        key = int(number) if number.isdigit() else 0
        self._state.journal.note("cdn_request", path=request.path, attachment_id=number)
        if key in self._state.redirects:
            return web.Response(status=302, headers={"Location": self._state.redirects[key]})
        attachment = self._state.files.get(key)
        if attachment is None:
            return web.Response(status=404, text="This content is no longer available.")
        kind = attachment.content_type or "application/octet-stream"
        return web.Response(body=attachment.data, headers={"Content-Type": kind})
