"""The stand-in Discord as a process: one port for REST, gateway, CDN and control."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from bot.sandbox.discord.cdn import Cdn
from bot.sandbox.discord.control import Control
from bot.sandbox.discord.knobs import Knobs
from bot.sandbox.discord.rest import MAX_BODY, PREFIX, Rest
from bot.sandbox.discord.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.sandbox.discord.world import Json

PARENT_CHECK_SECONDS = 0.5


def make_app(state: State) -> web.Application:
    """Return the web application that serves *state*."""
    app = web.Application(client_max_size=MAX_BODY)
    Control(state).add_to(app)
    Rest(state).add_to(app)
    Cdn(state).add_to(app)
    app.router.add_get("/gateway", state.gateway.serve)
    app.router.add_get("/gateway/", state.gateway.serve)
    app.router.add_get("/gateway/{process}", state.gateway.serve)
    return app


@asynccontextmanager
async def serving(state: State, port: int = 0) -> AsyncIterator[Json]:
    """Serve *state* on 127.0.0.1 and yield the addresses."""
    runner = web.AppRunner(make_app(state), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        state.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield {
            "api_url": state.base_url + PREFIX,
            "gateway_url": state.gateway_url,
            "control_url": state.base_url + "/control",
            "cdn_url": state.base_url + "/attachments",
            "token": state.token,
        }
    finally:
        await state.close()
        await runner.cleanup()


def _ended_by_signal() -> asyncio.Event:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    return ended


async def _wait_for_the_end(ended: asyncio.Event, parent_pid: int | None) -> None:
    while not ended.is_set() and _alive(parent_pid):
        try:
            async with asyncio.timeout(PARENT_CHECK_SECONDS):
                await ended.wait()
        except TimeoutError:
            continue


def _alive(pid: int | None) -> bool:
    if pid is None:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def run(port: int, parent_pid: int | None, settings: Json) -> None:
    """Serve until a signal, or until the parent has ended."""
    knobs = Knobs()
    knobs.turn(settings)
    # Before printing the addresses: their reader may stop this process at once.
    ended = _ended_by_signal()
    async with serving(State(knobs=knobs), port) as addresses:
        print(json.dumps(addresses), flush=True)
        await _wait_for_the_end(ended, parent_pid)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="A stand-in for Discord, for one bot.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--parent-pid", type=int, default=None, help="end when this process ends")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, as PUT /settings")
    options = parser.parse_args(arguments)
    asyncio.run(run(options.port, options.parent_pid, options.settings))


if __name__ == "__main__":
    main()
