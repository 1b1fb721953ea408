"""Text that is forgotten just before a stop is erased from the database file by then."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from bot.i18n.sentences import ENGLISH
from tests.doubles import file_bytes
from tests.e2e.conftest import PATIENCE_SECONDS, Message, Stage
from tests.e2e.test_ask import asked
from tests.e2e.test_own_data import forget
from tests.faults.points import until
from tests.faults.test_crash import hours_later
from tests.test_terminal import CTRL_D, at_a_terminal, with_model

pytestmark = pytest.mark.asyncio(loop_scope="session")

Forget = Callable[[Stage, Message], Awaitable[None]]


async def _reset(stage: Stage, question: Message) -> None:
    done = await stage.use(question["channel_id"], "reset")
    assert done["content"] == ENGLISH.reset_one


async def _forget_me(stage: Stage, question: Message) -> None:
    await forget(stage, question["channel_id"], "Mina")


async def _message(stage: Stage, question: Message) -> None:
    await stage.discord.delete(question["channel_id"], question["id"])
    await _is_forgotten(stage, question)


async def _part(stage: Stage, question: Message) -> None:
    [part] = await stage.parts_of(question)
    await stage.discord.delete(part["channel_id"], part["id"])
    await _is_forgotten(stage, question)


async def _channel(stage: Stage, question: Message) -> None:
    await stage.discord.delete_channel(question["channel_id"])
    await _has_a_boundary(stage, question)


async def _guild(stage: Stage, question: Message) -> None:
    await stage.discord.kick("ChatBot")
    await _has_a_boundary(stage, question)


async def _is_forgotten(stage: Stage, question: Message) -> None:
    async def forgotten() -> bool:
        sql = "SELECT 1 FROM exchanges WHERE message_id = ? AND question <> ''"
        return not stage.rows(sql, int(question["id"]))

    await until(forgotten)


async def _has_a_boundary(stage: Stage, question: Message) -> None:
    async def forgotten() -> bool:
        sql = "SELECT 1 FROM resets WHERE channel_id = ?"
        return bool(stage.rows(sql, int(question["channel_id"])))

    await until(forgotten)


@pytest.mark.parametrize("forget_it", [_reset, _forget_me, _message, _part, _channel, _guild])
async def test_forgotten_text_is_erased_before_a_stop(
    own_stage: Stage, unique: str, forget_it: Forget
) -> None:
    stage = own_stage
    async with stage.bot(SHUTDOWN_GRACE="0") as bot:
        question = await stage.asked(f"Remember {unique}")
        assert unique.encode() in file_bytes(stage.folder / "bot.db")
        try:
            await forget_it(stage, question)
            bot.process.terminate()
            assert await bot.wait() == 0
        finally:
            await stage.discord.invite("ChatBot")
    assert unique.encode() not in file_bytes(stage.folder / "bot.db")
    assert "Leave forgotten text" not in stage.log


async def test_reset_private_exchange_is_erased_before_a_stop(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    async with stage.bot() as bot:
        place = await stage.channel()
        await asked(stage, place, "Mina", f"Remember {unique}")
        await stage.use(place, "reset")
        assert await bot.stop() == 0
    assert unique.encode() not in file_bytes(stage.folder / "bot.db")


async def test_expired_exchange_is_erased_before_a_stop(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot():
        question = await stage.asked(f"Remember {unique}")
    assert unique.encode() in file_bytes(stage.folder / "bot.db")
    later = hours_later(stage, 49)
    async with stage.bot(RETENTION_DAYS="1", CATCH_UP_HOURS="0", **later) as bot:
        await _is_forgotten(stage, question)
        assert await bot.stop() == 0
    assert unique.encode() not in file_bytes(stage.folder / "bot.db")


@asynccontextmanager
async def locked(stage: Stage) -> AsyncIterator[None]:
    """Let another program lock the database within the block."""
    path = stage.folder / "bot.db"
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_postponed_deletion_is_applied_before_a_stop(own_stage: Stage, unique: str) -> None:
    stage = own_stage
    async with stage.bot() as bot:
        question = await stage.asked(f"Remember {unique}")
        async with locked(stage):
            await stage.discord.delete(question["channel_id"], question["id"])
            await stage.discord.wait_for(
                lambda event: event["data"].get("id") == question["id"], types=["message_delete"]
            )
            bot.process.terminate()
            await stage.logged("Postpone edits and deletions")
        assert await bot.wait() == 0
    assert unique.encode() not in file_bytes(stage.folder / "bot.db")


async def test_stop_does_not_wait_for_a_lasting_lock(own_stage: Stage, unique: str) -> None:
    """The log reports the text left in the file, and the next start erases it."""
    stage = own_stage
    async with stage.bot() as bot:
        question = await stage.asked(f"Remember {unique}")
        await _reset(stage, question)
        async with locked(stage):
            bot.process.terminate()
            assert await bot.wait() == 0
        assert "Leave forgotten text in the database" in bot.log
    async with stage.bot():
        assert unique.encode() not in file_bytes(stage.folder / "bot.db")


@pytest.mark.parametrize("leaving", [b"/quit\n", CTRL_D], ids=["quit", "end of input"])
async def test_terminal_erases_forgotten_text_on_exit(
    own_stage: Stage, unique: str, tmp_path: Path, leaving: bytes
) -> None:
    """Both a replaced system prompt and a reset conversation."""
    environment = with_model(own_stage.model, tmp_path)
    async with at_a_terminal(environment, tmp_path) as screen:
        await screen.until("user : ")
        for line, answer in (
            (f"/system Think of {unique}", "system prompt: Think of"),
            ("/system Be brief.", r"system prompt: Be brief\."),
            (f"Remember {unique}", "ChatBot : "),
            ("/reset", re.escape(ENGLISH.terminal_reset.format(count=1))),
        ):
            screen.type(f"{line}\n".encode())
            await screen.until(answer)
            await screen.until("user : ")
        screen.type(leaving)
        assert await asyncio.wait_for(screen.process.wait(), PATIENCE_SECONDS) == 0
    assert unique.encode() not in file_bytes(tmp_path / "chat.db")
    assert b"Be brief." in file_bytes(tmp_path / "chat.db")
