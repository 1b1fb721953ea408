"""The gateway's websocket on real sockets: closing, inflating, sequences, heartbeats."""

import asyncio
import threading
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.transport import websocket as gateway_socket
from bot.transport.websocket import (
    CLOSE_SECONDS,
    SESSION_SECONDS,
    USUAL_BEAT_SECONDS,
    FrameTooLarge,
    GatewaySocket,
    Inflate,
    KeepAlive,
    QuickCloseSocket,
)
from tests.doubles import PATIENCE_SECONDS


@asynccontextmanager
async def connected(*, flood: bool) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Yield a connection to a server that sends no close frame; with *flood* it keeps sending."""

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoclose=False, autoping=False)
        await socket.prepare(request)
        while flood:
            await socket.send_str("more")
            await asyncio.sleep(0.05)
        await asyncio.sleep(60)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with (
            aiohttp.ClientSession(ws_response_class=QuickCloseSocket) as session,
            session.ws_connect(
                f"http://127.0.0.1:{runner.addresses[0][1]}/", autoclose=False
            ) as ws,
        ):
            yield ws
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("flood", [True, False])
@pytest.mark.parametrize("receiving", [True, False])
async def test_closing_does_not_wait_for_a_close_frame(flood: bool, receiving: bool) -> None:
    async with connected(flood=flood) as ws:
        reading = asyncio.create_task(read(ws)) if receiving else None
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await ws.close(code=4000)
        assert time.monotonic() - began < CLOSE_SECONDS * 3, "aiohttp waits for 10 s"
        assert ws.closed
        if reading is not None:
            await asyncio.wait_for(reading, PATIENCE_SECONDS)


async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
    while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
        pass


def deflated(text: bytes) -> bytes:
    stream = zlib.compressobj()
    return stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)


def test_a_message_may_be_fragmented() -> None:
    inflate, data = Inflate(), deflated('{"op": "안녕"}'.encode())
    assert inflate.decompress(data[:7]) is None
    assert inflate.decompress(data[7:]) == '{"op": "안녕"}'


def test_a_frame_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_socket, "LARGEST_FRAME", 10_000)
    assert Inflate().decompress(deflated(b"x" * 9_999))
    for data in (deflated(b"x" * 10_000), deflated(b"x" * 10_000_000), b"x" * 10_000):
        with pytest.raises(FrameTooLarge):
            Inflate().decompress(data)


def unconnected() -> GatewaySocket:
    return GatewaySocket(None, loop=asyncio.get_running_loop())


async def test_a_sequence_only_grows() -> None:
    ws = unconnected()
    received: list[Any] = [0, 1, "7", 2.5, True, -3, 5, 4, 5, [9], {}, float("nan"), 6]
    taken = []
    for number in received:
        ws.sequence = number
        taken.append(ws.sequence)
    assert taken == [0, 1, 1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 6]
    ws.sequence = None
    assert ws.sequence is None


@pytest.mark.parametrize("interval", [0.0, -1.0, 1e-9, 1e12, float("inf"), float("nan")])
async def test_an_implausible_heartbeat_interval_is_replaced(interval: float) -> None:
    ws = unconnected()
    ws._max_heartbeat_timeout = 60.0
    assert KeepAlive(ws=ws, interval=interval, shard_id=None).interval == USUAL_BEAT_SECONDS


async def test_a_second_hello_replaces_the_heartbeat_but_grants_no_more_time() -> None:
    ws = unconnected()
    ws._max_heartbeat_timeout = 60.0
    first = ws._keep_alive = KeepAlive(ws=ws, interval=30.0, shard_id=None)
    first.get_payload()
    first._unanswered_since = time.perf_counter() - 70.0
    threads = threading.active_count()
    first.start()
    second = ws._keep_alive = KeepAlive(ws=ws, interval=30.0, shard_id=None)
    second.get_payload()
    first.join(timeout=30)
    assert threading.active_count() == threads
    assert ws.seconds_left() < 0


def beating(ws: GatewaySocket, interval: float = 41.25) -> KeepAlive:
    """Let *ws* have received HELLO just now, and sent the first heartbeat."""
    ws._max_heartbeat_timeout = 60.0
    beats = ws._keep_alive = KeepAlive(ws=ws, interval=interval, shard_id=None)
    beats.get_payload()
    return beats


@pytest.fixture
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.perf_counter()
    monkeypatch.setattr("bot.transport.websocket.time", SimpleNamespace(perf_counter=lambda: now))


def passed(ws: GatewaySocket, beats: KeepAlive, seconds: float) -> None:
    """Move what happened so far into the past."""
    ws._opened -= seconds
    beats._sent_at -= seconds
    if beats._unanswered_since is not None:
        beats._unanswered_since -= seconds


async def test_a_connection_without_hello_is_dead_after_a_while() -> None:
    assert 44 < unconnected().seconds_left() <= 45


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize(("interval", "early"), [(41.25, 0.5), (1.0, 0.1), (0.2, 0.02)])
@pytest.mark.usefixtures("_stopped_clock")
async def test_one_missing_ack_before_the_next_beat_is_dead(
    proven: bool, interval: float, early: float
) -> None:
    """Whether or not the session exists, and although events come."""
    ws = unconnected()
    ws.proven = proven
    beats = beating(ws, interval)
    assert ws.seconds_left() == pytest.approx(interval - early)
    beats.ack()
    assert ws.seconds_left() == pytest.approx(2 * interval - early), "the ACK after that"
    passed(ws, beats, interval)
    beats.get_payload()
    assert ws.seconds_left() == pytest.approx(interval - early)
    beats.tick()
    assert ws.seconds_left() == pytest.approx(interval - early), "an event is no ACK"


@pytest.mark.usefixtures("_stopped_clock")
async def test_a_beat_on_request_grants_no_more_time() -> None:
    ws = unconnected()
    beats = beating(ws)
    passed(ws, beats, 20.0)
    beats.beat()
    assert ws.seconds_left() == pytest.approx(41.25 - 0.5 - 20.0)
    beats.ack()
    assert ws.seconds_left() == pytest.approx(2 * 41.25 - 0.5)


@pytest.mark.usefixtures("_stopped_clock")
async def test_an_acknowledged_connection_waits_minutes_for_its_session() -> None:
    """Discord: continue to send heartbeats; the gateway issues a session once it is able to."""
    ws = unconnected()
    beats = beating(ws)
    for _ in range(20):
        beats.ack()
        assert ws.seconds_left() > 41.25
        passed(ws, beats, 41.25)
        beats.get_payload()
    beats.ack()
    assert ws.seconds_left() == pytest.approx(SESSION_SECONDS - 20 * 41.25)
    ws.proven = True
    assert ws.seconds_left() == pytest.approx(2 * 41.25 - 0.5)
