"""What we bend in discord.py: addresses, parsers, rate limits."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import discord
import yarl
from discord import VoiceClient
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.transport.pacer import Pacer
from bot.transport.payload_checks import (
    is_interaction,
    is_message,
    is_message_update,
    placed,
    tidied,
)
from bot.transport.rate_limit_buckets import FullBucket
from bot.transport.websocket import Inflate, KeepAlive, PromptSocket

log = logging.getLogger(__name__)

SLEPT_SECONDS: Final = 30.0  # discord.py sleeps for at most max_ratelimit_timeout.
GLOBAL_LIMIT_SECONDS: Final = SLEPT_SECONDS + 1
GLOBAL_LIMIT_MARGIN_SECONDS: Final = 0.5  # Retry-After may be rounded; its sleep ends first.
# What discord.py's parsers would let through, to fail where it is used.
WELL_FORMED: Final = {
    "MESSAGE_CREATE": is_message,
    "MESSAGE_UPDATE": is_message_update,
    "INTERACTION_CREATE": is_interaction,
}
# What is put right before discord.py reads it.
TIDIED: Final = {
    "MESSAGE_CREATE": tidied,
    "MESSAGE_UPDATE": tidied,
    "INTERACTION_CREATE": placed,
}
EDIT_PATH: Final = re.compile(r"/channels/(\d+)/messages/\d+$")


class MalformedEvent(Exception):
    """An event is not made as Discord says."""


class ReopeningEvent(asyncio.Event):
    """discord.py's gate for all requests while the global rate limit is hit; opens by itself.

    Its own stays shut for ever when the request that shut it is cancelled before it opens it.
    *seconds* says, when it is shut, for how long that is at most.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._seconds = seconds
        self._opening: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Let requests pass."""
        super().set()
        if self._opening is not None:
            self._opening.cancel()

    def clear(self) -> None:
        """Hold requests back."""
        super().clear()
        if self._opening is not None:
            self._opening.cancel()
        self._opening = asyncio.get_running_loop().call_later(self._seconds(), self.set)


def point_at(api_url: str, gateway_url: str) -> None:
    """Make discord.py talk to these addresses, by our buckets and sockets in place of its own."""
    Route.BASE = api_url
    discord.http.Ratelimit = FullBucket  # type: ignore[misc]  # where it takes its buckets from
    discord.http.DiscordClientWebSocketResponse = PromptSocket  # type: ignore[attr-defined]  # as above
    discord.gateway.KeepAliveHandler = KeepAlive  # type: ignore[assignment,misc]  # as above
    discord.utils._ActiveDecompressionContext = Inflate  # type: ignore[assignment]  # as above
    VoiceClient.warn_nacl = VoiceClient.warn_dave = False  # It does not speak; no need to say so.
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


class RateLimitTrace(aiohttp.TraceConfig):
    """Shows *pacer* what discord.py's requests are told of limits; keeps the global one itself."""

    def __init__(self, pacer: Pacer) -> None:
        super().__init__()
        self._pacer = pacer
        self._told_seconds: float | None = None
        self.on_request_end.append(self._on_end)

    def global_limit_seconds(self) -> float:
        """Return how long the global limit that was just hit holds."""
        told, self._told_seconds = self._told_seconds, None
        if told is None:
            return GLOBAL_LIMIT_SECONDS
        return min(told + GLOBAL_LIMIT_MARGIN_SECONDS, GLOBAL_LIMIT_SECONDS)

    async def _on_end(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestEndParams,
    ) -> None:
        headers = request.response.headers
        if request.method == "PATCH" and (path := EDIT_PATH.search(request.url.path)):
            self._pacer.observe_edit(int(path[1]), headers)
        if "X-RateLimit-Global" in headers:
            try:
                self._told_seconds = max(0.0, float(headers["Retry-After"]))
            except (LookupError, ValueError):
                self._told_seconds = None
            if self._told_seconds is not None and self._told_seconds > SLEPT_SECONDS:
                self._pacer.block(self._told_seconds)  # discord.py gives up, and shuts no gate.


def guard_parsers(client: discord.Client) -> None:
    """Let a malformed event be skipped; unguarded it ends the connection.

    READY stays as it is: a connection without what it says is of no use.
    """

    def guarded(event: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
        well_formed, tidy = WELL_FORMED.get(event), TIDIED.get(event)

        def parse_or_skip(data: Any) -> None:
            try:
                if well_formed is not None and not well_formed(data):
                    raise MalformedEvent
                parse(data if tidy is None else tidy(data))
            except Exception as error:  # noqa: BLE001  # the one top handler of what Discord sends
                log.warning("Skipped a malformed %s event: %s", event, type(error).__name__)

        return parse_or_skip

    parsers = client._connection.parsers
    parsers.update(
        {event: guarded(event, parse) for event, parse in parsers.items() if event != "READY"}
    )


def guard_answers(client: discord.Client) -> None:
    """Let the messages in Discord's answers to *client* be read as those that it sends are.

    Otherwise an answer is posted and not known to be, where the question that it replies to comes
    along with an embed that discord.py trips over.
    """
    request = client.http.request

    async def tidied_request(route: Route, **given: Any) -> Any:
        answer = await request(route, **given)
        return [*map(_tidied, answer)] if isinstance(answer, list) else _tidied(answer)

    client.http.request = tidied_request  # type: ignore[method-assign]


def _tidied(answer: Any) -> Any:
    return tidied(answer) if isinstance(answer, dict) and "embeds" in answer else answer


def guard_global_limit(client: discord.Client) -> None:
    """Let no request of *client*, which has logged in, shut the gate for ever."""
    trace = client.http.http_trace
    told = trace.global_limit_seconds if isinstance(trace, RateLimitTrace) else None
    client.http._global_over = ReopeningEvent(told or (lambda: GLOBAL_LIMIT_SECONDS))
    client.http._global_over.set()


def count_identifies(client: discord.Client, count: Callable[[], Awaitable[None]]) -> None:
    """Await *count* before each IDENTIFY, in place of the 5 s that discord.py waits there."""

    async def before_identify(_shard_id: int | None, *, initial: bool = False) -> None:  # noqa: ARG001  # discord.py names it
        await count()

    client._connection.hooks["before_identify"] = before_identify


async def close(client: discord.Client) -> None:
    """Close *client* with its wait for further guilds, which discord.py leaves behind to fail."""
    waiting = client._connection._ready_task
    if waiting is not None:
        waiting.cancel()
    await client.close()
