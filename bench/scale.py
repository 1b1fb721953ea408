"""Several processes of the bot on one PostgreSQL database, and PostgreSQL beside SQLite."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle, islice
from typing import Final, NamedTuple

from bench.crowd import Asked, Crowd, most_in_a_second, percentile, spans
from bench.crowds import COARSE, COMING_SECONDS, channels
from bench.figures import Figure, Found
from bench.stage import MODEL, Stage, Subject, a_stage
from bench.workloads import asked_alone, to_model_ms
from bot.sandbox.postgres_server import running_server

SHARDS: Final = 4
PROCESSES: Final = (1, 2, 4)
CONVERSATIONS: Final = (100, 1000)
ALONE: Final = 40
RUNS: Final = 3
ENGINES: Final = ("SQLite", "PostgreSQL")
SETTLING_SECONDS: Final = 3.0
HEAD: Final = (
    *("processes", "conversations", "answered", "95 % answered after", "429s"),
    *("most requests in a second", "memory idle", "memory at most", "processor time a reply"),
)


class Row(NamedTuple):
    """What some processes did together with so many conversations; memory is of each process."""

    processes: int
    conversations: int
    answered: int
    done_seconds: float
    limited: int
    most_in_a_second: int
    idle_mb: float
    peak_mb: float
    cpu_ms: float

    def __str__(self) -> str:
        cells = (
            *(str(self.processes), str(self.conversations), str(self.answered)),
            *(f"{self.done_seconds:.1f} s", str(self.limited), str(self.most_in_a_second)),
            *(f"{self.idle_mb:.1f} MB", f"{self.peak_mb:.1f} MB", f"{self.cpu_ms:.1f} ms"),
        )
        return f"| {' | '.join(cells)} |"


async def measure(*, quick: bool) -> None:
    """Print the tables: one process on both engines, and some processes on PostgreSQL."""
    found = Found(subjects=ENGINES)
    for number in range(1 if quick else RUNS):
        for engine in ENGINES:
            await _one_process(engine, found)
            print(f"one process {number + 1}: {engine}", file=sys.stderr)
    print(*found.lines(), "", f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}", sep="\n")
    for conversations in CONVERSATIONS[:1] if quick else CONVERSATIONS:
        for processes in PROCESSES:
            print(await _together(processes, conversations), flush=True)


async def _one_process(engine: str, found: Found) -> None:
    with running_server(durable=True) as server:
        settings = {} if engine == "SQLite" else {"DATABASE_URL": server.create("bench")}
        async with (
            a_stage(latency_seconds=0.0, settings=settings) as stage,
            stage.running("bot") as subject,
        ):
            await asyncio.sleep(SETTLING_SECONDS)
            found.add(Figure("memory idle", "MB"), engine, subject.memory_mb)
            crowd = await asked_alone(stage, await channels(stage, ALONE))
            to_model = await to_model_ms(crowd)
            found.add(Figure("message to model request", "ms"), engine, to_model)
        settings = {} if engine == "SQLite" else {"DATABASE_URL": server.create("hundred")}
        async with a_stage(settings=settings) as stage, stage.running("bot") as subject:
            row = await _crowd(stage, [subject], await channels(stage, 100))
    found.add(Figure("processor time for a reply of 350 chunks", "ms"), engine, row.cpu_ms)
    found.add(Figure("memory with 100 streaming", "MB"), engine, row.peak_mb)
    found.add(Figure("100 at once: answered", "", digits=0), engine, row.answered)


async def _together(processes: int, conversations: int) -> Row:
    """Let *processes* share the shards, and ask in so many channels of all shards."""
    with running_server(durable=True) as server:
        settings = {
            "DATABASE_URL": server.create("bench"),
            "SHARDS": str(SHARDS),
            "SHARDS_PER_PROCESS": str(SHARDS // processes),
        }
        model = MODEL if conversations <= CONVERSATIONS[0] else COARSE
        async with a_stage(
            model=model, settings=settings, shards=SHARDS, max_concurrency=SHARDS
        ) as stage:
            places = await _channels_of_shards(stage, conversations)
            async with _running(stage, processes) as subjects:
                return await _crowd(stage, subjects, places)


@asynccontextmanager
async def _running(stage: Stage, processes: int) -> AsyncIterator[list[Subject]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(stage.running("bot")) for _ in range(processes)]


async def _channels_of_shards(stage: Stage, count: int) -> list[str]:
    guilds = [
        await stage.discord.create_guild(f"Shard {shard}", shard=[shard, SHARDS])
        for shard in range(SHARDS)
    ]
    made = [
        await stage.discord.create_channel(f"place-{number}", guild=str(guild["id"]))
        for number, guild in enumerate(islice(cycle(guilds), count))
    ]
    return [str(one["id"]) for one in made]


async def _crowd(stage: Stage, subjects: Sequence[Subject], places: Sequence[str]) -> Row:
    """Ask in all *places*: up to 100 at once, more within 10 s."""
    await asyncio.sleep(SETTLING_SECONDS)
    idle = max(one.memory_mb for one in subjects)
    before = sum(one.cpu_seconds for one in subjects)
    for one in subjects:
        one.forget_peak()
    crowd = Crowd(stage)
    await crowd.begin()
    began = time.monotonic()
    coming = 0.0 if len(places) <= CONVERSATIONS[0] else COMING_SECONDS
    for number, place in enumerate(places):
        await asyncio.sleep(began + number * coming / len(places) - time.monotonic())
        await crowd.ask(place)
    asked = await crowd.answered(len(places), timeout_seconds=300.0)
    cost = sum(one.cpu_seconds for one in subjects) - before
    return Row(
        len(subjects),
        len(places),
        sum(one.whole and one.answers == 1 for one in asked),
        percentile(_waits(asked), 95),
        await crowd.limited(),
        most_in_a_second(await crowd.request_times()),
        idle,
        max(one.peak_memory_mb for one in subjects),
        cost / len(places) * 1000.0,
    )


def _waits(asked: Sequence[Asked]) -> list[float]:
    return list(spans((one for one in asked if one.whole), "asked_at", "last_words_at"))
