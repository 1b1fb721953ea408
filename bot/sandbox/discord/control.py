"""The control interface at /control: play the people, change the world, watch, break things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.discord.control_people import PeopleControl
from bot.sandbox.discord.control_places import Places
from bot.sandbox.discord.control_routes import read_spec, serving
from bot.sandbox.discord.control_world import WorldControl

if TYPE_CHECKING:
    from aiohttp import web

    from bot.sandbox.discord.control_routes import Route
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Json

LONGEST_POLL_SECONDS = 60.0


class Control:
    """Serves the control interface; handles requests to watch and to break things itself."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._places = Places(state)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        parts = (PeopleControl(self._state, self._places), WorldControl(self._state, self._places))
        routes = [*self._routes(), *parts[0].routes(), *parts[1].routes()]
        for method, path, handler in routes:
            app.router.add_route(method, "/control" + path, serving(handler))

    def _routes(self) -> list[Route]:
        return [
            ("GET", "/world", self._world),
            ("GET", "/requests", self._list_requests),
            ("GET", "/gateway", self._get_gateway),
            ("POST", "/gateway", self._break_gateway),
            ("GET", "/faults", self._list_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("GET", "/refusals", self._list_refusals),
            ("POST", "/refusals", self._add_refusal),
            ("DELETE", "/refusals", self._clear_refusals),
            ("DELETE", "/limits", self._forget_limits),
            ("GET", "/settings", self._get_settings),
            ("PUT", "/settings", self._put_settings),
            ("GET", "/events", self._events),
        ]

    async def _world(self, _request: web.Request) -> Json:
        return self._places.overview()

    async def _list_requests(self, request: web.Request) -> list[Json]:
        after = int(request.query.get("after", 0))
        return self._state.requests[after:]

    async def _get_gateway(self, _request: web.Request) -> Json:
        return self._state.gateway.as_json()

    async def _break_gateway(self, request: web.Request) -> None:
        await self._state.gateway.faults.apply(await read_spec(request))

    async def _list_faults(self, _request: web.Request) -> list[Json]:
        return [fault.as_json() for fault in self._state.faults.all()]

    async def _add_fault(self, request: web.Request) -> Json:
        return self._state.faults.add(await read_spec(request)).as_json()

    async def _clear_faults(self, _request: web.Request) -> None:
        self._state.faults.clear()
        self._state.gateway.faults.clear()

    async def _list_refusals(self, _request: web.Request) -> list[Json]:
        return [rule.as_json() for rule in self._state.refusals.all()]

    async def _add_refusal(self, request: web.Request) -> Json:
        """Refuse messages for a `kind` of reason, in the guild `guild_id` or everywhere."""
        spec = await read_spec(request)
        guild = spec.get("guild_id")
        guild_id = None if guild is None else self._places.guild(guild).id
        return self._state.refusals.add(spec, guild_id).as_json()

    async def _clear_refusals(self, _request: web.Request) -> None:
        self._state.refusals.clear()

    async def _forget_limits(self, _request: web.Request) -> None:
        self._state.limits.forget()

    async def _get_settings(self, _request: web.Request) -> Json:
        return self._state.knobs.as_json()

    async def _put_settings(self, request: web.Request) -> Json:
        self._state.knobs.turn(await read_spec(request))
        return self._state.knobs.as_json()

    async def _events(self, request: web.Request) -> Json:
        """Return the events after `after`; waits up to `timeout` seconds for the first."""
        after = int(request.query.get("after", 0))
        wait = min(float(request.query.get("timeout", 0)), LONGEST_POLL_SECONDS)
        kinds = [kind for kind in request.query.get("types", "").split(",") if kind]
        about = request.query.get("about")
        found = await self._state.journal.wait(after, wait, kinds, about)
        last = found[-1]["seq"] if found else max(after, 0)
        return {"events": found, "last": last}
