"""Two processes of one bot: the second waits, and takes over from the first."""

import signal
import time
from typing import Final

import aiohttp
import pytest

from bot.sandbox.postgres_server import free_port
from tests.scale.conftest import TEXT, Cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")
TAKEOVER_SECONDS: Final = 10.0  # What is promised after kill -9, for a process on a busy machine.


async def test_standby_goes_on_in_the_same_messages_after_a_kill(
    cluster: Cluster, unique: str
) -> None:
    """Every question that ran has one answer, and the messages that it had."""
    async with cluster.process() as first:
        await cluster.logged(first, "Connected")
        async with cluster.process() as second:
            await cluster.logged(second, "Wait as a standby: other processes hold all 1 shards")
            questions = await cluster.ask(5, unique)
            before = [await cluster.stage.first_words_on(one) for one in questions]
            first.process.kill()
            killed_at = time.monotonic()
            await first.process.wait()
            await cluster.logged(second, "Connected")
            took_seconds = time.monotonic() - killed_at
            await cluster.all_ended(questions)
            await cluster.check_answers(questions)
            for question, message in zip(questions, before, strict=True):
                parts = await cluster.stage.parts_of(question)
                assert parts[0]["id"] == message["id"], "the answer goes on where it was"
            assert took_seconds < TAKEOVER_SECONDS
            assert second.log.count("Wait as a standby") == 1


async def test_standby_leaves_discord_alone(cluster: Cluster, unique: str) -> None:
    """It opens no connection and changes nothing until the shard is its own."""
    async with cluster.process() as first:
        await cluster.logged(first, "Connected")
        before = await cluster.stage.discord.last_event()
        port = str(free_port())
        async with cluster.process(HEALTH_PORT=port) as second:
            await cluster.logged(second, "Wait as a standby")
            async with (
                aiohttp.ClientSession(f"http://127.0.0.1:{port}") as supervisor,
                supervisor.get("/readyz") as response,
            ):
                assert response.status == 200
                assert (await response.json())["standby"] is True
            async with (
                aiohttp.ClientSession(f"http://127.0.0.1:{port}") as supervisor,
                supervisor.get("/metrics") as response,
            ):
                assert "chatbot_shards_held 0.0" in await response.text()
            questions = await cluster.ask(1, unique, chunks_per_second=100)
            await cluster.all_ended(questions)
            assert TEXT in "".join(
                [part["content"] for part in await cluster.stage.parts_of(questions[0])]
            )
            ready = await cluster.stage.discord.events(types=["gateway_ready"], after=before)
            assert ready == []
            assert await second.stop() == 0
        assert first.process.returncode is None


async def test_stopped_process_hands_its_shard_over(cluster: Cluster, unique: str) -> None:
    """The next process has it soon after, and what was not finished goes on there."""
    async with cluster.process(SHUTDOWN_GRACE="0") as first:
        await cluster.logged(first, "Connected")
        async with cluster.process() as second:
            await cluster.logged(second, "Wait as a standby")
            questions = await cluster.ask(3, unique)
            for question in questions:
                await cluster.stage.first_words_on(question)
            first.process.send_signal(signal.SIGTERM)
            await cluster.logged(second, "Connected")
            assert await first.wait() == 0
            await cluster.all_ended(questions)
            await cluster.check_answers(questions)
