"""Several processes on one database: who holds which shard, and what a lost session means."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest

from bot.cluster import cluster as cluster_module
from bot.storage import leases as leases_module
from tests.cluster.stage import DEADLINE_SECONDS, Member, member
from tests.tcp_proxy import running_proxy


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and renew often: a real process takes its time."""
    monkeypatch.setattr(cluster_module, "CLAIM_SECONDS", (0.05, 0.1))
    monkeypatch.setattr(cluster_module, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(cluster_module, "GLANCE_SECONDS", 0.02)


async def is_standby(one: Member) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not one.cluster.is_standby:  # noqa: ASYNC110  # no event for it
            await asyncio.sleep(0.01)


async def end_session(url: str, one: Member) -> None:
    """End the session of a process at the server, as the end of the process does."""
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_terminate_backend($1)", one.session.pid)
    await connection.close()


async def test_second_process_waits_and_takes_over(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bot")
    async with AsyncExitStack() as ended:
        first = await ended.enter_async_context(member(postgres_url, "first"))
        await first.holds(0)
        async with member(postgres_url, "second") as second:
            await is_standby(second)
            await asyncio.sleep(0.5)
            assert second.host.running == set()
            await ended.aclose()
            await second.holds(0)
    assert caplog.text.count("Wait as a standby") == 1, "one line, however long it waits"


async def test_two_processes_share_the_shards(postgres_url: str) -> None:
    """Each process takes as many shards as it may. No shard is held twice; the others stay free."""
    async with (
        member(postgres_url, "a", total=5, most=2) as a,
        member(postgres_url, "b", total=5, most=2) as b,
    ):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(a.cluster.held) < 2 or len(b.cluster.held) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not a.cluster.held & b.cluster.held
        async with member(postgres_url, "c", total=5, most=2) as c:
            left = set(range(5)) - a.cluster.held - b.cluster.held
            await c.holds(*left)


async def test_a_shard_goes_to_the_next_as_soon_as_its_answers_are_done(postgres_url: str) -> None:
    async with member(postgres_url, "old", total=2) as old:
        await old.holds(0, 1)
        async with member(postgres_url, "new", total=2) as new:
            await is_standby(new)
            draining = asyncio.create_task(old.cluster.drain(5.0))
            await asyncio.sleep(0.3)
            assert new.host.running == set(), "the answers of the old one are not done"
            old.host.drained.set()
            await draining
            await new.holds(0, 1)
            assert old.cluster.held == set()


async def test_session_that_comes_back_goes_on_with_its_shards(postgres_url: str) -> None:
    """If no other process took the shards, none is closed, and the fence opens again."""
    async with member(postgres_url, "one", total=2) as one:
        await one.holds(0, 1)
        before = one.session
        await end_session(postgres_url, one)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await before.lost.wait()
            while one.database.session is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await one.cluster.fence.passed()
        assert one.host.journal == ["start 0", "start 1"]


async def test_lost_session_holds_requests_back_at_once(postgres_url: str) -> None:
    async with running_proxy(postgres_url) as proxy, member(proxy.url, "one", total=2) as one:
        await one.holds(0, 1)
        proxy.refuses = True
        proxy.cut()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while one.cluster.fence.is_open:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert one.host.running == {0, 1}, "they are not lost yet"
        passing = asyncio.create_task(one.cluster.fence.passed())
        await asyncio.sleep(0.1)
        assert not passing.done()
        proxy.refuses = False
        await asyncio.wait_for(passing, DEADLINE_SECONDS)


async def test_shards_that_somebody_took_meanwhile_are_closed_before_anything_is_written(
    postgres_url: str,
) -> None:
    async with running_proxy(postgres_url) as proxy, member(proxy.url, "cut", total=2) as cut:
        await cut.holds(0, 1)
        async with member(postgres_url, "other", total=2) as other:
            await is_standby(other)
            proxy.refuses = True
            proxy.cut()
            await other.holds(0, 1)
            writing = asyncio.create_task(
                cut.database.change("INSERT INTO facts VALUES (?, ?)", "late", "1")
            )
            proxy.refuses = False
            await writing
            assert sorted(cut.host.journal[-2:]) == ["abandon 0", "abandon 1"]
            assert cut.host.running == set()


async def test_silent_database_makes_a_process_give_its_shards_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.cluster.fence.HOLD_SECONDS", 1.0)
    async with running_proxy(postgres_url) as proxy, member(proxy.url, "one", total=2) as one:
        await one.holds(0, 1)
        proxy.is_silent = True
        await one.holds()
        assert not one.cluster.fence.is_open
        proxy.is_silent = False
        await one.holds(0, 1)


async def test_only_process_with_one_shard_goes_on_without_its_database(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with SQLite, whose file nobody else has."""
    monkeypatch.setattr("bot.cluster.fence.HOLD_SECONDS", 1.0)
    async with running_proxy(postgres_url) as proxy, member(proxy.url, "one") as one:
        await one.holds(0)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not one.cluster.fence.alone:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        proxy.refuses = True
        proxy.cut()
        await asyncio.sleep(1.5)
        assert one.host.running == {0}
        assert one.cluster.fence.is_open


async def test_process_that_hangs_is_cut_off(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leases_module, "SILENT_SECONDS", 1)
    async with running_proxy(postgres_url) as proxy, member(proxy.url, "hanging") as hanging:
        await hanging.holds(0)
        async with member(postgres_url, "watching") as watching:
            await is_standby(watching)
            proxy.is_silent = True
            await watching.holds(0)
            assert "Cut off process hanging" in caplog.text
            proxy.is_silent = False


async def test_pooler_that_is_put_in_front_later_is_found(postgres_url: str) -> None:
    """The session no longer finds its own lock."""
    async with member(postgres_url, "one") as one:
        await one.holds(0)
        await one.database.fetch_in(one.session, "SELECT pg_advisory_unlock_all()")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not one.poolers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_other_number_of_shards_waits_for_the_last_one(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Side by side, Discord would send each event to both."""
    async with member(postgres_url, "new", total=4) as new:
        async with member(postgres_url, "old", total=2) as old:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (old.host.running or new.host.running):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            waiting, running = (new, old) if old.host.running else (old, new)
            await is_standby(waiting)
            assert not waiting.host.running
            assert running.host.running
            assert "Stop all of them" in caplog.text
        await new.holds(0, 1, 2, 3)
