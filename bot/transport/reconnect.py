"""Keep a client connected to Discord: log in, listen, resume or identify again, pause."""

import asyncio
import logging
import math
import random
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, NoReturn

import discord
import yarl
from discord.gateway import ReconnectWebSocket

from bot.backoff import retry_after
from bot.errors import DiscordRefused
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Metrics
from bot.shards import ONLY_SHARD, Shard
from bot.transport.identify_budget import ConnectionFailures
from bot.transport.patches import (
    count_identifies,
    guard_global_limit,
    guard_parsers,
    guard_responses,
)
from bot.transport.rate_limit_buckets import guard_buckets
from bot.transport.redaction import Redact
from bot.transport.sign_ins import SignIns, Turn
from bot.transport.websocket import SILENCE_SECONDS, GatewaySocket

log = logging.getLogger(__name__)

LOGIN_SECONDS: Final = 30.0  # for a login, within which discord.py retries
LOGIN_PAUSE_SECONDS: Final = 1.0  # at least, between two logins
MAX_RETRY_AFTER_SECONDS: Final = 900.0  # A longer Retry-After of a failed login is cut to this.
OPEN_SECONDS: Final = 15.0  # to open the socket and receive HELLO
WAIT_LOG_SECONDS: Final = 30.0  # between log lines while Discord makes the bot wait for a session
STABLE_SECONDS: Final = 60.0  # A session that lasts so long resets the count of failures.
REQUESTED_SECONDS: Final = 5.0  # A request to reconnect that comes sooner counts as a failure.
SPACING_SECONDS: Final = 5.0  # Discord: one IDENTIFY every 5 s
INVALID_SECONDS: Final = (1.0, 5.0)  # Discord: wait a random time after an invalid session
MAX_FAILED_RESUMES: Final = 2  # in a row; then the bot identifies
WAITED_SECONDS: Final = 20.0  # A resume that ends sooner, without an event, counts as failed.
SESSION_ENDED: Final = frozenset({4003, 4007, 4009})  # Discord: close codes
TOKEN_REFUSED: Final = (
    "Discord refused DISCORD_TOKEN: copy the token again from the Discord Developer Portal "
    "(your application > Bot > Reset Token)."
)
INTENT_REFUSED: Final = 4014
WRONG_SHARDS: Final = frozenset({4010, 4011})
ASK_DISCORD: Final = (
    "Set SHARDS=auto and start it again: it then uses the number that Discord recommends."
)
FATAL_CLOSE_CODES: Final = {
    4004: TOKEN_REFUSED,
    4010: f"Discord does not accept this number of shards. {ASK_DISCORD}",
    4011: f"This bot is in too many servers for its number of shards. {ASK_DISCORD}",
    4012: "Discord no longer speaks this version of its gateway: update this program.",
    4013: "Discord refused the intents as invalid: update this program.",
    4014: (
        "Discord refused the intents: switch on the Message Content Intent in the Discord "
        "Developer Portal (your application > Bot)."
    ),
}


class ShardsRefused(DiscordRefused):
    """Discord refuses the number of shards."""


class MessageContentRefused(Exception):
    """The message content intent is not switched on in the portal."""


@dataclass(frozen=True, slots=True)
class Session:
    """What the next connection resumes; *failed_resumes* counts the resumes without any event."""

    id: str
    sequence: int
    gateway: yarl.URL
    failed_resumes: int = 0

    def arguments(self) -> dict[str, Any]:
        """Return the arguments with which discord.py resumes."""
        return {
            "resume": True,
            "session": self.id,
            "sequence": self.sequence,
            "gateway": self.gateway,
        }


class Disconnect(NamedTuple):
    """How a connection ended.

    Discord *requested* it, the session is *invalid*, Discord was *silent* for too long, or it
    closed the connection with a *code*.
    """

    requested: bool = False
    invalid: bool = False
    silent: bool = False
    code: int | None = None


async def stay_connected(
    client: discord.Client,
    token: str,
    *,
    shard: Shard,
    sign_ins: SignIns,
    failures: ConnectionFailures,
    metrics: Metrics = NO_METRICS,
    redact: Redact = str,
) -> None:
    """Log in and keep *client* connected until it is closed; *redact* what people write.

    Raises MessageContentRefused, or DiscordRefused if another attempt would not help.
    """
    guard_parsers(client, redact)
    guard_responses(client, redact)
    guard_buckets(client)
    client._connection.heartbeat_timeout = SILENCE_SECONDS
    pause = await failures.remaining_pause_seconds()
    if pause:
        log.info(
            "Wait %.0f s before connecting%s: earlier attempts failed",
            *(pause, shard.suffix),
            extra=as_event("connection_postponed", shard=shard.id, wait_s=pause),
        )
        await asyncio.sleep(pause)
    async with sign_ins.login():
        await _log_in(client, token, failures)
    await sign_ins.learn_limit(client)
    await ReconnectLoop(client, sign_ins, failures, metrics, shard=shard).run()


class ReconnectLoop:
    """Connects a client that has logged in, again after each end of a connection."""

    def __init__(
        self,
        client: discord.Client,
        sign_ins: SignIns,
        failures: ConnectionFailures,
        metrics: Metrics = NO_METRICS,
        *,
        shard: Shard = ONLY_SHARD,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._sign_ins = sign_ins
        self._shard = shard
        self._failures = failures
        self._turn: Turn | None = None
        self._opening: asyncio.Timeout | None = None
        self._time = asyncio.get_running_loop().time
        self._identified_at = -math.inf
        self._session: Session | None = None
        count_identifies(client, self._count_identify)

    async def run(self) -> None:
        """Connect and reconnect until the client is closed; raises like `stay_connected`."""
        while not self._client.is_closed():
            before = self._client.ws
            disconnect, lasted_seconds = await self._connect()
            if self._client.is_closed():
                return
            self._client.dispatch("disconnect")
            ws = self._client.ws
            answered = ws if ws is not before and isinstance(ws, GatewaySocket) else None
            self._session = session_after(self._session, disconnect, answered)
            await asyncio.sleep(await self._pause_seconds(disconnect, lasted_seconds))

    async def _connect(self) -> tuple[Disconnect, float]:
        """Resume, or wait for this shard's turn to identify; return how and when it ended."""
        if self._session is not None:
            return await self._timed()
        async with self._sign_ins.turn(self._shard) as self._turn:
            self._check_intent()
            await self._sign_ins.budget.wait()
            await asyncio.sleep(self._identified_at + SPACING_SECONDS - self._time())
            return await self._timed()

    def _check_intent(self) -> None:
        if self._client.intents.message_content and not self._sign_ins.content_granted:
            raise MessageContentRefused

    async def _timed(self) -> tuple[Disconnect, float]:
        begun = self._time()
        return await self._listen(), self._time() - begun

    async def _listen(self) -> Disconnect:
        client = self._client
        session = {} if self._session is None else self._session.arguments()
        try:
            # In Python 3.11 wait_for may swallow a cancellation at the moment of a failure.
            async with asyncio.timeout(OPEN_SECONDS) as self._opening:
                ws = await GatewaySocket.from_client(client, shard_id=client.shard_id, **session)
            await self._process(ws)
        except MessageContentRefused:
            raise
        except ReconnectWebSocket as again:
            return _disconnect_of(client.ws, self._shard, invalid=not again.resume)
        except discord.ConnectionClosed as closed:
            if not client.is_closed():
                _raise_if_fatal(closed.code, client)
            return Disconnect(code=closed.code)
        except Exception as error:  # noqa: BLE001  # the top handler of the connection
            silent = isinstance(error, TimeoutError)
            reason = "no answer in time" if silent else type(error).__name__
            lost = as_event("connection_lost", shard=self._shard.id, outcome=reason)
            suffix = self._shard.suffix
            log.warning("Lost the connection to Discord%s: %s", suffix, reason, extra=lost)
            if client.ws is not None:
                await client.ws.close(code=4000)
            return Disconnect(silent=silent)

    async def _process(self, ws: GatewaySocket) -> NoReturn:
        watching = asyncio.create_task(self._watch(ws))
        try:
            while True:
                async with asyncio.timeout(ws.seconds_left()):
                    await ws.poll_event()
        finally:
            watching.cancel()

    async def _watch(self, ws: GatewaySocket) -> None:
        """Log how long Discord makes the bot wait for a session; reset the failures if it lasts."""
        began = self._time()
        await asyncio.sleep(WAIT_LOG_SECONDS)
        while not ws.proven:
            log.info(
                "Wait for %s%s: Discord acknowledges heartbeats, but has sent no session for "
                "%.0f s",
                *("RESUMED" if ws.resuming else "READY", self._shard.suffix),
                self._time() - began,
                extra=as_event(
                    "session_awaited", shard=self._shard.id, wait_s=self._time() - began
                ),
            )
            await asyncio.sleep(WAIT_LOG_SECONDS)
        await asyncio.sleep(STABLE_SECONDS - WAIT_LOG_SECONDS)
        await self._failures.reset()

    async def _pause_seconds(self, disconnect: Disconnect, lasted_seconds: float) -> float:
        if disconnect.requested and lasted_seconds >= REQUESTED_SECONDS:
            return 0.0
        pause = await self._failures.add()
        return max(pause, random.uniform(*INVALID_SECONDS)) if disconnect.invalid else pause

    async def _count_identify(self) -> None:
        await self._sign_ins.budget.spend()
        # Last, because the slot begins when it is reserved.
        await self._sign_ins.reserve(self._shard, self._opening)
        self._check_intent()  # Another shard may have been refused meanwhile.
        self._identified_at = self._time()
        self._metrics.identified()
        if self._turn is not None:
            self._turn.release()


def session_after(
    session: Session | None, disconnect: Disconnect, ws: GatewaySocket | None
) -> Session | None:
    """Return what to resume after a connection that tried to resume *session*; None to identify.

    *ws* is None if no server answered. A resume that only waited does not count as failed, unless
    Discord says that the session is over.
    """
    over = disconnect.invalid or disconnect.code in SESSION_ENDED
    proven = ws is not None and ws.proven
    unanswered = ws is None or not (proven or ws.resuming)
    waited = disconnect.silent or (ws is not None and ws.age_seconds() > WAITED_SECONDS)
    if session is not None and (unanswered or (waited and not proven and not over)):
        # The address in READY may be the reason: resume at the usual one.
        return replace(session, gateway=GatewaySocket.DEFAULT_GATEWAY)
    if ws is None or over:
        return None
    if ws.session_id is None or ws.sequence is None:
        return None
    if ws.proven:
        # If the operator set a proxy or a stand-in, it replaces the address that Discord sent.
        usual = ws.DEFAULT_GATEWAY
        address = ws.gateway if usual.host == "gateway.discord.gg" else usual
        return Session(ws.session_id, ws.sequence, address)
    if session is None or session.failed_resumes + 1 >= MAX_FAILED_RESUMES:
        return None
    return replace(session, sequence=ws.sequence, failed_resumes=session.failed_resumes + 1)


def _disconnect_of(
    ws: discord.gateway.DiscordWebSocket, shard: Shard, *, invalid: bool
) -> Disconnect:
    code = ws.close_code if isinstance(ws, GatewaySocket) else None
    if code is not None:
        lost = as_event("connection_lost", shard=shard.id, code=code)
        suffix = shard.suffix
        log.info("Lost the connection to Discord%s: closed with code %d", suffix, code, extra=lost)
    return Disconnect(requested=code is None and not invalid, invalid=invalid, code=code)


async def _log_in(client: discord.Client, token: str, failures: ConnectionFailures) -> None:
    while True:
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                await client.login(token)
        except discord.LoginFailure as error:
            raise DiscordRefused(TOKEN_REFUSED) from error
        except Exception as error:  # noqa: BLE001  # the top handler of the login
            pause = max(LOGIN_PAUSE_SECONDS, await failures.add(), retry_after_seconds(error))
            log.warning(
                "Cannot log in to Discord, next attempt in %.0f s: %s",
                *(pause, type(error).__name__),
                extra=as_event("login_failed", outcome=type(error).__name__, wait_s=pause),
            )
            await client.http.close()
            client.http.connector = discord.utils.MISSING  # It is closed, too; login makes another.
            client.clear()
            await asyncio.sleep(pause)
        else:
            guard_global_limit(client)
            return


def retry_after_seconds(error: Exception) -> float:
    """Return how long Discord, or a proxy before it, asks to wait after *error*."""
    seconds = 0.0
    if isinstance(error, discord.RateLimited):
        seconds = error.retry_after
    elif isinstance(error, discord.HTTPException):
        seconds = retry_after(error.response.headers)
    return min(MAX_RETRY_AFTER_SECONDS, seconds)


def _raise_if_fatal(code: int, client: discord.Client) -> None:
    if code == INTENT_REFUSED and client.intents.message_content:
        raise MessageContentRefused
    if code in WRONG_SHARDS:
        raise ShardsRefused(FATAL_CLOSE_CODES[code])
    if code in FATAL_CLOSE_CODES:
        raise DiscordRefused(FATAL_CLOSE_CODES[code])
