"""Start the stand-ins and the real bot, each a process of its own, and end them all."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from bot.sandbox.bot_process import BotProcess
from bot.sandbox.driver import Driver, running_discord
from bot.sandbox.model_driver import ModelDriver, running_model

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CONNECT_SECONDS: Final = 30.0
# Where the sandbox has its own: what an operator set for real servers must not get in its way.
OWN_SETTINGS: Final = ("DISCORD_", "DATABASE_URL", "ALLOWED_GUILDS", "ALLOW_DMS", "LOG_")
LOCALES: Final = {"Sora": "ko"}  # the others' is what Discord gives: en-US


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox. *model* is the stand-in model, None where a real one answers."""

    driver: Driver
    model: ModelDriver | None
    bot: BotProcess

    @property
    def model_label(self) -> str:
        """Say in words who answers."""
        return "the offline stand-in model" if self.model else "the chat API of your settings"

    async def connected(self) -> None:
        """Return when the bot is online; raises BotEnded."""
        ended = asyncio.create_task(self.bot.ended())
        waiting = self.driver.wait_until_connected(timeout_seconds=CONNECT_SECONDS)
        connected = asyncio.create_task(waiting)
        try:
            await asyncio.wait({ended, connected}, return_when=asyncio.FIRST_COMPLETED)
            await (ended if ended.done() else connected)
        finally:
            ended.cancel()
            connected.cancel()


@asynccontextmanager
async def running_sandbox(**bot_settings: str) -> AsyncIterator[Sandbox]:
    """Run a sandbox; with a key or an address of a chat API in the settings, that one answers.

    *bot_settings* are further settings of the bot, by the names of their environment variables.
    """
    given = {**dotenv_values(), **os.environ}
    real_model = bool(given.get("OPENAI_API_KEY") or given.get("OPENAI_BASE_URL"))
    kept = {
        name: value for name, value in given.items() if value and not name.startswith(OWN_SETTINGS)
    }
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        async with running_discord() as driver, _model(real=real_model) as model:
            for person, locale in LOCALES.items():
                await driver.edit_user(person, locale=locale)
            settings = {**kept, **_settings(driver, model, Path(name)), **bot_settings}
            bot = BotProcess(settings, Path(name))
            await bot.start()
            try:
                yield Sandbox(driver, model, bot)
            finally:
                await bot.stop()


@asynccontextmanager
async def _model(*, real: bool) -> AsyncIterator[ModelDriver | None]:
    if real:
        yield None
        return
    pace = {"first_token_delay_seconds": 0.4, "chunks_per_second": 60.0}
    async with running_model(mode="offline", tokens_parameter="either", **pace) as model:
        yield model


def _settings(driver: Driver, model: ModelDriver | None, folder: Path) -> Mapping[str, str]:
    settings = {
        "DISCORD_TOKEN": driver.token,
        "DISCORD_API_URL": driver.api_url,
        "DISCORD_GATEWAY_URL": driver.gateway_url,
        "DATABASE_URL": f"sqlite:///{folder / 'bot.db'}",
        "SHUTDOWN_GRACE": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    if model is not None:
        settings |= {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": model.api_key,
            "OPENAI_MODEL": "offline",
        }
    return settings
