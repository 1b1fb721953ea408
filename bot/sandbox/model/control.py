"""The stand-in model's control: scripts, rules, settings and the record of requests, over HTTP."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bot.sandbox.model.state import Judgement, ModelState, Rule
from bot.sandbox.model_script import Script

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def bad_values_answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer 400 with the reason if a control body is malformed."""
    try:
        return await handler(request)
    except (ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)


class Control:
    """Handlers under /control; every answer is a JSON object, and 400 comes with the reason."""

    def __init__(self, state: ModelState) -> None:
        self._state = state
        self._first_settings = state.settings

    def app(self) -> web.Application:
        """Return the application to mount at /control."""
        app = web.Application(middlewares=[bad_values_answered], client_max_size=64 * 2**20)
        app.router.add_post("/replies", self._add_replies)
        app.router.add_delete("/replies", self._clear_replies)
        app.router.add_post("/rules", self._add_rules)
        app.router.add_delete("/rules", self._clear_rules)
        app.router.add_post("/judgements", self._add_judgements)
        app.router.add_delete("/judgements", self._clear_judgements)
        app.router.add_put("/listing", self._set_listing)
        app.router.add_delete("/listing", self._clear_listing)
        app.router.add_post("/resume", self._resume)
        app.router.add_get("/settings", self._show_settings)
        app.router.add_put("/settings", self._change_settings)
        app.router.add_delete("/settings", self._reset_settings)
        app.router.add_get("/requests", self._requests)
        app.router.add_delete("/requests", self._clear_requests)
        return app

    async def _add_replies(self, request: web.Request) -> web.Response:
        self._state.replies.extend([Script.from_json(one) for one in await _list(request)])
        return web.json_response({"queued": len(self._state.replies)})

    async def _clear_replies(self, _request: web.Request) -> web.Response:
        self._state.replies.clear()
        return web.json_response({"queued": 0})

    async def _add_rules(self, request: web.Request) -> web.Response:
        self._state.rules.extend([Rule.from_json(one) for one in await _list(request)])
        return web.json_response({"rules": len(self._state.rules)})

    async def _clear_rules(self, _request: web.Request) -> web.Response:
        self._state.rules.clear()
        return web.json_response({"rules": 0})

    async def _add_judgements(self, request: web.Request) -> web.Response:
        self._state.judgements.extend([Judgement.from_json(one) for one in await _list(request)])
        return web.json_response({"judgements": len(self._state.judgements)})

    async def _clear_judgements(self, _request: web.Request) -> web.Response:
        self._state.judgements.clear()
        return web.json_response({"judgements": 0})

    async def _set_listing(self, request: web.Request) -> web.Response:
        self._state.listing = Script.from_json(await request.json())
        return web.json_response({})

    async def _clear_listing(self, _request: web.Request) -> web.Response:
        self._state.listing = None
        return web.json_response({})

    async def _resume(self, _request: web.Request) -> web.Response:
        self._state.resume()
        return web.json_response({})

    async def _show_settings(self, _request: web.Request) -> web.Response:
        return web.json_response(asdict(self._state.settings))

    async def _change_settings(self, request: web.Request) -> web.Response:
        values = await request.json()
        if not isinstance(values, dict):
            raise ValueError("settings are an object")
        self._state.settings = self._state.settings.changed(values)
        return web.json_response(asdict(self._state.settings))

    async def _reset_settings(self, _request: web.Request) -> web.Response:
        self._state.settings = self._first_settings
        return web.json_response(asdict(self._state.settings))

    async def _requests(self, request: web.Request) -> web.Response:
        outcomes = frozenset(filter(None, request.query.get("outcome", "").split(",")))
        found = await self._state.log.after(
            int(request.query.get("after", "0")),
            float(request.query.get("timeout", "0")),
            outcomes,
        )
        return web.json_response({"requests": found})

    async def _clear_requests(self, _request: web.Request) -> web.Response:
        self._state.log.clear()
        return web.json_response({"requests": []})


async def _list(request: web.Request) -> list[Any]:
    values = json.loads(await request.read())
    if not isinstance(values, list):
        raise ValueError("a list is wanted, even of one")
    return values
