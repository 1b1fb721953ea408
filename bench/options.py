"""What the options of an operator cost: the same scenes with each of them, and with none."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Final

from bench.crowd import Crowd
from bench.crowds import HUNDRED, channels
from bench.figures import Figure, Found, at_most_times
from bench.stage import a_stage

IDLE_SECONDS: Final = 3.0
OFF: Final[Mapping[str, str]] = {}


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def options() -> Mapping[str, Mapping[str, str]]:
    """Return the settings of each option, by its name in the table."""
    return {"health and metrics": {"HEALTH_PORT": str(free_port())}}


async def costs(name: str, found: Found) -> None:
    """Play an idle bot and 100 conversations at once with each option, and with none of them."""
    if name != "bot":
        return
    for option, settings in options().items():
        for subject, given in (("floor", OFF), ("bot", settings)):
            idle, reply = await _measured(given)
            figure = Figure(f"memory idle, {option} (compared with none)", "MB")
            found.add(figure, subject, idle)
            figure = Figure(
                f"processor time for a reply, {option} (compared with none)",
                "ms",
                "1.1 x",
                at_most_times(1.1),
            )
            found.add(figure, subject, reply)


async def _measured(settings: Mapping[str, str]) -> tuple[float, float]:
    """Return the memory of an idle bot in MB, and the processor time of a reply in ms."""
    async with a_stage(settings=settings) as stage, stage.running("bot") as subject:
        await asyncio.sleep(IDLE_SECONDS)
        idle = subject.memory_mb
        places = await channels(stage, HUNDRED)
        await asyncio.sleep(1.0)
        crowd, cpu = Crowd(stage), subject.cpu_seconds
        await crowd.begin()
        await crowd.ask_in(places)
        await crowd.answered(HUNDRED, timeout_seconds=60.0)
        return idle, (subject.cpu_seconds - cpu) / HUNDRED * 1000.0
