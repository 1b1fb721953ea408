"""The gateway's websocket on real sockets: closing, inflating, sequences, heartbeats."""

import asyncio
import threading
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
from aiohttp import web

from bot.sandbox.discord.server import serving
from bot.sandbox.discord.state import State
from bot.sandbox.driver import Driver
from bot.transport import patches as gateway
from bot.transport import websocket as gateway_socket
from bot.transport.pacer import Pacer, Priority
from bot.transport.patches import RateLimitTrace, ReopeningEvent
from bot.transport.websocket import (
    CLOSE_SECONDS,
    USUAL_BEAT_SECONDS,
    FrameTooLarge,
    GatewaySocket,
    Inflate,
    KeepAlive,
    QuickCloseSocket,
)


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
        assert time.monotonic() - began < CLOSE_SECONDS + 0.5
        assert ws.closed
        if reading is not None:
            await asyncio.wait_for(reading, 1)


async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
    while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
        pass


def deflated(text: bytes) -> bytes:
    stream = zlib.compressobj()
    return stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)


def test_a_message_may_come_in_pieces() -> None:
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
    heard: list[Any] = [0, 1, "7", 2.5, True, -3, 5, 4, 5, [9], {}, float("nan"), 6]
    taken = []
    for number in heard:
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
    first.join(timeout=5)
    assert threading.active_count() == threads
    assert ws.seconds_left() < 0


async def test_when_a_connection_counts_as_dead() -> None:
    ws = unconnected()
    ws._max_heartbeat_timeout = 60.0
    assert 44 < ws.seconds_left() <= 45, "without HELLO and READY"
    beats = ws._keep_alive = KeepAlive(ws=ws, interval=41.25, shard_id=None)
    assert 44 < ws.seconds_left() <= 45, "without READY"
    ws.proven = True
    assert 87 < ws.seconds_left() <= 87.5, "two beats and the time for an ACK to come"
    beats.interval = 2.0
    assert 4.9 < ws.seconds_left() <= 5


async def test_the_gate_for_the_global_limit_opens_by_itself() -> None:
    gate = ReopeningEvent(lambda: 0.05)
    gate.set()
    gate.clear()
    assert not gate.is_set()
    await asyncio.wait_for(gate.wait(), 1)
    gate.clear()
    await asyncio.sleep(0.03)
    gate.clear()
    await asyncio.sleep(0.03)
    assert not gate.is_set(), "the later closing counts"
    gate.set()
    await asyncio.sleep(0.06)
    assert gate.is_set()


async def test_a_request_cancelled_during_a_global_limit_does_not_block_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway, "GLOBAL_LIMIT_SECONDS", 0.3)
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        async with discord.Client(intents=discord.Intents.none()) as client:
            await client.login(people.token)
            gateway.guard_global_limit(client)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=20, **everywhere)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.fetch_user(int(people.user_id("Mina"))), 0.1)
            user = await asyncio.wait_for(client.fetch_user(int(people.user_id("Mina"))), 2)
            assert user.name


async def test_the_gate_opens_after_retry_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        trace = RateLimitTrace(Pacer())
        intents = discord.Intents.none()
        async with discord.Client(intents=intents, http_trace=trace) as client:
            await client.login(people.token)
            gateway.guard_global_limit(client)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=1, **everywhere)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.fetch_user(int(people.user_id("Mina"))), 0.1)
            user = await asyncio.wait_for(client.fetch_user(int(people.user_id("Mina"))), 10)
            assert user.name
            assert trace.global_limit_seconds() == gateway.GLOBAL_LIMIT_SECONDS, "told once"


async def test_a_long_global_limit_blocks_the_pacer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        pacer, intents = Pacer(), discord.Intents.none()
        async with discord.Client(
            intents=intents, max_ratelimit_timeout=30, http_trace=RateLimitTrace(pacer)
        ) as client:
            await client.login(people.token)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=40, **everywhere)
            with pytest.raises(discord.RateLimited):
                await client.fetch_user(int(people.user_id("Mina")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), pacer.slot(Priority.FINAL):
                raise AssertionError("a call went while Discord takes none")
