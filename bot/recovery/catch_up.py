"""Come back after an absence: finish what is open, answer what was missed, one polite pass."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Final

import discord

from bot.conversation.exchange import OpenQuestion, QueueKey, State
from bot.conversation.snowflakes import earlier, seconds_of, snowflake_at
from bot.errors import HistoryFailed
from bot.inbox.edits import ASKING_EDIT_SECONDS
from bot.inbox.in_flight import InFlight
from bot.inbox.messages import Inbox
from bot.inbox.questions import Questions
from bot.recovery.backoff import Pauses
from bot.recovery.guilds import Guilds
from bot.recovery.missed import Absence
from bot.recovery.reconcile import Comparison
from bot.recovery.unfinished import Recovery
from bot.recovery.watermark import MARGIN_SECONDS, Gap, Heard
from bot.storage.exchanges import History
from bot.transport.calls import GARBLED
from bot.transport.concurrency import ConcurrencyLimit

log = logging.getLogger(__name__)

AT_ONCE: Final = 8  # questions of before that are begun side by side
OWED_SECONDS: Final = 3600.0  # What was delivered is answered, however little is caught up with.
HANDLING_FAILURES: Final = 3  # of one question, in one run of the program
HOUR_SECONDS: Final = 3600.0
# What pauses beside the queues of places, whose ids are above 0.
PASSING: Final[QueueKey] = (-1, 0)
READING: Final[QueueKey] = (-2, 0)
COMPARING: Final[QueueKey] = (-3, 0)


class CatchUp:
    """Goes on with open questions, whenever there is reason to, for the life of the client."""

    def __init__(
        self,
        client: discord.Client,
        history: History,
        questions: Questions,
        inbox: Inbox,
        recovery: Recovery,
        guilds: Guilds,
        absence: Absence,
        comparison: Comparison,
        heard: Heard,
        *,
        hours: float,
        in_flight: InFlight,
        look_again: asyncio.Event,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._history = history
        self._questions = questions
        self._inbox = inbox
        self._recovery = recovery
        self._guilds = guilds
        self._absence = absence
        self._comparison = comparison
        self._heard = heard
        self._hours = hours
        self._in_flight = in_flight
        self._now = now
        self._wanted = look_again
        self._reading = asyncio.Event()
        self._comparing = asyncio.Event()
        self._returned = False
        self._compared = False
        self._stopped = False
        self._waiting: dict[QueueKey, deque[OpenQuestion]] = {}
        self._places: dict[QueueKey, asyncio.Task[None]] = {}
        self._limit = ConcurrencyLimit(AT_ONCE)
        self._passed_over: set[int] = set()
        self._failures: dict[int, int] = {}
        self._pauses = Pauses(self.again)
        self._open_at_start: set[QueueKey] = set()
        self._begun = asyncio.Event()

    def came_back(self) -> None:
        """Catch up: events may have been missed."""
        self._returned = self._compared = True
        self._pauses.end_all()
        self.again()

    def again(self) -> None:
        """Look at what is open."""
        self._wanted.set()

    def released(self, message_id: int, queue_key: QueueKey, *, done: bool) -> None:
        """Note that a question in a place is in nobody's hands any more."""
        was_passed_over = message_id in self._passed_over
        self._passed_over.discard(message_id)
        if not done:
            self._pauses.begin(queue_key)
        elif was_passed_over:
            self.again()

    def stop(self) -> None:
        """Begin nothing more; what is open is for the next start."""
        self._stopped = True
        self._begun.set()

    async def look_ahead(self) -> None:
        """Note where something is open before anything is heard; raises HistoryFailed."""
        left = await self._history.open_questions()
        self._open_at_start = {question.exchange.queue_key for question in left}
        if left:
            log.info("Questions left open by the last run: %d; going on with them", len(left))

    async def turn_of(self, queue_key: QueueKey) -> None:
        """Wait until no older question is left in this queue."""
        if queue_key in self._open_at_start:
            await self._begun.wait()
        while queue_key in self._places:
            await asyncio.wait({self._places[queue_key]})

    async def run(self) -> None:
        """Catch up whenever it is wanted, for ever.

        What Discord is slow to list holds up nobody whose question is open, and what is slow to
        compare nobody whose question was missed.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._whenever(self._wanted, self._pass, PASSING))
            group.create_task(self._whenever(self._reading, self._read, READING))
            group.create_task(self._whenever(self._comparing, self._compare, COMPARING))

    async def _whenever(
        self, wanted: asyncio.Event, act: Callable[[], Awaitable[bool]], pause_id: QueueKey
    ) -> None:
        """Do *act* whenever it is wanted; where it is not done to its end, again after a pause."""
        while True:
            await wanted.wait()
            wanted.clear()
            if self._stopped:
                return
            done = False
            try:
                done = await act()
            except HistoryFailed as error:
                log.warning("What is open cannot be read: %s", error)
            except Exception:  # the one top handler of catching up
                log.exception("Catching up failed")
            if done:
                self._pauses.got_better(pause_id)
            else:
                self._pauses.begin(pause_id)

    async def _pass(self) -> bool:
        await self._go_on()
        self._begun.set()
        if self._returned and not self._pauses.holds(READING):
            self._reading.set()
        else:
            self._compare_next()
        if await self._inbox.store_unanswered():
            self.again()
        return True

    async def _read(self) -> bool:
        """Store what was asked meanwhile; from then on the mark of what was heard moves again."""
        self._returned, absences = False, self._heard.absences
        try:
            await self._guilds.meet(snowflake_at(self._now()))
            whole = not self._hours or await self._store_missed()
        except BaseException:
            self._returned = True
            raise
        finally:
            self._compare_next()
        if whole:
            self._heard.thaw(absences)
            await self._heard.write()
        else:
            log.warning("Not all that was missed can be read now; catching up goes on later")
            self._returned = True
        return whole

    def _compare_next(self) -> None:
        """Begin to compare, unless that is done or pauses."""
        if self._compared and not self._pauses.holds(COMPARING):
            self._comparing.set()

    async def _compare(self) -> bool:
        """Find out what was changed meanwhile."""
        self._compared = False
        since_id = self._oldest_id() if self._hours else None
        try:
            whole = await self._comparison.compare(since_id)
        except BaseException:
            self._compared = True
            raise
        if not whole:
            self._compared = True
        return whole

    async def _store_missed(self) -> bool:
        """Store what was asked meanwhile, and go on with it; whether all of it could be read."""
        assert self._client.user is not None
        me_id = self._client.user.id
        after_id = earlier(self._heard.mark, MARGIN_SECONDS)
        oldest_id = max(self._oldest_id(), (self._heard.first_id or 1) - 1)

        async def is_wanted(message: discord.Message, gap: Gap) -> bool:
            try:
                if not _may_be_missed(message, gap):
                    return False
                is_new = not await self._history.was_received(message.id)
                return is_new and await self._questions.is_for_me(message, me_id)
            except GARBLED as error:
                log.warning("Message %d cannot be read: %s", message.id, type(error).__name__)
                return False

        search = await self._absence.search(
            after_id,
            oldest_id=oldest_id,
            edits_seconds=ASKING_EDIT_SECONDS,
            is_wanted=is_wanted,
        )
        count = 0
        async with aclosing(search.rounds()) as rounds:
            async for messages in rounds:
                count += await self._store_all(messages, me_id)
                await self._go_on()
                self._compare_next()  # What else is listed may take long.
        if search.whole:
            await self._guilds.were_read(search.guilds)
        if self._guilds.any_back(search.guilds):
            self.came_back()
        if count:
            log.info("Asked while the bot was away: %d", count)
        return search.whole

    async def _store_all(self, messages: Iterable[discord.Message], me_id: int) -> int:
        count = 0
        for message in messages:
            try:
                count += await self._stored(message, me_id)
            except GARBLED as error:
                log.warning("Message %d cannot be read: %s", message.id, type(error).__name__)
        return count

    async def _stored(self, message: discord.Message, me_id: int) -> bool:
        with self._inbox.holding(message.id) as free:
            if not free:
                return False
            # Where it cannot be stored it is found again, for the mark stays.
            question = await self._inbox.store(message, me_id, can_wait=True)
            if question is not None and question.refusal is not None:
                state, sentence = question.refusal
                await self._history.complete(question.exchange, state, [sentence])
        self.released(message.id, (message.channel.id, 0), done=True)
        return question is not None

    async def _go_on(self) -> None:
        """Hand each open question to the task of its place, oldest first."""
        left = await self._history.open_questions()
        self._forget_others(left)
        for question in left:
            message_id = question.exchange.message_id
            if self._inbox.is_held(message_id):
                self._passed_over.add(message_id)
                continue
            queue_key = question.exchange.queue_key
            if self._pauses.holds(queue_key) and not question.withdrawn:
                continue
            queue = self._waiting.setdefault(queue_key, deque())
            if all(one.exchange.message_id != message_id for one in queue):
                queue.append(question)
            if queue_key not in self._places:
                task = asyncio.create_task(self._go_on_in(queue_key))
                self._places[queue_key] = task

    def _forget_others(self, left: list[OpenQuestion]) -> None:
        """Keep nothing in mind of questions that are not open any more."""
        self._pauses.forget_others({question.exchange.queue_key for question in left})
        for message_id in self._failures.keys() - {one.exchange.message_id for one in left}:
            del self._failures[message_id]

    async def _go_on_in(self, queue_key: QueueKey) -> None:
        self._in_flight.track()
        queue = self._waiting[queue_key]
        try:
            while queue and not self._stopped:
                async with self._limit.slot():
                    question = queue.popleft()
                    if question.withdrawn or not self._pauses.holds(queue_key):
                        await self._go_on_with(question)
        finally:
            del self._waiting[queue_key]
            del self._places[queue_key]

    async def _go_on_with(self, question: OpenQuestion) -> None:
        message_id = question.exchange.message_id
        assert self._client.user is not None
        with self._inbox.holding(message_id, is_stored=True) as free:
            if not free:
                self._passed_over.add(message_id)
                return
            if self._stopped:
                return
            try:
                done = await self._recovery.go_on(
                    question, self._client.user.id, oldest_id=self._oldest_owed_id()
                )
            except HistoryFailed as error:
                log.warning("Question %d waits: %s", message_id, error)
                done = False
            except Exception:  # the one top handler of a question that is gone on with
                log.exception("Going on with %d failed", message_id)
                done = await self._failed(question)
        if done:
            self._failures.pop(message_id, None)
            self._pauses.got_better(question.exchange.queue_key)
        self.released(message_id, question.exchange.queue_key, done=done)

    async def _failed(self, question: OpenQuestion) -> bool:
        """Count a failure of our own; give the question up after some. Whether it is given up."""
        message_id = question.exchange.message_id
        self._failures[message_id] = self._failures.get(message_id, 0) + 1
        if self._failures[message_id] < HANDLING_FAILURES:
            return False
        try:
            return await self._recovery.give_up(question)
        except HistoryFailed as error:
            log.warning("That %d is given up is not stored: %s", message_id, error)
        except Exception:  # Saying so fails as well: the log has to do.
            log.exception("Nobody can be told that %d is given up", message_id)
            await self._drop(question)
        return True

    async def _drop(self, question: OpenQuestion) -> None:
        message_id = question.exchange.message_id
        try:
            await self._history.complete(question.exchange, State.FAILED)
            await self._history.mark_reply_deleted(message_id)
        except HistoryFailed as error:
            log.warning("That %d is dropped is not stored: %s", message_id, error)

    def _oldest_id(self) -> int:
        """Return the id from which on what was missed is young enough to be answered."""
        return snowflake_at(self._now() - self._hours * HOUR_SECONDS)

    def _oldest_owed_id(self) -> int:
        """Return the same for what was delivered and stored before the bot went away."""
        return snowflake_at(self._now() - max(self._hours * HOUR_SECONDS, OWED_SECONDS))


def _may_be_missed(message: discord.Message, gap: Gap) -> bool:
    """Whether *message* came, or was made a question, when the bot may have been away.

    An edit asks as long after the message as it would have when it was heard.
    """
    if message.id > gap.after_id:
        return True
    if message.edited_at is None:
        return False
    edited_at = message.edited_at.timestamp()
    in_time = edited_at - seconds_of(message.id) <= ASKING_EDIT_SECONDS
    return in_time and edited_at > seconds_of(gap.after_id)
