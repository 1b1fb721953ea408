"""Keep a client connected to Discord: log in, listen, resume or identify afresh, pause."""

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from typing import Any, Final

import discord
import yarl
from discord.gateway import ReconnectWebSocket

from bot.errors import DiscordRefused
from bot.transport.identify_budget import ConnectionFailures, IdentifyBudget
from bot.transport.patches import count_identifies, guard_answers, guard_global_limit, guard_parsers
from bot.transport.rate_limit_buckets import guard_buckets
from bot.transport.websocket import GatewaySocket

log = logging.getLogger(__name__)

LOGIN_SECONDS: Final = 30.0
LOGIN_PAUSE_SECONDS: Final = 1.0  # at least, between two logins
LONGEST_TOLD_SECONDS: Final = 900.0  # What a login is told to wait is believed up to this.
OPEN_SECONDS: Final = 15.0
STEADY_SECONDS: Final = 60.0  # A connection that held for so long begins a new count of failures.
ASKED_SECONDS: Final = 5.0  # Who is asked to reconnect sooner pauses as after a failure.
SPACING_SECONDS: Final = 5.0  # Discord: one IDENTIFY every 5 s
INVALID_SECONDS: Final = (1.0, 5.0)  # Discord: the wait after an invalid session, at random
RESUMES_IN_VAIN: Final = 2
SESSION_IS_OVER: Final = frozenset({4003, 4007, 4009})  # Discord: close codes
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


class MessageContentRefused(Exception):
    """The message content intent is not switched on in the portal."""


@dataclass(frozen=True, slots=True)
class Session:
    """What the next connection resumes; *in_vain* counts the resumes that nothing came of."""

    id: str
    sequence: int
    gateway: yarl.URL
    in_vain: int = 0

    def arguments(self) -> dict[str, Any]:
        """Return how discord.py is told to resume."""
        return {
            "resume": True,
            "session": self.id,
            "sequence": self.sequence,
            "gateway": self.gateway,
        }


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended: Discord *asked* for it, the session is *invalid*, a close *code*."""

    asked: bool = False
    invalid: bool = False
    code: int | None = None


async def stay_connected(
    client: discord.Client, token: str, *, identifies: IdentifyBudget, failures: ConnectionFailures
) -> None:
    """Log in and keep *client* connected until it is closed.

    Raises MessageContentRefused, or DiscordRefused where trying again would not help.
    """
    guard_parsers(client)
    guard_answers(client)
    guard_buckets(client)
    pause = await failures.pause_left_seconds()
    if pause:
        log.info("Discord could not be reached before: trying again in %.0f s", pause)
        await asyncio.sleep(pause)
    await _log_in(client, token, failures)
    await _Connecting(client, identifies, failures).run()


class _Connecting:
    """Connects a client that has logged in, again and again."""

    def __init__(
        self, client: discord.Client, identifies: IdentifyBudget, failures: ConnectionFailures
    ) -> None:
        self._client = client
        self._identifies = identifies
        self._failures = failures
        self._time = asyncio.get_running_loop().time
        self._identified: float | None = None
        self._session: Session | None = None
        count_identifies(client, self._count_identify)

    async def run(self) -> None:
        while not self._client.is_closed():
            if self._session is None:
                await self._identifies.wait()
                await self._space_identifies()
            begun, before = self._time(), self._client.ws
            ending = await self._listen()
            if self._client.is_closed():
                return
            self._client.dispatch("disconnect")
            ws = self._client.ws
            heard = ws if ws is not before and isinstance(ws, GatewaySocket) else None
            self._session = session_after(self._session, ending, heard)
            await asyncio.sleep(await self._pause_seconds(ending, self._time() - begun))

    async def _listen(self) -> Ending:
        """Connect and take in what Discord says until that ends."""
        client = self._client
        session = {} if self._session is None else self._session.arguments()
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation in the moment of a failure.
            async with asyncio.timeout(OPEN_SECONDS):
                ws = await GatewaySocket.from_client(client, **session)
            await self._take_in(ws)
        except ReconnectWebSocket as again:
            ending = _ending_of(client.ws, invalid=not again.resume)
        except discord.ConnectionClosed as closed:
            if not client.is_closed():
                _raise_if_for_good(closed.code, client)
            ending = Ending(code=closed.code)
        except Exception as error:  # noqa: BLE001  # the one top handler of the connection
            silent = isinstance(error, TimeoutError)
            what = "it fell silent" if silent else type(error).__name__
            log.warning("The connection to Discord failed: %s", what)
            ending = Ending()
            if client.ws is not None:
                await client.ws.close(code=4000)
        return ending

    async def _take_in(self, ws: GatewaySocket) -> None:
        steady = asyncio.create_task(self._forget_failures(ws))
        try:
            while True:
                async with asyncio.timeout(ws.seconds_left()):
                    await ws.poll_event()
        finally:
            steady.cancel()

    async def _forget_failures(self, ws: GatewaySocket) -> None:
        await asyncio.sleep(STEADY_SECONDS)
        if ws.proven:
            await self._failures.held()

    async def _pause_seconds(self, ending: Ending, held_seconds: float) -> float:
        if ending.asked and held_seconds >= ASKED_SECONDS:
            return 0.0
        pause = await self._failures.failed()
        return max(pause, random.uniform(*INVALID_SECONDS)) if ending.invalid else pause

    async def _space_identifies(self) -> None:
        if self._identified is not None:
            await asyncio.sleep(self._identified + SPACING_SECONDS - self._time())

    async def _count_identify(self) -> None:
        self._identified = self._time()
        await self._identifies.count()


def session_after(
    session: Session | None, ending: Ending, ws: GatewaySocket | None
) -> Session | None:
    """Return what to resume after a connection that tried to resume *session*; None: identify.

    *ws* is None where nobody answered.
    """
    if session is not None and (ws is None or not (ws.proven or ws.resuming)):
        # The address that READY named is not to be trusted any more.
        return replace(session, gateway=GatewaySocket.DEFAULT_GATEWAY)
    if ws is None or ending.invalid or ending.code in SESSION_IS_OVER:
        return None
    if ws.session_id is None or ws.sequence is None:
        return None
    if ws.proven:
        return Session(ws.session_id, ws.sequence, _resume_address(ws))
    if session is None or session.in_vain + 1 >= RESUMES_IN_VAIN:
        return None
    return replace(session, sequence=ws.sequence, in_vain=session.in_vain + 1)


def _resume_address(ws: GatewaySocket) -> yarl.URL:
    # A proxy or a stand-in stays in between also when Discord names an address of its own.
    own = ws.DEFAULT_GATEWAY.host == "gateway.discord.gg"
    return ws.gateway if own else ws.DEFAULT_GATEWAY


def _ending_of(ws: discord.gateway.DiscordWebSocket, *, invalid: bool) -> Ending:
    code = ws.close_code if isinstance(ws, GatewaySocket) else None
    if code is not None:
        log.info("Discord closed the connection with code %d", code)
    return Ending(asked=code is None and not invalid, invalid=invalid, code=code)


async def _log_in(client: discord.Client, token: str, failures: ConnectionFailures) -> None:
    while True:
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                await client.login(token)
        except discord.LoginFailure as error:
            raise DiscordRefused(TOKEN_REFUSED) from error
        except Exception as error:  # noqa: BLE001  # the one top handler of the login
            pause = max(LOGIN_PAUSE_SECONDS, await failures.failed(), told_to_wait_seconds(error))
            log.warning(
                "Discord cannot be reached to log in (%s); trying again in %.0f s",
                type(error).__name__,
                pause,
            )
            await client.http.close()
            client.http.connector = discord.utils.MISSING  # Closed with it; login makes another.
            client.clear()
            await asyncio.sleep(pause)
        else:
            guard_global_limit(client)
            return


def told_to_wait_seconds(error: Exception) -> float:
    """Return how long Discord, or what stands before it, asks to wait after *error*."""
    told: object = None
    if isinstance(error, discord.RateLimited):
        told = error.retry_after
    elif isinstance(error, discord.HTTPException):
        told = error.response.headers.get("Retry-After")
    try:
        return min(LONGEST_TOLD_SECONDS, max(0.0, float(str(told))))
    except ValueError:
        return 0.0


def _raise_if_for_good(code: int, client: discord.Client) -> None:
    if code == INTENT_REFUSED and client.intents.message_content:
        raise MessageContentRefused
    if code in CLOSE_CODES_FOR_GOOD:
        raise DiscordRefused(CLOSE_CODES_FOR_GOOD[code])
