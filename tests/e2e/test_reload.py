"""SIGHUP reads the settings again while the bot runs."""

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import GLANCE_SECONDS, PATIENCE_SECONDS, Bot, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The terminal controls the bot, as if a shell in it had started the bot.
IN_A_TERMINAL = """if True:
    import fcntl, os, sys, termios
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execv(sys.executable, [sys.executable, "-m", "bot"])
"""
# An empty variable counts as unset, so that the file decides.
LEFT_TO_THE_FILE: Any = {"USER_MESSAGES_PER_MINUTE": "", "OPENAI_MODEL": ""}


async def logged(bot: Bot, text: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in bot.log:  # noqa: ASYNC110  # no event for a growing file
            await asyncio.sleep(GLANCE_SECONDS)


class Reloading:
    """A stage whose bot has its settings in a file."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def write(self, *lines: str) -> None:
        (self.stage.folder / ".env").write_text("\n".join(lines), encoding="utf-8")

    async def reload(self, bot: Bot, *lines: str, expected: str) -> None:
        """Write the file, send SIGHUP, and wait for the *expected* log line."""
        self.write(*lines)
        bot.process.send_signal(signal.SIGHUP)
        await logged(bot, expected)


@asynccontextmanager
async def reloading(stand_ins: Stage) -> AsyncIterator[Reloading]:
    async with stand_ins.afresh() as stage:
        yield Reloading(stage)


async def test_a_reload_takes_over_what_may_change(stand_ins: Stage, unique: str) -> None:
    """The model, the prompt, the prices, the limits and the level of the log."""
    async with reloading(stand_ins) as it:
        stage = it.stage
        it.write("OPENAI_MODEL=one", "SYSTEM_PROMPT=Speak of harbours.")
        async with stage.bot(**LEFT_TO_THE_FILE) as bot:
            await stage.asked(f"before {unique}")
            await it.reload(
                bot,
                "OPENAI_MODEL=two",
                "SYSTEM_PROMPT=Speak of hills.",
                'TOKEN_PRICES={"two": [1000000, 1000000], "currency": "£"}',
                'OPENAI_OPTIONS={"temperature": 0.25}',
                "REPLY_TOKENS=300",
                "USER_MESSAGES_PER_MINUTE=1",
                "LOG_LEVEL=DEBUG",
                expected="Reload the settings: changed LOG_LEVEL, OPENAI_MODEL, OPENAI_OPTIONS, "
                "REPLY_TOKENS, SYSTEM_PROMPT, TOKEN_PRICES, USER_MESSAGES_PER_MINUTE",
            )
            channel, person = await stage.channel(), await stage.person()
            await stage.model.reply_when(unique, Script(text="x"))
            await stage.asked(f"after {unique}", channel=channel, author=person)
            [first] = await stage.requests_with(f"before {unique}")
            [second] = await stage.requests_with(f"after {unique}")
            assert first.body["model"] == "one"
            assert second.body["model"] == "two"
            assert second.body["temperature"] == 0.25
            assert 300 in second.body.values(), "the longest answer"
            assert "harbours" in first.body["messages"][0]["content"]
            assert "hills" in second.body["messages"][0]["content"]
            assert "Built prompt of question" in bot.log, "DEBUG"
            await stage.ask(f"too many {unique}", channel=channel, author=person)
            await stage.shown(ENGLISH.rate_limited.format(limit=1), channel)
            assert "£" in (await stage.use(channel, "usage", by=person))["content"]


async def test_one_problem_leaves_all_settings_as_they_are(stand_ins: Stage, unique: str) -> None:
    """The log names each problem, without its value."""
    async with reloading(stand_ins) as it:
        stage = it.stage
        it.write("OPENAI_MODEL=one")
        async with stage.bot(**LEFT_TO_THE_FILE) as bot:
            refused = "Cannot reload the settings, all stay as they are: "
            await it.reload(
                bot,
                *("OPENAI_MODEL=two", "REPLY_PARTS=hunter2", "LOG_LEVEL=hunter2"),
                expected=f"{refused}LOG_LEVEL is not valid: ",
            )
            assert f"{refused}REPLY_PARTS is not valid: " in bot.log
            assert "hunter2" not in bot.log
            await stage.asked(unique)
            [request] = await stage.requests_with(unique)
            assert request.body["model"] == "one"


async def test_what_needs_a_restart_is_named(stand_ins: Stage, unique: str) -> None:
    async with reloading(stand_ins) as it, it.stage.bot(**LEFT_TO_THE_FILE) as bot:
        left = "Leave settings as they are until the next start: REPLY_PARTS"
        await it.reload(bot, "REPLY_PARTS=7", expected=left)
        await it.stage.asked(unique)


async def test_an_environment_variable_wins_over_the_file_that_is_read_again(
    stand_ins: Stage,
) -> None:
    async with reloading(stand_ins) as it, it.stage.bot(OPENAI_MODEL="one") as bot:
        unchanged = "Reload the settings: none changed"
        await it.reload(bot, "OPENAI_MODEL=two", expected=unchanged)


async def test_a_reload_during_the_start_does_not_end_the_bot(stand_ins: Stage) -> None:
    """The signal waits until the bot can reload."""
    async with reloading(stand_ins) as it:
        it.write()
        async with it.stage.bot(connected=False, **LEFT_TO_THE_FILE) as bot:
            await logged(bot, "Create database")  # the first line of a start
            await it.reload(bot, expected="Reload the settings: none changed")
            assert await bot.stop() == 0


async def test_a_closed_terminal_stops_the_bot(stand_ins: Stage) -> None:
    """The system sends SIGHUP then, too. While the terminal is open, it reloads the settings."""
    async with stand_ins.afresh() as stage:
        log_path = stage.folder / "terminal.log"
        master, terminal = pty.openpty()
        with log_path.open("wb") as log_file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", IN_A_TERMINAL),
                env=stage.environment(),
                cwd=stage.folder,
                stdin=terminal,
                stderr=log_file,
            )
        os.close(terminal)
        bot = Bot(process, log_path)
        await logged(bot, "Connected as ")
        process.send_signal(signal.SIGHUP)
        await logged(bot, "Reload the settings: none changed")
        os.close(master)
        assert await bot.wait() == 0
        assert "Stop the bot: a signal asks for it" in bot.log
