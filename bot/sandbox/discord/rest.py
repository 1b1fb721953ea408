"""Discord's REST API v10: the routes, and the steps of every request."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot.sandbox.discord import modelled
from bot.sandbox.discord import rest_channels as channels
from bot.sandbox.discord import rest_commands as commands
from bot.sandbox.discord import rest_interactions as answers
from bot.sandbox.discord import rest_messages as messages
from bot.sandbox.discord.calls import REQUEST_LIMIT, Call, Upload, read_body
from bot.sandbox.discord.errors import DiscordError, NotModelledError, refused
from bot.sandbox.discord.faults import ANSWERING
from bot.sandbox.discord.rate_limits import VIA, rate_limited_headers

if TYPE_CHECKING:
    from bot.sandbox.discord.faults import Fault
    from bot.sandbox.discord.modelled import Shape
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Json

Handler = Callable[[Call], Awaitable[tuple[int, Any]]]
_log = logging.getLogger(__name__)
PREFIX: Final = "/api/v10"
NOT_MODELLED: Final = 501  # a status that Discord does not answer


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path with its handler, its rate limit bucket and what is modelled of it."""

    method: str
    path: str
    handler: Handler
    bucket: str = "read"
    body: Shape = field(default_factory=dict)
    query: frozenset[str] = frozenset()
    takes_files: bool = False
    authorized: bool = True  # Interaction tokens need no bot token and spare the global limit.

    def major(self, ids: dict[str, str]) -> str:
        """Return the major parameter: Discord counts per channel, guild or webhook."""
        for name in ("channel_id", "guild_id", "webhook_token", "interaction_token"):
            if name in ids:
                return ids[name]
        return ""


_CHANNEL: Final = "/channels/{channel_id}"
_MESSAGE: Final = _CHANNEL + "/messages/{message_id}"
_GUILD: Final = "/guilds/{guild_id}"
_APP: Final = "/applications/{application_id}"
_HOOK: Final = "/webhooks/{webhook_id}/{webhook_token}"


def _query(*names: str) -> frozenset[str]:
    return frozenset(names)


def _command_routes(prefix: str) -> list[Route]:
    one, body = prefix + "/{command_id}", modelled.COMMAND
    query = _query("with_localizations")
    return [
        Route("GET", prefix, commands.list_commands, query=query),
        Route("PUT", prefix, commands.overwrite_commands, "commands", body),
        Route("POST", prefix, commands.create_command, "commands", body),
        Route("GET", one, commands.get_command),
        Route("PATCH", one, commands.edit_command, "commands", modelled.COMMAND_EDIT),
        Route("DELETE", one, commands.delete_command, "commands"),
    ]


def _hook_routes() -> list[Route]:
    """Return the routes with an interaction's token, which need no bot token."""
    one, callback = _HOOK + "/messages/{message_id}", answers.callback
    address = "/interactions/{interaction_id}/{interaction_token}/callback"
    follow_up, with_response = modelled.FOLLOW_UP, _query("with_response")
    wait, components = _query("wait", "with_components"), _query("with_components")
    edit = modelled.MESSAGE_EDIT
    return [
        Route(
            *("POST", address, callback, "callback", modelled.CALLBACK, with_response),
            takes_files=True,
            authorized=False,
        ),
        Route(
            *("POST", _HOOK, answers.follow_up, "webhook", follow_up, wait),
            takes_files=True,
            authorized=False,
        ),
        Route("GET", one, answers.get_answer, "webhook", authorized=False),
        Route(
            *("PATCH", one, answers.edit_answer, "webhook", edit, components),
            takes_files=True,
            authorized=False,
        ),
        Route("DELETE", one, answers.delete_answer, "webhook", authorized=False),
    ]


def _message_routes() -> list[Route]:
    every, reaction = _CHANNEL + "/messages", _MESSAGE + "/reactions/{emoji}/@me"
    page = _query("limit", "before", "after", "around")
    create, edit = modelled.MESSAGE_CREATE, modelled.MESSAGE_EDIT
    ids = {"messages": None}
    return [
        Route("GET", every, messages.list_messages, "message_list", query=page),
        Route("POST", every, messages.create_message, "message_create", create, takes_files=True),
        Route("POST", every + "/bulk-delete", messages.bulk_delete, "bulk_delete", ids),
        Route("GET", _MESSAGE, messages.get_message),
        Route("PATCH", _MESSAGE, messages.edit_message, "message_edit", edit, takes_files=True),
        Route("DELETE", _MESSAGE, messages.delete_message, "message_delete"),
        Route("PUT", reaction, messages.add_reaction, "reaction"),
        Route("DELETE", reaction, messages.remove_reaction, "reaction"),
        Route("POST", _CHANNEL + "/typing", messages.type_in, "typing"),
    ]


def _channel_routes() -> list[Route]:
    every, member = _CHANNEL + "/threads", _CHANNEL + "/thread-members/@me"
    of_message, make = modelled.THREAD_FROM_MESSAGE, channels.thread_without_message
    # The handlers check which of these fields the kind of channel has.
    any_edit = {**modelled.CHANNEL_EDIT, **modelled.THREAD_EDIT}
    any_thread = {**modelled.FORUM_POST, **modelled.THREAD}
    archived, page = every + "/archived/public", _query("before", "limit")
    return [
        Route("GET", _CHANNEL, channels.get_channel),
        Route("PATCH", _CHANNEL, channels.edit_channel, "channel_edit", any_edit),
        Route("DELETE", _CHANNEL, channels.delete_channel, "channel_edit"),
        Route(
            *("POST", _MESSAGE + "/threads", channels.thread_from_message, "thread_create"),
            of_message,
        ),
        Route("POST", every, make, "thread_create", any_thread, takes_files=True),
        Route("PUT", member, channels.join_thread),
        Route("DELETE", member, channels.leave_thread),
        Route("GET", archived, channels.archived_threads, query=page),
    ]


ROUTES: Final = [
    Route("GET", "/gateway", channels.get_gateway, authorized=False),
    Route("GET", "/gateway/bot", channels.get_gateway_bot),
    Route("GET", "/users/@me", channels.get_me),
    Route(
        "GET",
        "/users/@me/guilds",
        channels.my_guilds,
        query=_query("limit", "after", "with_counts"),
    ),
    Route("DELETE", "/users/@me/guilds/{guild_id}", channels.leave_guild),
    Route("POST", "/users/@me/channels", channels.open_dm, "dm_open", {"recipient_id": None}),
    Route("GET", "/users/{user_id}", channels.get_user),
    Route("GET", "/oauth2/applications/@me", channels.get_application),
    Route("GET", "/applications/@me", channels.get_application),
    *_channel_routes(),
    *_message_routes(),
    Route("GET", _GUILD, channels.get_guild, query=_query("with_counts")),
    Route("GET", _GUILD + "/channels", channels.guild_channels),
    Route("GET", _GUILD + "/roles", channels.guild_roles),
    Route("GET", _GUILD + "/threads/active", channels.active_threads),
    Route("GET", _GUILD + "/members/{user_id}", channels.guild_member),
    *_command_routes(_APP + "/commands"),
    *_command_routes(_APP + _GUILD + "/commands"),
    *_hook_routes(),
]


@dataclass(slots=True)
class _Answer:
    status: int
    body: Any
    headers: dict[str, str]


class Rest:
    """Serves the routes: faults first, then limits, then the handler, and all of it logged."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Add the routes; all others are not modelled."""
        for route in ROUTES:
            app.router.add_route(route.method, PREFIX + route.path, self._serving(route))
        app.router.add_route("*", PREFIX + "/{rest:.*}", self._serve_unknown)

    def _serving(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route)

        return serve

    async def _serve_unknown(self, request: web.Request) -> web.StreamResponse:
        async def refuse(_call: Call) -> tuple[int, Any]:
            raise NotModelledError(f"{request.method} {path}")

        path = request.path.removeprefix(PREFIX)
        query = frozenset(request.query)
        return await self._serve(request, Route(request.method, path, refuse, "read", None, query))

    async def _serve(self, request: web.Request, route: Route) -> web.StreamResponse:
        state = self._state
        path = request.path.removeprefix(PREFIX)
        entry: Json = {
            "seq": len(state.requests) + 1,
            "method": request.method,
            "path": path,
            "route": route.path,
            "bucket": route.bucket,
            "query": dict(request.query),
            "at": time.monotonic(),
            "body": None,
            "files": [],
            "unmodelled": [],
            "status": None,
            "remaining": None,
        }
        state.requests.append(entry)
        faults = state.faults.striking(request.method, path)
        entry["faults"] = [fault.action for fault in faults]
        answer = await self._answer(request, route, entry, faults)
        for fault in faults:
            if fault.action == "answer" and fault.after:
                answer = _Answer(fault.status, fault.body, dict(fault.headers))
        await asyncio.sleep(sum(fault.seconds for fault in faults if fault.after))
        if answer is None or any(fault.action == "drop_after" for fault in faults):
            if request.transport is not None:
                request.transport.abort()
            answer = answer or _Answer(499, None, {})
            entry["lost"] = True
        return self._finish(entry, answer)

    async def _answer(
        self, request: web.Request, route: Route, entry: Json, faults: list[Fault]
    ) -> _Answer | None:
        call = Call(self._state, dict(request.match_info), dict(request.query))
        try:
            try:
                call.body, call.uploads = await read_body(request)
            finally:
                entry["body"] = call.body
            entry["files"] = [_file_entry(upload) for upload in call.uploads]
            _require_modelled(call, route)
            # The request has arrived: finish it even if the client no longer waits.
            await asyncio.sleep(sum(fault.seconds for fault in faults if not fault.after))
            for fault in faults:
                if fault.action == "drop":
                    return None
                if fault.action in ANSWERING and not fault.after:
                    return _Answer(fault.status, fault.body, dict(fault.headers))
            await asyncio.sleep(self._state.knobs.rest_latency_seconds)
            return await self._judge(request, route, call, entry)
        except DiscordError as error:
            return _Answer(error.status, error.payload(), {})
        except NotModelledError as error:
            entry["unmodelled"] = list(error.fields)
            return _Answer(NOT_MODELLED, error.payload(), {})
        except Exception as error:  # noqa: BLE001  # the one top handler of a request
            _log.exception("Failed %s %s: the stand-in is wrong", route.method, route.path)
            failure = NotModelledError(repr(error))
            entry["unmodelled"] = list(failure.fields)
            return _Answer(NOT_MODELLED, failure.payload(), {})
        finally:
            entry.update(call.notes)

    async def _judge(self, request: web.Request, route: Route, call: Call, entry: Json) -> _Answer:
        limits = self._state.limits
        if limits.banned():
            return _Answer(429, "<html><body>error code: 1015</body></html>", {"Via": ""})
        if route.authorized:
            if request.headers.get("Authorization") != f"Bot {self._state.token}":
                raise refused("unauthorized")
            everywhere = limits.ask_global()
            if everywhere is not None:
                return _Answer(429, everywhere.body(), everywhere.headers)
        verdict = limits.ask(route.bucket, route.major(call.ids))
        entry["remaining"] = verdict.remaining
        if not verdict.passes:
            return _Answer(429, verdict.body(), verdict.headers)
        try:
            status, body = await route.handler(call)
        except DiscordError as error:
            headers = dict(verdict.headers)
            if error.retry_after is not None:
                headers |= rate_limited_headers(error.retry_after, "user")
            return _Answer(error.status, error.payload(), headers)
        return _Answer(status, body, verdict.headers)

    def _finish(self, entry: Json, answer: _Answer) -> web.StreamResponse:
        entry["status"] = answer.status
        entry["seconds"] = time.monotonic() - entry["at"]
        entry["answer"] = answer.body if answer.status >= 400 else None
        self._state.limits.count_answer(answer.status, answer.headers.get("X-RateLimit-Scope"))
        self._state.journal.note("request", **entry)
        ahead = self._state.knobs.clock_ahead_seconds
        answer.headers.setdefault("Date", formatdate(time.time() + ahead, usegmt=True))
        return _response(answer)


def _response(answer: _Answer) -> web.Response:
    headers = dict(answer.headers)
    # Only Cloudflare's own 429, from a fault or a ban, has no Via.
    if answer.status != 429:
        headers.setdefault("Via", VIA)
    if headers.get("Via") == "":
        del headers["Via"]
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    if isinstance(answer.body, str):
        headers.setdefault("Content-Type", "text/html")
        return web.Response(status=answer.status, body=answer.body.encode(), headers=headers)
    headers.setdefault("Content-Type", "application/json")
    body = json.dumps(answer.body, ensure_ascii=False).encode()
    return web.Response(status=answer.status, body=body, headers=headers)


def _file_entry(upload: Upload) -> Json:
    return {
        "number": upload.number,
        "filename": upload.filename,
        "content_type": upload.content_type,
        "size": len(upload.data),
    }


def _require_modelled(call: Call, route: Route) -> None:
    call.require_modelled(route.body)
    others = [f"?{name}" for name in call.query if name not in route.query]
    if not route.takes_files:
        others += [f"files[{upload.number}]" for upload in call.uploads]
    if others:
        raise NotModelledError(*others)


MAX_BODY: Final = REQUEST_LIMIT + 1024 * 1024  # A little over, so that we send the 413.
