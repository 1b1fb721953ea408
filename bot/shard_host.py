"""Run the shards of this process: start, drain and abandon them, and report their states."""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Protocol, Self

from bot.metrics import NO_METRICS, Gauge, Metrics
from bot.shards import Shard

if TYPE_CHECKING:
    from bot.transport.gateway_state import GatewayState

Background = Callable[[], Coroutine[None, None, None]]


class ShardConnection(Protocol):
    """The connection of one shard."""

    @property
    def state(self) -> "GatewayState":
        """Whether it hears Discord."""

    def open_questions(self) -> int:
        """Return how many answers and commands are in progress."""

    def streaming(self) -> int:
        """Return how many answers have begun and not ended."""

    async def run(self) -> None:
        """Answer people until closed; raises StartRefused."""

    async def drain(self, grace_seconds: float, finished: Callable[[], None]) -> None:
        """Finish the answers or store them; *finished* is called when no more are finished."""

    async def abandon(self) -> None:
        """Close now; begin and write nothing more."""

    async def close(self) -> None:
        """Close."""


class ShardHost:
    """The shards of this process; leaving the block closes them.

    *connect* makes the connection of a shard, not opened yet. *background* runs once for the
    process, from the first start on. *stop_waiting* is called when every shard that is held is
    draining and has no answer left to finish.
    """

    def __init__(
        self,
        connect: Callable[[Shard], ShardConnection],
        *,
        background: Collection[Background] = (),
        stop_waiting: Callable[[], None] = lambda: None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._connect = connect
        self._background = background
        self._stop_waiting = stop_waiting
        self._metrics = metrics
        self._connections: dict[Shard, ShardConnection] = {}
        self._running: dict[Shard, asyncio.Task[None]] = {}
        self._finished = set[Shard]()
        self._tasks = list[asyncio.Task[None]]()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._draining = False
        metrics.watch(Gauge.SHARDS_HELD, lambda: len(self._connections))
        metrics.watch(Gauge.OPEN_QUESTIONS, self.open_questions)
        metrics.watch(Gauge.STREAMING, self.streaming)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        for task in (*self._tasks, *self._running.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._running.values(), return_exceptions=True)
        await asyncio.gather(*map(self._close, list(self._connections)))
        if self._ended.done() and not self._ended.cancelled():
            self._ended.exception()  # It was raised by `wait`, or the bot is ending anyway.

    @property
    def held(self) -> frozenset[Shard]:
        """The shards of this process."""
        return frozenset(self._connections)

    @property
    def draining(self) -> bool:
        """Whether the bot is stopping."""
        return self._draining

    def states(self) -> "dict[int, GatewayState]":
        """Return whether each shard hears Discord, by its id."""
        return {shard.id: self._connections[shard].state for shard in sorted(self._connections)}

    def open_questions(self) -> int:
        """Return how many answers and commands are in progress."""
        return sum(one.open_questions() for one in self._connections.values())

    def streaming(self) -> int:
        """Return how many answers have begun and not ended."""
        return sum(one.streaming() for one in self._connections.values())

    def start(self, shard: Shard) -> None:
        """Start a task that connects *shard* to Discord."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(run()) for run in self._background]
        self._connections[shard] = self._connect(shard)
        self._metrics.watch(
            Gauge.GATEWAY_CONNECTED, lambda: self._hears(shard), shard=f"{shard.id}"
        )
        task = asyncio.create_task(self._connections[shard].run())
        self._running[shard] = task
        task.add_done_callback(self._note_end)

    async def drain(self, shard: Shard, grace_seconds: float) -> None:
        """Finish the answers of *shard*, store the rest, and close its connection."""
        self._draining = True
        await self._connections[shard].drain(grace_seconds, lambda: self._note_finished(shard))
        await self._end(shard)

    async def drain_all(self, grace_seconds: float) -> None:
        """Drain all shards at the same time."""
        await asyncio.gather(*(self.drain(shard, grace_seconds) for shard in self.held))

    async def abandon(self, shard: Shard) -> None:
        """Close the connection of *shard* now, because another process may answer for it."""
        self._running.pop(shard).cancel()
        await self._connections[shard].abandon()
        del self._connections[shard]
        self._finished.discard(shard)

    async def wait(self) -> None:
        """Wait until a connection ends for good; raises StartRefused."""
        await asyncio.shield(self._ended)

    def _note_finished(self, shard: Shard) -> None:
        self._finished.add(shard)
        if self._finished >= self.held:
            self._stop_waiting()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._ended.done():
            return
        if (error := task.exception()) is not None:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _end(self, shard: Shard) -> None:
        running = self._running.pop(shard)
        running.cancel()
        await asyncio.wait({running})
        await self._close(shard)

    async def _close(self, shard: Shard) -> None:
        await self._connections[shard].close()
        del self._connections[shard]
        self._finished.discard(shard)

    def _hears(self, shard: Shard) -> float:
        connection = self._connections.get(shard)
        return math.nan if connection is None else connection.state.hears
