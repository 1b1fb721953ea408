"""Start the stand-ins and the real bot, each a process of its own, and end them all."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from bot.sandbox.driver import Driver, running_discord
from bot.sandbox.model_driver import running_model

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CONNECT_SECONDS: Final = 30.0
LOG_LINES: Final = 20
# Where the sandbox has its own: what an operator set for real servers must not get in its way.
OWN_SETTINGS: Final = ("DISCORD_", "DATABASE_URL", "ALLOWED_GUILDS", "ALLOW_DMS", "LOG_")


class BotEnded(Exception):
    """The bot ended by itself; the text is the end of what it logged."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox. *model_label* says in words who answers."""

    driver: Driver
    model_label: str
    bot: asyncio.subprocess.Process
    log_path: Path

    async def connected(self) -> None:
        """Return when the bot is online; raises BotEnded."""
        ended = asyncio.create_task(self.ended())
        waiting = self.driver.wait_until_connected(timeout_seconds=CONNECT_SECONDS)
        connected = asyncio.create_task(waiting)
        try:
            await asyncio.wait({ended, connected}, return_when=asyncio.FIRST_COMPLETED)
            await (ended if ended.done() else connected)
        finally:
            ended.cancel()
            connected.cancel()

    async def ended(self) -> None:
        """Wait until the bot ends by itself; raises BotEnded then."""
        await self.bot.wait()
        raise BotEnded("\n".join(self.log_path.read_text().splitlines()[-LOG_LINES:]))


@asynccontextmanager
async def running_sandbox() -> AsyncIterator[Sandbox]:
    """Run a sandbox; with a key or an address of a chat API in the settings, that one answers."""
    given = {**dotenv_values(), **os.environ}
    real_model = bool(given.get("OPENAI_API_KEY") or given.get("OPENAI_BASE_URL"))
    label = "the chat API of your settings" if real_model else "the offline stand-in model"
    kept = {
        name: value for name, value in given.items() if value and not name.startswith(OWN_SETTINGS)
    }
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        folder = Path(name)
        async with (
            running_discord() as driver,
            _model_settings(real=real_model) as model,
            _running_bot(driver, folder, {**kept, **model}) as bot,
        ):
            yield Sandbox(driver, label, bot, folder / "bot.log")


@asynccontextmanager
async def _model_settings(*, real: bool) -> AsyncIterator[Mapping[str, str]]:
    if real:
        yield {}
        return
    pace = {"first_token_delay_seconds": 0.4, "chunks_per_second": 60.0}
    async with running_model(mode="offline", tokens_parameter="either", **pace) as model:
        yield {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": model.api_key,
            "OPENAI_MODEL": "offline",
        }


@asynccontextmanager
async def _running_bot(
    driver: Driver, folder: Path, settings: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **settings,
        "DISCORD_TOKEN": driver.token,
        "DISCORD_API_URL": driver.api_url,
        "DISCORD_GATEWAY_URL": driver.gateway_url,
        "DATABASE_URL": f"sqlite:///{folder / 'bot.db'}",
        "SHUTDOWN_GRACE": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    with (folder / "bot.log").open("wb") as log_file:
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            env=environment,
            cwd=folder,  # An .env of the operator's is read above, and not a second time.
            stdin=asyncio.subprocess.DEVNULL,
            stderr=log_file,
            start_new_session=True,  # Ctrl-C is for whoever plays, who stops it.
        )
    try:
        yield bot
    finally:
        with suppress(ProcessLookupError):
            bot.terminate()
        await bot.wait()
