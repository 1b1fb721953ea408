"""What the next connection resumes, and how long a failed login waits."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket

from bot.transport.identify_budget import ConnectionFailures, IdentifyBudget
from bot.transport.reconnect import (
    MAX_RETRY_AFTER_SECONDS,
    SESSION_ENDED,
    STABLE_SECONDS,
    WAIT_LOG_SECONDS,
    Disconnect,
    ReconnectLoop,
    Session,
    retry_after_seconds,
    session_after,
)
from bot.transport.sign_ins import SignIns
from bot.transport.websocket import GatewaySocket
from tests.doubles import open_history, run_virtually

OWN_ADDRESS = yarl.URL("wss://resume.example/")
SESSION = Session("abc", 7, OWN_ADDRESS)


async def socket(
    *, session: str | None = "abc", sequence: int | None = 9, age: float = 0.0, **is_: bool
) -> GatewaySocket:
    ws = GatewaySocket(None, loop=asyncio.get_running_loop())
    ws._opened -= age
    ws.gateway, ws.session_id, ws.sequence = OWN_ADDRESS, session, sequence
    ws.proven, ws.resuming = is_.get("proven", False), is_.get("resuming", False)
    return ws


@pytest.mark.parametrize(
    ("session", "disconnect", "ws", "after"),
    [
        (None, Disconnect(), {"proven": True}, replace(SESSION, sequence=9)),
        (SESSION, Disconnect(), {"proven": True, "resuming": True}, replace(SESSION, sequence=9)),
        (None, Disconnect(requested=True), {"proven": True}, replace(SESSION, sequence=9)),
        (None, Disconnect(code=1000), {"proven": True}, replace(SESSION, sequence=9)),
        (None, Disconnect(invalid=True), {"proven": True}, None),
        (None, Disconnect(), {"proven": True, "session": None}, None),
        (None, Disconnect(), {"proven": True, "sequence": None}, None),
        (None, Disconnect(), {}, None),  # READY was malformed.
        (None, Disconnect(), None, None),
        (SESSION, Disconnect(), {"resuming": True}, replace(SESSION, sequence=9, failed_resumes=1)),
        (replace(SESSION, failed_resumes=1), Disconnect(), {"resuming": True}, None),
        # The bot waited for RESUMED in vain, however often.
        (
            replace(SESSION, failed_resumes=1),
            Disconnect(silent=True),
            {"resuming": True},
            replace(SESSION, failed_resumes=1, gateway=yarl.URL("wss://gateway.discord.gg/")),
        ),
        # Discord made the bot wait for RESUMED before it ended the connection.
        (
            replace(SESSION, failed_resumes=1),
            Disconnect(code=4000),
            {"resuming": True, "age": 30.0},
            replace(SESSION, failed_resumes=1, gateway=yarl.URL("wss://gateway.discord.gg/")),
        ),
        (SESSION, Disconnect(invalid=True), {"resuming": True, "age": 30.0}, None),
        (SESSION, Disconnect(code=4009), {"resuming": True, "age": 30.0}, None),
        (None, Disconnect(silent=True), {"session": None}, None),
        (SESSION, Disconnect(silent=True), {"proven": True}, replace(SESSION, sequence=9)),
        (
            replace(SESSION, failed_resumes=1),
            Disconnect(),
            {"proven": True},
            replace(SESSION, sequence=9),
        ),
    ],
)
async def test_which_session_is_resumed(
    session: Session | None,
    disconnect: Disconnect,
    ws: dict[str, Any] | None,
    after: Session | None,
) -> None:
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL("wss://gateway.discord.gg/")
    ended = None if ws is None else await socket(**ws)
    assert session_after(session, disconnect, ended) == after


@pytest.mark.parametrize("code", sorted(SESSION_ENDED))
async def test_a_close_code_may_end_the_session(code: int) -> None:
    ws = await socket(proven=True)
    assert session_after(SESSION, Disconnect(code=code), ws) is None


@pytest.mark.parametrize("connected", [True, False])
async def test_the_session_is_kept_if_no_server_answers(connected: bool) -> None:
    """Events can still be replayed after an outage. The usual address is tried next."""
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL("wss://gateway.discord.gg/")
    for _ in range(5):
        ws = await socket() if connected else None
        after = session_after(SESSION, Disconnect(), ws)
        assert after == replace(SESSION, gateway=DiscordWebSocket.DEFAULT_GATEWAY)


async def test_the_address_in_ready_is_ignored_behind_a_proxy() -> None:
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL("ws://127.0.0.1:1/")
    after = session_after(None, Disconnect(), await socket(proven=True))
    assert after is not None
    assert after.gateway == yarl.URL("ws://127.0.0.1:1/")


class Response:
    """The attributes that discord.py's HTTPException reads."""

    status = 429
    reason = "Too Many Requests"

    def __init__(self, retry_after: str) -> None:
        self.headers = {"Retry-After": retry_after}


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", 0.0),
        ("1e12", MAX_RETRY_AFTER_SECONDS),
        ("x", 0),
    ],
)
def test_a_login_waits_for_retry_after(retry_after: str, seconds: float) -> None:
    error = discord.HTTPException(Response(retry_after), "slow down")
    assert retry_after_seconds(error) == seconds


def test_other_login_errors_are_classified() -> None:
    assert retry_after_seconds(discord.RateLimited(280.0)) == 280.0
    assert retry_after_seconds(TimeoutError()) == 0.0


class WaitingSocket:
    """A connection on which Discord makes the bot wait for its session."""

    proven = False

    def __init__(self, *, resuming: bool) -> None:
        self.resuming = resuming


@pytest.mark.parametrize(("resuming", "name"), [(False, "READY"), (True, "RESUMED")])
def test_a_wait_for_a_session_is_logged_and_a_session_that_lasts_resets_the_failures(
    resuming: bool, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if the session began late."""
    caplog.set_level(logging.INFO)

    class Failures:
        resets = 0

        async def reset(self) -> None:
            self.resets += 1

    async def scene() -> None:
        failures: Any = Failures()
        client = discord.Client(intents=discord.Intents.none())
        sign_ins: Any = None
        ws: Any = WaitingSocket(resuming=resuming)
        watching = asyncio.create_task(ReconnectLoop(client, sign_ins, failures)._watch(ws))
        await asyncio.sleep(2.5 * WAIT_LOG_SECONDS)
        ws.proven = True
        await asyncio.sleep(STABLE_SECONDS / 2)
        assert failures.resets == 0
        await asyncio.wait_for(watching, STABLE_SECONDS)
        assert failures.resets == 1

    run_virtually(scene())
    lines = [line for line in caplog.messages if line.startswith("Wait for")]
    assert [line.split(":")[0] for line in lines] == [f"Wait for {name}"] * 2
    assert lines[-1].endswith("60 s")


@pytest.mark.parametrize("steps", range(6))
async def test_cancelling_at_the_moment_of_a_failure_works(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whichever turn of the loop; Python 3.11's wait_for loses it in one of them."""
    fails = asyncio.Event()

    async def refused(*_: object, **_more: object) -> GatewaySocket:
        await fails.wait()
        raise OSError

    monkeypatch.setattr(GatewaySocket, "from_client", refused)
    async with open_history(tmp_path / "bot.db") as history:
        client = discord.Client(intents=discord.Intents.none())
        connecting = ReconnectLoop(
            client, SignIns(IdentifyBudget(history.facts)), ConnectionFailures(history.facts)
        )
        running = asyncio.create_task(connecting.run())
        await asyncio.sleep(0.05)
        fails.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        fails.clear()
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=30)
        assert done, "it goes on connecting"
        assert running.cancelled()
