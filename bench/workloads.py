"""What is measured: each workload plays one scene with one program and adds its figures."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final

from bench.crowd import Crowd, percentile, spans
from bench.figures import Figure, Found, at_most, at_most_times, exactly, milliseconds
from bench.stage import (
    ANSWER_CHARACTERS,
    CHUNK_CHARACTERS,
    CHUNKS_PER_SECOND,
    FIRST_TOKEN_SECONDS,
    LATENCY_SECONDS,
    MODEL,
    ROOT,
    Stage,
    a_stage,
)

Workload = Callable[[str, Found], Awaitable[None]]
ROUND_TRIP_MS: Final = LATENCY_SECONDS * 1000
HUNDRED: Final = 100
THOUSAND: Final = 1000
EDITS_A_SECOND: Final = 50  # Discord: the global limit
MODEL_SECONDS: Final = (
    FIRST_TOKEN_SECONDS + ANSWER_CHARACTERS / CHUNK_CHARACTERS / CHUNKS_PER_SECOND
)
SHORT: Final = 60  # characters: an answer that the model is done with at once
AT_ONCE: Final = MODEL | {"first_token_delay_seconds": 0.0, "chunks_per_second": 0.0}


async def channels(stage: Stage, count: int) -> list[str]:
    """Make so many channels."""
    made = [await stage.discord.create_channel(f"place-{number}") for number in range(count)]
    return [str(one["id"]) for one in made]


async def alone(name: str, found: Found, *, latency_seconds: float, questions: int) -> None:
    """One question after the other, each in a channel of its own."""
    ms = round(latency_seconds * 1000)
    async with a_stage(latency_seconds=latency_seconds) as stage, stage.running(name):
        places = await channels(stage, questions)
        crowd = Crowd(stage)
        await crowd.ask(places[0], characters=SHORT)  # The first one opens connections.
        await crowd.answered(1, timeout_seconds=20.0)
        crowd = Crowd(stage)
        await crowd.begin()
        for number, place in enumerate(places, 1):
            await crowd.ask(place, characters=400)
            asked = await crowd.answered(number, timeout_seconds=20.0)
    to_model = median(milliseconds(spans(asked, "asked_at", "model_at")))
    found.add(
        Figure(f"message to model asked, {ms} ms a request", "ms", "2 x", at_most_times(2.0)),
        name,
        to_model,
    )
    if latency_seconds:
        first = milliseconds(spans(asked, "first_token_at", "first_words_at"))
        last = milliseconds(spans(asked, "last_token_at", "last_words_at"))
        found.add(
            Figure("first token to first words", "ms", "100 ms", at_most(ROUND_TRIP_MS + 20.0)),
            name,
            median(first),
        )
        found.add(
            Figure("last token to whole, 95 %", "ms", "130 ms", at_most(ROUND_TRIP_MS + 50.0)),
            name,
            percentile(last, 95),
        )


async def hundred(name: str, found: Found) -> None:
    """100 conversations at once, in 100 channels."""
    async with a_stage() as stage, stage.running(name) as subject:
        places = await channels(stage, HUNDRED)
        await asyncio.sleep(1.0)
        crowd, cpu = Crowd(stage), subject.cpu_seconds
        subject.forget_peak()
        await crowd.begin()
        began = time.monotonic()
        await crowd.ask_in(places)
        asked = await crowd.answered(HUNDRED, timeout_seconds=60.0)
        limited, cost = await crowd.limited(), subject.cpu_seconds - cpu
        peak = subject.peak_memory_mb
    whole = sorted(one.last_words_at - began for one in asked if one.whole and one.last_words_at)
    ended = max(one.last_token_at - began for one in asked if one.last_token_at)
    late = sorted(milliseconds(spans(asked, "last_token_at", "last_words_at")))
    limit = ended * 1.15 + 0.95 * HUNDRED / EDITS_A_SECOND
    done = percentile(whole, 95) if len(whole) >= 0.95 * HUNDRED else float("inf")
    for figure, value in (
        (Figure("100 at once: answered", "", "100", exactly(HUNDRED), 0), len(whole)),
        (Figure("100 at once: 429s", "", "0", exactly(0), 0), limited),
        (Figure("100 at once: 95 % done after", "s", f"{limit:.1f} s", at_most(limit)), done),
        (Figure("100 at once: last token to whole, 95 %", "ms", "", None, 0), percentile(late, 95)),
        (Figure("CPU for a reply of 350 chunks", "ms", "0.6 x", at_most_times(0.6)), cost * 10.0),
        (Figure("memory with 100 streaming", "MB", "100 MB", at_most(100.0)), peak),
    ):
        found.add(figure, name, value)


async def idle(name: str, found: Found) -> None:
    """Start, wait to be connected, do nothing."""
    async with a_stage() as stage, stage.running(name) as subject:
        await asyncio.sleep(3.0)
        found.add(
            Figure("start to connected", "s", "1.3 x", at_most_times(1.3), 2),
            name,
            subject.connected_seconds,
        )
        found.add(Figure("memory idle", "MB", "1.1 x", at_most_times(1.1)), name, subject.memory_mb)


async def shows_help(name: str, found: Found) -> None:
    """Ask the command line what it can do."""
    if name != "bot":
        return
    began = time.monotonic()
    command = [sys.executable, "-m", "bot", "--help"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL)
    await process.wait()
    figure = Figure("--help", "s", "0.15 s", at_most(0.15), 2)
    found.add(figure, name, time.monotonic() - began)
