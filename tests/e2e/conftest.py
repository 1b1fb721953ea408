"""The stage for end-to-end tests: the real bot as a process, between both stand-ins.

One stage serves all tests of a session: each test works in a channel of its own, so that they do not
see each other. A test that needs other settings, or breaks something, runs a stage of its own.
"""

import asyncio
import itertools
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.driver import Driver, running_discord
from bot.sandbox.model_driver import ModelDriver, running_model

Message = dict[str, Any]
PATIENCE_SECONDS = 20.0
NAMES = (f"place-{number}" for number in itertools.count(1))


@dataclass
class Bot:
    """The bot as a process, with what it logs."""

    process: asyncio.subprocess.Process
    log_path: Path
    database_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    async def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


@dataclass
class Stage:
    """Both stand-ins and the settings that point the bot at them."""

    discord: Driver
    model: ModelDriver
    folder: Path

    def environment(self, **settings: str) -> dict[str, str]:
        ours = {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "OPENAI_BASE_URL": self.model.base_url,
            "OPENAI_API_KEY": self.model.api_key,
            "OPENAI_MODEL": "stand-in",
            "DATABASE_URL": f"sqlite:///{self.folder / 'bot.db'}",
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DISCORD_", "OPENAI_", "LOG_"))
        }
        return inherited | ours | settings

    @asynccontextmanager
    async def bot(self, *, connected: bool = True, **settings: str) -> AsyncIterator[Bot]:
        """Run the bot; *settings* are environment variables in place of the stage's own."""
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".log", delete=False) as log_file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-W",
                "error",
                "-W",
                "ignore:'audioop' is deprecated:DeprecationWarning",
                "-m",
                "bot",
                env=self.environment(**settings),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=log_file,
            )
        bot = Bot(process, Path(log_file.name), self.folder / "bot.db")
        try:
            if connected:
                await self.discord.wait_until_connected(timeout_seconds=PATIENCE_SECONDS)
            yield bot
        finally:
            try:
                await bot.stop()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def channel(self, **more: Any) -> str:
        """Make a channel that no other test knows; return its id."""
        channel = await self.discord.create_channel(next(NAMES), **more)
        return str(channel["id"])

    async def answer_to(self, question: Message, text: str = "") -> Message:
        """Return the bot's first words on *question*, in its thread, that contain *text*."""
        return await self.discord.wait_for_bot(
            text, channel=question["id"], timeout_seconds=PATIENCE_SECONDS
        )

    async def asked_with(self, text: str) -> list[dict[str, str]]:
        """Return the messages of the newest request whose question contains *text*."""
        requests = await self.model.completions()
        prompts: list[list[dict[str, str]]] = [one.body["messages"] for one in requests if one.body]
        return next(turns for turns in reversed(prompts) if text in turns[-1]["content"])


@asynccontextmanager
async def a_stage(**model_settings: Any) -> AsyncIterator[Stage]:
    """Run both stand-ins."""
    settings = {"tokens_parameter": "either"} | model_settings
    with tempfile.TemporaryDirectory() as folder:
        async with running_discord() as discord, running_model(**settings) as model:
            yield Stage(discord, model, Path(folder))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_stage() -> AsyncIterator[Stage]:
    """The stage of the session, with a bot on it."""
    async with a_stage() as stage, stage.bot():
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def stage(shared_stage: Stage) -> Stage:
    """The shared stage: use channels and texts that are this test's own."""
    return shared_stage


@pytest_asyncio.fixture(loop_scope="session")
async def own_stage() -> AsyncIterator[Stage]:
    """A stage for this test alone, without a bot yet."""
    async with a_stage() as stage:
        yield stage


@pytest.fixture
def unique() -> str:
    """A word that stands in no other test's texts."""
    return f"word{next(NAMES)}{os.getpid()}"
