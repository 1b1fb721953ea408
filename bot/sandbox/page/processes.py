"""Track the processes of the bot and the shards that each has; kill, stop and restart them."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bot.sandbox.bot_process import BotProcess
from bot.sandbox.driver import Driver

Json = dict[str, Any]

# Of the bot, which is all its processes together.
ONLINE: Final = "online"
RECONNECTING: Final = "reconnecting"
DOWN: Final = "down"
# Of a process.
RUNNING: Final = "running"
STANDBY: Final = "standby"
STOPPING: Final = "stopping"
STOPPED: Final = "stopped"
KILLED: Final = "killed"
ENDED: Final = "ended"


class Processes:
    """Follows *bots* and calls *notify* with each change of their state.

    *servers* are the names of the servers of each shard. A process has the shards for which the
    stand-in Discord has a connection of that process.
    """

    def __init__(
        self,
        bots: Iterable[BotProcess],
        driver: Driver,
        servers: Sequence[Sequence[str]],
        notify: Callable[[Json], None],
    ) -> None:
        self._bots = {bot.name: bot for bot in bots}
        self._driver = driver
        self._servers = servers
        self._notify = notify
        self._connected: list[tuple[int, str]] = []  # shards, each with a process that has it
        self._asked: dict[str, str] = {}  # the states that people asked for
        self._started = {name: asyncio.Event() for name in self._bots}
        self._notified: Json = {}

    def as_json(self) -> Json:
        """Return the state, with the last log lines of processes that ended by themselves."""
        processes = [self._process(bot) for bot in self._bots.values()]
        return {
            "kind": "bot",
            "state": self._state(),
            "last_words": "\n".join(filter(None, (one["last_words"] for one in processes))),
            "processes": processes,
            "shards": [
                {"shard": shard, "servers": servers, "processes": self._holders(shard)}
                for shard, servers in enumerate(self._servers)
            ],
        }

    def title(self, what: Json) -> str:
        """Return the name of the process in *what* for people."""
        name = self._chosen(what).name
        return "the bot" if len(self._bots) == 1 else f"process {name}"

    async def look(self) -> None:
        """Check which shards are connected."""
        sessions = (await self._driver.gateway_state())["sessions"]
        connected = [one for one in sessions if one["connected"]]
        self._connected = sorted((one["shard"][0], one["process"]) for one in connected)
        self._changed()

    async def kill(self, what: Json) -> None:
        """Kill a process without a warning."""
        bot = self._chosen(what)
        self._asked[bot.name] = KILLED
        await bot.kill()

    async def stop(self, what: Json) -> None:
        """Ask a process to stop, and wait for its end."""
        bot = self._chosen(what)
        self._asked[bot.name] = STOPPED
        self._changed()
        await bot.stop()

    async def start(self, what: Json) -> None:
        """Start a process that has ended."""
        bot = self._chosen(what)
        self._asked.pop(bot.name, None)
        await bot.start()
        self._started[bot.name].set()
        self._changed()

    async def follow(self) -> None:
        """Watch for the end and the restart of each process; does not return."""
        await self.look()
        await asyncio.gather(*map(self._follow, self._bots.values()))

    async def _follow(self, bot: BotProcess) -> None:
        started = self._started[bot.name]
        while True:
            await bot.wait()
            started.clear()
            self._changed()
            if not bot.runs:
                await started.wait()

    def _chosen(self, what: Json) -> BotProcess:
        """Return the process that *what* names; raises KeyError. The only one needs no name."""
        return self._bots[str(what.get("process", next(iter(self._bots))))]

    def _state(self) -> str:
        if not any(bot.runs for bot in self._bots.values()):
            return DOWN
        is_whole = all(self._holders(shard) for shard in range(len(self._servers)))
        return ONLINE if is_whole else RECONNECTING

    def _holders(self, shard: int) -> list[str]:
        """Return the running processes that have *shard*: more than one would be a defect."""
        # The stand-in may not have noticed yet that a process has ended.
        return [
            process
            for number, process in self._connected
            if number == shard and process in self._bots and self._bots[process].runs
        ]

    def _process(self, bot: BotProcess) -> Json:
        shards = [shard for shard, name in self._connected if name == bot.name and bot.runs]
        state = self._process_state(bot, holds=bool(shards))
        lines = bot.last_words().splitlines() if state == ENDED else []
        return {
            "name": bot.name,
            "pid": bot.pid,
            "state": state,
            "shards": shards,
            "last_words": "\n".join(map(_sentence, lines)),
        }

    def _process_state(self, bot: BotProcess, *, holds: bool) -> str:
        asked = self._asked.get(bot.name)
        if not bot.runs:
            return asked or ENDED
        if asked is not None:
            return STOPPING
        return RUNNING if holds else STANDBY

    def _changed(self) -> None:
        state = self.as_json()
        if state != self._notified:
            self._notified = state
            self._notify(state)


def _sentence(line: str) -> str:
    """Return the message of a line of the log, or the line if it is not JSON."""
    try:
        return str(json.loads(line)["message"])
    except (ValueError, TypeError, KeyError):
        return line
