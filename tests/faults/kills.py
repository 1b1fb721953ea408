"""Kill the bot repeatedly: at random times during many replies, and at each named point."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from bot.sandbox.model_script import Script
from tests.e2e.conftest import Bot, Message, Stage
from tests.faults.oracle import SETTLED, check_invariants
from tests.faults.points import COMPLETE, POINTS

TRIES_PER_DATABASE: Final = 20  # Each is a start, and the bot may identify 300 times a day.
IN_CHANNELS: Final = 12
IN_DIRECT_MESSAGES: Final = 8
LONGEST_INSTANT_SECONDS: Final = 3.5  # By then the replies of a try have ended, or almost.
TRACE_LINES: Final = 8  # of a failure that is printed with its traceback
WORDS: Final = "All is well in the harbour tonight. ", "밤의 항구는 조용합니다. ", "`x = 1` and "


@dataclass(slots=True)
class Counts:
    """The results of a campaign; *worst_seconds* is the time from a start to the last answer.

    *worst_takeover_seconds* is the time from a kill until another process has all shards.
    """

    tries: int = 0
    lost: int = 0
    doubled: int = 0
    worst_seconds: float = 0.0
    worst_takeover_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, case: str, failure: AssertionError | TimeoutError) -> None:
        """Count a try that failed."""
        message = str(failure) or type(failure).__name__
        if "belongs to no question" in message or "was put" in message:
            self.doubled += 1
        else:
            self.lost += 1
        first, *others = message.splitlines()
        self.failures.append("\n".join((f"{case}: {first[:300]}", *others[-TRACE_LINES:])))


async def play_random_kills(stage: Stage, *, tries: int, seed: int) -> Counts:
    """Kill the bot *tries* times at random times, each time during 20 replies."""
    rng = random.Random(seed)
    counts = Counts()
    channels = [await stage.channel() for _ in range(IN_CHANNELS)]
    people = [await stage.person() for _ in range(IN_DIRECT_MESSAGES)]
    places = [(await stage.discord.dm(person), person) for person in people]
    await stage.discord.settings(max_active_threads=100_000, global_limit=10_000)
    for start in range(0, tries, TRIES_PER_DATABASE):
        # Discord knows a nonce for minutes; a bot may be down for longer.
        forgetful = start // TRIES_PER_DATABASE % 2
        await stage.discord.settings(nonce_window_seconds=0 if forgetful else 300)
        async with stage.afresh() as one, AsyncExitStack() as running:
            bot = await running.enter_async_context(one.bot())
            for number in range(start, min(tries, start + TRIES_PER_DATABASE)):
                questions = await ask_twenty(one, rng, f"try {seed}.{number}", channels, places)
                await asyncio.sleep(rng.uniform(0, LONGEST_INSTANT_SECONDS))
                bot = await _again(one, bot, running)
                await judge(one, counts, f"try {number}", questions)
                await one.model.forget_requests()
                one.over.clear()
    return counts


async def play_named_points(stage: Stage, *, tries: int, seed: int) -> Counts:
    """Kill the bot at each named point *tries* times."""
    counts = Counts()
    await stage.discord.settings(max_active_threads=100_000)
    for name, point in POINTS.items():
        async with stage.afresh() as one, AsyncExitStack() as running:
            bot = await running.enter_async_context(one.bot())
            for number in range(tries):
                question = await point(one, f"point {name} {seed}.{number} end")
                bot = await _again(one, bot, running)
                calls = 1 if name in COMPLETE else 2
                await judge(one, counts, f"{name} {number}", [question], model_calls=calls)
    return counts


async def ask_twenty(
    stage: Stage,
    rng: random.Random,
    name: str,
    channels: Sequence[str],
    places: Sequence[tuple[str, str]],
) -> list[Message]:
    """Ask 20 questions at once; their answers differ in length and speed."""
    asked: list[Any] = []
    for number, (channel, person) in enumerate([*((one, "Mina") for one in channels), *places]):
        word = f"{name} {number} end"
        text = rng.choice(WORDS) * rng.randint(1, 120)
        script = Script(text=text, chunk_size=9, chunks_per_second=rng.choice((80, 200, 500)))
        await stage.model.reply_when(word, script)
        in_channel = channel in channels
        ask = stage.discord.ask if in_channel else stage.discord.say
        asked.append(ask(channel, person, word))
    return list(await asyncio.gather(*asked))


async def _again(stage: Stage, bot: Bot, running: AsyncExitStack) -> Bot:
    """Kill *bot*, start another on the same database, and return it."""
    bot.process.kill()
    await bot.process.wait()
    await stage.discord.clear_faults()
    return await running.enter_async_context(stage.bot(connected=False))


async def judge(
    stage: Stage, counts: Counts, case: str, questions: list[Message], *, model_calls: int = 2
) -> None:
    """Count whether all *questions* were answered, each once."""
    counts.tries += 1
    began = time.monotonic()
    try:
        endings = await check_invariants(stage, *questions, model_calls=model_calls)
    except (AssertionError, TimeoutError) as failure:
        counts.count(case, failure)
        return
    counts.worst_seconds = max(counts.worst_seconds, time.monotonic() - began)
    unanswered = [ending for ending in endings if ending.state != "answered"]
    if unanswered:
        counts.lost += len(unanswered)
        counts.failures.append(f"{case}: not answered: {unanswered[0].question!r}")
    assert all(ending.state in SETTLED for ending in endings)
