"""A bot that begins on SQLite and goes on on PostgreSQL, with what it knew."""

import asyncio
import subprocess
import sys

import pytest

from bot.sandbox.postgres_server import PASSWORD
from tests.e2e.conftest import PATIENCE_SECONDS, ROOT, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def moved(stage: Stage, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "move", *arguments),
        env=stage.environment() | {"PYTHONPATH": str(ROOT)},
        cwd=stage.folder,
        stdout=subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert PASSWORD not in out.decode()


async def test_a_bot_knows_on_postgresql_what_it_knew_on_sqlite(
    stand_ins: Stage, postgres_url: str
) -> None:
    """Its conversations, its settings, who used it, and since when it missed messages.

    The way back is the same.
    """
    async with stand_ins.afresh() as stage:
        channel = await stage.channel()
        file = f"sqlite:///{stage.folder / 'bot.db'}"
        async with stage.bot() as bot:
            await stage.asked("before the move", channel=channel)
            await stage.use(channel, "system", prompt="Speak like a moose.")
            assert await bot.stop() == 0
        missed = await stage.ask("while it was moved", channel=channel)
        await moved(stage, file, postgres_url)
        (stage.folder / "bot.db").unlink()
        async with stage.bot(DATABASE_URL=postgres_url) as bot:
            await stage.answer_to(missed)
            await stage.asked("on PostgreSQL", channel=channel)
            assert "answers: 3" in (await stage.use(channel, "usage"))["content"]
            memory = await stage.memory_at("on PostgreSQL")
            assert "before the move" in memory
            assert "Speak like a moose." in memory
            assert await bot.stop() == 0
        assert not (stage.folder / "bot.db").exists()
        await moved(stage, postgres_url, file)
        async with stage.bot():
            await stage.asked("on SQLite again", channel=channel)
            memory = await stage.memory_at("on SQLite again")
        assert "before the move" in memory
        assert "on PostgreSQL" in memory
