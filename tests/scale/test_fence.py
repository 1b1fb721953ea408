"""A process that hangs, or that loses its database, never acts beside the next holder."""

import asyncio
import signal
from typing import Any, Final

import pytest

from tests.scale.conftest import Cluster
from tests.tcp_proxy import running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="session")
STOPPED_SECONDS: Final = 45.0
CHANGES: Final = {"POST", "PATCH", "PUT", "DELETE"}


async def changes(cluster: Cluster, questions: list[Any]) -> int:
    requests = await cluster.stage.discord.requests()
    return len([one for one in requests if one["method"] in CHANGES])


@pytest.mark.variation
async def test_process_that_was_stopped_changes_nothing_once_it_goes_on(
    cluster: Cluster, unique: str
) -> None:
    """The other one has taken over meanwhile, and each question has one answer."""
    async with cluster.process() as first:
        await cluster.logged(first, "Connected")
        async with cluster.process() as second:
            await cluster.logged(second, "Wait as a standby")
            questions = await cluster.ask(5, unique)
            for question in questions:
                await cluster.stage.first_words_on(question)
            first.process.send_signal(signal.SIGSTOP)
            await cluster.logged(second, "Cut off process")
            await cluster.logged(second, "Connected")
            await cluster.all_ended(questions)
            await cluster.check_answers(questions)
            before = await changes(cluster, questions)
            first.process.send_signal(signal.SIGCONT)
            await cluster.logged(first, "Abandon shard 0")
            await cluster.logged(first, "Wait as a standby")
            assert await changes(cluster, questions) == before
            await cluster.check_answers(questions)


@pytest.mark.variation
@pytest.mark.parametrize("seconds", [5, 20])
async def test_database_that_is_away_is_away_for_both(
    cluster: Cluster, unique: str, seconds: float
) -> None:
    """Whoever gets the shard then, no question is answered twice, and none is lost."""
    async with running_proxy(cluster.url) as proxy, cluster.process(proxy.url) as first:
        await cluster.logged(first, "Connected")
        async with cluster.process(proxy.url) as second:
            await cluster.logged(second, "Wait as a standby")
            await asyncio.sleep(6)  # Both have seen each other.
            questions = await cluster.ask(5, unique, chunks_per_second=5)
            for question in questions:
                await cluster.stage.first_words_on(question)
            proxy.refuses = True
            proxy.cut()
            await asyncio.sleep(seconds)
            proxy.refuses = False
            await cluster.all_ended(questions)
            await cluster.check_answers(questions)


@pytest.mark.variation
async def test_holder_that_hears_nothing_of_its_database_falls_silent(
    cluster: Cluster, unique: str
) -> None:
    """It gives up before anybody else may take over."""
    async with running_proxy(cluster.url) as proxy, cluster.process(proxy.url) as first:
        await cluster.logged(first, "Connected")
        async with cluster.process() as second:
            await cluster.logged(second, "Wait as a standby")
            await asyncio.sleep(6)
            questions = await cluster.ask(5, unique, chunks_per_second=3)
            for question in questions:
                await cluster.stage.first_words_on(question)
            proxy.is_silent = True
            await cluster.logged(first, "Abandon shard 0 of 1: the database is silent")
            assert "Connected" not in second.log
            given_up_at = await cluster.stage.discord.last_event()
            await cluster.logged(second, "Connected")
            events = await cluster.stage.discord.events(after=given_up_at)
            kinds = [one["type"] for one in events]
            assert "message_update" not in kinds[: kinds.index("gateway_ready")]
            await cluster.all_ended(questions)
            await cluster.check_answers(questions)
