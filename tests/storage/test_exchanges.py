"""The store: who sees what, what is forgotten and stays forgotten, what survives."""

import asyncio
import random
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bot.conversation.calibration import Calibration
from bot.conversation.exchange import Conversation, FromInteraction, State
from bot.errors import HistoryFailed
from bot.storage import erasure as forgetting
from bot.storage import retention
from bot.storage.database import Database
from bot.storage.erasure import Erasure
from bot.storage.exchange_queries import CONTEXT_SQL, PAGE_ROWS
from bot.storage.exchange_rows import IS_OPEN
from bot.storage.exchanges import History
from bot.storage.preferences import Scope
from bot.storage.schema import APPLICATION_ID, MIGRATIONS
from bot.storage.usage import UsageRow, UsageTotal
from tests.doubles import PATIENCE_SECONDS, an_exchange, file_bytes, keep
from tests.faults.failing import FailingDatabase

PLENTY = 1_000_000
CHANNEL = Conversation(1, guild_id=7)
THREAD = Conversation(100, parent_id=1, guild_id=7)  # made from message 100 of channel 1


async def system_prompt(history: History, place: Conversation) -> str | None:
    """Return the system prompt that was set nearest to *place*."""
    prompts = (await history.preferences.overrides(place)).system_prompts
    return prompts[0].value if prompts else None


async def seen(history: History, conversation: Conversation, budget: int = PLENTY) -> list[int]:
    """Return the ids of what *conversation* remembers."""
    exchanges = await history.context(conversation, token_budget=budget)
    return [exchange.message_id for exchange in exchanges]


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


# Receiving and completing


async def test_a_message_received_twice_is_new_once(history: History) -> None:
    assert await history.receive(an_exchange(1))
    assert not await history.receive(an_exchange(1))
    assert not await history.receive(an_exchange(1, channel=2))
    assert await history.complete(an_exchange(1, reply="Because."), State.ANSWERED)
    assert not await history.receive(an_exchange(1)), "nor when it has long been answered"


async def test_many_receivers_of_one_message_find_it_new_once(history: History) -> None:
    found = await asyncio.gather(*(history.receive(an_exchange(1)) for _ in range(20)))
    assert sorted(found) == [False] * 19 + [True]


async def test_what_comes_back_is_what_was_kept(history: History) -> None:
    whole = an_exchange(
        5,
        "Why ⟦x⟧?\n🎉",
        "Because.",
        author="Mina (@mina)",
        embedded="⟦embed⟧\nx",
        quoted="⟦…⟧",
        cut=True,
        place=100,
    )
    await keep(history, whole)
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert found == whole


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_a_question_without_any_reply_is_not_shown_to_the_model(
    history: History, state: State
) -> None:
    await keep(history, an_exchange(1, reply=""), state=state)
    assert await seen(history, CHANNEL) == []


@pytest.mark.parametrize("state", [State.ANSWERED, State.FAILED, State.CANCELLED])
async def test_a_reply_that_was_cut_short_is_shown(history: History, state: State) -> None:
    await keep(history, an_exchange(1, reply="Beca", cut=True), state=state)
    assert await seen(history, CHANNEL) == [1]


async def test_an_unanswered_question_is_not_in_mind(history: History) -> None:
    await history.receive(an_exchange(1))
    await history.receive(an_exchange(2))
    await history.add_part(2, 20)
    assert await seen(history, CHANNEL) == []


async def test_only_the_first_completion_counts(history: History) -> None:
    await keep(history, an_exchange(1, reply="first"))
    assert not await history.complete(an_exchange(1, reply="second"), State.ANSWERED)
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert found.reply == "first"


async def test_what_was_never_received_cannot_be_completed(history: History) -> None:
    assert not await history.complete(an_exchange(1, reply="x"), State.ANSWERED)
    assert await seen(history, CHANNEL) == []


async def test_text_that_sqlite_cannot_carry_is_scrubbed(history: History) -> None:
    odd = an_exchange(1, "a\ud800\0b", "c\udfff\0d", author="e\ud800", quoted="\0f", embedded="\0")
    await keep(history, odd)
    await history.preferences.set_system_prompt("channel", Conversation(1), "g\ud800\0")
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert (found.question, found.reply, found.author, found.quoted) == ("a?b", "c?d", "e?", "f")
    assert found.embedded == ""
    assert await system_prompt(history, CHANNEL) == "g?"


# Who sees what


async def test_channels_never_leak_into_each_other(history: History) -> None:
    await keep(history, an_exchange(1, reply="x"), an_exchange(2, reply="y", channel=2))
    assert await seen(history, CHANNEL) == [1]
    assert await seen(history, Conversation(2, guild_id=7)) == [2]
    assert await seen(history, Conversation(3, guild_id=7)) == []


async def test_a_thread_remembers_its_channel_up_to_where_it_began(history: History) -> None:
    """Its opening exchange included; what came later in the channel is not its business."""
    await keep(history, *(an_exchange(number, reply="x") for number in (50, 99, 100, 101, 150)))
    await keep(history, an_exchange(120, reply="x", channel=100, parent=1))
    assert await seen(history, THREAD) == [50, 99, 100, 120]
    assert await seen(history, CHANNEL) == [50, 99, 100, 101, 150]


async def test_siblings_never_see_each_other(history: History) -> None:
    await keep(history, an_exchange(100, reply="x"), an_exchange(200, reply="x"))
    await keep(
        history,
        an_exchange(110, reply="x", channel=100, parent=1),
        an_exchange(210, reply="x", channel=200, parent=1),
    )
    assert await seen(history, THREAD) == [100, 110]
    assert await seen(history, Conversation(200, 1, 7)) == [100, 200, 210]


@given(
    kept=st.lists(
        st.tuples(st.integers(1, 14), st.sampled_from([1, 5, 9])), unique_by=lambda one: one[0]
    ),
    resets=st.dictionaries(st.sampled_from([1, 5, 9]), st.integers(1, 16), max_size=2),
    erased=st.booleans(),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_law_of_contexts(
    tmp_path_factory: pytest.TempPathFactory,
    kept: list[tuple[int, int]],
    resets: dict[int, int],
    erased: bool,
) -> None:
    """Channel 1 with threads 5 and 9: what each sees, said once more, plainly.

    Its own rows and, up to its id, its parent's; without what was forgotten: what is below the
    reset of the row's channel, or of the thread that the row opened, or of the thread that asks.
    """

    async def scene() -> dict[int, list[int]]:
        async with History.open(tmp_path_factory.mktemp("law") / "bot.db") as history:
            for number, channel in kept:
                parent = None if channel == 1 else 1
                await keep(history, an_exchange(number, reply="x", channel=channel, parent=parent))
                await history.add_part(number, 100 + number)
            for channel, before in resets.items():
                await history.erasure.reset(channel, before, "Reset.")
            if erased:
                await history.erasure.erase()
            places = {one: Conversation(one, None if one == 1 else 1) for one in (1, 5, 9)}
            for place in places.values():
                parts = [100 + number for number, _ in sorted(kept)]
                answers = [await history.shown_in(part, place) for part in parts]
                found = [answer.message_id for answer in answers if answer is not None]
                assert found == await seen(history, place)
            return {one: await seen(history, place) for one, place in places.items()}

    def forgotten(number: int, channel: int) -> bool:
        return number < max(resets.get(channel, 0), resets.get(number, 0))

    def visible(place: int) -> list[int]:
        return sorted(
            number
            for number, channel in kept
            if (channel == place or (channel == 1 and number <= place))
            and not forgotten(number, channel)
            and number >= resets.get(place, 0)
        )

    assert asyncio.run(scene()) == {place: visible(place) for place in (1, 5, 9)}


async def test_what_one_person_alone_sees_is_seen_from_nowhere_else(history: History) -> None:
    private = replace(
        an_exchange(3, origin=FromInteraction("x")), conversation=Conversation(1, None, 7, 99)
    )
    await keep(history, replace(private, reply="x"))
    await history.add_part(3, 4)
    assert await history.shown_in(4, CHANNEL) is None
    assert await history.shown_in(4, private.conversation) is None


async def test_an_answer_that_is_not_whole_is_not_shown_in_a_part(history: History) -> None:
    await history.receive(an_exchange(3))
    await history.add_part(3, 4)
    assert await history.shown_in(4, CHANNEL) is None


# How much


@pytest.mark.parametrize("count", [PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 3 * PAGE_ROWS])
async def test_a_long_history_comes_whole_and_in_order(history: History, count: int) -> None:
    """Page by page, out of both the thread's rows and its channel's."""
    half = count // 2
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, half + 1)))
    last = Conversation(half, 1, 7)
    numbers = range(1000, 1000 + count - half)
    await keep(history, *(an_exchange(n, reply="x", channel=half, parent=1) for n in numbers))
    assert await seen(history, last) == [*range(1, half + 1), *numbers]


async def test_reading_stops_when_the_budget_is_full(history: History) -> None:
    """The newest whose estimates fit, and perhaps the one that goes over it."""
    exchanges = [replace(an_exchange(number, reply="x"), tokens=10) for number in range(1, 200)]
    await keep(history, *exchanges)
    assert await seen(history, CHANNEL, budget=30) == [196, 197, 198, 199]
    assert await seen(history, CHANNEL, budget=35) == [196, 197, 198, 199]
    assert await seen(history, CHANNEL, budget=0) == [199]
    assert await seen(history, CHANNEL, budget=-1) == []
    assert len(await seen(history, CHANNEL, budget=1500)) == 151


async def test_only_what_is_older_where_that_is_asked_for(history: History) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 6)))
    found = await history.context(CHANNEL, before_id=4, token_budget=PLENTY)
    assert [exchange.message_id for exchange in found] == [1, 2, 3]


# Erasure


async def test_a_reset_is_a_boundary_for_what_comes_late(history: History) -> None:
    """Below it: neither received nor completed, ever; from it on, as if nothing had been."""
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


async def test_a_reset_says_how_much_it_forgot(history: History) -> None:
    """Exchanges with a reply, of this place, that were not forgotten before."""
    await keep(history, *(an_exchange(number, reply="x") for number in (1, 2, 3)))
    await keep(history, an_exchange(4, reply=""), state=State.FAILED)
    await keep(history, an_exchange(5, reply="x", channel=2))
    await history.receive(an_exchange(6))
    await keep(history, an_exchange(70, reply="x"))
    assert await history.erasure.reset(1, 50, "Reset.") == 3
    assert await history.erasure.reset(1, 60, "Reset.") == 0
    await history.erasure.erase()
    assert await history.erasure.reset(1, 80, "Reset.") == 1


async def test_resetting_a_thread_forgets_its_opening_and_all_it_inherited(
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


async def test_resetting_a_channel_leaves_what_was_said_inside_its_threads(
    history: History,
) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in (50, 100)))
    await keep(history, an_exchange(120, reply="x", channel=100, parent=1))
    assert await history.erasure.reset(1, 500, "Reset.") == 2
    await history.erasure.erase()
    assert await seen(history, CHANNEL) == []
    assert await seen(history, THREAD) == [120]
    assert await history.receive(an_exchange(130, channel=100, parent=1)), "it goes on"


async def test_an_opening_answer_that_runs_while_its_thread_is_reset_is_not_kept(
    history: History,
) -> None:
    await history.receive(an_exchange(100, place=100))
    await history.erasure.reset(100, 500, "Reset.")
    assert not await history.complete(an_exchange(100, reply="x"), State.ANSWERED)
    assert await seen(history, CHANNEL) == []


SECRETS = ("SECRETQUESTION", "SECRETREPLY", "SECRETAUTHOR", "SECRETQUOTED", "SECRETEMBED")


async def test_what_is_forgotten_is_gone_from_the_files(path: Path) -> None:
    """Out of pages, free pages, the write-ahead log and its index; ids and state stay."""
    async with History.open(path) as history:
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


async def test_copies_of_rows_that_were_moved_go_too(history: History, path: Path) -> None:
    """Rows that grow move to other pages, and SQLite leaves what it moved where it was."""
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
    assert SECRETS[0].encode() not in file_bytes(path)


async def test_what_was_reset_but_not_erased_is_erased_at_the_next_start(path: Path) -> None:
    """For example, after the program was killed."""
    async with Database.open(path) as database:
        history = History(database)
        await keep(history, an_exchange(1, SECRETS[0], "x"))
        await history.erasure.reset(1, 50, "Reset.")
    assert SECRETS[0].encode() in file_bytes(path)
    async with History.open(path):
        assert SECRETS[0].encode() not in file_bytes(path)


async def test_a_rejected_question_counts_as_received_and_leaves_no_word(path: Path) -> None:
    async with History.open(path) as history:
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
async def test_what_was_forgotten_is_erased_before_the_file_is_closed(path: Path, how: str) -> None:
    async with History.open(path) as history:
        await keep(history, an_exchange(1, SECRETS[0], "x"))
        await history.mark_shown(1)
        forgetting = history.erasure
        if how == "reset":
            await forgetting.reset(1, 50, "Reset.")
        elif how == "one":
            await forgetting.forget(1)
        elif how == "person":
            await forgetting.forget_person(99)
        elif how == "place":
            await forgetting.forget_places([1])
        elif how == "age":
            await forgetting.expire(50)
        elif how == "amended":
            await history.amend(an_exchange(1, "other words"))
        else:
            await history.preferences.set_system_prompt("channel", CHANNEL, SECRETS[0])
            await history.preferences.set_system_prompt("channel", CHANNEL, "")
            forgetting.mark_pending()
            await forgetting.forget(1)
        assert SECRETS[0].encode() in file_bytes(path)
    assert SECRETS[0].encode() not in file_bytes(path)


async def test_copies_of_moved_rows_are_erased_before_the_file_is_closed(path: Path) -> None:
    """Even if the file is larger than those that are rewritten while in use."""
    dice = random.Random(1)
    async with History.open(path) as history:
        numbers = dice.sample(range(1, 1500), 1400)
        for number in numbers:
            question = f"{SECRETS[0]}{number} {'q' * dice.randint(1, 400)}"
            await history.receive(an_exchange(number, question))
        for number in numbers:
            await history.erasure.forget(number)
        assert await history.erasure.erase(max_bytes=0), "as where the file is large"
        assert SECRETS[0].encode() in file_bytes(path)
    assert SECRETS[0].encode() not in file_bytes(path)


async def test_who_reads_the_file_keeps_nobody_from_closing_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what is left, and the next start erases it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        async with History.open(path) as history:
            await keep(history, an_exchange(1, SECRETS[0], "x"))
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM exchanges").fetchall()
            await history.erasure.forget(1)
            closing_since = time.monotonic()
        assert time.monotonic() - closing_since < 2 * retention.END_SECONDS
        assert (
            "Left forgotten text in the database file: another program reads the database"
            in caplog.text
        )
        assert SECRETS[0].encode() in file_bytes(path)
        reader.execute("ROLLBACK")
    async with History.open(path):
        assert SECRETS[0].encode() not in file_bytes(path)


async def test_who_locks_the_file_for_a_moment_holds_up_the_erasing_at_the_end(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        async with History.open(path) as history:
            await keep(history, an_exchange(1, SECRETS[0], "x"))
            await history.erasure.reset(1, 50, "Reset.")
            other.execute("BEGIN IMMEDIATE")
            asyncio.get_running_loop().call_later(0.5, other.execute, "ROLLBACK")
        assert SECRETS[0].encode() not in file_bytes(path)


async def test_an_erasure_that_takes_too_long_is_left_to_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with History.open(path) as history:
        await keep(history, an_exchange(1, SECRETS[0], "x"))
        await history.erasure.forget(1)
        monkeypatch.setattr(retention, "END_SECONDS", 0.0)
    assert "Left forgotten text in the database file: it takes too long" in caplog.text
    copies = "SELECT value FROM facts WHERE name = 'copies'"
    assert rows(path, copies) == [("yes",)]
    monkeypatch.undo()
    caplog.clear()
    async with History.open(path) as history:
        assert SECRETS[0].encode() not in file_bytes(path)
        assert not history.erasure.may_have_copies, "it was written anew"
        history.erasure.mark_pending()
    assert "Left forgotten text" not in caplog.text
    assert rows(path, copies) == [("",)]


async def test_nothing_is_written_at_the_end_where_nothing_was_forgotten(path: Path) -> None:
    async with FailingDatabase.open(path) as database:
        history = History(database)
        await keep(history, an_exchange(1, reply="x"))
        database.recover()
        await retention.erase_at_end(database, history.erasure, history.facts)
        assert database.units == 0


async def test_a_large_erasure_goes_in_batches(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "ERASE_ROWS", 7)
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 31)))
    await history.erasure.reset(1, 30, "Reset.")
    erasing = asyncio.create_task(history.erasure.erase())
    assert await history.receive(an_exchange(40)), "others get their turn"
    await erasing
    assert await seen(history, CHANNEL) == [30]


async def test_a_start_whose_erasure_fails_goes_on_without(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full_disk(_self: Erasure, _max_bytes: int) -> bool:
        raise HistoryFailed("OperationalError: database or disk is full")

    monkeypatch.setattr(Erasure, "erase", full_disk)
    async with History.open(path) as history:
        await keep(history, an_exchange(1, reply="x"))
    assert "Cannot erase forgotten text yet" in caplog.text


# Surviving


async def test_all_of_it_survives_a_restart(path: Path) -> None:
    async with History.open(path) as history:
        await keep(history, an_exchange(1, reply="x"), an_exchange(60, reply="y"))
        await history.receive(an_exchange(70))
        await history.add_part(60, 61)
        await history.erasure.reset(1, 50, "Reset.")
        await history.preferences.set_system_prompt("channel", Conversation(1), "Be brief.")
        await history.models.set_calibration("m", Calibration(1.25, 300.0, 4))
        await history.facts.set("commands", "abc")
        await history.places.remember_thread(60, 1, 7)
        await history.places.claim_first_hint(9)
    async with History.open(path) as history:
        assert await seen(history, CHANNEL) == [60]
        assert not await history.receive(an_exchange(70))
        assert await history.complete(an_exchange(70, reply="z"), State.ANSWERED)
        assert not await history.receive(an_exchange(45))
        assert await history.question_of(61) is not None
        assert await system_prompt(history, CHANNEL) == "Be brief."
        assert await history.models.calibration("m") == Calibration(1.25, 300.0, 4)
        assert await history.facts.get("commands") == "abc"
        assert await history.places.is_own_thread(60)
        assert not await history.places.claim_first_hint(9)


async def test_a_history_that_is_closed_says_so(path: Path) -> None:
    async with History.open(path) as history:
        pass
    with pytest.raises(HistoryFailed):
        await history.receive(an_exchange(1))


async def test_an_id_that_is_too_large_for_sqlite_is_a_failure_like_others(
    history: History,
) -> None:
    """Such ids come in malformed events."""
    with pytest.raises(HistoryFailed):
        await history.question_of(10**40)


# Parts and places


async def test_parts_are_known(history: History) -> None:
    await history.receive(an_exchange(1))
    assert await history.question_of(11) is None
    await history.add_part(1, 11)
    await history.add_part(1, 12)
    await history.add_part(1, 11)
    assert await history.question_of(11) is not None
    assert await history.question_of(12) is not None


async def test_a_part_of_what_was_forgotten_is_not_recorded(history: History) -> None:
    await keep(history, an_exchange(1, reply="x"))
    await history.erasure.reset(1, 50, "Reset.")
    await history.erasure.erase()
    await history.add_part(1, 11)
    await history.add_part(999, 12)
    assert await history.question_of(11) is None
    assert await history.question_of(12) is None


async def test_an_answer_may_appear_elsewhere_than_planned(history: History) -> None:
    await history.receive(an_exchange(100, place=100))
    await history.set_place(100, 1)
    await history.complete(an_exchange(100, reply="x"), State.ANSWERED)
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert found.place_id == 1


async def test_own_places_stay_own(history: History) -> None:
    assert not await history.places.is_own_thread(100)
    await history.receive(an_exchange(150, channel=100, parent=1))
    assert not await history.places.is_own_thread(100)
    await history.places.remember_thread(100, 1, 7)
    await history.receive(an_exchange(160, channel=100, parent=1))
    assert await history.places.is_own_thread(100)


async def test_one_hint_per_place(history: History) -> None:
    await history.places.remember_thread(100, 1, 7)
    assert [await history.places.claim_first_hint(100) for _ in range(3)] == [True, False, False]
    assert await history.places.claim_first_hint(200)
    assert await history.places.is_own_thread(100)


async def test_places_are_found_below_their_channel_and_in_their_guild(history: History) -> None:
    await history.receive(an_exchange(10, channel=1))
    await history.receive(an_exchange(20, channel=200, parent=1))
    await history.places.remember_thread(300, 1, 7)
    await history.receive(an_exchange(30, channel=2, guild=8))
    await history.receive(an_exchange(40, channel=3, guild=None))
    places = history.places
    assert sorted(await places.threads_below(1)) == [200, 300]
    assert sorted(await places.places_of(7)) == [1, 200, 300]
    assert await places.guilds_with_places() == {7, 8}
    assert await places.direct_places() == [3]
    assert await places.channels_with_threads() == [1]
    assert [await places.parent_of(one) for one in (200, 1, 99)] == [1, None, None]


async def test_a_guild_is_known_since_it_was_joined_first(history: History) -> None:
    await history.places.join_guilds({7: 500, 8: 600})
    await history.places.join_guilds({7: 900})
    assert await history.places.guilds() == {7: 500, 8: 600}
    await history.places.leave_guild(7)
    assert await history.places.guilds() == {8: 600}


# What is open


async def open_ids(history: History) -> list[int]:
    return [one.exchange.message_id for one in await history.open_questions()]


async def test_a_question_is_open_until_all_of_its_reply_is_shown(
    history: History, path: Path
) -> None:
    assert await history.receive(an_exchange(1))
    assert (await history.open_questions())[0].attempts == 0
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert (attempt.number, attempt.unshown) == (1, None)
    assert rows(path, "SELECT state FROM exchanges") == [("answering",)]
    await history.add_part(1, 12)
    await history.add_part(1, 11)
    assert (await history.open_questions())[0].parts == (11, 12)
    assert await history.complete(an_exchange(1, reply="x"), State.ANSWERED, ["A notice."])
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert (attempt.exchange.reply, attempt.unshown) == ("x", ("A notice.",))
    await history.mark_shown(1)
    assert await open_ids(history) == []
    assert await history.begin(an_exchange(1)) is None


async def test_what_could_not_be_stored_when_it_came_is_stored_when_it_begins(
    history: History,
) -> None:
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert attempt.number == 1
    assert not await history.receive(an_exchange(1))


async def test_an_outage_of_discord_counts_as_no_attempt(history: History) -> None:
    await history.receive(an_exchange(1))
    for number in (1, 2, 2, 2):
        attempt = await history.begin(an_exchange(1))
        assert attempt is not None
        assert attempt.number == number
        await history.undo_attempt(1)


async def test_open_questions_come_out_of_an_index(path: Path) -> None:
    """However long the history is, a start reads no more than what is open."""
    async with History.open(path):
        pass
    plan = rows(path, f"EXPLAIN QUERY PLAN SELECT message_id FROM exchanges WHERE {IS_OPEN}")
    assert any("exchanges_open" in str(row) for row in plan)


async def test_a_forgotten_question_stays_open_until_its_parts_are_gone(
    history: History, path: Path
) -> None:
    await keep(history, an_exchange(1, SECRETS[0], "x"))
    await history.add_part(1, 11)
    await history.mark_shown(1)
    assert await history.erasure.forget(1)
    assert not await history.erasure.forget(2)
    assert await history.erasure.erase()
    assert SECRETS[0].encode() not in file_bytes(path)
    [question] = await history.open_questions()
    assert (question.withdrawn, question.parts, question.attempts) == (True, (11,), 0)
    assert await history.begin(an_exchange(1)) is None, "it is not answered any more"
    await history.mark_shown(1)
    assert await open_ids(history) == [1], "who shows it now comes too late"
    await history.mark_reply_deleted(1)
    assert await open_ids(history) == []
    assert rows(path, "SELECT * FROM parts") == []
    assert not await history.receive(an_exchange(1))


async def test_a_reset_leaves_what_is_not_shown_whole_to_be_ended(history: History) -> None:
    await history.receive(an_exchange(1))
    await history.begin(an_exchange(1))
    await history.add_part(1, 11)
    await history.erasure.reset(1, 50, "Reset.")
    await history.erasure.erase()
    [question] = await history.open_questions()
    assert question.parts == (11,)
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert (attempt.unshown, attempt.exchange.question) == (("Reset.",), "")
    await history.mark_shown(1)
    assert await open_ids(history) == []
    await history.erasure.erase()
    assert await history.erasure.forget(1), "who deletes it takes its answer along"
    [question] = await history.open_questions()
    assert (question.withdrawn, question.parts) == (True, (11,))
    await history.mark_reply_deleted(1)
    assert await history.question_of(11) is None


async def test_places_that_are_gone_are_forgotten_with_what_opened_them(history: History) -> None:
    await keep(history, an_exchange(100, place=100, reply="x"), an_exchange(90, reply="y"))
    await keep(history, an_exchange(120, channel=100, parent=1, reply="z"))
    await history.receive(an_exchange(130, channel=100, parent=1))
    await history.preferences.set_system_prompt("channel", Conversation(100), "Be brief.")
    await history.erasure.forget_places([100])
    assert await seen(history, CHANNEL) == [90]
    assert await open_ids(history) == []
    assert await history.preferences.own_system_prompt("channel", 100) is None
    await history.erasure.erase()
    assert await history.find(120) is None
    assert await history.find(90) is not None


async def test_thousands_of_places_are_forgotten_in_few_units_of_work(path: Path) -> None:
    """Each mention makes a thread; others wait for each unit of work."""
    places = list(range(1000, 4000))
    async with FailingDatabase.open(path) as database:
        history = History(database)
        for place_id in places:
            await history.places.remember_thread(place_id, 1, 7)
        await keep(history, an_exchange(1000, place=1000, reply="x"))
        await keep(history, an_exchange(5000, channel=3999, parent=1, reply="y"))
        database.recover()
        await history.erasure.forget_places(places)
        assert database.units < 10
        assert await history.places.places_of(7) == [1]
        await history.erasure.erase()
        assert [await history.find(one) for one in (1000, 5000)] == [None, None]
        for one in (1000, 5000):
            await history.mark_reply_deleted(one)
        await history.erasure.prune(6000)
        assert await database.fetch("SELECT count(*) FROM resets") == [(0,)]


async def test_what_is_left_of_the_forgotten_goes_in_time(history: History, path: Path) -> None:
    await keep(history, an_exchange(1, reply="x"), an_exchange(2, reply="x"))
    assert await history.reject(an_exchange(3))
    for message_id in (1, 2):
        await history.mark_shown(message_id)
    await history.erasure.forget(1)
    await history.erasure.prune(50)
    assert await open_ids(history) == [1], "its parts are not deleted yet"
    await history.mark_reply_deleted(1)
    await history.erasure.prune(50)
    assert rows(path, "SELECT message_id FROM exchanges") == [(2,)]


async def test_who_reads_the_file_keeps_nobody_from_writing_and_the_log_is_emptied_after(
    history: History, path: Path
) -> None:
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


async def test_what_a_question_quotes_is_found_by_the_message_that_it_replies_to(
    history: History,
) -> None:
    quoting = replace(an_exchange(2), quoted="Jun said", quoted_id=1, tokens=0)
    await history.receive(quoting)
    await history.receive(an_exchange(3))
    assert await history.quoting(1) == [quoting]
    await history.amend(replace(quoting, quoted="", tokens=4))
    assert await history.quoting(1) == [replace(quoting, quoted="", tokens=4)]
    await history.erasure.forget(2)
    assert await history.quoting(1) == []


async def test_an_upgrade_from_the_first_version_knows_its_places(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(MIGRATIONS[0].sql)
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
    async with History.open(path) as history:
        assert sorted(await history.places.places_of(7)) == [1, 200]
        assert await history.places.direct_places() == [3]
        assert await open_ids(history) == []


# System prompts, calibrations, facts


async def test_the_nearest_system_prompt_holds(history: History) -> None:
    """The thread's own, else its channel's, else the guild's."""
    assert await system_prompt(history, THREAD) is None
    steps: tuple[tuple[Scope, Conversation, str], ...] = (
        ("guild", CHANNEL, "guild"),
        ("channel", CHANNEL, "channel"),
        ("channel", THREAD, "thread"),
    )
    for scope, place, prompt in steps:
        await history.preferences.set_system_prompt(scope, place, prompt)
        assert await system_prompt(history, THREAD) == prompt
    assert await system_prompt(history, CHANNEL) == "channel"
    assert await system_prompt(history, Conversation(2, guild_id=7)) == "guild"
    assert await system_prompt(history, Conversation(2, guild_id=8)) is None
    assert await system_prompt(history, Conversation(2)) is None


async def test_a_guild_and_a_channel_may_have_the_same_id(history: History) -> None:
    """As guilds had with their first channel: the two prompts are still two."""
    await history.preferences.set_system_prompt("guild", Conversation(5, guild_id=7), "guild")
    assert await system_prompt(history, Conversation(7, guild_id=9)) is None
    await history.preferences.set_system_prompt("channel", Conversation(7), "channel")
    assert await system_prompt(history, Conversation(7, guild_id=7)) == "channel"
    assert await system_prompt(history, Conversation(8, guild_id=7)) == "guild"
    assert await history.preferences.own_system_prompt("guild", 7) == "guild"
    assert await history.preferences.own_system_prompt("channel", 7) == "channel"


async def test_an_emptied_system_prompt_goes_back_to_the_one_above(history: History) -> None:
    await history.preferences.set_system_prompt("guild", Conversation(5, guild_id=7), "guild")
    await history.preferences.set_system_prompt("channel", Conversation(1), "first")
    await history.preferences.set_system_prompt("channel", Conversation(1), "second")
    assert await history.preferences.own_system_prompt("channel", 1) == "second"
    await history.preferences.set_system_prompt("channel", Conversation(1), "")
    assert await history.preferences.own_system_prompt("channel", 1) is None
    assert await system_prompt(history, CHANNEL) == "guild"


async def test_models_are_chosen_as_system_prompts_are(history: History) -> None:
    """The nearest first, each beside the other, and an empty one goes back."""
    choose = history.preferences.set_model
    await choose("guild", Conversation(5, guild_id=7), "guild's")
    await choose("channel", Conversation(1), "first")
    await choose("channel", Conversation(1), "channel's")
    await choose("channel", THREAD, "thread's")
    await history.preferences.set_system_prompt("channel", Conversation(1), "Rhyme.")

    async def models(place: Conversation) -> list[tuple[str, str]]:
        chosen = (await history.preferences.overrides(place)).models
        return [(choice.scope, choice.value) for choice in chosen]

    above = [("channel", "channel's"), ("guild", "guild's")]
    assert await models(THREAD) == [("channel", "thread's"), *above]
    assert await models(CHANNEL) == above
    assert await models(Conversation(2, guild_id=7)) == above[1:]
    assert await models(Conversation(7)) == [], "a channel with the id of a guild"
    assert await system_prompt(history, THREAD) == "Rhyme."
    await choose("channel", THREAD, "")
    assert await models(THREAD) == above


async def test_a_model_is_forgotten_with_its_channel_and_its_guild(
    history: History, path: Path
) -> None:
    for scope, place in (("channel", CHANNEL), ("guild", CHANNEL), ("channel", Conversation(3))):
        await history.preferences.set_model(scope, place, "m")  # type: ignore[arg-type]  # a Scope
    await history.erasure.forget_places([CHANNEL.channel_id])
    left = "SELECT scope, scope_id FROM models ORDER BY scope"
    assert rows(path, left) == [("channel", 3), ("guild", 7)]
    await history.places.leave_guild(7)
    assert rows(path, left) == [("channel", 3)]


async def test_a_calibration_is_kept_per_model(history: History) -> None:
    assert await history.models.calibration("m") == Calibration()
    await history.models.set_calibration("m", Calibration(1.5, 10.0, 1))
    await history.models.set_calibration("m", Calibration(1.75, 20.0, 2))
    assert await history.models.calibration("m") == Calibration(1.75, 20.0, 2)
    assert await history.models.calibration("other") == Calibration()


async def test_a_fact_is_the_last_that_was_set(history: History) -> None:
    assert await history.facts.get("a") is None
    await history.facts.set("a", "1")
    await history.facts.set("a", "2")
    assert await history.facts.get("a") == "2"


async def test_a_page_costs_what_a_page_holds(path: Path) -> None:
    """Rows come sorted out of the index: no plan sorts or scans the whole table."""
    async with Database.open(path) as database:
        values = dict.fromkeys(
            ("channel", "person", "parent", "forgotten", "parent_forgotten", "before", "rows"), 1
        )
        plan = await database.fetch(f"EXPLAIN QUERY PLAN {CONTEXT_SQL}", **values)
    steps = [str(step[3]) for step in plan]
    assert sum("exchanges_by_channel" in step for step in steps) == 2
    assert not [step for step in steps if step.startswith(("SCAN", "USE TEMP B-TREE"))]


async def test_an_answer_may_turn_out_not_to_be_shown(history: History, path: Path) -> None:
    """From answered to failed, and no other way: whatever was sent or stored came from it."""
    await keep(history, an_exchange(1, reply="whole"))
    assert not await history.complete(an_exchange(1, reply="other"), State.CANCELLED)
    assert await history.complete(an_exchange(1, reply="whole", cut=True), State.FAILED)
    assert not await history.complete(an_exchange(1, reply="other"), State.ANSWERED)
    assert rows(path, "SELECT reply, state FROM exchanges") == [("whole", "failed")]


# What it costs when much is stored


async def test_nothing_looks_through_all_that_is_stored(history: History) -> None:
    """By the plans that SQLite makes for the statements, with their values, of a whole life."""
    statements = set[str]()
    connection = history._database._connection
    await connection.set_trace_callback(statements.add)
    one, thread = an_exchange(20), an_exchange(30, channel=20, parent=1)
    private = an_exchange(40, origin=FromInteraction("x"))
    private = replace(private, conversation=Conversation(1, None, 7, person_id=one.author_id))
    for each in (one, thread, private):
        await history.receive(each)
        await history.begin(each)
        await history.store_resolved(each)
        await history.set_place(each.message_id, 20)
        await history.add_part(each.message_id, each.message_id + 1)
        await history.context(each.conversation, token_budget=PLENTY)
        await history.complete(replace(each, reply="Because."), State.ANSWERED)
        await history.mark_shown(each.message_id)
    await history.undo_attempt(20)
    await history.raise_attempts(20, 3)
    assert await history.knows(21)
    assert await history.question_of(21) == 20
    assert await history.parts_of(20) == (21,)
    assert await history.shown_in(31, thread.conversation)
    await history.find(20)
    await history.was_received(20)
    assert await history.is_open(30) is False
    await history.begin_regeneration(20, "Not whole.")
    await history.set_reply_token(an_exchange(40, origin=FromInteraction("y", pressed_id=50)))
    await history.complete_regeneration(replace(one, reply="Since."), State.ANSWERED, [])
    await history.quoting(20)
    await history.amend(one)
    await history.open_questions()
    await history.recent_questions(10)
    await history.remove_part(31)
    await history.store_files(one, quoted_before=one.quoted)
    assert [each.message_id async for each in history.by_author(one.author_id)] == [40, 30, 20]
    await history.preferences.set_model("channel", one.conversation, "m")
    await history.preferences.overrides(thread.conversation)
    await history.preferences.set_model("channel", one.conversation, "")
    await history.usage.add(UsageRow(5, 7, 20, 99, "m", UsageTotal(1, 1, 1)))
    await history.usage.totals_since(99, [5, 4, 3, 0])
    for by in ("person", "channel", "day"):
        await history.usage.totals_in_guild(7, 5, by)
    await history.usage.rows_of(99, 10)
    await history.usage.expire(5)
    await history.erasure.forget(30)
    await history.erasure.forget_person(one.author_id)
    await history.erasure.expire(10)
    await history.erasure.reset(1, 90, "Reset.", person_id=one.author_id)
    await history.erasure.forget_places([1, 2])
    await history.erasure.erase()
    await history.erasure.prune(10)
    places = history.places
    await places.join_guilds({7: 1})
    await places.threads_below(1)
    await places.guilds_with_places()
    await places.places_of(7)
    await places.channels_of(7)
    await places.threads_of(7)
    await places.leave_guild(7)
    await connection.set_trace_callback(None)  # type: ignore[arg-type]
    plans = dict[str, str]()
    for statement in statements:
        if statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            plan = await connection.execute_fetchall(f"EXPLAIN QUERY PLAN {statement}")
            plans[statement] = "\n".join(step for *_, step in plan)
    assert len(plans) > 40
    by_index = ("exchanges_open", "tombstones")  # partial: they hold a few of all
    for statement, steps in plans.items():
        for step in steps.splitlines():
            if re.match(r"SCAN (e|exchanges|p|parts|places|models|system_prompts|usage)\b", step):
                assert any(index in step for index in by_index), f"{statement}\n{steps}"
