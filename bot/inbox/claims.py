"""Who handles which question: one task at a time, and the older questions of a queue first."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bot.conversation.exchange import QueueKey
from bot.inbox.in_flight import InFlight


class Claim:
    """The right of one task to handle a question, until the block of `Claims.claim` ends.

    The claim is *open* while the question is stored and not answered. It is *contested* if another
    task wanted the question meanwhile. *arrived* is set when the question is stored, or never will
    be.
    """

    def __init__(self, message_id: int, queue_key: QueueKey) -> None:
        self.message_id = message_id
        self.queue_key = queue_key
        self.open = False
        self.contested = False
        self.arrived = asyncio.Event()

    def mark_open(self, queue_key: QueueKey) -> None:
        """Note that the question is stored and waits for its answer in this queue."""
        self.queue_key = queue_key
        self.open = True
        self.arrived.set()


class Claims:
    """The claims of the questions in hand; *on_release* is called with each when its block ends."""

    def __init__(self, in_flight: InFlight, on_release: Callable[[Claim], None]) -> None:
        self._in_flight = in_flight
        self._on_release = on_release
        self._claims: dict[int, Claim] = {}
        self._expected: frozenset[QueueKey] = frozenset()
        self._released = asyncio.Event()
        self._ahead: dict[QueueKey, asyncio.Task[None]] = {}

    @contextmanager
    def claim(self, message_id: int, queue_key: QueueKey) -> Iterator[Claim | None]:
        """Claim a question for this block; yields None if another task has claimed it."""
        if self.mark_if_claimed(message_id):
            yield None
            return
        claim = self._claims[message_id] = Claim(message_id, queue_key)
        try:
            yield claim
        finally:
            claim.arrived.set()
            del self._claims[message_id]
            self._on_release(claim)

    def mark_if_claimed(self, message_id: int) -> bool:
        """Whether a task has claimed the question; if so, recovery looks again after that task."""
        claim = self._claims.get(message_id)
        if claim is None:
            return False
        claim.contested = True
        return True

    def is_arriving(self, message_id: int) -> bool:
        """Whether a question is on its way into the database."""
        return message_id in self._claims and not self._claims[message_id].arrived.is_set()

    async def wait_until_stored(self, message_id: int) -> None:
        """Wait until a question on its way into the database is stored, or never will be."""
        if message_id in self._claims:
            await self._claims[message_id].arrived.wait()

    def block_new_questions(self, queue_keys: Iterable[QueueKey]) -> None:
        """Make new questions of these queues wait for `release_new_questions`."""
        self._expected = frozenset(queue_keys)

    def release_new_questions(self) -> None:
        """Let new questions go on, because tasks answer the older ones or the bot is stopping."""
        self._released.set()

    def wait_behind(self, queue_key: QueueKey, task: asyncio.Task[None]) -> None:
        """Let new questions of a queue wait until *task*, which answers older ones, is done."""
        self._ahead[queue_key] = task
        task.add_done_callback(lambda _: self._remove(queue_key, task))

    async def wait_for_older(self, queue_key: QueueKey) -> bool:
        """Wait until no older question of this queue is left; False if the bot is stopping."""
        if queue_key in self._expected:
            await self._released.wait()
        while queue_key in self._ahead:
            await asyncio.wait({self._ahead[queue_key]})
        return not self._in_flight.draining

    def _remove(self, queue_key: QueueKey, task: asyncio.Task[None]) -> None:
        if self._ahead.get(queue_key) is task:  # Another task may have followed it.
            del self._ahead[queue_key]
