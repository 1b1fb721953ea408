"""Backups: made while the bot runs, and restored."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import ROOT, Stage
from tests.e2e.operator_use import operator

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def backed_up(stage: Stage, *arguments: str) -> Path:
    """Run the command beside the bot, and return the path of the copy."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "backup", *arguments),
        env=stage.environment() | {"PYTHONPATH": str(ROOT)},
        cwd=stage.folder,
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return Path(out.decode().split()[3])


async def test_a_restored_backup_is_the_bots_memory(stand_ins: Stage) -> None:
    """What was asked after the copy is unknown again, what was asked before it is not."""
    async with stand_ins.afresh() as stage:
        channel = await stage.channel()
        database = stage.folder / "bot.db"
        async with stage.bot() as bot:
            await stage.asked("before the copy", channel=channel)
            copy = await backed_up(stage)
            await stage.asked("after the copy", channel=channel)
            assert await bot.stop() == 0
        database.unlink()
        copy.rename(database)
        async with stage.bot(CATCH_UP_HOURS="0"):
            await stage.asked("What do you remember?", channel=channel)
        memory = await stage.memory_at("What do you remember?")
        assert "before the copy" in memory
        assert "after the copy" not in memory


async def test_privacy_says_for_how_long_copies_are_kept(stand_ins: Stage) -> None:
    async with stand_ins.afresh() as stage, stage.bot():
        channel = await stage.channel()
        sentence = ENGLISH.privacy_copies.format(days=5)
        assert sentence not in (await stage.use(channel, "privacy"))["content"]
        await backed_up(stage, "elsewhere", "--keep", "5")
        assert sentence in (await stage.use(channel, "privacy"))["content"]


async def test_a_server_keeps_its_own_copies(stand_ins: Stage, postgres_url: str) -> None:
    """People and operators are told so, and nothing is promised of them."""
    async with stand_ins.afresh() as stage, stage.bot(DATABASE_URL=postgres_url):
        channel = await stage.channel()
        assert ENGLISH.privacy_server in (await stage.use(channel, "privacy"))["content"]
        state = await operator(stage, "status")
    assert ENGLISH.status_server_backup in state
    assert ENGLISH.status_no_backup not in state
    async with stand_ins.afresh() as stage, stage.bot():
        channel = await stage.channel()
        assert ENGLISH.privacy_server not in (await stage.use(channel, "privacy"))["content"]
