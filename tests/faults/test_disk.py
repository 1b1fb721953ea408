"""Faults 6 and 7: the disk fails; another program locks the database."""

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import Message, Stage, field_of
from tests.faults.failing import play_failing_database, writes_fail
from tests.faults.oracle import check_invariants, outcome
from tests.faults.points import CREATE, TEXT, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_SAVED: Final = f"\n-# {ENGLISH.memory_unwritable}"
SMALL_DISK: Final = 1_000_000  # bytes
LATEST_SECONDS: Final = 3.0  # Discord waits this long for a response.
LOCKED_SECONDS: Final = 5.0  # longer than that

# Fault 6


async def answered_beside_memory(stage: Stage, question: Message) -> str:
    """Return the one message that answers *question*; check that the question is not stored."""
    await stage.answer_to(question)
    assert stage.state_of(question) is None
    [part] = await stage.parts_of(question)
    return str(part["content"])


async def ask_and_stall(stage: Stage, word: str) -> Message:
    """Ask; return the question when its answer has started and the WAL has grown."""
    script = Script(text=TEXT, chunk_size=12, chunks_per_second=150)
    stalling = replace(script, stall_after_chunks=1, stall_seconds=40)
    await stage.model.reply_when(word, stalling, times=1)
    await stage.model.reply_when(word, script)
    question = await stage.ask(word)
    await stage.first_words_on(question)
    return question


async def test_06_bot_answers_without_memory_while_writes_fail(
    own_stage: Stage, unique: str
) -> None:
    """Each answer has a notice; when writes work again, the bot remembers without a restart."""
    stage = own_stage
    async with stage.bot() as bot:
        before = await stage.asked(f"{unique} before")
        thread = before["id"]
        with writes_fail(stage, bot):
            text = f"{unique} meanwhile"
            question = await stage.discord.say(thread, "Mina", text)
            assert (await answered_beside_memory(stage, question)).endswith(NOT_SAVED)
            assert f"{unique} before" in await stage.memory_at(text)
            elsewhere = await stage.ask(f"{unique} elsewhere")
            assert (await answered_beside_memory(stage, elsewhere)).endswith(NOT_SAVED)
        assert "Cannot record" in stage.log
        assert "disk I/O error" in stage.log
        after = await stage.said(thread, "Mina", f"{unique} after")
        later = await stage.said(thread, "Mina", f"{unique} later")
        memory = await stage.memory_at(f"{unique} later")
    assert f"{unique} after" in memory
    assert f"{unique} meanwhile" not in memory
    for question in (before, after, later):
        assert stage.state_of(question) == "answered"
        assert NOT_SAVED not in await stage.shown_of(question)


async def test_06_answer_is_complete_if_writes_fail_during_it(
    own_stage: Stage, unique: str
) -> None:
    """It has the notice; the next answer is stored again.

    After a restart the bot answers the unstored question once more, in the same messages.
    """
    stage = own_stage
    async with stage.bot() as bot:
        for number in range(3):
            await stage.asked(f"Let it be long. {number}.")
        question = await ask_and_stall(stage, unique)
        with writes_fail(stage, bot):
            await stage.model.resume()
            text = await stage.text_on(question)
        assert text.replace("\n", " ") == TEXT.strip() + NOT_SAVED.replace("\n", " ")
        await check_invariants(stage, await stage.asked(f"after {unique[::-1]}"))
        before = [part["id"] for part in await stage.parts_of(question)]
    async with stage.bot():
        [ending] = await check_invariants(stage, question, model_calls=2)
        assert (ending.state, ending.reply) == ("answered", TEXT.strip())
        assert [part["id"] for part in await stage.parts_of(question)] == before


async def test_06_unstored_answer_is_not_repeated_while_running(
    own_stage: Stage, unique: str
) -> None:
    """Neither a duplicate event nor a backfill repeats it."""
    stage = own_stage
    await stage.discord.settings(nonce_window_seconds=0)  # Discord does not know the nonces either.
    async with stage.bot() as bot:
        await stage.asked(f"{unique} before")
        with writes_fail(stage, bot):
            person = await stage.person()
            dm = await stage.discord.dm(person)
            await stage.discord.gateway("duplicate", count=1)
            twice = await stage.discord.say(dm, person, f"{unique} twice")
            once = await stage.ask(f"{unique} once")
            for question in (twice, once):
                assert (await answered_beside_memory(stage, question)).endswith(NOT_SAVED)
        await reconnected(stage)
        after = await stage.said(dm, person, f"{unique} after")
        await check_invariants(stage, after, twice, once, lost=[twice["id"], once["id"]])
        for question in (twice, once):
            text = question["content"].removeprefix(f"{stage.discord.bot_mention} ")
            assert len(await stage.requests_with(text)) == 1
    await stage.discord.settings(nonce_window_seconds=300)


async def test_06_unstored_answer_is_stored_after_restart(own_stage: Stage, unique: str) -> None:
    """Backfill finds the question again; the answer goes into the same message."""
    stage = own_stage
    async with stage.bot() as bot:
        await stage.asked(f"{unique} before")
        with writes_fail(stage, bot):
            question = await stage.ask(f"{unique} meanwhile")
            assert (await answered_beside_memory(stage, question)).endswith(NOT_SAVED)
    [before] = await stage.parts_of(question)
    async with stage.bot():

        async def stored() -> bool:
            return stage.state_of(question) is not None

        await until(stored)
        [ending] = await check_invariants(stage, question, model_calls=2)
    assert ending.state == "answered"
    assert [part["id"] for part in await stage.parts_of(question)] == [before["id"]]


async def test_06_question_is_answered_after_disk_and_discord_recover(
    own_stage: Stage, unique: str
) -> None:
    """Both fail at the same time; no restart is needed."""
    stage = own_stage
    async with stage.bot() as bot:
        await stage.asked(f"{unique} before")
        person = await stage.person()
        dm = await stage.discord.dm(person)
        with writes_fail(stage, bot):
            await stage.discord.fault("answer", method="POST", path=CREATE, status=503, count=50)
            question = await stage.discord.say(dm, person, f"{unique} meanwhile")
            await stage.logged(f"Postpone question {question['id']}")
            assert stage.state_of(question) is None
        await stage.discord.clear_faults()

        async def stored() -> bool:
            return stage.state_of(question) is not None

        await until(stored)
        [ending] = await check_invariants(stage, question, model_calls=2)
    assert ending.state == "answered"


async def test_06_command_reports_failed_write_and_changes_nothing(
    own_stage: Stage, unique: str
) -> None:
    """Ephemerally to the person, and in one line of the log."""
    stage = own_stage
    async with stage.bot() as bot:
        thread = (await stage.asked(f"{unique} before"))["id"]
        modal = await stage.use(thread, "system")
        with writes_fail(stage, bot):
            for answer in (
                await stage.use(thread, "reset"),
                await stage.use(thread, "system", prompt=f"{unique} prompt"),
                await stage.submit(modal, f"{unique} prompt"),
            ):
                assert answer["ephemeral"]
                assert answer["content"] == ENGLISH.command_memory_failed
        await stage.said(thread, "Mina", f"{unique} after")
    memory = await stage.memory_at(f"{unique} after")
    assert f"{unique} before" in memory
    assert f"{unique} prompt" not in memory
    failed = [line for line in stage.log.splitlines() if ": Cannot apply command " in line]
    assert len(failed) == 3
    assert all(" WARNING " in line and "disk I/O error" in line for line in failed)


async def reconnected(stage: Stage) -> None:
    """Let the bot identify again and run a backfill."""
    before = await stage.discord.last_event()
    await stage.discord.gateway("invalid_session", resumable=False)
    await stage.discord.wait_for(
        lambda _: True, types=["gateway_ready"], after=before, timeout_seconds=20
    )
    requests = len(await stage.discord.requests())

    async def looked() -> bool:
        new = await stage.discord.requests(after=requests, method="GET")
        return any(one["path"].endswith("/messages") for one in new)

    await until(looked)
    await asyncio.sleep(0.5)  # The bot asks about each found question at once.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which a disk of one megabyte is mounted."""
    folder = tmp_path
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs more rights")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_06_bot_answers_without_memory_while_disk_is_full(
    own_stage: Stage, unique: str, small_disk: Path
) -> None:
    """With free space it remembers again, without a restart."""
    stage, path, filler = own_stage, small_disk / "bot.db", small_disk / "filler"
    (stage.folder / "bot.db").symlink_to(path)
    async with stage.bot(DATABASE_URL=f"sqlite:///{path}"):
        thread = (await stage.asked(f"{unique} before"))["id"]
        filler.write_bytes(b"x" * free_bytes(small_disk))
        question = await stage.discord.say(thread, "Mina", f"{unique} meanwhile")
        assert (await answered_beside_memory(stage, question)).endswith(NOT_SAVED)
        assert "database or disk is full" in stage.log
        filler.unlink()
        await stage.said(thread, "Mina", f"{unique} after")
        later = await stage.said(thread, "Mina", f"{unique} later")
        assert f"{unique} after" in await stage.memory_at(f"{unique} later")
        assert NOT_SAVED not in await stage.shown_of(later)


@pytest.mark.parametrize("how", ["read-only", "full"])
async def test_06_bot_refuses_to_start_on_unwritable_disk(
    own_stage: Stage, unique: str, small_disk: Path, how: str
) -> None:
    """It exits with a sentence; the memory is intact when the disk works again."""
    stage, path, filler = own_stage, small_disk / "bot.db", small_disk / "filler"
    (stage.folder / "bot.db").symlink_to(path)
    url = f"sqlite:///{path}"
    async with stage.bot(DATABASE_URL=url):
        thread = (await stage.asked(f"{unique} before"))["id"]
    if how == "full":
        filler.write_bytes(b"x" * free_bytes(small_disk))
    else:
        remounted(small_disk, "ro")
    async with stage.bot(connected=False, DATABASE_URL=url) as bot:
        assert await bot.wait() == 2
        assert f"The database {path} cannot be opened" in bot.log
    if how == "full":
        filler.unlink()
    else:
        remounted(small_disk, "rw")
    async with stage.bot(DATABASE_URL=url):
        await stage.said(thread, "Mina", f"{unique} after")
    assert f"{unique} before" in await stage.memory_at(f"{unique} after")


def remounted(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    """Return the number of free bytes in *folder*."""
    left = os.statvfs(folder)
    return int(left.f_bavail * left.f_frsize)


async def test_06_question_ends_once_if_any_database_call_fails() -> None:
    """One failing call, or all calls from it on; the next question is stored."""
    played = await play_failing_database(seed=1)
    assert (played["lost"], played["doubled"]) == (0, 0)
    assert played["tries"] > 40


# Fault 7


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Lock a database as another program would."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("seconds", [3, 9])
async def test_07_questions_wait_while_the_database_is_locked(
    own_stage: Stage, unique: str, seconds: int
) -> None:
    """A running answer waits too; all end as without the lock."""
    stage = own_stage

    async def play(word: str, seconds: float) -> list[Message]:
        in_mid_answer = await ask_and_stall(stage, f"{word} long")
        async with locked(stage.folder / "bot.db"):
            await stage.model.resume()
            asked = [await stage.ask(f"{word} {name}") for name in ("one", "two")]
            await asyncio.sleep(seconds)
        return [in_mid_answer, *asked]

    async with stage.bot():
        usual = await play(f"usual {unique}", 0)
        questions = await play(f"locked {unique}", seconds)
        like = await check_invariants(stage, *usual, model_calls=1)
        endings = await check_invariants(stage, *questions, model_calls=1)
    assert [ending.state for ending in endings] == [ending.state for ending in like]
    expected = [ending.reply.replace("usual", "locked") for ending in like]
    assert [ending.reply for ending in endings] == expected
    assert ENGLISH.memory_unwritable not in str(await outcome(stage, *questions))


async def until_deferred(stage: Stage, interaction: str) -> None:
    """Return when Discord shows the deferred response of a command."""

    async def is_waiting() -> bool:
        return bool((await stage.discord.interaction(interaction))["state"] == "deferred")

    await until(is_waiting)


async def seconds_of(stage: Stage, interaction: str) -> float:
    """Return how long the first response to *interaction* took."""
    return float((await stage.discord.interaction(interaction))["latency_seconds"])


async def test_07_commands_wait_while_the_database_is_locked(own_stage: Stage, unique: str) -> None:
    """Each gets a public answer when it is done; a modal cannot be deferred, so /system fails."""
    stage, command = own_stage, own_stage.discord.command
    async with stage.bot():
        thread = (await stage.asked(f"{unique} before"))["id"]
        ours, other, unchanged = [await stage.channel() for _ in range(3)]
        modal = await stage.use(other, "system")
        usual_seconds = await seconds_of(stage, modal["interaction"])
        field = {field_of(modal)["custom_id"]: f"The form's {unique}"}
        async with locked(stage.folder / "bot.db"):
            began = time.monotonic()
            waiting = [
                await command(thread, "Mina", "reset"),
                await command(ours, "Mina", "system", {"prompt": f"The channel's {unique}"}),
                await stage.discord.submit_modal(modal["interaction"], field),
            ]
            await asyncio.gather(*(until_deferred(stage, one) for one in waiting))
            formless = await stage.use(unchanged, "system")  # Its read waits behind their writes.
            for one in (*waiting, formless["interaction"]):
                assert await seconds_of(stage, one) - usual_seconds < LATEST_SECONDS
            await asyncio.sleep(LOCKED_SECONDS - (time.monotonic() - began))
        done = [await stage.answered(one) for one in waiting]
        assert field_of(await stage.use(ours, "system"))["value"] == f"The channel's {unique}"
        assert field_of(await stage.use(other, "system"))["value"] == f"The form's {unique}"
        await stage.said(thread, "Mina", f"{unique} after")
        assert f"{unique} before" not in await stage.memory_at(f"{unique} after")
    assert [answer["content"] for answer in done] == [
        ENGLISH.reset_one,
        ENGLISH.system_set_channel,
        ENGLISH.system_set_channel,
    ]
    assert not any(answer["ephemeral"] for answer in done)
    assert formless["ephemeral"]
    assert formless["content"] == ENGLISH.command_memory_failed
    warnings = [line for line in stage.log.splitlines() if " WARNING " in line]
    assert [line.partition(" bot.")[2].partition(":")[0] for line in warnings] == [
        "storage.sqlite",
        "commands.responses",
    ]


async def test_07_deferred_command_shows_failure_in_same_message(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot() as bot:
        thread = (await stage.asked(f"{unique} before"))["id"]
        with writes_fail(stage, bot):
            async with locked(stage.folder / "bot.db"):
                interaction = await stage.discord.command(thread, "Mina", "reset")
                await until_deferred(stage, interaction)
            answer = await stage.answered(interaction)
        assert answer["content"] == ENGLISH.command_memory_failed
        assert (await stage.discord.interaction(interaction))["followups"] == []
        await stage.said(thread, "Mina", f"{unique} after")
    assert f"{unique} before" in await stage.memory_at(f"{unique} after")
    failed = f"Cannot apply command {interaction}: OperationalError: disk I/O error"
    assert failed in stage.log


async def test_07_stop_waits_for_a_deferred_command(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot() as bot:
        thread = (await stage.asked(f"{unique} before"))["id"]
        async with locked(stage.folder / "bot.db"):
            interaction = await stage.discord.command(thread, "Mina", "reset")
            await until_deferred(stage, interaction)
            bot.process.terminate()
            await stage.logged("Finish 1 answers")
        assert (await stage.answered(interaction))["content"] == ENGLISH.reset_one
        assert await bot.wait() == 0


async def test_07_stop_does_not_wait_for_a_database_lock(own_stage: Stage, unique: str) -> None:
    """The next start finds the question that the bot could not store."""
    stage = own_stage
    async with stage.bot(SHUTDOWN_GRACE="1") as bot:
        channel = (await ask_and_stall(stage, f"{unique} long"))["channel_id"]
        await stage.model.resume()
        await stage.asked(f"{unique} before", channel=channel)
        async with locked(stage.folder / "bot.db"):
            questions = [await stage.ask(f"{unique} {n}", channel=channel) for n in range(3)]
            bot.process.terminate()
            async with asyncio.timeout(LOCKED_SECONDS * 6):  # A call waits up to 60 s for a lock.
                assert await bot.wait() == 0
    async with stage.bot():
        await check_invariants(stage, *questions, model_calls=1)


@asynccontextmanager
async def command_with_refused_response(
    stage: Stage, unique: str, code: int
) -> AsyncIterator[tuple[str, str]]:
    """Use /reset in a thread while the database is locked; yield both ids.

    At the end, check that the reset took effect although Discord refused the response with *code*.
    """
    async with stage.bot():
        thread = (await stage.asked(f"{unique} before"))["id"]
        async with locked(stage.folder / "bot.db"):
            interaction = await stage.discord.command(thread, "Mina", "reset")
            yield thread, interaction
        await stage.logged(
            f"WARNING bot.commands.responses: Cannot answer command {interaction}: code {code}"
        )
        await stage.said(thread, "Mina", f"{unique} after")
    assert f"{unique} before" not in await stage.memory_at(f"{unique} after")


async def test_07_command_takes_effect_if_its_deferral_is_lost(
    own_stage: Stage, unique: str
) -> None:
    """Discord shows that the command failed."""
    await own_stage.discord.fault("drop", method="POST", path="/callback$")
    async with command_with_refused_response(own_stage, unique, 10062) as (_, interaction):
        assert (await own_stage.discord.wait_for_answer(interaction))["state"] == "failed"
    assert f"Cannot defer command {interaction}: ServerDisconnectedError" in own_stage.log


async def test_07_command_takes_effect_if_its_deferral_is_deleted(
    own_stage: Stage, unique: str
) -> None:
    async with command_with_refused_response(own_stage, unique, 10008) as (thread, interaction):
        await until_deferred(own_stage, interaction)
        waits = (await own_stage.messages_in(thread))[-1]
        await own_stage.discord.delete(thread, waits["id"])


async def test_07_command_takes_effect_after_its_token_expired(
    own_stage: Stage, unique: str
) -> None:
    async with command_with_refused_response(own_stage, unique, 50027) as (_, interaction):
        await until_deferred(own_stage, interaction)
        await own_stage.discord.settings(interaction_lifetime_seconds=0)
    await own_stage.discord.settings(interaction_lifetime_seconds=900)
