"""Resume the open questions, oldest first: one task for each queue, a few at the same time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from bot.assistant.assistant import Delivery
from bot.conversation.exchange import OpenQuestion, QueueKey
from bot.errors import HistoryFailed
from bot.inbox.claims import Claims
from bot.inbox.in_flight import InFlight
from bot.inbox.unsaved import Unsaved
from bot.log_events import as_event
from bot.recovery.catch_up import CatchUp, CatchUpPeriod, Need
from bot.recovery.unfinished import Unfinished
from bot.shards import ONLY_SHARD, Shard
from bot.storage.exchanges import History
from bot.transport.concurrency import ConcurrencyLimit

log = logging.getLogger(__name__)

MAX_QUESTIONS: Final = 8  # resumed at the same time
MAX_FAILURES: Final = 3  # of our own code at one question, in one run of the program


class Resumption:
    """Passes each open question to the task of its queue, unless that queue is backing off.

    *withdraw* ends the answer to a question that was forgotten, perhaps by another process.
    """

    def __init__(
        self,
        history: History,
        unfinished: Unfinished,
        unsaved: Unsaved,
        claims: Claims,
        catch_up: CatchUp,
        in_flight: InFlight,
        period: CatchUpPeriod,
        shard: Shard = ONLY_SHARD,
        withdraw: Callable[[int], None] = lambda _message_id: None,
    ) -> None:
        self._history = history
        self._unfinished = unfinished
        self._unsaved = unsaved
        self._claims = claims
        self._catch_up = catch_up
        self._in_flight = in_flight
        self._period = period
        self._shard = shard
        self._withdraw = withdraw
        self._limit = ConcurrencyLimit(MAX_QUESTIONS)
        self._queues: dict[QueueKey, deque[OpenQuestion]] = {}
        self._failures: dict[int, int] = {}

    async def look_ahead(self) -> None:
        """Let new questions wait for the open ones of their queue; raises HistoryFailed."""
        questions = await self._history.open_questions(self._shard)
        self._claims.block_new_questions(question.exchange.queue_key for question in questions)
        if questions:
            resumed = as_event("questions_resumed", count=len(questions))
            log.info(
                "Resume %d questions that the last run left open%s",
                *(len(questions), self._shard.suffix),
                extra=resumed,
            )

    async def run(self) -> bool:
        """Resume the open questions, then start the other work; raises HistoryFailed."""
        await self.resume()
        self._claims.release_new_questions()
        self._catch_up.start_next(Need.BACKFILL, Need.RECONCILE)
        if await self._unsaved.store():
            self._catch_up.resume()
        return True

    async def resume(self) -> None:
        """Pass the open questions to their tasks; raises HistoryFailed."""
        questions = await self._history.open_questions(self._shard)
        self._reset_closed(questions)
        for question in questions:
            message_id, queue_key = question.exchange.message_id, question.exchange.queue_key
            if question.deletion_pending:
                self._withdraw(message_id)
            if self._claims.mark_if_claimed(message_id):
                continue
            if self._catch_up.pauses.active(queue_key) and not question.deletion_pending:
                continue
            queue = self._queues.get(queue_key)
            if queue is None:
                queue = self._queues[queue_key] = deque()
                task = asyncio.create_task(self._resume_queue(queue_key, queue))
                self._claims.wait_behind(queue_key, task)
            if all(message_id != waiting.exchange.message_id for waiting in queue):
                queue.append(question)

    def _reset_closed(self, questions: list[OpenQuestion]) -> None:
        """Reset the failures of questions that are not open any more, and of their queues."""
        keys = {question.exchange.queue_key for question in questions}
        self._catch_up.pauses.keep_only({*keys, *Need})
        for message_id in self._failures.keys() - {one.exchange.message_id for one in questions}:
            del self._failures[message_id]

    async def _resume_queue(self, queue_key: QueueKey, queue: deque[OpenQuestion]) -> None:
        self._in_flight.track()
        try:
            while queue and not self._in_flight.draining:
                async with self._limit.slot():
                    question = queue.popleft()
                    if question.deletion_pending or not self._catch_up.pauses.active(queue_key):
                        await self._resume_question(question)
        finally:
            del self._queues[queue_key]

    async def _resume_question(self, question: OpenQuestion) -> None:
        exchange = question.exchange
        message_id, queue_key = exchange.message_id, exchange.queue_key
        with self._claims.claim(message_id, queue_key) as claim:
            if claim is None or self._in_flight.draining:
                return
            claim.mark_open(queue_key)
            delivery = await self._attempt(question)
            if delivery.done:
                self._failures.pop(message_id, None)
                self._catch_up.pauses.reset(queue_key)
                claim.open = False

    async def _attempt(self, question: OpenQuestion) -> Delivery:
        """Resume *question*. If our own code fails at it, give it up; if that fails, end it."""
        message_id = question.exchange.message_id
        failures = self._failures.get(message_id, 0)
        try:
            if failures < MAX_FAILURES:
                oldest_id = self._period.oldest_stored_id()
                return await self._unfinished.resume(question, oldest_id=oldest_id)
            if failures == MAX_FAILURES:
                return await self._unfinished.give_up(question)
            return await self._unfinished.end(question)  # Only the log says so.
        except HistoryFailed as error:
            postponed = as_event("question_postponed", question=message_id)
            log.warning("Postpone question %d: %s", message_id, error, extra=postponed)
        except Exception:  # the one top handler of a resumed question
            log.exception("Cannot resume question %d: internal error", message_id)
            self._failures[message_id] = failures + 1
            if MAX_FAILURES - 1 <= failures <= MAX_FAILURES:  # The next step follows at once.
                return await self._attempt(question)
        return Delivery.POSTPONED
