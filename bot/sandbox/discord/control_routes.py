"""Serve the control interface: JSON in, JSON out, refusals as sentences."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox.discord.errors import DiscordError
from bot.sandbox.discord.people import NotPossibleError

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Json

Handler = Callable[[web.Request], Awaitable[Any]]
Route = tuple[str, str, Handler]


async def read_spec(request: web.Request) -> Json:
    """Return the body, which must be a JSON object."""
    body = await request.json()
    if not isinstance(body, dict):
        raise TypeError("The body must be a JSON object.")
    return body


def serving(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a web handler that answers with the result or the refusal of *handler*."""

    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            body = await handler(request)
        except NotPossibleError as error:
            return _json({"error": str(error)}, status=409)
        except DiscordError as error:
            return _json({"error": error.message, "code": error.code}, status=409)
        except LookupError as error:
            return _json({"error": f"There is no {error}."}, status=404)
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, status=400)
        return _json(body)

    return serve


def _json(body: object, status: int = 200) -> web.Response:
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type="application/json")
