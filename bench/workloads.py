"""What is measured: each workload plays one scene with one program and adds its figures."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

from bench.crowd import Crowd, percentile, spans
from bench.crowds import AT_ONCE, channels
from bench.figures import Figure, Found, at_most, at_most_times, milliseconds
from bench.stage import LATENCY_SECONDS, ROOT, Stage, Subject, a_stage
from bot.sandbox.model_script import Script
from bot.storage.database_file import DatabaseFile
from bot.storage.sqlite import SqliteDatabase

Workload = Callable[[str, Found], Awaitable[None]]
ROUND_TRIP_MS: Final = LATENCY_SECONDS * 1000
SHORT: Final = 60  # characters: an answer that the model is done with at once
FEW: Final = 2_000  # exchanges stored, a tenth of them in one channel
MANY: Final = 1_000_000
NOISE_PER_SECOND: Final = 500
NOISE_SECONDS: Final = 10.0
BATCH: Final = 25
MENTIONS: Final = 20
GUILDS: Final = 1000
CHANNELS_A_GUILD: Final = 50
LENGTHS: Final = {1_000: 30, 10_000: 6, 100_000: 1}  # characters of an answer, and how many


async def asked_alone(stage: Stage, places: list[str], characters: int = 160) -> Crowd:
    """Ask in one place after the other, each when the one before is answered."""
    warming = Crowd(stage)
    await warming.ask(places[0], characters=SHORT)  # The first one opens connections.
    await warming.answered(1, timeout_seconds=20.0)
    crowd = Crowd(stage)
    await crowd.begin()
    for number, place in enumerate(places, 1):
        await crowd.ask(place, characters=characters)
        await crowd.answered(number, timeout_seconds=20.0)
    return crowd


async def to_model_ms(crowd: Crowd) -> float:
    """Return the median time from a message to the request to the model."""
    asked = await crowd.answered(0, timeout_seconds=1.0)
    return median(milliseconds(spans(asked, "asked_at", "model_at")))


async def alone(name: str, found: Found, *, latency_seconds: float, questions: int) -> None:
    """One question after the other, each in a channel of its own."""
    ms = round(latency_seconds * 1000)
    async with a_stage(latency_seconds=latency_seconds) as stage, stage.running(name):
        crowd = await asked_alone(stage, await channels(stage, questions))
        asked = await crowd.answered(0, timeout_seconds=1.0)
        to_model = await to_model_ms(crowd)
    figure = Figure(f"message to model request, {ms} ms a request", "ms", "2 x", at_most_times(2.0))
    found.add(figure, name, to_model)
    if latency_seconds:
        first = milliseconds(spans(asked, "first_token_at", "first_words_at"))
        last = milliseconds(spans(asked, "last_token_at", "last_words_at"))
        bar = at_most(ROUND_TRIP_MS + 20.0)
        found.add(Figure("first token to first words", "ms", "100 ms", bar), name, median(first))
        bar = at_most(ROUND_TRIP_MS + 50.0)
        figure = Figure("last token to complete reply, 95 %", "ms", "130 ms", bar)
        found.add(figure, name, percentile(last, 95))


async def idle(name: str, found: Found) -> None:
    """Start, wait to be connected, do nothing."""
    async with a_stage() as stage, stage.running(name) as subject:
        await asyncio.sleep(3.0)
        figure = Figure("start to connected", "s", "1.3 x", at_most_times(1.3), 2)
        found.add(figure, name, subject.connected_seconds)
        figure = Figure("memory idle", "MB", "1.1 x", at_most_times(1.1))
        found.add(figure, name, subject.memory_mb)


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


async def stored(name: str, found: Found) -> None:
    """1,000,000 exchanges are stored, 100,000 of them in one channel; beside it 2,000 and 200."""
    took = {}
    for count in (FEW, MANY):
        async with a_stage(latency_seconds=0.0) as stage:
            [busy, *others] = await channels(stage, 11)
            if name == "bot":
                await _fill(stage.folder / f"{name}.db", count, int(busy))
            async with stage.running(name) as subject:
                if name == "bot":
                    crowded = await to_model_ms(await asked_alone(stage, [busy] * 10))
                    spread = await to_model_ms(await asked_alone(stage, others))
                    took[count] = (subject.connected_seconds, crowded, spread)
                else:
                    took[count] = (subject.connected_seconds, 0.0, 0.0)
    figure = Figure("start to connected, 1,000,000 stored", "s", "1.5 x", at_most_times(1.5), 2)
    found.add(figure, name, took[MANY][0])
    if name == "bot":
        title = "message to model request, 1,000,000 stored"
        for at, where in ((1, ", in a channel of 100,000"), (2, "")):
            bar = at_most_times(1.2)
            figure = Figure(f"{title}{where} (compared with 2,000, 200)", "ms", "1.2 x", bar)
            found.add(figure, "floor", took[FEW][at])
            found.add(figure, name, took[MANY][at])


async def _fill(path: Path, count: int, busy_id: int) -> None:
    with DatabaseFile.hold(path) as file:
        async with SqliteDatabase.open(file):
            pass
    await asyncio.to_thread(_insert, path, count, busy_id)


def _insert(path: Path, count: int, busy_id: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO exchanges (message_id, channel_id, place_id, author_id, author, question,"
            " quoted, reply, tokens, state)"
            " VALUES (?, ?, ?, 7, 'Mina (@mina)', ?, '', ?, 60, 'answered')",
            _rows(count, busy_id),
        )
        connection.execute(  # Each was asked in a channel and answered in a thread made from it.
            "INSERT INTO places (place_id, parent_id, own, guild_id)"
            " SELECT message_id, channel_id, 1, 20000000 + channel_id % 1000 FROM exchanges"
        )


def _rows(count: int, busy_id: int) -> Iterator[tuple[int, int, int, str, str]]:
    question, reply = "Why is it so? " * 4, "Because it always was. " * 6
    for number in range(1, count + 1):
        channel_id = busy_id if number % 10 == 0 else 10_000_000 + number % 5000
        yield number, channel_id, number, question, reply


async def noise(name: str, found: Found) -> None:
    """500 messages a second that are for nobody, and mentions among them."""
    async with a_stage(latency_seconds=0.0) as stage:
        async with stage.running(name, probed=True) as subject:
            places = await channels(stage, MENTIONS)
            quiet = await to_model_ms(await asked_alone(stage, places))
            before = _written(subject)
            began = time.monotonic()
            await _talk(stage, places, began, NOISE_SECONDS)
            ended = time.monotonic()
            written = _written(subject) - before
            crowd = Crowd(stage)
            await crowd.begin()
            talking = asyncio.create_task(_talk(stage, places, time.monotonic(), NOISE_SECONDS))
            await asyncio.sleep(1.0)
            for place in places:
                await crowd.ask(place, characters=SHORT)
                await asyncio.sleep(0.4)
            await talking
            loud = await to_model_ms(crowd)
        lag = percentile(milliseconds(subject.lags(began, ended)), 99)
    title = "500 other messages a second"
    found.add(Figure(f"{title}: event loop lag, 99 %", "ms", "50 ms", at_most(50.0)), name, lag)
    if name == "bot":
        # The watermark, once in 30 s: a page or two, and SQLite's log of them.
        figure = Figure(f"{title}: bytes written", "", "32,768", at_most(32_768), 0)
        found.add(figure, name, written)
        title = "message to model request among 500 a second (compared with alone)"
        figure = Figure(title, "ms", "1.5 x", at_most_times(1.5))
        found.add(figure, "floor", quiet)
        found.add(figure, name, loud)


async def _talk(stage: Stage, places: list[str], began: float, seconds: float) -> None:
    count = int(NOISE_PER_SECOND * seconds / BATCH)
    for number in range(count):
        await asyncio.sleep(began + number * BATCH / NOISE_PER_SECOND - time.monotonic())
        await stage.discord.say_all(
            {
                "channel_id": places[(number + one) % len(places)],
                "author_id": "Jun",
                "content": f"This is nobody's business, number {number} of {one}.",
            }
            for one in range(BATCH)
        )


def _written(subject: Subject) -> int:
    """Return how many bytes a program handed to the file system so far."""
    for line in Path(f"/proc/{subject.process.pid}/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    return 0


async def guilds(name: str, found: Found) -> None:
    """1,000 guilds of 50 channels."""
    async with a_stage(latency_seconds=0.0) as stage:
        for number in range(GUILDS):
            await stage.discord.create_guild(f"Guild {number}", channels=CHANNELS_A_GUILD)
        async with stage.running(name) as subject:
            await _settled(subject)
            figure = Figure("memory with 1,000 guilds", "MB", "1.1 x", at_most_times(1.1))
            found.add(figure, name, subject.memory_mb)


async def _settled(subject: Subject) -> None:
    """Wait until a program has nothing to do any more."""
    spent = -1.0
    while subject.cpu_seconds - spent > 0.05:
        spent = subject.cpu_seconds
        await asyncio.sleep(2.0)


async def long_answer(name: str, found: Found) -> None:
    """Answers of 1,000, 10,000 and 100,000 characters."""
    if name != "bot":
        return
    knobs = {"buckets": {"message_create": {"limit": 1000, "window_seconds": 5.0}}}
    settings = {"REPLY_TOKENS": "100000", "CONTEXT_TOKENS": "400000"}
    costs = {}
    for characters, count in LENGTHS.items():
        async with (
            a_stage(model=AT_ONCE, latency_seconds=0.0, settings=settings, **knobs) as stage,
            stage.running(name) as subject,
        ):
            [place] = await channels(stage, 1)
            await asked_alone(stage, [place], SHORT)
            spent = subject.cpu_seconds
            for number in range(count):
                await _told(stage, place, characters, number)
            costs[characters] = (subject.cpu_seconds - spent) / (characters * count) * 1e6
    for characters in (1_000, 10_000):
        title = f"processor time for a character of 100,000 (compared with {characters:,})"
        figure = Figure(title, "us", "1.1 x", at_most_times(1.1), 2)
        found.add(figure, "floor", costs[characters])
        found.add(figure, name, costs[100_000])


async def _told(stage: Stage, place: str, characters: int, number: int) -> None:
    """Ask once for a text of so many characters, and wait for its end."""
    end = f"end-{number}."  # in one word, which no cut goes through
    text = ("and so it goes on " * (characters // 18 + 1))[: characters - len(end)] + end
    await stage.model.reply(Script(text=text))
    question = await stage.discord.ask(place, "Mina", "Tell me.")
    await stage.discord.wait_for_bot(end, channel=question["id"], timeout_seconds=120.0)
