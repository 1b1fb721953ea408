"""Everything that this program changes in discord.py 2.7, with what is known upstream.

What is wrong with discord.py, by its private names:

* `http.Ratelimit`, `HTTPClient._buckets`: see `rate_limit_buckets`. Rapptz/discord.py#10287, open.
* `HTTPClient._global_over`: requests hang forever after a cancellation. Part of the same rewrite;
  DisnakeDev/disnake#1585 describes it for the same code.
* `ConnectionState.parsers`: a malformed event ends the connection. Rapptz/discord.py#2429, closed.
* `gateway.KeepAliveHandler`: a quick ACK counts as late. Rapptz/discord.py#10448, merged after 2.7.
* `Client.connect`: fails for good if the first connection fails. Rapptz/discord.py#10520, open.
* `ConnectionState._ready_task`: runs on when the client is closed. No issue known.
* `ConnectionState.hooks`: sleeps 5 s before each IDENTIFY. No issue known.
* `http.DiscordClientWebSocketResponse`: takes 30 s or longer to close. No issue known.
* `utils._ActiveDecompressionContext`: inflates frames of any size. No issue known.
* `DiscordWebSocket.received_message`: fails on a READY without an address. No issue known.
* `Webhook.partial`: makes webhooks that post no ephemeral messages. No issue known.
* `AsyncWebhookAdapter`: gives up a response to an interaction that Discord would take at the next
  try. No issue known.

The module `websocket` has the changes of the socket, `reconnect` replaces `Client.connect`.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import discord
import yarl
from discord import VoiceClient
from discord.gateway import DiscordWebSocket
from discord.http import Route
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot.backoff import retry_after
from bot.log_events import as_event
from bot.metrics import NO_METRICS, NO_STATUS, Metrics
from bot.transport.calls import is_transient
from bot.transport.pacer import Pacer
from bot.transport.payload_checks import CHECKS, corrected_message
from bot.transport.rate_limit_buckets import StrictBucket
from bot.transport.redaction import PayloadRedaction, Redact
from bot.transport.websocket import Inflate, KeepAlive, QuickCloseSocket

log = logging.getLogger(__name__)

SLEPT_SECONDS: Final = 30.0  # the longest that discord.py sleeps: max_ratelimit_timeout
GLOBAL_LIMIT_SECONDS: Final = SLEPT_SECONDS + 1
# Retry-After may be rounded. With this margin discord.py's own sleep ends first.
GLOBAL_LIMIT_MARGIN_SECONDS: Final = 0.5
RESPONSE_RETRY_SECONDS: Final = (0.2, 0.5)  # Discord: 3 s for the first response
APPLICATION_WEBHOOK: Final = 3  # Discord: a type of webhook
EDIT_PATH: Final = re.compile(r"/channels/(\d+)/messages/\d+$")


class MalformedEvent(Exception):
    """An event is not as Discord documents it."""


class ReopeningEvent(asyncio.Event):
    """The gate that holds all requests while the global rate limit lasts; it reopens by itself.

    In discord.py, the request that closes the gate also opens it. If that request is cancelled, the
    gate stays closed forever. *seconds* returns for how long a gate that closes now may stay so.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._seconds = seconds
        self._opening: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Open the gate."""
        super().set()
        if self._opening is not None:
            self._opening.cancel()

    def clear(self) -> None:
        """Close the gate, and open it after the time that *seconds* returns."""
        super().clear()
        if self._opening is not None:
            self._opening.cancel()
        self._opening = asyncio.get_running_loop().call_later(self._seconds(), self.set)


class ResponseAdapter(AsyncWebhookAdapter):
    """Responds to an interaction; retries after a transient refusal."""

    # discord.py types the body of a response as Any; it is passed on unchanged. None has files.
    async def create_interaction_response(self, *ids: Any, **body: Any) -> Any:
        """Respond; raises HTTPException."""
        for pause_seconds in RESPONSE_RETRY_SECONDS:
            try:
                return await super().create_interaction_response(*ids, **body)
            except discord.HTTPException as error:
                if not is_transient(error):
                    raise
            await asyncio.sleep(pause_seconds)
        return await super().create_interaction_response(*ids, **body)


def point_at(api_url: str, gateway_url: str) -> None:
    """Point discord.py at these addresses and replace its buckets and sockets by ours."""
    Route.BASE = api_url
    discord.http.Ratelimit = StrictBucket  # type: ignore[misc]  # discord.py makes its buckets of it
    discord.http.DiscordClientWebSocketResponse = QuickCloseSocket  # type: ignore[attr-defined]  # as above
    discord.gateway.KeepAliveHandler = KeepAlive  # type: ignore[assignment,misc]  # as above
    discord.utils._ActiveDecompressionContext = Inflate  # type: ignore[assignment]  # as above
    async_context.set(ResponseAdapter())  # type: ignore[no-untyped-call]
    VoiceClient.warn_nacl = VoiceClient.warn_dave = False  # This bot does not use voice.
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


class RateLimitTrace(aiohttp.TraceConfig):
    """Passes the rate limits in Discord's responses on to *pacer*, and remembers the global one.

    If *pacer* has a fence, requests that change something wait until they may pass it.
    """

    def __init__(self, pacer: Pacer, metrics: Metrics = NO_METRICS) -> None:
        super().__init__()
        self._pacer = pacer
        self._metrics = metrics
        self._retry_after_seconds = 0.0
        if pacer.passed is not None:
            self.on_request_start.append(self._on_start)
        self.on_request_end.append(self._on_end)
        self.on_request_exception.append(self._on_exception)

    def global_limit_seconds(self) -> float:
        """Return how long the global limit lasts that was just hit."""
        seconds, self._retry_after_seconds = self._retry_after_seconds, 0.0
        known = seconds + GLOBAL_LIMIT_MARGIN_SECONDS if seconds else GLOBAL_LIMIT_SECONDS
        return min(known, GLOBAL_LIMIT_SECONDS)

    async def _on_start(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestStartParams,
    ) -> None:
        """Let no process change anything once another one may have its shards."""
        if self._pacer.passed is not None and request.method != "GET":
            await self._pacer.passed()

    async def _on_exception(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        self._metrics.discord_answered(request.method, request.url.path, NO_STATUS, {})

    async def _on_end(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestEndParams,
    ) -> None:
        headers = request.response.headers
        path, status = request.url.path, request.response.status
        self._metrics.discord_answered(request.method, path, status, headers)
        if request.method == "PATCH" and (edited := EDIT_PATH.search(path)):
            self._pacer.observe_edit(int(edited[1]), headers)
        if "X-RateLimit-Global" in headers:
            self._retry_after_seconds = retry_after(headers)
            # The gate of discord.py holds the requests of one shard, and stays open if it raises
            # instead of sleeping for so long.
            self._pacer.block(self._retry_after_seconds)


def guard_parsers(client: discord.Client, redact: Redact = str) -> None:
    """Skip malformed events, which would end the connection otherwise; *redact* the others.

    READY is not guarded: a connection without its data is of no use.
    """
    parsers, redaction = client._connection.parsers, _redaction(client, redact)
    for event in parsers.keys() - {"READY"}:
        parsers[event] = partial(_parse_or_skip, event, parsers[event], redaction)


def _redaction(client: discord.Client, redact: Redact) -> PayloadRedaction:
    return PayloadRedaction(redact, lambda: client.user.id if client.user is not None else None)


def _parse_or_skip(
    event: str, parse: Callable[[Any], None], redaction: PayloadRedaction, data: Any
) -> None:
    try:
        if event in CHECKS:
            is_well_formed, correct = CHECKS[event]
            if not is_well_formed(data):
                raise MalformedEvent
            data = redaction.event(event, correct(data))
        parse(data)
    except Exception as error:  # noqa: BLE001  # the top handler of events
        skipped = as_event("event_skipped", outcome=event)
        log.warning("Skip malformed %s event: %s", event, type(error).__name__, extra=skipped)


def guard_responses(client: discord.Client, redact: Redact = str) -> None:
    """Correct and *redact* the messages in Discord's responses as those in its events.

    A response to a post contains the message that it replies to. If that message has an embed that
    discord.py cannot parse, the post succeeds and its id is lost.
    """
    request, redaction = client.http.request, _redaction(client, redact)

    def corrected(response: Any) -> Any:
        has_embeds = isinstance(response, dict) and "embeds" in response
        return redaction.message(corrected_message(response)) if has_embeds else response

    # discord.py types the options of a request as Any, too; they are passed on unchanged.
    async def corrected_request(route: Route, **options: Any) -> Any:
        response = await request(route, **options)
        return [*map(corrected, response)] if isinstance(response, list) else corrected(response)

    client.http.request = corrected_request  # type: ignore[method-assign]


def guard_global_limit(client: discord.Client) -> None:
    """Replace the gate of the global rate limit of *client*, which has logged in."""
    trace = client.http.http_trace
    seconds = trace.global_limit_seconds if isinstance(trace, RateLimitTrace) else None
    client.http._global_over = ReopeningEvent(seconds or (lambda: GLOBAL_LIMIT_SECONDS))
    client.http._global_over.set()


def count_identifies(client: discord.Client, count: Callable[[], Awaitable[None]]) -> None:
    """Await *count* before each IDENTIFY, instead of the 5 s that discord.py waits there."""

    async def before_identify(_shard_id: int | None, *, initial: bool = False) -> None:  # noqa: ARG001  # discord.py passes it by name
        await count()

    client._connection.hooks["before_identify"] = before_identify


def interaction_webhook(client: discord.Client, token: str) -> discord.Webhook:
    """Return the webhook that answers an interaction; it can post ephemeral messages."""
    assert client.application_id is not None
    return discord.Webhook.from_state(
        {"id": client.application_id, "type": APPLICATION_WEBHOOK, "token": token},
        state=client._connection,
    )


async def close(client: discord.Client) -> None:
    """Close *client*, and end its wait for further guilds, which discord.py leaves running.

    One cancellation may not end it: `asyncio.wait_for` of Python 3.11 ignores one that comes
    together with a guild.
    """
    while (waiting := client._connection._ready_task) is not None and not waiting.done():
        waiting.cancel()
        await asyncio.sleep(0)
    await client.close()
