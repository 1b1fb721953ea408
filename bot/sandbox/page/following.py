"""Follow the stand-ins and the bot, and turn their events into changes of the page."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import aiohttp

from bot.sandbox.launch import Sandbox
from bot.sandbox.page.bot_log import BotLog
from bot.sandbox.page.bot_state import BotState
from bot.sandbox.page.feed import Feed
from bot.sandbox.page.happenings import Happenings
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
        self._bot = BotState(sandbox.bot, sandbox.driver, lambda change: self.feed.send([change]))
        self._switches = Switches(sandbox.driver, sandbox.model)
        self._happenings = Happenings(world, time.time() - time.monotonic())
        self.deeds: dict[str, Deed] = {
            "switch": self._switch,
            "drop": self._done_to("You dropped the gateway connection", self._switches.drop),
            "kill": self._done_to("You killed the bot", lambda _: self._bot.kill()),
            "start": self._done_to("You started the bot again", lambda _: self._bot.start()),
        }

    @classmethod
    async def started(cls, sandbox: Sandbox) -> Self:
        """Load the current state and return the follower."""
        driver = sandbox.driver
        return cls(sandbox, World(await driver.look(), await driver.channels()))

    async def run(self) -> None:
        """Follow until cancelled; raises StandInError if the stand-in Discord ends by itself."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_discord())
                group.create_task(self._bot.follow())
                group.create_task(self._follow_log())
        except* aiohttp.ClientError as errors:
            raise StandInError("A stand-in does not answer any more.") from errors

    def _snapshot(self) -> Json:
        return {
            **self.world.snapshot(),
            "bot_state": self._bot.as_json(),
            "offline": self._sandbox.model is not None,
            "lines": self._happenings.snapshot(),
            "faults": self._switches.as_json(),
        }

    async def _switch(self, what: Json) -> None:
        await self._switches.turn(what)
        self.feed.send([{"kind": "faults", "faults": self._switches.as_json()}])

    def _done_to(self, title: str, deed: Deed) -> Deed:
        async def noted(what: Json) -> None:
            self.feed.send(self._happenings.note(time.monotonic(), title))
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
                    await self._bot.look()

    async def _follow_log(self) -> None:
        log = BotLog(self._sandbox.bot.log_path)
        while True:
            for logged in log.new():
                self.feed.send(self._happenings.logged(*logged))
            await asyncio.sleep(_LOOK_SECONDS)
