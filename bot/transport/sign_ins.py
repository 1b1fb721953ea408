"""Let the shards of a process log in and identify one after another."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol, Self

import discord

from bot.shards import Shard
from bot.transport.identify_budget import StartLimit
from bot.transport.pacer import Pacer, Priority
from bot.transport.session_starts import start_limit

# Discord: one IDENTIFY every 5 s for each rate limit key. The margin is for IDENTIFYs
# that arrive closer together than they were sent.
SLOT_SECONDS: Final = 5.5
LOGIN_REQUESTS: Final = 2  # that discord.py makes for a login, past the pacer


class Budget(Protocol):
    """The IDENTIFYs that the bot may still send today."""

    def scale_to(self, shards: int, /) -> None:
        """Let the budget suffice for the starts of so many shards."""

    async def wait(self) -> None:
        """Return when the budget allows another one."""

    def left_now(self) -> float:
        """Return how many are left."""

    async def lower_to(self, discords: StartLimit, /) -> None:
        """Adopt Discord's count if it is smaller."""

    async def spend(self) -> None:
        """Take one from the budget."""


class IdentifySlots(Protocol):
    """Spaces the IDENTIFYs of all shards of the bot."""

    async def reserve(self, shard: Shard, max_concurrency: int) -> None:
        """Return when *shard* may send its IDENTIFY, which it then does at once.

        Discord: shards whose ids are equal modulo *max_concurrency* share a rate limit.
        """


class LocalSlots:
    """The slots of a bot that runs in one process."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._free_at: dict[int, float] = {}  # by rate limit key

    async def reserve(self, shard: Shard, max_concurrency: int) -> None:
        """Return when *shard* may send its IDENTIFY."""
        key = shard.id % max_concurrency
        while (wait_seconds := self._free_at.get(key, 0.0) - self._clock()) > 0:
            await self._sleep(wait_seconds)
        # Counted from now: a busy process may have slept for longer than it meant to.
        self._free_at[key] = self._clock() + SLOT_SECONDS


class Turn:
    """The right of one shard to open a connection and identify, until it is released."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._held = False

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        self._held = True
        return self

    async def __aexit__(self, *details: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the next shard begin."""
        if self._held:
            self._held = False
            self._lock.release()


class SignIns:
    """Lets the shards of a process log in and identify one after another, within one *budget*.

    *content_granted* is False once Discord has refused the message content intent to one of them.
    """

    def __init__(
        self, budget: Budget, slots: IdentifySlots | None = None, pacer: Pacer | None = None
    ) -> None:
        self.budget = budget
        self.content_granted = True
        self._slots = slots or LocalSlots()
        self._pacer = pacer
        self._logging_in = asyncio.Lock()
        self._logged_in = self._knows_limit = False
        self._max_concurrency = 1
        self._turns: dict[int, asyncio.Lock] = {}

    @asynccontextmanager
    async def login(self) -> AsyncIterator[None]:
        """Let one shard log in within the block. All but the first wait for slots of the pacer."""
        async with self._logging_in:
            if self._logged_in and self._pacer is not None:
                for _ in range(LOGIN_REQUESTS):
                    async with self._pacer.slot(Priority.EDIT):
                        pass
            yield
            self._logged_in = True

    async def learn_limit(self, client: discord.Client) -> None:
        """Adopt Discord's limits, which *client* asks for once: it has logged in."""
        async with self._logging_in:
            if self._knows_limit:
                return
            limit = await start_limit(client)
            if limit is not None:
                self._knows_limit = True
                self._max_concurrency = limit.max_concurrency
                await self.budget.lower_to(limit)

    def turn(self, shard: Shard) -> Turn:
        """Return the turn of *shard* among those with its rate limit key, to be entered."""
        key = shard.id % self._max_concurrency
        return Turn(self._turns.setdefault(key, asyncio.Lock()))

    async def reserve(self, shard: Shard, opening: asyncio.Timeout | None = None) -> None:
        """Return when *shard* may identify.

        Meanwhile, the timeout of *opening* the connection is stopped.
        """
        with _stopped(opening):
            await self._slots.reserve(shard, self._max_concurrency)


@contextmanager
def _stopped(timeout: asyncio.Timeout | None) -> Iterator[None]:
    """Stop the clock of *timeout* within the block."""
    when = None if timeout is None else timeout.when()
    if timeout is None or when is None:
        yield
        return
    time = asyncio.get_running_loop().time
    left = when - time()
    timeout.reschedule(None)
    yield
    timeout.reschedule(time() + left)
