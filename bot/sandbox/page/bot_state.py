"""Track whether the bot is online, reconnecting or down; kill and restart it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bot.sandbox.bot_process import BotProcess
from bot.sandbox.driver import Driver

Json = dict[str, Any]

ONLINE: Final = "online"
RECONNECTING: Final = "reconnecting"
DOWN: Final = "down"


class BotState:
    """Follows the bot and calls *notify* with each change of its state."""

    def __init__(self, bot: BotProcess, driver: Driver, notify: Callable[[Json], None]) -> None:
        self._bot = bot
        self._driver = driver
        self._notify = notify
        self._started = asyncio.Event()
        self._connected = True
        self._killed = False
        self._notified: Json = {}

    def as_json(self) -> Json:
        """Return the state, with the last log lines of a bot that ended by itself."""
        if self._bot.runs:
            return {"kind": "bot", "state": ONLINE if self._connected else RECONNECTING}
        last_words = "" if self._killed else self._bot.last_words()
        return {"kind": "bot", "state": DOWN, "last_words": last_words}

    async def look(self) -> None:
        """Check whether it is connected."""
        self._connected = bool((await self._driver.gateway_state())["connected"])
        self._changed()

    async def kill(self) -> None:
        """Kill it without a warning."""
        self._killed = True
        await self._bot.kill()

    async def start(self) -> None:
        """Restart it."""
        self._killed = False
        await self._bot.start()
        self._started.set()
        self._changed()

    async def follow(self) -> None:
        """Watch for its end and its restart; does not return."""
        while True:
            await self._bot.wait()
            self._started.clear()
            self._connected = False
            self._changed()
            if not self._bot.runs:
                await self._started.wait()

    def _changed(self) -> None:
        state = self.as_json()
        if state != self._notified:
            self._notified = state
            self._notify(state)
