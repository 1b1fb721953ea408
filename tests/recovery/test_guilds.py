"""When the bot joined each guild, and from where a guild is searched."""

import asyncio

import pytest

from bot.access import AccessLists
from bot.live import Live
from bot.recovery import guilds as guilds_module
from bot.recovery.guilds import UNSEARCHED_FACT, GuildRanges, Guilds
from bot.recovery.watermark import MissedRange
from bot.storage.exchanges import History
from tests.doubles import PATIENCE_SECONDS
from tests.faults.failing import FailingDatabase
from tests.world import GUILD, World

EVERYWHERE = Live(AccessLists())
ELSEWHERE = Live(AccessLists(allowed_guilds=frozenset({GUILD + 1})))
JOINED, OLDEST, SEEN, DONE = 1 << 22, 2 << 22, 3 << 22, 9 << 22
NOTHING = GuildRanges({}, {})
ALL = GuildRanges({GUILD: MissedRange(DONE, OLDEST)}, {})


@pytest.fixture
def guilds(world: World, history: History) -> Guilds:
    return Guilds(world.client, history.places, history.facts, EVERYWHERE)


async def missed(guilds: Guilds, after_id: int = DONE, oldest_id: int = OLDEST) -> GuildRanges:
    return await guilds.missed(after_id, oldest_id=oldest_id)


async def test_messages_from_before_the_bot_joined_are_not_missed(
    guilds: Guilds, history: History
) -> None:
    assert await missed(guilds, JOINED) == NOTHING, "a guild is searched once it is recorded"
    await guilds.meet(JOINED)
    assert await history.places.guilds() == {GUILD: JOINED}
    assert await missed(guilds, 0, 0) == GuildRanges({GUILD: MissedRange(JOINED, JOINED)}, {})
    await guilds.meet(DONE)
    assert await history.places.guilds() == {GUILD: JOINED}, "it is known"


async def test_the_last_message_of_a_new_guild_marks_the_join(
    world: World, guilds: Guilds, history: History
) -> None:
    """Discord's clock may be behind ours."""
    world.guild.text_channels[0].last_message_id = JOINED
    await guilds.meet(DONE)
    assert await history.places.guilds() == {GUILD: JOINED}


async def test_a_guild_is_searched_from_the_watermark(guilds: Guilds) -> None:
    await guilds.meet(JOINED)
    assert await missed(guilds) == ALL
    assert await missed(guilds, OLDEST - 1) == GuildRanges({GUILD: MissedRange(OLDEST, OLDEST)}, {})


async def test_a_guild_that_is_not_allowed_is_not_searched(world: World, history: History) -> None:
    guilds = Guilds(world.client, history.places, history.facts, ELSEWHERE)
    await guilds.meet(JOINED)
    assert await missed(guilds) == NOTHING


async def test_an_outage_is_searched_from_before_it_began(
    world: World, guilds: Guilds, history: History
) -> None:
    """Also after a restart."""
    await guilds.meet(JOINED)
    world.guild.unavailable = True
    ranges = await missed(guilds, SEEN)
    assert ranges == GuildRanges({}, {GUILD: SEEN})
    await guilds.mark_searched(ranges)
    assert guilds.is_unsearched(GUILD)
    assert not guilds.any_returned(ranges)
    world.guild.unavailable = False
    assert guilds.any_returned(ranges)
    for one in (guilds, Guilds(world.client, history.places, history.facts, EVERYWHERE)):
        later = await missed(one)
        assert later == GuildRanges({GUILD: MissedRange(SEEN, OLDEST)}, {})
    await guilds.mark_searched(later)
    assert not guilds.is_unsearched(GUILD)
    assert await missed(guilds) == ALL


async def test_an_outage_pins_where_the_search_begins(world: World, guilds: Guilds) -> None:
    """The watermark goes on with the messages of other guilds."""
    await guilds.meet(JOINED)
    await guilds.mark_unavailable(GUILD, SEEN)
    await guilds.mark_unavailable(GUILD, DONE)
    assert await missed(guilds) == GuildRanges({GUILD: MissedRange(SEEN, OLDEST)}, {})


async def test_an_outage_during_a_search_repeats_it(world: World, guilds: Guilds) -> None:
    await guilds.meet(JOINED)
    ranges = await missed(guilds)
    await guilds.mark_unavailable(GUILD, SEEN)
    assert guilds.any_returned(ranges), "it is there again by now"
    await guilds.mark_searched(ranges)
    assert guilds.is_unsearched(GUILD)


@pytest.mark.parametrize("stored", ["", "x", "[]", '{"x": 1}', "null"])
async def test_a_malformed_fact_counts_as_absent(
    guilds: Guilds, history: History, stored: str
) -> None:
    await history.facts.set(UNSEARCHED_FACT, stored)
    await guilds.meet(JOINED)
    assert await missed(guilds) == ALL


async def test_a_guild_that_cannot_be_recorded_is_recorded_later(
    world: World, database: FailingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guilds_module, "GUILD_RETRY_SECONDS", 0.01)
    history = History(database)
    guilds = Guilds(world.client, history.places, history.facts, EVERYWHERE)
    await guilds.load()
    guilds.see(world.guild, JOINED)
    database.fail(1, count=2)
    recording = asyncio.create_task(guilds.keep_recorded())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while database.units < 3:  # noqa: ASYNC110  # a database tells nobody
            await asyncio.sleep(0.01)
    recording.cancel()
    await asyncio.wait([recording])
    assert await history.places.guilds() == {GUILD: JOINED}
