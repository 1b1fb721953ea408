"""The state of one running stand-in, shared by its handlers."""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from bot.sandbox.discord.faults import Faults
from bot.sandbox.discord.gateway import Gateway
from bot.sandbox.discord.journal import Journal
from bot.sandbox.discord.knobs import Knobs
from bot.sandbox.discord.rate_limits import RateLimits
from bot.sandbox.discord.refusals import Refusals
from bot.sandbox.discord.world import World, sandbox_world

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bot.sandbox.discord.commands import Command
    from bot.sandbox.discord.interactions import Interaction
    from bot.sandbox.discord.world import Attachment, Json, Message


def make_token(bot_id: int) -> str:
    """Return a bot token in Discord's shape: the id, a time, a signature."""
    name = urlsafe_b64encode(str(bot_id).encode()).rstrip(b"=").decode()
    return f"{name}.{secrets.token_urlsafe(5)[:6]}.{secrets.token_urlsafe(28)[:38]}"


class State:
    """The world, its rules' counters, the gateway, the journal and the background tasks."""

    def __init__(self, world: World | None = None, knobs: Knobs | None = None) -> None:
        self.world = world or sandbox_world()
        self.knobs = knobs or Knobs()
        self.journal = Journal()
        self.faults = Faults()
        self.refusals = Refusals()
        self.limits = RateLimits(self.knobs)
        self.token = make_token(self.world.bot.id)
        self.base_url = ""
        self.gateway = Gateway(self)
        self.commands: dict[int, Command] = {}
        self.interactions: dict[int, Interaction] = {}
        self.ephemerals: dict[int, Message] = {}
        self.files: dict[int, Attachment] = {}
        self.redirects: dict[int, str] = {}
        self.known_previews: dict[str, Json] = {}
        self.requests: list[Json] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def gateway_url(self) -> str:
        """Return the address of the gateway."""
        return self.base_url.replace("http", "ws", 1) + "/gateway"

    def reset_token(self) -> None:
        """Make the token invalid, as Discord does after too many IDENTIFYs."""
        self.token = make_token(self.world.bot.id)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run *work* in the background until it or the stand-in ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the background tasks and close the connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.gateway.close()
