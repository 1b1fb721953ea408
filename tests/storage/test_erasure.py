"""Erased text stays erased, and leaves the file."""

import asyncio
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.conversation.exchange import Conversation, State
from bot.errors import HistoryFailed
from bot.storage import erasure as erasure_module
from bot.storage import retention
from bot.storage.erasure import Erasure
from bot.storage.exchanges import History
from tests.doubles import (
    PATIENCE_SECONDS,
    an_exchange,
    file_bytes,
    keep,
    open_database,
    open_history,
)
from tests.faults.failing import open_failing_database
from tests.storage.engines import SQLITE_ONLY, Engine
from tests.storage.memory import CHANNEL, THREAD, open_ids, rows, seen, stored, system_prompt


async def test_a_reset_also_applies_to_messages_that_arrive_late(history: History) -> None:
    """Messages before it are never received or completed; later ones are not affected."""
    await keep(history, an_exchange(10, reply="x"))
    await history.receive(an_exchange(20))
    assert await history.erasure.reset(1, 50, "Reset.") == 1
    assert await seen(history, CHANNEL) == []
    assert not await history.receive(an_exchange(30)), "asked before, delivered after"
    assert not await history.complete(an_exchange(20, reply="late"), State.ANSWERED)
    await history.erasure.erase()
    assert not await history.complete(an_exchange(20, reply="later"), State.ANSWERED)
    assert not await history.receive(an_exchange(20)), "nor asked again"
    assert await history.receive(an_exchange(50))
    assert await history.complete(an_exchange(50, reply="new"), State.ANSWERED)
    assert await seen(history, CHANNEL) == [50]


async def test_a_reset_never_moves_back(history: History) -> None:
    await history.erasure.reset(1, 50, "Reset.")
    await history.erasure.reset(1, 40, "Reset.")
    assert not await history.receive(an_exchange(45))


async def test_a_reset_returns_how_many_exchanges_it_erased(history: History) -> None:
    """It counts exchanges of this place that have a reply and were not forgotten before."""
    await keep(history, *(an_exchange(number, reply="x") for number in (1, 2, 3)))
    await keep(history, an_exchange(4, reply=""), state=State.FAILED)
    await keep(history, an_exchange(5, reply="x", channel=2))
    await history.receive(an_exchange(6))
    await keep(history, an_exchange(70, reply="x"))
    assert await history.erasure.reset(1, 50, "Reset.") == 3
    assert await history.erasure.reset(1, 60, "Reset.") == 0
    await history.erasure.erase()
    assert await history.erasure.reset(1, 80, "Reset.") == 1


async def test_resetting_a_thread_erases_its_opening_and_inheritance(
    history: History,
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in (50, 100, 110)))
    await keep(history, an_exchange(120, reply="x", channel=100, parent=1))
    assert await history.erasure.reset(100, 500, "Reset.") == 2
    assert await seen(history, THREAD) == []
    assert await seen(history, CHANNEL) == [50, 110], "the opening exchange belongs to both"
    await history.erasure.erase()
    assert await seen(history, CHANNEL) == [50, 110]
    await keep(history, an_exchange(501, reply="x", channel=100, parent=1))
    assert await seen(history, THREAD) == [501]


async def test_resetting_a_channel_keeps_the_exchanges_inside_its_threads(
    history: History,
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in (50, 100)))
    await keep(history, an_exchange(120, reply="x", channel=100, parent=1))
    assert await history.erasure.reset(1, 500, "Reset.") == 2
    await history.erasure.erase()
    assert await seen(history, CHANNEL) == []
    assert await seen(history, THREAD) == [120]
    assert await history.receive(an_exchange(130, channel=100, parent=1)), "it goes on"


async def test_a_reset_drops_a_running_opening_answer(
    history: History,
) -> None:
    await history.receive(an_exchange(100, place=100))
    await history.erasure.reset(100, 500, "Reset.")
    assert not await history.complete(an_exchange(100, reply="x"), State.ANSWERED)
    assert await seen(history, CHANNEL) == []


SECRETS = ("SECRETQUESTION", "SECRETREPLY", "SECRETAUTHOR", "SECRETQUOTED", "SECRETEMBED")


async def test_erased_text_is_in_no_file_of_the_database(path: Path) -> None:
    """From pages, free pages, the write-ahead log and its index; ids and states stay."""
    async with open_history(path) as history:
        for number in range(1, 60):
            words = [word * (1 + number * 20) for word in SECRETS]  # some in overflow pages
            question, reply, author, quoted, embedded = words
            exchange = replace(
                an_exchange(number, question, reply, author=author),
                quoted=quoted,
                embedded=embedded,
            )
            await keep(history, exchange)
            await history.add_part(number, 987_654_321_000 + number)
        await history.receive(an_exchange(70, SECRETS[0]))
        await keep(history, an_exchange(80, "KEPTQUESTION", "x", channel=2))
        before = file_bytes(path)
        assert all(word.encode() in before for word in SECRETS)
        assert await history.erasure.reset(1, 75, "Reset.") == 59
        await history.erasure.erase()
        after = file_bytes(path)
        assert not any(word.encode() in after for word in SECRETS)
        assert b"KEPTQUESTION" in after
        assert path.with_name("bot.db-wal").stat().st_size == 0
    after = file_bytes(path)
    assert not any(word.encode() in after for word in SECRETS)
    assert rows(path, "SELECT count(*) FROM parts") == [(59,)], "until they are pruned"
    assert rows(path, "SELECT state FROM exchanges WHERE message_id IN (1, 70)") == [
        ("answered",),
        ("cancelled",),
    ]


async def test_copies_of_moved_rows_are_erased(history: History, engine: Engine) -> None:
    """Rows that grow move to other pages, and a copy stays in the old place."""
    dice = random.Random(1)
    numbers = dice.sample(range(1, 1500), 1400)
    for number in numbers:
        question = f"{SECRETS[0]}{number} {'q' * dice.randint(1, 400)}"
        await history.receive(an_exchange(number, question))
        if number % 3 == 0:
            reply = "r" * dice.randint(1, 1500)
            await history.complete(an_exchange(number, question, reply), State.ANSWERED)
    for number in numbers:
        await history.erasure.forget(number)
    assert await history.erasure.erase()
    assert not await engine.contains(SECRETS[0].encode())


async def test_an_unfinished_erasure_completes_at_the_next_start(path: Path) -> None:
    """For example, after the program was killed."""
    async with open_database(path) as database:
        history = History(database)
        await keep(history, an_exchange(1, SECRETS[0], "x"))
        await history.erasure.reset(1, 50, "Reset.")
    assert SECRETS[0].encode() in file_bytes(path)
    async with open_history(path):
        assert SECRETS[0].encode() not in file_bytes(path)


async def test_a_rejected_question_is_stored_without_text(
    path: Path,
) -> None:
    async with open_history(path) as history:
        question = an_exchange(1, SECRETS[0], quoted=SECRETS[0], quoted_id=5, author="Mina")
        assert await history.reject(question)
        assert await history.was_received(1)
        assert not await history.receive(question)
        assert not await history.reject(question)
        assert await history.find(1) is None
        assert await history.open_questions() == []
        assert SECRETS[0].encode() not in file_bytes(path)
        assert b"Mina" not in file_bytes(path)


@pytest.mark.parametrize(
    "how", ["reset", "one", "person", "place", "age", "amended", "system prompt"]
)
async def test_closing_erases_the_rest(path: Path, how: str) -> None:
    async with open_history(path) as history:
        await keep(history, an_exchange(1, SECRETS[0], "x"))
        await history.mark_shown(1)
        erasure = history.erasure
        if how == "reset":
            await erasure.reset(1, 50, "Reset.")
        elif how == "one":
            await erasure.forget(1)
        elif how == "person":
            await erasure.forget_person(99)
        elif how == "place":
            await erasure.forget_places([1])
        elif how == "age":
            await erasure.forget_before(50)
        elif how == "amended":
            await history.amend(an_exchange(1, "other words"))
        else:
            await history.preferences.set_system_prompt("channel", CHANNEL, SECRETS[0])
            await history.preferences.set_system_prompt("channel", CHANNEL, "")
            erasure.mark_pending()
            await erasure.forget(1)
        assert SECRETS[0].encode() in file_bytes(path)
    assert SECRETS[0].encode() not in file_bytes(path)


async def test_copies_of_moved_rows_are_erased_before_the_file_is_closed(path: Path) -> None:
    """Even if the file is larger than those that are rewritten during operation."""
    dice = random.Random(1)
    async with open_history(path) as history:
        numbers = dice.sample(range(1, 1500), 1400)
        for number in numbers:
            question = f"{SECRETS[0]}{number} {'q' * dice.randint(1, 400)}"
            await history.receive(an_exchange(number, question))
        for number in numbers:
            await history.erasure.forget(number)
        assert await history.erasure.erase(max_bytes=0), "as where the file is large"
        assert SECRETS[0].encode() in file_bytes(path)
    assert SECRETS[0].encode() not in file_bytes(path)


async def test_an_open_reader_does_not_delay_closing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the text that is left, and the next start erases it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        async with open_history(path) as history:
            await keep(history, an_exchange(1, SECRETS[0], "x"))
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM exchanges").fetchall()
            await history.erasure.forget(1)
            closing_since = time.monotonic()
        assert time.monotonic() - closing_since < 5 * retention.END_SECONDS
        assert (
            "Leave forgotten text in the database: another program reads the database"
            in caplog.text
        )
        assert SECRETS[0].encode() in file_bytes(path)
        reader.execute("ROLLBACK")
    async with open_history(path):
        assert SECRETS[0].encode() not in file_bytes(path)


async def test_erasing_at_shutdown_waits_for_a_short_lock(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        async with open_history(path) as history:
            await keep(history, an_exchange(1, SECRETS[0], "x"))
            await history.erasure.reset(1, 50, "Reset.")
            other.execute("BEGIN IMMEDIATE")
            asyncio.get_running_loop().call_later(0.5, other.execute, "ROLLBACK")
        assert SECRETS[0].encode() not in file_bytes(path)


async def test_a_slow_erasure_is_left_to_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_history(path) as history:
        await keep(history, an_exchange(1, SECRETS[0], "x"))
        await history.erasure.forget(1)
        monkeypatch.setattr(retention, "END_SECONDS", 0.0)
    assert "Leave forgotten text in the database: it takes too long" in caplog.text
    copies = "SELECT value FROM facts WHERE name = 'copies'"
    assert rows(path, copies) == [("yes",)]
    monkeypatch.undo()
    caplog.clear()
    async with open_history(path) as history:
        assert SECRETS[0].encode() not in file_bytes(path)
        assert not history.erasure.may_have_copies, "it was written anew"
        history.erasure.mark_pending()
    assert "Leave forgotten text" not in caplog.text
    assert rows(path, copies) == [("",)]


async def test_closing_writes_nothing_if_nothing_was_erased(path: Path) -> None:
    async with open_failing_database(path) as database:
        history = History(database)
        await keep(history, an_exchange(1, reply="x"))
        database.recover()
        await retention.erase_at_end(database, history.erasure, history.facts)
        assert database.units == 0


async def test_a_large_erasure_is_done_in_batches(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure_module, "ERASE_ROWS", 7)
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 31)))
    await history.erasure.reset(1, 30, "Reset.")
    erasing = asyncio.create_task(history.erasure.erase())
    assert await history.receive(an_exchange(40)), "others get their turn"
    await erasing
    assert await seen(history, CHANNEL) == [30]


async def test_the_bot_starts_even_if_erasing_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full_disk(_self: Erasure, _max_bytes: int) -> bool:
        raise HistoryFailed("OperationalError: database or disk is full")

    monkeypatch.setattr(Erasure, "erase", full_disk)
    async with open_history(path) as history:
        await keep(history, an_exchange(1, reply="x"))
    assert "Cannot erase forgotten text yet" in caplog.text


async def test_an_erased_question_stays_open_until_its_parts_are_deleted(
    history: History, engine: Engine
) -> None:
    await keep(history, an_exchange(1, SECRETS[0], "x"))
    await history.add_part(1, 11)
    await history.mark_shown(1)
    assert await history.erasure.forget(1)
    assert not await history.erasure.forget(2)
    assert await history.erasure.erase()
    assert not await engine.contains(SECRETS[0].encode())
    [question] = await history.open_questions()
    assert (question.deletion_pending, question.parts, question.attempts) == (True, (11,), 0)
    assert await history.begin(an_exchange(1)) is None, "it is not answered any more"
    await history.mark_shown(1)
    assert await open_ids(history) == [1], "who shows it now comes too late"
    await history.mark_reply_deleted(1)
    assert await open_ids(history) == []
    assert await stored(history, "SELECT * FROM parts") == []
    assert not await history.receive(an_exchange(1))


async def test_deleted_places_are_erased_with_their_opening_questions(
    history: History,
) -> None:
    await keep(history, an_exchange(100, place=100, reply="x"), an_exchange(90, reply="y"))
    await keep(history, an_exchange(120, channel=100, parent=1, reply="z"))
    await history.receive(an_exchange(130, channel=100, parent=1))
    await history.preferences.set_system_prompt("channel", Conversation(100), "Be brief.")
    await history.erasure.forget_places([100])
    assert await seen(history, CHANNEL) == [90]
    assert await open_ids(history) == []
    assert await system_prompt(history, Conversation(100)) is None
    await history.erasure.erase()
    assert await history.find(120) is None
    assert await history.find(90) is not None


async def test_thousands_of_places_are_erased_in_few_transactions(path: Path) -> None:
    """Each mention makes a thread, and other work waits for each unit of work."""
    places = list(range(1000, 4000))
    async with open_failing_database(path) as database:
        history = History(database)
        for place_id in places:
            await history.places.add_own_thread(place_id, 1, 7)
        await keep(history, an_exchange(1000, place=1000, reply="x"))
        await keep(history, an_exchange(5000, channel=3999, parent=1, reply="y"))
        database.recover()
        await history.erasure.forget_places(places)
        assert database.units < 10
        assert [*await history.places.in_guild(7)] == [1]
        await history.erasure.erase()
        assert [await history.find(one) for one in (1000, 5000)] == [None, None]
        for one in (1000, 5000):
            await history.mark_reply_deleted(one)
        await history.erasure.delete_ids_before(6000)
        assert await database.fetch("SELECT count(*) FROM resets") == [(0,)]


async def test_ids_of_erased_exchanges_are_pruned(history: History) -> None:
    await keep(history, an_exchange(1, reply="x"), an_exchange(2, reply="x"))
    assert await history.reject(an_exchange(3))
    for message_id in (1, 2):
        await history.mark_shown(message_id)
    await history.erasure.forget(1)
    await history.erasure.delete_ids_before(50)
    assert await open_ids(history) == [1], "its parts are not deleted yet"
    await history.mark_reply_deleted(1)
    await history.erasure.delete_ids_before(50)
    assert await stored(history, "SELECT message_id FROM exchanges") == [(2,)]


@SQLITE_ONLY
async def test_the_log_is_truncated_after_a_reader_has_left(history: History, path: Path) -> None:
    await keep(history, an_exchange(1, SECRETS[0], "x"))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM exchanges").fetchall()
        await history.erasure.forget(1)
        erasing = asyncio.create_task(history.erasure.erase())
        assert await asyncio.wait_for(history.receive(an_exchange(2)), PATIENCE_SECONDS)
        assert not await asyncio.wait_for(erasing, PATIENCE_SECONDS)
        assert history.erasure.pending.is_set()
        reader.execute("ROLLBACK")
    assert await history.erasure.erase()
    assert not history.erasure.pending.is_set()
    assert SECRETS[0].encode() not in file_bytes(path)
