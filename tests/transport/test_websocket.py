"""The gateway's websocket on real sockets: closing, inflating, sequences, heartbeats."""

import asyncio
import threading
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.transport import websocket as gateway_socket
from bot.transport.websocket import (
    CLOSE_SECONDS,
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


async def test_a_second_hello_replaces_the_heartbeat_and_keeps_the_last_ack() -> None:
    ws = unconnected()
    ws._max_heartbeat_timeout = 60.0
    first = ws._keep_alive = KeepAlive(ws=ws, interval=30.0, shard_id=None)
    first._last_ack -= 70.0
    threads = threading.active_count()
    first.start()
    ws._keep_alive = KeepAlive(ws=ws, interval=30.0, shard_id=None)
    first.join(timeout=30)
    assert threading.active_count() == threads
    assert ws.seconds_left() < 0


async def test_a_connection_without_acks_is_dead() -> None:
    ws = unconnected()
    ws._max_heartbeat_timeout = 60.0
    assert 44 < ws.seconds_left() <= 45, "without HELLO and READY"
    beats = ws._keep_alive = KeepAlive(ws=ws, interval=41.25, shard_id=None)
    assert 44 < ws.seconds_left() <= 45, "without READY"
    ws.proven = True
    assert 87 < ws.seconds_left() <= 87.5, "two beats and the time for an ACK to come"
    beats.interval = 2.0
    assert 4.9 < ws.seconds_left() <= 5
