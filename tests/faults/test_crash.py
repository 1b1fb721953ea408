"""Faults 1 to 5: kill -9, stop, a second process, a question that kills, power failure."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from bot.backoff import Backoff
from bot.i18n.sentences import ENGLISH
from bot.inbox.messages import Inbox
from bot.markdown.splitter import split
from bot.recovery import catch_up
from bot.recovery.resume import MAX_FAILURES, MAX_QUESTIONS
from bot.recovery.unfinished import MAX_MESSAGE_PAGES, Unfinished
from bot.sandbox.discord.world import ChannelType
from bot.sandbox.model_script import Script
from bot.transport.calls import MESSAGES
from tests.e2e.conftest import PATIENCE_SECONDS, Bot, Message, Stage
from tests.faults.failing import ANSWER, Log, failing_play, logged
from tests.faults.kills import play_random_kills
from tests.faults.oracle import check_invariants, outcome
from tests.faults.points import COMPLETE, POINTS, SENTENCE, TEXT, is_stored, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROOT: Final = Path(__file__).parents[2]


async def killed(bot: Bot) -> None:
    """End the bot with kill -9."""
    bot.process.kill()
    await bot.process.wait()


async def killed_during_its_answer(stage: Stage, unique: str) -> tuple[Message, Message]:
    """Kill a bot after the first words; return the question and the message with these words."""
    script = Script(text=TEXT, chunk_size=12, chunks_per_second=100)
    held = replace(script, stall_after_chunks=1, stall_seconds=40)
    await stage.model.reply_when(unique, held, times=1)
    await stage.model.reply_when(unique, script)
    async with stage.bot() as bot:
        question = await stage.ask(unique)
        first_part = await stage.first_words_on(question)
        await killed(bot)
    return question, first_part


async def asked_more_than(stage: Stage, text: str, times: int) -> bool:
    return len(await stage.requests_with(text)) > times


async def check_continued(
    stage: Stage, point: str, question: Message, before: list[Message]
) -> None:
    """Check that the answer continues in the same messages, with no needless model call."""
    await check_invariants(stage, question, model_calls=1 if point in COMPLETE else 2)
    after = await stage.parts_of(question)
    assert [part["content"] for part in after] == split(TEXT)
    assert [part["id"] for part in after][: len(before)] == [part["id"] for part in before]


@pytest.mark.parametrize("point", POINTS)
async def test_01_answer_continues_after_kill_at_each_named_point(
    own_stage: Stage, unique: str, point: str
) -> None:
    """The answer continues once in the same message; the next restart does not ask the model."""
    stage = own_stage
    async with stage.bot() as bot:
        question = await POINTS[point](stage, unique)
        await killed(bot)
    before = await stage.parts_of(question)
    await stage.discord.clear_faults()
    async with stage.bot():
        await check_continued(stage, point, question, before)
    async with stage.bot():
        follow_up = await stage.asked("And then?", channel=question["channel_id"])
        await check_invariants(stage, question, follow_up, model_calls=2)
        memory = await stage.memory_at("And then?")
    assert TEXT.strip() in memory


@pytest.mark.parametrize("point", ["first_part_unanswered", "second_part_unanswered"])
async def test_01_answer_continues_after_its_nonce_expired(
    own_stage: Stage, unique: str, point: str
) -> None:
    """The bot recognizes a part by the message that it replies to."""
    stage = own_stage
    await stage.discord.settings(nonce_window_seconds=0)
    try:
        async with stage.bot() as bot:
            question = await POINTS[point](stage, unique)
            await killed(bot)
        before = await stage.parts_of(question)
        await stage.discord.clear_faults()
        async with stage.bot():
            await check_continued(stage, point, question, before)
    finally:
        await stage.discord.settings(nonce_window_seconds=300)


async def test_01_random_kills_lose_and_double_no_replies(own_stage: Stage) -> None:
    counts = await play_random_kills(own_stage, tries=2, seed=5)
    assert (counts.lost, counts.doubled, counts.failures) == (0, 0, [])


async def test_01_queued_questions_keep_their_order_after_kill(
    own_stage: Stage, unique: str
) -> None:
    """The oldest is answered first; each prompt contains the exchanges before it."""
    stage = own_stage
    person = await stage.person()
    dm = await stage.discord.dm(person)
    texts = [f"{unique} {word}" for word in ("one", "two", "three")]
    await stage.model.reply_when(texts[0], Script(text="late", stall_before_seconds=5), times=1)
    async with stage.bot() as bot:
        questions = [await stage.discord.say(dm, person, text) for text in texts]
        await stage.model_asked(texts[0])
        await killed(bot)
    async with stage.bot():
        await check_invariants(stage, *questions, model_calls=2)
    memory = await stage.memory_at(texts[2])
    assert memory.index(texts[0]) < memory.index(texts[1])


LATER: Final = """
import os, time
now, time.time = time.time, lambda: now() + float(os.environ.get("HOURS_LATER", "0")) * 3600
"""


def hours_later(stage: Stage, hours: float) -> dict[str, Any]:
    """Return settings with which the clock of the bot is *hours* ahead."""
    (stage.folder / "sitecustomize.py").write_text(LATER)
    return {"PYTHONPATH": f"{stage.folder}:{ROOT}", "HOURS_LATER": str(hours)}


@pytest.mark.parametrize("point", ["first_part_recorded", "received"])
async def test_01_expired_question_is_not_sent_to_model_after_kill(
    own_stage: Stage, unique: str, point: str
) -> None:
    """A notice is in the started message, or in reply to the question."""
    stage = own_stage
    person = await stage.person()
    dm = await stage.discord.dm(person)
    slow = Script(text=TEXT, stall_before_seconds=2.0)
    await stage.model.reply_when(f"{unique} first", slow)
    async with stage.bot() as bot:
        if point == "received":
            await stage.discord.say(dm, person, f"{unique} first")
            await stage.model_asked(f"{unique} first")
            question = await stage.discord.say(dm, person, f"{unique} second")
            await until(partial(has_shown_state, stage, question, "received"))
        else:
            question = await POINTS[point](stage, unique)
        await killed(bot)
    async with stage.bot(CATCH_UP_HOURS="2", **hours_later(stage, 3.0)):
        await until(partial(has_shown_state, stage, question, "failed"))
        [ending] = await outcome(stage, question)
    assert ending.shown[-1].endswith(ENGLISH.too_late)
    assert ending.shown[0].startswith("All") == (point != "received")
    word = f"{unique} second" if point == "received" else unique
    assert len(await stage.requests_with(word)) == (point != "received")


async def has_shown_state(stage: Stage, question: Message, state: str) -> bool:
    return stage.state_of(question) == state and not stage.rows(
        "SELECT 1 FROM exchanges WHERE message_id = ? AND unshown IS NOT NULL", int(question["id"])
    )


async def test_02_question_received_before_stop_ignores_catch_up_limit(
    own_stage: Stage, unique: str
) -> None:
    """CATCH_UP_HOURS limits only questions that people asked while the bot was away."""
    stage = own_stage
    person = await stage.person()
    dm = await stage.discord.dm(person)
    slow = Script(text="slow", stall_before_seconds=3.0)
    await stage.model.reply_when(f"{unique} first", slow)
    async with stage.bot(SHUTDOWN_GRACE="0", CATCH_UP_HOURS="0") as bot:
        questions = [await stage.discord.say(dm, person, f"{unique} first")]
        questions.append(await stage.discord.say(dm, person, f"{unique} second"))
        await stage.model_asked(f"{unique} first")
        await until(partial(has_shown_state, stage, questions[1], "received"))
        assert await bot.stop() == 0
    async with stage.bot(CATCH_UP_HOURS="0"):
        endings = await check_invariants(stage, *questions, model_calls=2)
    assert [ending.state for ending in endings] == ["answered", "answered"]


async def test_01_hanging_questions_after_crash_delay_no_others(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    hanging = Script(text="At last.", stall_before_seconds=60)
    await stage.model.reply_when(f"{unique} hanging", hanging)
    await stage.model.reply_when(f"{unique} quick", Script(text="Quick.", stall_before_seconds=2))
    async with stage.bot() as bot:
        slow = [await stage.ask(f"{unique} hanging {number}") for number in range(MAX_QUESTIONS)]
        last = slow[-1]["content"].partition("> ")[2]
        await stage.model_asked(last)
        quick = await stage.ask(f"{unique} quick")
        await until(partial(is_stored, stage, quick))
        await killed(bot)
    before = len(await stage.requests_with(f"{unique} hanging"))
    async with stage.bot():
        await stage.answer_to(quick)
        assert {stage.state_of(one) for one in slow} == {"answering"}
        await until(partial(asked_more_than, stage, f"{unique} hanging", before + len(slow) - 1))
        await stage.model.resume()
        await check_invariants(stage, *slow, quick, model_calls=2)


@pytest.mark.parametrize("where", ["opening", "follow-up"])
async def test_01_answer_continues_in_thread_archived_while_down(
    own_stage: Stage, unique: str, where: str
) -> None:
    """Discord does not report such a thread, and refuses edits in it."""
    stage = own_stage
    script = Script(text=TEXT, chunk_size=12, chunks_per_second=100)
    await stage.model.reply_when(unique, script)
    async with stage.bot() as bot:
        if where == "opening":
            question = await stage.ask(unique)
            thread = question["id"]
        else:
            thread = (await stage.asked("An opening"))["id"]
            question = await stage.discord.say(thread, "Mina", unique)
        first_part = await stage.shown("harbour", thread)
        await killed(bot)
    await stage.discord.edit_channel(thread, archived=True)
    async with stage.bot():
        await check_invariants(stage, question, model_calls=2)
        parts = await stage.parts_of(question)
        assert [part["content"] for part in parts] == split(TEXT)
        assert parts[0]["id"] == first_part["id"]


@pytest.mark.parametrize(
    "why",
    ["a moderator locked the thread", "the permission Send Messages in Threads is missing"],
)
async def test_01_bot_abandons_answer_in_thread_in_which_it_may_not_write(
    own_stage: Stage, unique: str, why: str
) -> None:
    """The log says why, once."""
    stage = own_stage
    question, first_part = await killed_during_its_answer(stage, unique)
    locked = "locked" in why
    # The bot leaves its own thread closed even if Discord would let it open it.
    await stage.discord.settings(owners_open_locked_threads=locked)
    await stage.discord.edit_channel(question["id"], archived=True, locked=locked)
    if not locked:
        denied = {"target": "ChatBot", "deny": ["SEND_MESSAGES_IN_THREADS"]}
        await stage.discord.edit_channel(question["channel_id"], overwrites=[denied])
    async with stage.bot():
        await stage.logged(why)
        await stage.asked("Are you there?")
        assert stage.state_of(question) == "failed"
        assert [part["id"] for part in await stage.parts_of(question)] == [first_part["id"]]
    async with stage.bot():
        await stage.asked("And now?")
        assert len(await stage.requests_with(unique)) <= 2
    assert stage.log.count(why) == 1
    await stage.discord.settings(owners_open_locked_threads=False)


async def test_01_answer_continues_while_discord_blocks_reading(
    own_stage: Stage, unique: str
) -> None:
    """Discord's abuse protection answers 403 with the code of a deletion: nothing is deleted."""
    stage = own_stage
    question, first_part = await killed_during_its_answer(stage, unique)
    for code, path in ((10008, r"/messages(/\d+)?$"), (10003, r"/channels/\d+$")):
        await stage.discord.fault("block", method="GET", path=path, code=code, count=None)
    async with stage.bot():
        parts = await stage.answer_to(question)
        assert [part["content"] for part in parts] == split(TEXT)
        assert parts[0]["id"] == first_part["id"]
        assert stage.state_of(question) == "answered"
    await stage.discord.clear_faults()


async def test_01_answer_continues_far_below_its_question(own_stage: Stage, unique: str) -> None:
    """More messages lie between question and answer than the bot searches."""
    stage = own_stage
    script = Script(text=TEXT, chunk_size=12, chunks_per_second=100)
    held = replace(script, stall_before_seconds=60)
    await stage.model.reply_when(unique, held, times=1)
    await stage.model.reply_when(unique, script)
    async with stage.bot() as bot:
        voice = await stage.channel(kind=ChannelType.VOICE)
        question = await stage.ask(unique, channel=voice)
        await stage.model_asked(unique)
        chatter = {"channel_id": voice, "author_id": "Jun"}
        await stage.discord.say_all(
            chatter | {"content": f"{unique} chatter {number}"}
            for number in range(MESSAGES * MAX_MESSAGE_PAGES + 10)
        )
        await stage.model.resume()
        first_part = await stage.shown("harbour", voice)
        await killed(bot)
    async with stage.bot():
        await check_invariants(stage, question, model_calls=2)
        parts = await stage.parts_of(question)
        assert [part["content"] for part in parts] == split(TEXT)
        assert parts[0]["id"] == first_part["id"]


async def test_01_deleting_question_stops_its_resumed_answer(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    await stage.model.reply_when(unique, Script(text="x", stall_before_seconds=50))
    async with stage.bot() as bot:
        channel = await stage.channel()
        question = await stage.ask(unique, channel=channel)
        await stage.model_asked(unique)
        await killed(bot)
    async with stage.bot():
        await until(partial(asked_more_than, stage, unique, 1))
        await stage.discord.delete(channel, question["id"])
        await until(partial(left_by, stage, unique))
        await stage.asked("Are you there?")
        assert stage.state_of(question) == "cancelled"
        assert await stage.parts_of(question) == []


async def left_by(stage: Stage, text: str) -> bool:
    """Return whether the bot closed the newest model request with *text* before the end."""
    return (await stage.requests_with(text))[-1].outcome == "disconnected"


async def test_03_second_process_on_same_database_refuses_to_start(own_stage: Stage) -> None:
    stage = own_stage
    async with stage.bot():
        async with stage.bot(connected=False) as second:
            assert await second.wait() == 2
        assert "Another instance of this program is using the database" in second.log
        await check_invariants(stage, await stage.asked("Are you there?"))


async def test_04_question_that_kills_the_bot_fails_at_third_attempt(
    own_stage: Stage, unique: str
) -> None:
    """Two attempts ask the model, the third shows a notice; other questions are answered."""
    stage = own_stage
    poison = Script(text="poison " * 200, chunk_size=7, stall_after_chunks=20, stall_seconds=40)
    await stage.model.reply_when(unique, poison)
    question = None
    for attempt in range(2):
        async with stage.bot() as bot:
            question = question or await stage.ask(unique)
            await stage.first_words_on(question)
            asked = partial(asked_more_than, stage, unique, attempt)
            await until(asked)
            await killed(bot)
    assert question is not None
    async with stage.bot():
        [ending] = await check_invariants(stage, question, model_calls=2)
        await check_invariants(stage, question, await stage.asked("And others?"))
    assert ending.state == "failed"
    assert ending.reply.startswith("poison")
    assert ending.shown[-1].endswith(f"\n-# {ENGLISH.interrupted_too_often}")
    async with stage.bot():
        await check_invariants(stage, question, await stage.asked("And now?"), like=None)
    assert len(await stage.requests_with(unique)) == 2


@pytest.mark.parametrize("has_part", [False, True])
async def test_04_question_fails_with_notice_if_its_handler_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_part: bool
) -> None:
    """For an exception outside the code that answers, which has its own notice."""
    tries = 0

    async def failing(*_: object, **__: object) -> bool:
        nonlocal tries
        tries += 1
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Inbox, "_answer", failing)
    monkeypatch.setattr(Unfinished, "resume", failing)
    monkeypatch.setattr(catch_up, "RECOVERY_BACKOFF", Backoff(0.2, 0.2))
    with logged() as log:
        async with failing_play(tmp_path / "bot.db", log) as play:
            discord = play.discord
            dm = await discord.dm("Mina")
            question = await discord.say(dm, "Mina", "Why?")
            await until(partial(tried, log))
            if has_part:
                part = await discord.say(dm, discord.bot_id, "Half an", reply_to=question["id"])
                await play.history.add_part(int(question["id"]), int(part["id"]))

            async def notified() -> bool:
                texts = [one["content"] for one in await play.bot_messages(dm)]
                return texts == [ENGLISH.answer_failed]

            await until(notified)
            await play.database.quiet()
            assert await play.history.open_questions() == []
            assert await notified()
            monkeypatch.undo()
            _, texts = await play.ask(dm, "Mina")
            assert texts == [ANSWER]
    assert tries == 1 + MAX_FAILURES


async def tried(log: Log) -> bool:
    return bool(log.errors)


async def test_05_committed_rows_survive_power_failure(own_stage: Stage, unique: str) -> None:
    """The database file and its WAL remain; the shared memory file is lost."""
    stage = own_stage
    async with stage.bot() as bot:
        questions = [await stage.asked(f"{unique} {number}") for number in range(3)]
        assert stage.rows("PRAGMA journal_mode") == [("wal",)]
        bot.process.send_signal(signal.SIGKILL)
        await bot.process.wait()
    (stage.folder / "bot.db-shm").unlink(missing_ok=True)
    with closing(sqlite3.connect(stage.folder / "bot.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    async with stage.bot():
        await check_invariants(stage, *questions, model_calls=1)


async def test_01_bot_retries_unarchiving_a_thread(own_stage: Stage, unique: str) -> None:
    """At last the bot continues the answer in the thread."""
    stage = own_stage
    async with stage.bot() as bot:
        question = await POINTS["first_part_recorded"](stage, unique)
        await killed(bot)
    before = await stage.parts_of(question)
    await stage.discord.edit_channel(question["id"], archived=True)
    opening = rf"/channels/{question['id']}$"
    await stage.discord.fault("answer", method="PATCH", path=opening, status=503, count=None)
    async with stage.bot():
        await stage.logged(f"Postpone question {question['id']}")
        await stage.discord.clear_faults()
        await check_continued(stage, "first_part_recorded", question, before)


async def test_01_postponed_answer_is_retried_with_backoff(own_stage: Stage, unique: str) -> None:
    """An answer to another question does not trigger a retry."""
    stage = own_stage
    slow = Script(text="x", stall_before_seconds=50)
    await stage.model.reply_when(f"{unique} waiting", slow, times=1)
    async with stage.bot() as bot:
        waiting = await stage.ask(f"{unique} waiting")
        await stage.model_asked(f"{unique} waiting")
        await killed(bot)
    await stage.model.reply_when(f"{unique} other", Script(text="y", stall_before_seconds=1))
    fetch = f"/channels/{waiting['channel_id']}/messages/{waiting['id']}"
    await stage.discord.fault("answer", method="GET", path=f"{fetch}$", status=503, count=None)

    async def tries() -> list[float]:
        requests = await stage.discord.requests(method="GET")
        return [one["at"] for one in requests if one["path"] == fetch]

    others: list[Message] = []
    async with stage.bot():
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(await tries()) < 3:
                others.append(await stage.ask(f"{unique} other {len(others)}."))
                await asyncio.sleep(0.2)
        first, second, third = (await tries())[:3]
        assert second - first >= catch_up.RECOVERY_BACKOFF.first_seconds
        assert third - second >= 2 * catch_up.RECOVERY_BACKOFF.first_seconds
        await stage.discord.clear_faults()
        await check_invariants(stage, waiting, *others, model_calls=2)


async def test_01_unrecorded_part_is_found_behind_100_messages(
    own_stage: Stage, unique: str
) -> None:
    """Discord lists at most 100 at once; the bot finds the part by its message reference."""
    stage = own_stage
    await stage.model.reply_when(unique, Script(text=TEXT, stall_before_seconds=50), times=1)
    await stage.model.reply_when(unique, TEXT)
    async with stage.bot() as bot:
        voice = await stage.channel(kind=ChannelType.VOICE)
        question = await stage.ask(unique, channel=voice)
        await stage.model_asked(unique)
        await killed(bot)
    for number in range(MESSAGES + 1):
        await stage.discord.say(voice, "Jun", f"{unique} chatter {number}")
    first_part = await stage.discord.say(
        voice,
        stage.discord.bot_id,
        SENTENCE.strip(),
        reply_to=question["id"],
        ping_reply=False,
    )
    async with stage.bot():
        await check_invariants(stage, question, model_calls=2)
        parts = await stage.parts_of(question)
        assert [part["content"] for part in parts] == split(TEXT)
        assert parts[0]["id"] == first_part["id"]


async def test_01_editing_resumed_question_delays_no_others(own_stage: Stage, unique: str) -> None:
    """The edit is stored at once; a new question elsewhere is answered."""
    stage = own_stage
    await stage.model.reply_when(unique, Script(text="x", stall_before_seconds=50))
    async with stage.bot() as bot:
        channel = await stage.channel()
        question = await stage.ask(f"{unique} before", channel=channel)
        await stage.model_asked(unique)
        await killed(bot)
    async with stage.bot():
        await until(partial(asked_more_than, stage, unique, 1))
        edited = f"{stage.discord.bot_mention} {unique} after"
        await stage.discord.edit(channel, question["id"], edited)
        await stage.asked("Are you there?")
        assert stage.state_of(question) == "answering"
        sql = "SELECT question FROM exchanges WHERE message_id = ?"
        assert stage.rows(sql, int(question["id"])) == [(f"{unique} after",)]
        await stage.discord.delete(channel, question["id"])
