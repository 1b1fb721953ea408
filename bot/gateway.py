"""What we bend in discord.py: addresses, parsers, rate-limit headers, reconnecting."""

import asyncio
import logging
import random
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import discord
import yarl
from discord import VoiceClient
from discord.gateway import DiscordWebSocket, ReconnectWebSocket
from discord.http import Ratelimit, Route

from bot.errors import DiscordRefused
from bot.pacing import Pacer

log = logging.getLogger(__name__)

OPEN_SECONDS: Final = 60.0
LONGEST_BACKOFF_SECONDS: Final = 60.0
STEADY_SECONDS: Final = 60.0  # A connection that held for so long begins a new count of failures.
TOKEN_REFUSED: Final = (
    "Discord refused DISCORD_TOKEN: copy the token anew from the Discord Developer Portal "
    "(your application > Bot > Reset Token)."
)
INTENT_REFUSED: Final = 4014
CLOSE_CODES_FOR_GOOD: Final = {
    4004: TOKEN_REFUSED,
    4010: "Discord refused this shard: run one instance of this bot only.",
    4011: "This bot is in too many servers for one connection: it does not shard.",
    4012: "Discord no longer speaks this version of its gateway: update this program.",
    4013: "Discord refused the intents as invalid: update this program.",
    4014: (
        "Discord refused the intents: switch on the Message Content Intent in the Discord "
        "Developer Portal (your application > Bot)."
    ),
}
EDIT_PATH: Final = re.compile(r"/channels/(\d+)/messages/\d+$")


class MessageContentRefused(Exception):
    """The message content intent is not switched on in the portal."""


class FullBucket(Ratelimit):
    """A bucket that refuses a request, for max_ratelimit_timeout, only when it is empty.

    discord.py 2.7 refuses whenever the bucket refills later than that, however much is left: of the
    threads made from one channel's messages, whose bucket lasts minutes, it lets one through.
    """

    @property
    def _max_ratelimit_timeout(self) -> float | None:
        return None if self.remaining > self.outgoing else self._longest_seconds

    @_max_ratelimit_timeout.setter
    def _max_ratelimit_timeout(self, seconds: float | None) -> None:
        self._longest_seconds = seconds


def point_at(api_url: str, gateway_url: str) -> None:
    """Make discord.py talk to these addresses, and use what its rate-limit buckets hold."""
    Route.BASE = api_url
    discord.http.Ratelimit = FullBucket  # type: ignore[misc]  # where it takes its buckets from
    VoiceClient.warn_nacl = VoiceClient.warn_dave = False  # It does not speak; no need to say so.
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


def trace_rate_limits(pacer: Pacer) -> aiohttp.TraceConfig:
    """Return what shows *pacer* the rate-limit headers of discord.py's requests."""

    async def on_end(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestEndParams,
    ) -> None:
        if request.method == "PATCH" and (path := EDIT_PATH.search(request.url.path)):
            pacer.observe_edit(int(path[1]), request.response.headers)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(on_end)
    return trace


def guard_parsers(client: discord.Client) -> None:
    """Let a malformed event be skipped; unguarded it ends the connection and the client."""

    def guarded(event: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
        def parse_or_skip(data: Any) -> None:
            try:
                parse(data)
            except Exception as error:  # noqa: BLE001  # the one top handler of what Discord sends
                log.warning("Skipped a malformed %s event: %s", event, type(error).__name__)

        return parse_or_skip

    parsers = client._connection.parsers
    parsers.update({event: guarded(event, parse) for event, parse in parsers.items()})


async def close(client: discord.Client) -> None:
    """Close *client* with its wait for further guilds, which discord.py leaves behind to fail."""
    waiting = client._connection._ready_task
    if waiting is not None:
        waiting.cancel()
    await client.close()


async def stay_connected(client: discord.Client, token: str) -> None:
    """Log in and keep *client* connected until it is closed.

    Raises MessageContentRefused, or DiscordRefused where trying again would not help.
    """
    guard_parsers(client)
    await _log_in(client, token)
    session: dict[str, Any] = {"initial": True}
    failures = 0
    time = asyncio.get_running_loop().time
    while not client.is_closed():
        begun = time()
        try:
            opening = DiscordWebSocket.from_client(client, **session)
            client.ws = await asyncio.wait_for(opening, timeout=OPEN_SECONDS)
            while True:
                await client.ws.poll_event()
        except ReconnectWebSocket as again:
            resume = again.resume
        except discord.ConnectionClosed as closed:
            if client.is_closed():
                return
            _raise_if_for_good(closed.code, client)
            resume = True
        except Exception as error:  # noqa: BLE001  # the one top handler of the connection
            log.warning("The connection to Discord failed: %s", type(error).__name__)
            resume = True
            if client.ws is not None:
                await client.ws.close(code=4000)
        if client.is_closed():
            return
        client.dispatch("disconnect")
        session = _next_session(client, resume=resume)
        if time() - begun >= STEADY_SECONDS:
            failures = 0
        await asyncio.sleep(_backoff_seconds(failures))
        failures += 1


async def _log_in(client: discord.Client, token: str) -> None:
    failures = 0
    while True:
        try:
            await client.login(token)
        except discord.LoginFailure as error:
            raise DiscordRefused(TOKEN_REFUSED) from error
        except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
            seconds = _backoff_seconds(failures + 1)
            failures += 1
            log.warning(
                "Discord cannot be reached to log in (%s); trying again in %.0f s",
                type(error).__name__,
                seconds,
            )
            await client.http.close()
            client.http.connector = discord.utils.MISSING  # Closed with it; login makes another.
            client.clear()
            await asyncio.sleep(seconds)
        else:
            return


def _raise_if_for_good(code: int, client: discord.Client) -> None:
    if code == INTENT_REFUSED and client.intents.message_content:
        raise MessageContentRefused
    if code in CLOSE_CODES_FOR_GOOD:
        raise DiscordRefused(CLOSE_CODES_FOR_GOOD[code])


def _next_session(client: discord.Client, *, resume: bool) -> dict[str, Any]:
    """Return how to connect next: go on with the session where there is one."""
    ws = client.ws
    if not resume or ws is None or ws.session_id is None:
        return {"initial": ws is None}  # Before any further IDENTIFY discord.py waits 5 s.
    # A proxy or a stand-in stays in between also when Discord names an address of its own.
    own = DiscordWebSocket.DEFAULT_GATEWAY.host == "gateway.discord.gg"
    gateway = ws.gateway if own else DiscordWebSocket.DEFAULT_GATEWAY
    return {
        "initial": False,
        "resume": True,
        "session": ws.session_id,
        "sequence": ws.sequence,
        "gateway": gateway,
    }


def _backoff_seconds(failures: int) -> float:
    if not failures:
        return 0.0
    return min(LONGEST_BACKOFF_SECONDS, 2.0 ** (failures - 1)) * random.uniform(0.75, 1.25)
