"""Follow the stand-ins and the bot, and turn what they say into what the page shows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

from bot.sandbox.launch import Sandbox
from bot.sandbox.page.bot_state import BotState
from bot.sandbox.page.feed import Feed
from bot.sandbox.page.world import World

Json = dict[str, Any]

_POLL_SECONDS = 30.0


class Following:
    """All that the page knows, and the tasks that keep it up."""

    def __init__(self, sandbox: Sandbox, world: World) -> None:
        self._sandbox = sandbox
        self.world = world
        self.feed = Feed(self._snapshot)
        self._bot = BotState(sandbox.bot, sandbox.driver, lambda change: self.feed.tell([change]))
        self.deeds: dict[str, Callable[[Json], Awaitable[Any]]] = {
            "kill": lambda _: self._bot.kill(),
            "start": lambda _: self._bot.start(),
        }

    @classmethod
    async def begun(cls, sandbox: Sandbox) -> Self:
        """Look at what there is."""
        driver = sandbox.driver
        return cls(sandbox, World(await driver.look(), await driver.channels()))

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_discord())
            group.create_task(self._bot.follow())

    def _snapshot(self) -> Json:
        return {
            **self.world.snapshot(),
            "bot_state": self._bot.as_json(),
            "offline": self._sandbox.model is not None,
        }

    async def _follow_discord(self) -> None:
        after = 0
        while True:
            events = await self._sandbox.driver.events(after=after, timeout_seconds=_POLL_SECONDS)
            for event in events:
                after = event["seq"]
                self.feed.tell(self.world.apply(event["type"], event["data"]))
                if event["type"].startswith("gateway_"):
                    await self._bot.look()
