"""Store and answer the questions that people asked during an absence."""

import logging
from collections.abc import Iterable
from contextlib import aclosing

import discord

from bot.conversation.snowflakes import earlier, seconds_of, snowflake_at
from bot.inbox.edits import ASKING_EDIT_SECONDS
from bot.inbox.messages import Inbox
from bot.log_events import as_event
from bot.recovery.catch_up import CatchUp, CatchUpPeriod, Need
from bot.recovery.guilds import Guilds
from bot.recovery.resume import Resumption
from bot.recovery.search import SearchPlanner
from bot.recovery.watermark import MARGIN_SECONDS, MissedRange, Watermark
from bot.transport.calls import GARBLED

log = logging.getLogger(__name__)


class Backfill:
    """Searches for missed questions after the watermark. Meanwhile the watermark is pinned."""

    def __init__(
        self,
        planner: SearchPlanner,
        inbox: Inbox,
        resumption: Resumption,
        catch_up: CatchUp,
        guilds: Guilds,
        watermark: Watermark,
        period: CatchUpPeriod,
    ) -> None:
        self._planner = planner
        self._inbox = inbox
        self._resumption = resumption
        self._catch_up = catch_up
        self._guilds = guilds
        self._watermark = watermark
        self._period = period

    async def run(self) -> bool:
        """Store the missed questions, then unpin the watermark; return whether all could be read.

        Raises HistoryFailed. Reconciliation starts after the first stored round in any case.
        """
        absences = self._watermark.absences
        try:
            await self._guilds.meet(snowflake_at(self._period.now()))
            complete = not self._period.hours or await self._store_missed()
        finally:
            self._catch_up.start_next(Need.RECONCILE)
        if complete:
            self._watermark.unpin(absences)
            await self._watermark.write()
        else:
            log.warning(
                "Postpone the rest of the backfill: Discord did not send all lists",
                extra=as_event("backfill_postponed"),
            )
        return complete

    async def _store_missed(self) -> bool:
        """Store and resume the missed questions, in rounds; return whether all could be read."""
        oldest_id = max(self._period.oldest_missed_id(), (self._watermark.first_id or 1) - 1)
        search = await self._planner.plan(
            earlier(self._watermark.position, MARGIN_SECONDS),
            oldest_id=oldest_id,
            is_wanted=self._is_wanted,
        )
        count = 0
        async with aclosing(search.rounds()) as rounds:
            async for messages in rounds:
                count += await self._store(messages)
                await self._resumption.resume()
                self._catch_up.start_next(Need.RECONCILE)  # The other lists may take long.
        if search.complete:
            await self._guilds.mark_searched(search.ranges)
        if self._guilds.any_returned(search.ranges):
            self._catch_up.start_all()
        if count:
            missed = as_event("questions_missed", count=count)
            log.info("Found %d missed questions", count, extra=missed)
        return search.complete

    async def _is_wanted(self, message: discord.Message, missed: MissedRange) -> bool:
        try:
            return _may_be_missed(message, missed) and await self._inbox.is_new(message)
        except GARBLED as error:
            log.warning("Skip malformed message %d: %s", message.id, type(error).__name__)
            return False

    async def _store(self, messages: Iterable[discord.Message]) -> int:
        """Store these questions; return how many were new. Raises HistoryFailed."""
        count = 0
        for message in messages:
            try:
                count += await self._inbox.store_missed(message)
            except GARBLED as error:
                log.warning("Skip malformed message %d: %s", message.id, type(error).__name__)
        return count


def _may_be_missed(message: discord.Message, missed: MissedRange) -> bool:
    """Whether *message* was written, or edited into a question, during the absence.

    As in `Edits`, an edit counts only within ASKING_EDIT_SECONDS of the message.
    """
    if message.id > missed.after_id:
        return True
    if message.edited_at is None:
        return False
    edited_at = message.edited_at.timestamp()
    in_time = edited_at - seconds_of(message.id) <= ASKING_EDIT_SECONDS
    return in_time and edited_at > seconds_of(missed.after_id)
