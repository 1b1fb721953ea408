"""The stand-in as a process: it prints its addresses, and ends in time."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from bot.sandbox.driver import running_discord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

END_SECONDS = 30.0


@pytest.fixture
async def process() -> AsyncIterator[asyncio.subprocess.Process]:
    started = await _start("--port", "0")
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot.sandbox.discord.server",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )


async def _first_line(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    async with asyncio.timeout(END_SECONDS):
        return dict(json.loads(await process.stdout.readline()))


async def test_process_prints_its_addresses_and_ends_on_sigterm(
    process: asyncio.subprocess.Process,
) -> None:
    addresses = await _first_line(process)
    assert set(addresses) == {"api_url", "gateway_url", "control_url", "cdn_url", "token"}
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(END_SECONDS):
        rest, _ = await process.communicate()
    assert (process.returncode, rest) == (0, b"")


async def test_process_ends_when_its_parent_ends() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    child = await _start("--parent-pid", str(parent.pid))
    try:
        await _first_line(child)
        await parent.communicate(b"\n")
        async with asyncio.timeout(END_SECONDS):
            await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    assert child.returncode == 0


async def test_driver_starts_a_process_with_settings() -> None:
    async with running_discord(global_limit=7) as people:
        assert (await people.settings())["global_limit"] == 7
        assert people.api_url.endswith("/api/v10")
