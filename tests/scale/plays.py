"""Faults of several processes on one database, from a seed: for scripts/faults and the tests."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from bot.sandbox.model_script import Script
from bot.sandbox.postgres_server import PostgresServer
from tests.e2e.conftest import Message, Stage
from tests.faults.kills import Counts, ask_twenty, judge
from tests.scale.processes import PostgresStage, Processes, postgres_stage
from tests.scale.traffic import Traffic

SHARDS: Final = 4
MAX_CONCURRENCY: Final = 2
TRIES_PER_DATABASE: Final = 25
LONGEST_INSTANT_SECONDS: Final = 3.5  # By then the replies of a try have ended, or almost.
# Promised after kill -9. Each further shard with the same key has to wait for Discord.
TAKEOVER_SECONDS: Final = 10.0 + 5.5 * (SHARDS // MAX_CONCURRENCY - 1)
LARGEST_SECOND: Final = 50  # Discord: requests of the whole bot
IDENTIFY_SECONDS: Final = 5.0  # Discord: between two IDENTIFYs with one key
LOAD_PER_SECOND: Final = 5.0


async def play_takeovers(stage: Stage, server: PostgresServer, *, tries: int, seed: int) -> Counts:
    """Kill the holder of all shards *tries* times, each time during 20 replies."""
    rng = random.Random(seed)
    counts = Counts()
    for start in range(0, tries, TRIES_PER_DATABASE):
        async with postgres_stage(stage, server) as one, _processes(one) as processes:
            channels = await processes.channels(12)
            people = [await one.person() for _ in range(8)]
            places = [(await one.discord.dm(person), person) for person in people]
            await one.discord.settings(max_active_threads=100_000)
            await processes.start("1")
            await processes.whole()
            await processes.start("2")
            await processes.ready("2")
            holder, standby = "1", "2"
            for number in range(start, min(tries, start + TRIES_PER_DATABASE)):
                questions = await ask_twenty(one, rng, f"try {seed}.{number}", channels, places)
                await asyncio.sleep(rng.uniform(0, LONGEST_INSTANT_SECONDS))
                await processes.kill(holder)
                killed = time.monotonic()
                await processes.whole(without=holder)
                took = time.monotonic() - killed
                counts.worst_takeover_seconds = max(counts.worst_takeover_seconds, took)
                await judge(one, counts, f"try {number}", questions)
                await processes.start(holder)
                await processes.ready(holder)
                holder, standby = standby, holder
                await one.model.forget_requests()
                one.over.clear()
            _add_traffic(counts, await processes.traffic())
    if counts.worst_takeover_seconds > TAKEOVER_SECONDS:
        counts.failures.append(f"a takeover took {counts.worst_takeover_seconds:.1f} s")
    return counts


async def play_rolling_restarts(
    stage: Stage, server: PostgresServer, *, tries: int, seed: int
) -> Counts:
    """Restart three processes one after the other, *tries* times, under five questions a second."""
    counts = Counts()
    async with postgres_stage(stage, server) as one, _processes(one) as processes:
        await one.discord.settings(max_active_threads=100_000)
        places = await processes.channels(4 * SHARDS)
        for name in ("1", "2", "3"):
            await processes.start(name)
            await processes.ready(name)
        await processes.whole()
        for number in range(tries):
            ended = asyncio.Event()
            load = asyncio.create_task(_load(one, places, f"roll {seed}.{number}", ended))
            for name in ("1", "2", "3"):
                code = await processes.stop(name)
                if code:
                    counts.failures.append(f"process {name} ended with exit code {code}")
                await processes.start(name)
                await processes.ready(name)
                await processes.whole()
            ended.set()
            await judge(one, counts, f"restart {number}", await load)
            await one.model.forget_requests()
            one.over.clear()
        _add_traffic(counts, await processes.traffic())
    return counts


def _processes(stage: PostgresStage) -> Processes:
    return Processes(stage, SHARDS, MAX_CONCURRENCY)


async def _load(
    stage: Stage, places: Sequence[str], name: str, ended: asyncio.Event
) -> list[Message]:
    """Ask five times a second until *ended*, and return the questions."""
    script = Script(text="All is well in the harbour tonight. " * 20, chunks_per_second=60)
    await stage.model.reply_when(name, script)
    asked: list[Message] = []
    while not ended.is_set():
        place = places[len(asked) % len(places)]
        asked.append(await stage.ask(f"{name} {len(asked)} end", channel=place))
        await asyncio.sleep(1 / LOAD_PER_SECOND)
    return asked


def _add_traffic(counts: Counts, found: Traffic) -> None:
    """Note what the processes did together, and fail for what Discord does not allow."""
    counts.notes.append(str(found))
    if found.most_in_a_second > LARGEST_SECOND:
        counts.failures.append(f"too many requests: {found}")
    if found.shortest_gap < IDENTIFY_SECONDS or found.two_sessions:
        counts.failures.append(f"the gateway: {found}")
