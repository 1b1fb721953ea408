"""The known channels, threads and guilds."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import HistoryFailed
from bot.storage.exchanges import History
from bot.storage.schema import APPLICATION_ID, MIGRATIONS
from tests.doubles import an_exchange, open_database, open_history
from tests.faults.failing import open_failing_database
from tests.storage.memory import open_ids
from tests.storage.recorder import Recorder


async def test_a_bot_thread_stays_recorded(history: History) -> None:
    assert not await history.places.is_own_thread(100)
    await history.receive(an_exchange(150, channel=100, parent=1))
    assert not await history.places.is_own_thread(100)
    await history.places.add_own_thread(100, 1, 7)
    await history.receive(an_exchange(160, channel=100, parent=1))
    assert await history.places.is_own_thread(100)


async def test_a_place_gets_one_hint(history: History) -> None:
    await history.places.add_own_thread(100, 1, 7)
    assert [await history.places.claim_first_hint(100) for _ in range(3)] == [True, False, False]
    assert await history.places.claim_first_hint(200)
    assert await history.places.is_own_thread(100)


def places_recorded(recorder: Recorder) -> int:
    return sum("INTO places" in statement for statement in recorder.statements)


async def test_a_place_is_recorded_with_its_first_question(path: Path) -> None:
    """More questions there cost no statement for it, unless it was deleted or moved."""
    async with open_database(path) as database:
        recorder = Recorder(database)
        history = History(recorder)
        for number in (10, 11, 12):
            await history.receive(an_exchange(number, channel=1))
        assert places_recorded(recorder) == 1
        await history.store_resolved(an_exchange(12, channel=1, parent=5))
        await history.receive(an_exchange(13, channel=1, guild=8))
        assert places_recorded(recorder) == 3
        assert await history.places.in_guild(8) == {1: 5}
        await history.erasure.forget_places([1])
        await history.receive(an_exchange(14, channel=1, guild=8))
        assert await history.places.in_guild(8) == {1: None}


@pytest.mark.parametrize("deleted_first", [False, True])
async def test_a_place_that_is_deleted_meanwhile_is_recorded_again(
    history: History, *, deleted_first: bool
) -> None:
    meanwhile = [history.receive(an_exchange(10)), history.erasure.forget_places([1])]
    await asyncio.gather(*(reversed(meanwhile) if deleted_first else meanwhile))
    await history.receive(an_exchange(20))
    assert await history.places.in_guild(7) == {1: None}


async def test_a_place_is_recorded_after_a_failure(path: Path) -> None:
    async with open_failing_database(path) as database:
        history = History(database)
        database.fail(1)
        with pytest.raises(HistoryFailed):
            await history.receive(an_exchange(10))
        await history.receive(an_exchange(10))
        assert await history.places.in_guild(7) == {1: None}


async def test_places_are_found_by_channel_and_by_guild(history: History) -> None:
    await history.receive(an_exchange(10, channel=1))
    await history.receive(an_exchange(20, channel=200, parent=1))
    await history.places.add_own_thread(300, 1, 7)
    await history.receive(an_exchange(30, channel=2, guild=8))
    await history.receive(an_exchange(40, channel=3, guild=None))
    places = history.places
    assert sorted(await places.threads_below(1)) == [200, 300]
    assert await places.in_guild(7) == {1: None, 200: 1, 300: 1}
    assert await places.guilds_with_places() == {7, 8}
    assert await places.direct_messages() == [3]
    assert await places.channels_with_threads() == [1]
    assert [await places.parent_of(one) for one in (200, 1, 99)] == [1, None, None]


async def test_joining_a_guild_again_keeps_the_first_message_id(history: History) -> None:
    await history.places.add_guilds({7: 500, 8: 600})
    await history.places.add_guilds({7: 900})
    assert await history.places.guilds() == {7: 500, 8: 600}
    await history.erasure.forget_guild(7)
    assert await history.places.guilds() == {8: 600}


async def test_a_database_of_schema_1_keeps_its_places(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(next(iter(MIGRATIONS.values())))
        database.execute("PRAGMA user_version = 1")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for row in ((1, 1, 1, 7, None), (20, 200, 200, 7, 1), (30, 3, 3, None, None)):
            database.execute(
                "INSERT INTO exchanges (message_id, channel_id, place_id, guild_id, parent_id,"
                " author_id, author, question, quoted, reply, state)"
                " VALUES (?, ?, ?, ?, ?, 9, '', 'q', '', 'r', 'answered')",
                row,
            )
        database.execute("INSERT INTO places VALUES (1, 1, 1, 0)")
        database.commit()
    async with open_history(path) as history:
        assert sorted(await history.places.in_guild(7)) == [1, 200]
        assert await history.places.direct_messages() == [3]
        assert await open_ids(history) == []
