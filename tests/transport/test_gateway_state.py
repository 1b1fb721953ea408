"""When the bot counts as hearing Discord."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from bot.transport.gateway_state import GatewayState, gateway_state
from bot.transport.websocket import GatewaySocket, KeepAlive


def socket(*, closed: bool = False) -> GatewaySocket:
    """Return a socket whose session exists, and whose last frame came just now."""
    wire: Any = SimpleNamespace(closed=closed)
    loop: Any = None
    ws = GatewaySocket(wire, loop=loop)
    ws._max_heartbeat_timeout = 60.0
    ws._keep_alive = KeepAlive(ws=ws, interval=41.25, shard_id=None)
    ws.proven = True
    return ws


def state(ws: object, *, was_ready: bool = True) -> GatewayState:
    client: Any = SimpleNamespace(ws=ws, is_ready=lambda: was_ready)
    return gateway_state(client)


async def test_before_the_first_session_the_bot_connects() -> None:
    ws = socket()
    ws.proven = False
    assert state(None, was_ready=False) is GatewayState.CONNECTING
    assert state(ws, was_ready=False) is GatewayState.CONNECTING


async def test_with_a_session_and_frames_it_is_connected() -> None:
    assert state(socket()) is GatewayState.CONNECTED


async def test_a_lost_session_makes_it_deaf() -> None:
    unproven = socket()
    unproven.proven = False
    assert state(unproven) is GatewayState.DEAF
    assert state(socket(closed=True)) is GatewayState.DEAF


@pytest.mark.parametrize(
    ("interval", "silent", "meant"),
    [
        (41.25, 44.0, GatewayState.CONNECTED),
        (41.25, 46.0, GatewayState.DEAF),
        (1.0, 44.0, GatewayState.CONNECTED),
        (120.0, 130.0, GatewayState.CONNECTED),
        (120.0, 133.0, GatewayState.DEAF),
    ],
)
async def test_an_open_connection_that_is_silent_for_longer_than_a_beat_is_deaf(
    interval: float, silent: float, meant: GatewayState
) -> None:
    """45 s: each heartbeat has an ACK, so something arrives more often."""
    ws = socket()
    beats = ws._keep_alive = KeepAlive(ws=ws, interval=interval, shard_id=None)
    beats._last_recv = time.perf_counter() - silent
    assert state(ws) is meant
