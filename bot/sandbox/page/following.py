"""Follow the stand-ins and the bot, and turn their events into changes of the page."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import aiohttp

from bot.sandbox.bot_process import BotProcess
from bot.sandbox.launch import Sandbox
from bot.sandbox.page.bot_log import BotLog
from bot.sandbox.page.feed import Feed
from bot.sandbox.page.happenings import Happenings
from bot.sandbox.page.processes import Processes
from bot.sandbox.page.switches import Switches
from bot.sandbox.page.world import World
from bot.sandbox.process import StandInError

Json = dict[str, Any]
Deed = Callable[[Json], Awaitable[Any]]

_POLL_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1  # between two reads of the log


class Following:
    """The state of the page, and the tasks that update it."""

    def __init__(self, sandbox: Sandbox, world: World) -> None:
        self._sandbox = sandbox
        self.world = world
        self.feed = Feed(self._snapshot)
        self._processes = Processes(
            sandbox.bots, sandbox.driver, self._servers(), lambda change: self.feed.send([change])
        )
        self._switches = Switches(sandbox.driver, sandbox.model)
        self._happenings = Happenings(
            world, time.time() - time.monotonic(), shows_shards=not sandbox.layout.is_plain
        )
        self.deeds: dict[str, Deed] = {
            "switch": self._switch,
            "drop": self._done_to("You dropped the gateway connection", self._switches.drop),
            "kill": self._done_to("You killed {}", self._processes.kill),
            "stop": self._done_to("You asked {} to stop", self._processes.stop),
            "start": self._done_to("You started {} again", self._processes.start),
        }

    @classmethod
    async def started(cls, sandbox: Sandbox) -> Self:
        """Load the current state and return the follower."""
        driver = sandbox.driver
        world = World(await driver.look(), await driver.channels(), sandbox.layout.shard_of)
        return cls(sandbox, world)

    def _servers(self) -> list[list[str]]:
        """Return the names of the servers of each shard."""
        return [
            [one["name"] for one in self.world.guilds if one["shard"] == shard]
            for shard in range(self._sandbox.layout.shards)
        ]

    async def run(self) -> None:
        """Follow until cancelled; raises StandInError if the stand-in Discord ends by itself."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_discord())
                group.create_task(self._processes.follow())
                for bot in self._sandbox.bots:
                    group.create_task(self._follow_log(bot))
        except* aiohttp.ClientError as errors:
            raise StandInError("A stand-in does not answer any more.") from errors

    def _snapshot(self) -> Json:
        return {
            **self.world.snapshot(),
            "bot_state": self._processes.as_json(),
            "offline": self._sandbox.model is not None,
            "lines": self._happenings.snapshot(),
            "faults": self._switches.as_json(),
        }

    async def _switch(self, what: Json) -> None:
        await self._switches.turn(what)
        self.feed.send([{"kind": "faults", "faults": self._switches.as_json()}])

    def _done_to(self, title: str, deed: Deed) -> Deed:
        async def noted(what: Json) -> None:
            name = self._processes.title(what)
            self.feed.send(self._happenings.note(time.monotonic(), title.format(name)))
            await deed(what)

        return noted

    async def _follow_discord(self) -> None:
        after = 0
        while True:
            events = await self._sandbox.driver.events(after=after, timeout_seconds=_POLL_SECONDS)
            for event in events:
                after = event["seq"]
                self.feed.send(self._happenings.journal(event))
                self.feed.send(self.world.apply(event["type"], event["data"]))
                if event["type"].startswith("gateway_"):
                    await self._processes.look()

    async def _follow_log(self, bot: BotProcess) -> None:
        log = BotLog(bot.log_path)
        source = "Bot log" if len(self._sandbox.bots) == 1 else f"Log of process {bot.name}"
        while True:
            for logged in log.new():
                self.feed.send(self._happenings.logged(*logged, source))
            await asyncio.sleep(_LOOK_SECONDS)
