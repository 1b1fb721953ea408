"""The store of exchanges: receiving, contexts, open questions."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bot.conversation.calibration import Calibration
from bot.conversation.exchange import Conversation, FromInteraction, State
from bot.errors import HistoryFailed
from bot.storage.exchange_queries import OWN_SQL, PAGE_ROWS, PARENT_SQL
from bot.storage.exchange_rows import IS_OPEN
from bot.storage.exchanges import History
from bot.storage.sqlite import SqliteDatabase
from tests.doubles import an_exchange, keep, open_database, open_history
from tests.storage.engines import SQLITE_ONLY, Engine
from tests.storage.memory import (
    CHANNEL,
    PLENTY,
    THREAD,
    open_ids,
    rows,
    seen,
    stored,
    system_prompt,
)
from tests.storage.tour import use_often


async def test_a_message_is_received_once(history: History) -> None:
    assert await history.receive(an_exchange(1))
    assert not await history.receive(an_exchange(1))
    assert not await history.receive(an_exchange(1, channel=2))
    assert await history.complete(an_exchange(1, reply="Because."), State.ANSWERED)
    assert not await history.receive(an_exchange(1)), "nor when it has long been answered"


async def test_concurrent_receivers_receive_a_message_once(history: History) -> None:
    found = await asyncio.gather(*(history.receive(an_exchange(1)) for _ in range(20)))
    assert sorted(found) == [False] * 19 + [True]


async def test_an_exchange_is_read_as_it_was_stored(history: History) -> None:
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
async def test_a_question_with_an_empty_reply_is_not_in_the_context(
    history: History, state: State
) -> None:
    await keep(history, an_exchange(1, reply=""), state=state)
    assert await seen(history, CHANNEL) == []


@pytest.mark.parametrize("state", [State.ANSWERED, State.FAILED, State.CANCELLED])
async def test_a_truncated_reply_is_in_the_context(history: History, state: State) -> None:
    await keep(history, an_exchange(1, reply="Beca", cut=True), state=state)
    assert await seen(history, CHANNEL) == [1]


async def test_an_unanswered_question_is_not_in_the_context(history: History) -> None:
    await history.receive(an_exchange(1))
    await history.receive(an_exchange(2))
    await history.add_part(2, 20)
    assert await seen(history, CHANNEL) == []


async def test_only_the_first_completion_counts(history: History) -> None:
    await keep(history, an_exchange(1, reply="first"))
    assert not await history.complete(an_exchange(1, reply="second"), State.ANSWERED)
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert found.reply == "first"


async def test_a_question_that_was_never_received_cannot_be_completed(history: History) -> None:
    assert not await history.complete(an_exchange(1, reply="x"), State.ANSWERED)
    assert await seen(history, CHANNEL) == []


async def test_text_that_sqlite_cannot_store_is_scrubbed(history: History) -> None:
    odd = an_exchange(1, "a\ud800\0b", "c\udfff\0d", author="e\ud800", quoted="\0f", embedded="\0")
    await keep(history, odd)
    await history.preferences.set_system_prompt("channel", Conversation(1), "g\ud800\0")
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert (found.question, found.reply, found.author, found.quoted) == ("a?b", "c?d", "e?", "f")
    assert found.embedded == ""
    assert await system_prompt(history, CHANNEL) == "g?"


async def test_channels_do_not_see_each_other(history: History) -> None:
    await keep(history, an_exchange(1, reply="x"), an_exchange(2, reply="y", channel=2))
    assert await seen(history, CHANNEL) == [1]
    assert await seen(history, Conversation(2, guild_id=7)) == [2]
    assert await seen(history, Conversation(3, guild_id=7)) == []


async def test_a_thread_inherits_its_channel_up_to_its_start(history: History) -> None:
    """It includes the exchange that opened the thread, and none that came later in the channel."""
    await keep(history, *(an_exchange(number, reply="x") for number in (50, 99, 100, 101, 150)))
    await keep(history, an_exchange(120, reply="x", channel=100, parent=1))
    assert await seen(history, THREAD) == [50, 99, 100, 120]
    assert await seen(history, CHANNEL) == [50, 99, 100, 101, 150]


async def test_threads_of_a_channel_do_not_see_each_other(history: History) -> None:
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
        # A message in a thread is newer than the thread.
        st.tuples(st.integers(1, 14), st.sampled_from([1, 5, 9])).filter(
            lambda one: one[1] == 1 or one[0] > one[1]
        ),
        unique_by=lambda one: one[0],
    ),
    resets=st.dictionaries(st.sampled_from([1, 5, 9]), st.integers(1, 16), max_size=2),
    erased=st.booleans(),
)
@hypothesis_settings(max_examples=60)
def test_contexts_match_the_model(
    tmp_path_factory: pytest.TempPathFactory,
    kept: list[tuple[int, int]],
    resets: dict[int, int],
    erased: bool,
) -> None:
    """Channel 1 with threads 5 and 9: what each sees, computed in a plainer way.

    Its own rows and, up to its id, its parent's; without what was forgotten: what is below the
    reset of the row's channel, or of the thread that the row opened, or of the thread that asks.
    """

    async def scene() -> dict[int, list[int]]:
        async with open_history(tmp_path_factory.mktemp("law") / "bot.db") as history:
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


async def test_private_exchanges_are_in_no_other_context(history: History) -> None:
    private = replace(
        an_exchange(3, origin=FromInteraction("x")), conversation=Conversation(1, None, 7, 99)
    )
    await keep(history, replace(private, reply="x"))
    await history.add_part(3, 4)
    assert await history.shown_in(4, CHANNEL) is None
    assert await history.shown_in(4, private.conversation) is None


async def test_a_part_of_an_unfinished_answer_finds_no_exchange(history: History) -> None:
    await history.receive(an_exchange(3))
    await history.add_part(3, 4)
    assert await history.shown_in(4, CHANNEL) is None


@pytest.mark.parametrize("count", [PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 3 * PAGE_ROWS])
async def test_a_long_history_is_read_whole_and_in_order(history: History, count: int) -> None:
    """Page by page, from the thread's rows and its channel's."""
    half = count // 2
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, half + 1)))
    last = Conversation(half, 1, 7)
    numbers = range(1000, 1000 + count - half)
    await keep(history, *(an_exchange(n, reply="x", channel=half, parent=1) for n in numbers))
    assert await seen(history, last) == [*range(1, half + 1), *numbers]


async def test_reading_stops_when_the_budget_is_full(history: History) -> None:
    """The newest exchanges that fit, and perhaps the one that exceeds the budget."""
    exchanges = [replace(an_exchange(number, reply="x"), tokens=10) for number in range(1, 200)]
    await keep(history, *exchanges)
    assert await seen(history, CHANNEL, budget=30) == [196, 197, 198, 199]
    assert await seen(history, CHANNEL, budget=35) == [196, 197, 198, 199]
    assert await seen(history, CHANNEL, budget=0) == [199]
    assert await seen(history, CHANNEL, budget=-1) == []
    assert len(await seen(history, CHANNEL, budget=1500)) == 151


async def test_a_context_may_end_before_a_message(history: History) -> None:
    await keep(history, *(an_exchange(number, reply="x") for number in range(1, 6)))
    found = await history.context(CHANNEL, before_id=4, token_budget=PLENTY)
    assert [exchange.message_id for exchange in found] == [1, 2, 3]


async def test_everything_survives_a_restart(engine: Engine) -> None:
    async with engine.history() as history:
        await keep(history, an_exchange(1, reply="x"), an_exchange(60, reply="y"))
        await history.receive(an_exchange(70))
        await history.add_part(60, 61)
        await history.erasure.reset(1, 50, "Reset.")
        await history.preferences.set_system_prompt("channel", Conversation(1), "Be brief.")
        await history.models.set_calibration("m", Calibration(1.25, 300.0, 4))
        await history.facts.set("commands", "abc")
        await history.places.add_own_thread(60, 1, 7)
        await history.places.claim_first_hint(9)
    async with engine.history() as history:
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


async def test_a_closed_history_raises_history_failed(engine: Engine) -> None:
    async with engine.history() as history:
        pass
    with pytest.raises(HistoryFailed):
        await history.receive(an_exchange(1))


async def test_an_id_that_is_too_large_for_the_database_raises_history_failed(
    history: History,
) -> None:
    """Such ids arrive in malformed events."""
    with pytest.raises(HistoryFailed):
        await history.question_of(10**40)


async def test_parts_of_a_reply_are_recorded(history: History) -> None:
    await history.receive(an_exchange(1))
    assert await history.question_of(11) is None
    await history.add_part(1, 11)
    await history.add_part(1, 12)
    await history.add_part(1, 11)
    assert await history.question_of(11) is not None
    assert await history.question_of(12) is not None


async def test_a_part_of_an_erased_reply_is_not_recorded(history: History) -> None:
    await keep(history, an_exchange(1, reply="x"))
    await history.erasure.reset(1, 50, "Reset.")
    await history.erasure.erase()
    await history.add_part(1, 11)
    await history.add_part(999, 12)
    assert await history.question_of(11) is None
    assert await history.question_of(12) is None


async def test_an_answer_may_move_to_another_place(history: History) -> None:
    await history.receive(an_exchange(100, place=100))
    await history.set_place(100, 1)
    await history.complete(an_exchange(100, reply="x"), State.ANSWERED)
    [found] = await history.context(CHANNEL, token_budget=PLENTY)
    assert found.place_id == 1


async def test_a_question_is_open_until_its_reply_is_shown_whole(history: History) -> None:
    assert await history.receive(an_exchange(1))
    assert (await history.open_questions())[0].attempts == 0
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert (attempt.number, attempt.pending_notices) == (1, None)
    assert await stored(history, "SELECT state FROM exchanges") == [("answering",)]
    await history.add_part(1, 12)
    await history.add_part(1, 11)
    assert (await history.open_questions())[0].parts == (11, 12)
    assert await history.complete(an_exchange(1, reply="x"), State.ANSWERED, ["A notice."])
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert (attempt.exchange.reply, attempt.pending_notices) == ("x", ("A notice.",))
    await history.mark_shown(1)
    assert await open_ids(history) == []
    assert await history.begin(an_exchange(1)) is None


async def test_a_question_that_was_not_received_is_stored_by_its_first_attempt(
    history: History,
) -> None:
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert attempt.number == 1
    assert not await history.receive(an_exchange(1))


async def test_an_undone_attempt_does_not_count(history: History) -> None:
    await history.receive(an_exchange(1))
    for number in (1, 2, 2, 2):
        attempt = await history.begin(an_exchange(1))
        assert attempt is not None
        assert attempt.number == number
        await history.undo_attempt(1)


async def test_open_questions_are_read_from_an_index(path: Path) -> None:
    """A start reads only the open questions, however long the history is."""
    async with open_history(path):
        pass
    plan = rows(path, f"EXPLAIN QUERY PLAN SELECT message_id FROM exchanges WHERE {IS_OPEN}")
    assert any("exchanges_open" in str(row) for row in plan)


async def test_incomplete_answers_stay_open_after_a_reset(history: History) -> None:
    await history.receive(an_exchange(1))
    await history.begin(an_exchange(1))
    await history.add_part(1, 11)
    await history.erasure.reset(1, 50, "Reset.")
    await history.erasure.erase()
    [question] = await history.open_questions()
    assert question.parts == (11,)
    attempt = await history.begin(an_exchange(1))
    assert attempt is not None
    assert (attempt.pending_notices, attempt.exchange.question) == (("Reset.",), "")
    await history.mark_shown(1)
    assert await open_ids(history) == []
    await history.erasure.erase()
    assert await history.erasure.forget(1), "who deletes it takes its answer along"
    [question] = await history.open_questions()
    assert (question.deletion_pending, question.parts) == (True, (11,))
    await history.mark_reply_deleted(1)
    assert await history.question_of(11) is None


async def test_questions_are_found_by_the_message_that_they_quote(
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


async def test_the_cost_of_a_page_ignores_the_length_of_the_history(path: Path) -> None:
    """Rows are read in the order of an index: no plan sorts or scans the whole table."""
    async with open_database(path) as database:
        values = dict.fromkeys(("channel", "person", "parent", "before", "rows"), 1)
        plan = [
            step
            for sql in (OWN_SQL, PARENT_SQL)
            for step in await database.fetch(f"EXPLAIN QUERY PLAN {sql}", **values)
        ]
    steps = [str(step[3]) for step in plan]
    assert sum("exchanges_by_channel" in step for step in steps) == 2
    assert not [step for step in steps if step.startswith(("SCAN", "USE TEMP B-TREE"))]


async def test_an_answered_question_may_still_fail(history: History) -> None:
    """The state may change from answered to failed, and in no other way."""
    await keep(history, an_exchange(1, reply="whole"))
    assert not await history.complete(an_exchange(1, reply="other"), State.CANCELLED)
    assert await history.complete(an_exchange(1, reply="whole", cut=True), State.FAILED)
    assert not await history.complete(an_exchange(1, reply="other"), State.ANSWERED)
    assert await stored(history, "SELECT reply, state FROM exchanges") == [("whole", "failed")]


@SQLITE_ONLY
async def test_no_statement_scans_a_whole_table(history: History) -> None:
    """Checks SQLite's plans of all statements that a typical use of the store runs."""
    statements = set[str]()
    assert isinstance(history._database, SqliteDatabase)
    connection = history._database._connection
    await connection.set_trace_callback(statements.add)
    await use_often(history)
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
