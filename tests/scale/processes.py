"""Several processes of one bot on one PostgreSQL database, which tests kill, stop and restart."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import asyncpg

from bot.sandbox.postgres_server import PostgresServer
from tests.e2e.conftest import GLANCE_SECONDS, PATIENCE_SECONDS, Bot, Stage
from tests.scale.traffic import GATEWAY, Traffic, traffic

QUERY_SECONDS: Final = 30.0


class Rows:
    """Reads a database through one connection, from code that cannot wait."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __call__(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query with `?` for each parameter."""
        for number in range(len(parameters)):
            sql = sql.replace("?", f"${number + 1}", 1)
        found: list[tuple[Any, ...]] = self._wait(self._fetch(sql, parameters))
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(QUERY_SECONDS)

    async def _fetch(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            settings = {"search_path": "chatbot"}
            self._connection = await asyncpg.connect(self._url, server_settings=settings)
        return [tuple(row) for row in await self._connection.fetch(sql, *parameters)]


@dataclass(kw_only=True)
class PostgresStage(Stage):
    """A stage whose bots keep their history in PostgreSQL."""

    url: str
    read: Rows

    def environment(self, **settings: str) -> dict[str, str]:
        return super().environment(**{"DATABASE_URL": self.url, **settings})

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.read(sql, *parameters)


@asynccontextmanager
async def postgres_stage(stage: Stage, server: PostgresServer) -> AsyncIterator[PostgresStage]:
    """Yield a stage with the stand-ins of *stage* and a database of its own."""
    async with stage.afresh() as fresh:
        url = server.create(fresh.folder.name)
        read = Rows(url)
        try:
            yield PostgresStage(
                fresh.discord,
                fresh.model,
                fresh.folder,
                fresh.start,
                all_log_paths=fresh.all_log_paths,
                url=url,
                read=read,
            )
        finally:
            read.close()
            server.drop(fresh.folder.name)


@dataclass
class Processes:
    """The processes of one bot, by their names; leaving the block ends them all."""

    stage: PostgresStage
    shards: int = 1
    max_concurrency: int = 1
    settings: dict[str, str] = field(default_factory=dict)
    bots: dict[str, Bot] = field(default_factory=dict)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _after_event: int = 0
    _after_request: int = 0

    async def __aenter__(self) -> Self:
        discord = self.stage.discord
        await discord.settings(
            shards=self.shards,
            max_concurrency=self.max_concurrency,
            identify_interval_seconds=5.0,  # Discord's own
        )
        self._after_event = await discord.last_event()
        self._after_request = len(await discord.requests())
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._stack.aclose()

    async def start(self, name: str) -> Bot:
        """Start the process *name*; it may or may not get a shard."""
        gateway = f"{self.stage.discord.gateway_url}/{name}"
        settings = {"SHARDS": str(self.shards), "DISCORD_GATEWAY_URL": gateway, **self.settings}
        bot = await self._stack.enter_async_context(self.stage.bot(connected=False, **settings))
        self.bots[name] = bot
        return bot

    async def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self.bots[name].process
        process.kill()
        await process.wait()

    async def stop(self, name: str) -> int:
        """Ask a process to stop, and return its exit code."""
        return await self.bots[name].stop()

    async def holders(self) -> dict[int, str]:
        """Return the process that has each shard, by the connections to Discord."""
        sessions = (await self.stage.discord.gateway_state())["sessions"]
        return {one["shard"][0]: one["process"] for one in sessions if one["connected"]}

    async def whole(self, *, without: str = "") -> float:
        """Wait until each shard is connected, but not by the process *without*.

        Return how many seconds that took.
        """
        began = time.monotonic()
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while True:
                holders = await self.holders()
                if len(holders) == self.shards and without not in holders.values():
                    return time.monotonic() - began
                await asyncio.sleep(GLANCE_SECONDS)

    async def ready(self, name: str) -> None:
        """Wait until a process has a shard or waits as a standby."""
        bot = self.bots[name]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(words in bot.log for words in ("Take shard", "Wait as a standby")):  # noqa: ASYNC110  # no event for a growing file
                await asyncio.sleep(GLANCE_SECONDS)

    async def channels(self, count: int) -> list[str]:
        """Make *count* channels, in servers of all shards in turn."""
        names = []
        for shard in range(self.shards):
            guild = await self.stage.discord.create_guild(
                f"Shard {shard} of {id(self)}", shard=[shard, self.shards]
            )
            names.append(str(guild["id"]))
        return [await self.stage.channel(guild=names[n % self.shards]) for n in range(count)]

    async def traffic(self) -> Traffic:
        """Return what the processes did together since the start."""
        discord = self.stage.discord
        requests = await discord.requests(after=self._after_request)
        events = await discord.events(after=self._after_event, types=GATEWAY)
        return traffic(requests, events, keys=self.max_concurrency)
