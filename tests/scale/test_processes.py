"""Shards over several processes: who answers where, and what they share."""

import asyncio
import random
import signal
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from bot.sandbox.model_script import Script
from bot.shards import Shard
from tests.e2e.test_own_data import forget
from tests.scale.conftest import TEXT, Cluster
from tests.scale.traffic import traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")
SPACING_SECONDS: Final = 5.0
REQUESTS_PER_SECOND: Final = 50
WITHDRAWN_SECONDS: Final = 2.0


async def guilds_of_shards(cluster: Cluster, total: int, unique: str) -> list[dict[str, Any]]:
    """Return a guild of each shard."""
    found: dict[int, dict[str, Any]] = {}
    while len(found) < total:
        guild = await cluster.stage.discord.create_guild(f"Guild {unique} {random.random()}")
        for number in range(total):
            if Shard(number, total).owns(int(guild["id"])):
                found.setdefault(number, guild)
    return [found[number] for number in range(total)]


async def test_each_process_answers_in_its_own_servers(cluster: Cluster, unique: str) -> None:
    """When one ends, the other one answers in all of them."""
    guilds = await guilds_of_shards(cluster, 2, unique)
    channels = [str(guild["channels"]["general"]) for guild in guilds]
    shards = {"SHARDS": "2"}
    async with cluster.process(**shards, SHARDS_PER_PROCESS="1") as first:
        await cluster.logged(first, "Connected as")
        async with cluster.process(**shards) as second:
            await cluster.logged(second, "Connected as")
            for channel in channels:
                await cluster.stage.asked("Hello", channel=channel)
            assert first.log.count("Ended question") == 1
            assert second.log.count("Ended question") == 1
            first.process.kill()
            await first.process.wait()
            await cluster.logged(second, "Connected as", times=2)
            for channel in channels:
                await cluster.stage.asked("Hello again", channel=channel)
    assert second.log.count("Ended question") == 3


async def test_what_a_person_takes_back_is_taken_back_in_the_other_process(
    cluster: Cluster, unique: str
) -> None:
    """/forget-me in a server of one process ends an answer that another one streams."""
    guilds = await guilds_of_shards(cluster, 2, unique)
    channels = [str(guild["channels"]["general"]) for guild in guilds]
    settings = {"SHARDS": "2", "SHARDS_PER_PROCESS": "1"}
    async with cluster.process(**settings) as first, cluster.process(**settings) as second:
        await cluster.logged(first, "Connected as")
        await cluster.logged(second, "Connected as")
        script = Script(text=TEXT, chunk_size=4, chunks_per_second=2)
        await cluster.stage.model.reply_when(unique, script)
        question = await cluster.stage.ask(unique, channel=channels[1])
        await cluster.stage.first_words_on(question)
        assert not (await forget(cluster.stage, channels[0], "Mina")).startswith("Cannot")
        began = time.monotonic()
        while await cluster.stage.parts_of(question):
            assert time.monotonic() - began < WITHDRAWN_SECONDS
            await asyncio.sleep(0.05)
        assert cluster.rows(f"SELECT 1 FROM exchanges WHERE question LIKE '%{unique}%'") == []


@pytest.mark.variation
async def test_processes_together_stay_within_the_limits_of_one_bot(
    cluster: Cluster, unique: str
) -> None:
    """IDENTIFYs of a key are 5 s apart, and no second has more than 50 requests."""
    guilds = await guilds_of_shards(cluster, 4, unique)
    await cluster.stage.discord.settings(identify_interval_seconds=SPACING_SECONDS)
    settings = {"SHARDS": "4", "SHARDS_PER_PROCESS": "1"}
    before = await cluster.stage.discord.last_event()
    async with AsyncExitStack() as stack:
        bots = [await stack.enter_async_context(cluster.process(**settings)) for _ in range(4)]
        for bot in bots:
            await cluster.logged(bot, "Connected as")
        await asyncio.sleep(3)  # Each has its share by then.
        script = Script(text=TEXT, chunk_size=12, chunks_per_second=20)
        await cluster.stage.model.reply_when(unique, script)
        questions = [
            await cluster.stage.ask(
                f"{unique} {number}", channel=str(guilds[number % 4]["channels"]["general"])
            )
            for number in range(100)
        ]
        await cluster.all_ended(questions)
        await cluster.check_answers(questions)
    seen = traffic(
        await cluster.stage.discord.requests(),
        await cluster.stage.discord.events(after=before),
        keys=1,
    )
    assert seen.shortest_gap >= SPACING_SECONDS
    assert seen.most_in_a_second <= REQUESTS_PER_SECOND
    assert seen.two_sessions == 0


@pytest.mark.variation
async def test_rolling_restart_loses_and_doubles_nothing(cluster: Cluster, unique: str) -> None:
    """Each process ends once the next one waits, also before its answers are done."""
    guilds = await guilds_of_shards(cluster, 2, unique)
    settings = {"SHARDS": "2", "SHUTDOWN_GRACE": "2"}
    script = Script(text=TEXT, chunk_size=12, chunks_per_second=20)
    await cluster.stage.model.reply_when(unique, script)
    questions: list[Any] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            channel = str(guilds[len(questions) % 2]["channels"]["general"])
            questions.append(await cluster.stage.ask(f"{unique} {len(questions)}", channel=channel))
            await asyncio.sleep(0.5)

    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(cluster.process(**settings))
        await cluster.logged(old, "Connected as", times=2)
        asking = asyncio.create_task(ask())
        for _ in range(3):
            new = await stack.enter_async_context(cluster.process(**settings))
            await cluster.logged(new, "Wait as a standby")
            old.process.send_signal(signal.SIGTERM)
            await cluster.logged(new, "Connected as", times=2)
            assert await old.wait() == 0
            old = new
        over.set()
        await asking
        await cluster.all_ended(questions)
        await cluster.check_answers(questions)
