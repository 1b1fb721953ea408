"""Start the stand-ins and the real bot, each in processes of their own, and end them all."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from bot.sandbox.bot_process import BotEnded, BotProcess
from bot.sandbox.driver import Driver, running_discord
from bot.sandbox.layout import PLAIN, SERVERS, Layout
from bot.sandbox.model_driver import ModelDriver, running_model
from bot.sandbox.postgres_server import ServerFailed, running_server
from bot.sandbox.process import NO_PROXY, StandInError

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CONNECT_SECONDS: Final = 30.0
# The sandbox sets these itself: an operator's values for real servers must not apply.
OWN_SETTINGS: Final = (
    *("DISCORD_", "DATABASE_URL", "ALLOW", "BLOCKED_", "ADMINS", "LOG_"),
    *("HEALTH_", "SHARDS"),  # The operator's own bot may listen there, and have more servers.
)
API_NAMES: Final = frozenset({"OPENAI_API_KEY", "OPENAI_BASE_URL"})  # Either of them names an API.
API_SETTINGS: Final = API_NAMES | {"OPENAI_MODEL", "OPENAI_OPTIONS", "BUDGETS"}
SENDS_ELSEWHERE: Final = "MODERATION"  # These name a service that questions are sent to.
LOCALES: Final = {"Sora": "ko"}  # the others have Discord's default: en-US


class NoChatApi(Exception):
    """The real chat API was requested, but no settings name one; the message is for the user."""

    def __init__(self) -> None:
        super().__init__(
            "--real needs a chat API: set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that "
            "needs no key, in the environment or in .env. Without --real a stand-in answers."
        )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox. *model* is the stand-in model, None if a real one answers.

    *api_is_set* is whether the settings name a chat API.
    """

    driver: Driver
    model: ModelDriver | None
    bots: tuple[BotProcess, ...]
    layout: Layout
    api_is_set: bool

    @property
    def model_label(self) -> str:
        """Return a label for the model that answers."""
        return "the offline stand-in model" if self.model else "the chat API of your settings"

    @property
    def promise(self) -> str:
        """Return a sentence about which parts are real and whether they cost money."""
        if self.model is None:
            return (
                "What you write is sent to that API, which may charge you for it. Discord is a "
                "stand-in, and nothing is kept here."
            )
        unused = " The chat API of your settings is not used; --real uses it."
        return (
            "Nothing else is real: no account and no key is used, and nothing is kept."
            f"{unused if self.api_is_set else ''}"
        )

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
        """Wait until all processes of the bot have ended by themselves; raises BotEnded then."""
        await asyncio.gather(*(bot.wait() for bot in self.bots))
        raise BotEnded("\n".join(bot.last_words() for bot in self.bots))


@asynccontextmanager
async def running_sandbox(
    *, real: bool, layout: Layout = PLAIN, **bot_settings: str
) -> AsyncIterator[Sandbox]:
    """Run a sandbox with a stand-in model, or with the *real* chat API of the settings.

    *bot_settings* are further settings of the bot, by the names of their environment variables.
    Raises NoChatApi, ServerMissing or StandInError.
    """
    given = {name: value for name, value in {**dotenv_values(), **os.environ}.items() if value}
    api_is_set = any(name.upper() in API_NAMES for name in given)
    if real and not api_is_set:
        raise NoChatApi
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-")))
        database = _database(stack, layout, folder)
        driver = await stack.enter_async_context(running_discord(**layout.limits()))
        model = await stack.enter_async_context(_model(real=real))
        for person, locale in LOCALES.items():
            await driver.edit_user(person, locale=locale)
        await _create_servers(driver, layout)
        settings = {
            **{name: value for name, value in given.items() if not _is_own(name, real=real)},
            **_settings(driver, model, database),
            **layout.settings(),
            **bot_settings,
        }
        bots = tuple(_process(name, settings, folder) for name in layout.process_names)
        stack.push_async_callback(_stop_all, bots)
        for bot in bots:
            await bot.start()
        yield Sandbox(driver, model, bots, layout, api_is_set)


def _database(stack: AsyncExitStack, layout: Layout, folder: Path) -> str:
    """Return the URL of a database that is deleted with the *stack*."""
    if not layout.postgres:
        return f"sqlite:///{folder / 'bot.db'}"
    try:
        return stack.enter_context(running_server()).create("sandbox")
    except ServerFailed as failure:
        raise StandInError(f"PostgreSQL did not start:\n{failure}") from failure


async def _create_servers(driver: Driver, layout: Layout) -> None:
    """Give each shard a server."""
    taken = {layout.shard_of(int(guild["id"])) for guild in driver.world["guilds"]}
    free = (shard for shard in range(layout.shards) if shard not in taken)
    for name, shard in zip(SERVERS, free, strict=False):
        await driver.create_guild(name, shard=[shard, layout.shards])


def _process(name: str, settings: Mapping[str, str], folder: Path) -> BotProcess:
    """Return a process with its own folder; the address of its gateway tells which it is."""
    own = folder / name
    own.mkdir()
    gateway = f"{settings['DISCORD_GATEWAY_URL']}/{name}"
    return BotProcess(name, {**settings, "DISCORD_GATEWAY_URL": gateway}, own)


async def _stop_all(bots: Iterable[BotProcess]) -> None:
    await asyncio.gather(*(bot.stop() for bot in bots))


def _is_own(name: str, *, real: bool) -> bool:
    """Return whether the sandbox sets *name* itself; the bot ignores case in names."""
    name = name.upper()
    is_real = name in API_SETTINGS or name.startswith(SENDS_ELSEWHERE)
    return name.startswith(OWN_SETTINGS) or (is_real and not real)


@asynccontextmanager
async def _model(*, real: bool) -> AsyncIterator[ModelDriver | None]:
    if real:
        yield None
        return
    pace = {"first_token_delay_seconds": 0.4, "chunks_per_second": 60.0}
    async with running_model(mode="offline", tokens_parameter="either", **pace) as model:
        yield model


def _settings(driver: Driver, model: ModelDriver | None, database: str) -> Mapping[str, str]:
    settings = {
        "DISCORD_TOKEN": driver.token,
        "DISCORD_API_URL": driver.api_url,
        "DISCORD_GATEWAY_URL": driver.gateway_url,
        "DATABASE_URL": database,
        "SHUTDOWN_GRACE": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    if model is not None:
        settings |= {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": model.api_key,
            "OPENAI_MODEL": "offline",
            **NO_PROXY,
        }
    return settings
