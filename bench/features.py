"""What is switched off unless the operator wants it: what each part costs when it is on."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aiohttp

from bench.crowd import Crowd
from bench.crowds import HUNDRED, channels
from bench.figures import Figure, Found, at_most_times
from bench.stage import ROOT, Stage, Subject, a_stage

SETTLING_SECONDS: Final = 3.0
ASKING_SECONDS: Final = 5.0  # Docker asks each 30 s, and Prometheus each 15 s.
OFF: Final = {"REDACT": "false"}
HUGE: Final = {"day": 10**12, "month": 10**12}
BUDGETS: Final = {"unit": "tokens", "person": HUGE, "server": HUGE, "bot": HUGE}
NO_PROMETHEUS: Final = "import sys; sys.modules['prometheus_client'] = None"


class Feature(NamedTuple):
    """A part that is on: its settings, and which path is asked now and then."""

    settings: dict[str, str]
    path: str = ""
    prepared: str = ""  # code that runs in the bot's process before the bot


class Cost(NamedTuple):
    """The memory of the idle bot, and the processor time for a reply."""

    memory_mb: float
    reply_ms: float


FEATURES: Final = {
    "health": Feature({}, "/readyz", NO_PROMETHEUS),
    "health and metrics": Feature({}, "/metrics"),
    "budgets": Feature({"BUDGETS": json.dumps(BUDGETS)}),
    "redaction": Feature({"REDACT": "true"}),
}


async def features(name: str, found: Found) -> None:
    """100 conversations at once with one part on, and with all off."""
    if name != "bot":
        return
    for title, feature in FEATURES.items():
        # All off again each time: whatever else the machine does changes within minutes.
        off, on = await _measured(Feature({})), await _measured(feature)
        how = f"with {title} (compared with all off)"
        bar = at_most_times(1.1)
        for scene, unit, before, after in (
            ("memory idle", "MB", off.memory_mb, on.memory_mb),
            ("processor time for a reply of 350 chunks", "ms", off.reply_ms, on.reply_ms),
        ):
            figure = Figure(f"{scene} {how}", unit, "1.1 x", bar)
            found.add(figure, "floor", before)
            found.add(figure, name, after)


async def _measured(feature: Feature) -> Cost:
    port = _free_port() if feature.path else None
    opened = {"HEALTH_PORT": str(port)} if port else {}
    async with a_stage(settings=OFF | feature.settings | opened) as stage:
        (stage.folder / "sitecustomize.py").write_text(feature.prepared)
        stage.settings["PYTHONPATH"] = f"{stage.folder}:{ROOT}"
        async with stage.running("bot") as subject:
            await asyncio.sleep(SETTLING_SECONDS)
            memory = subject.memory_mb
            async with _asked(f"http://127.0.0.1:{port}{feature.path}" if port else ""):
                return Cost(memory, await _reply_ms(stage, subject))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def _reply_ms(stage: Stage, subject: Subject) -> float:
    places = await channels(stage, HUNDRED)
    await asyncio.sleep(1.0)
    crowd, before = Crowd(stage), subject.cpu_seconds
    await crowd.begin()
    await crowd.ask_in(places)
    asked = await crowd.answered(HUNDRED, timeout_seconds=60.0)
    assert all(one.whole for one in asked)
    return (subject.cpu_seconds - before) / HUNDRED * 1000.0


@asynccontextmanager
async def _asked(address: str) -> AsyncIterator[None]:
    """Ask an address now and then within the block, if there is one."""
    asking = asyncio.create_task(_ask(address)) if address else None
    try:
        yield
    finally:
        if asking:
            asking.cancel()


async def _ask(address: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(address) as response:
                assert response.ok, await response.text()
            await asyncio.sleep(ASKING_SECONDS)
