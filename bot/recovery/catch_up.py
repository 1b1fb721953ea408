"""After a reconnect: resume open questions, backfill missed ones, then reconcile changes."""

import asyncio
import logging

from bot.inbox.claims import Claims
from bot.inbox.unsaved import Unsaved
from bot.recovery.backfill import Backfill
from bot.recovery.reconcile import Reconciliation
from bot.recovery.resume import Resumption
from bot.recovery.schedule import Need, Schedule
from bot.storage.exchanges import History

log = logging.getLogger(__name__)


class CatchUp:
    """Repeats the three kinds of work whenever there is a need, for the life of the client."""

    def __init__(
        self,
        history: History,
        claims: Claims,
        unsaved: Unsaved,
        schedule: Schedule,
        resumption: Resumption,
        backfill: Backfill,
        reconciliation: Reconciliation,
    ) -> None:
        self._history = history
        self._claims = claims
        self._unsaved = unsaved
        self._schedule = schedule
        self._resumption = resumption
        self._backfill = backfill
        self._reconciliation = reconciliation

    def came_back(self) -> None:
        """Catch up: events may have been missed."""
        self._schedule.came_back()

    def stop(self) -> None:
        """Begin nothing more; open questions are left to the next start."""
        self._claims.release_new_questions()

    async def look_ahead(self) -> None:
        """Find the queues with open questions, before any event; raises HistoryFailed."""
        questions = await self._history.open_questions()
        self._claims.hold_new_questions(question.exchange.queue_key for question in questions)
        if questions:
            log.info("Resume %d questions that the last run left open", len(questions))

    async def run(self) -> None:
        """Catch up whenever there is a need, for ever.

        Slow lists of Discord delay neither the open questions nor the missed ones: each kind of
        work has a loop of its own.
        """
        async with asyncio.TaskGroup() as group:
            repeat = self._schedule.repeat
            group.create_task(repeat(Need.RESUME, self._resume))
            group.create_task(repeat(Need.BACKFILL, self._backfill.run))
            group.create_task(repeat(Need.RECONCILE, self._reconciliation.run))

    async def _resume(self) -> bool:
        await self._resumption.resume()
        self._claims.release_new_questions()
        self._schedule.start_next(Need.BACKFILL, Need.RECONCILE)
        if await self._unsaved.store():
            self._schedule.resume()
        return True
