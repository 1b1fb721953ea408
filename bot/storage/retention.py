"""When forgotten text is erased from the database: at the start, in the background, at the end."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from bot.backoff import Backoff
from bot.conversation.snowflakes import HOUR_SECONDS, snowflake_at
from bot.errors import HistoryFailed
from bot.log_events import as_event
from bot.storage.copies import Copies
from bot.storage.database import Database
from bot.storage.erasure import HOURLY_REWRITE_BYTES, Erasure
from bot.storage.facts import Facts
from bot.storage.spending import SPENDING_DAYS, SpendingStore
from bot.storage.usage import DAY_SECONDS, UsageStore

log = logging.getLogger(__name__)

# Collects what is forgotten in quick succession. Also, somebody who deletes a message right after a
# reset expects the bot's answer to be deleted; once it is erased, the bot cannot find it any more.
ERASE_DELAY_SECONDS: Final = 1.0
ERASE_BACKOFF: Final = Backoff(0.5, 5.0)
# This fact is set if an earlier run had no time to erase copies of forgotten text between the rows.
COPIES: Final = "copies"
END_SECONDS: Final = 2.0  # The shutdown waits for it.
END_RETRY_SECONDS: Final = 0.1


class Retention:
    """Keeps the file free of forgotten text.

    The ids of forgotten questions stay for *keep_seconds*, so that a message that arrives again is
    not answered again. Exchanges and usage older than *retention_days* are forgotten; 0 keeps them.
    Of *copies*, those that were made before a migration are deleted in time.
    What counts against budgets is deleted once no budget counts it any more.
    """

    def __init__(
        self,
        erasure: Erasure,
        usage: UsageStore,
        copies: Copies,
        spending: SpendingStore,
        *,
        keep_seconds: float,
        retention_days: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._erasure = erasure
        self._usage = usage
        self._copies = copies
        self._spending = spending
        self._keep_seconds = keep_seconds
        self._retention_seconds = retention_days * DAY_SECONDS
        self._now = now

    async def erase_forever(self) -> None:
        """Erase forgotten text shortly after it was forgotten; runs until it is cancelled."""
        failures = 0
        while True:
            await self._erasure.pending.wait()
            await asyncio.sleep(ERASE_DELAY_SECONDS)
            why_not = await self._erasure.try_erase()
            if why_not is None:
                failures = 0
                continue
            failures += 1
            if failures == 1:
                log.info("Cannot erase forgotten text yet: %s", why_not)
            await asyncio.sleep(ERASE_BACKOFF.seconds(failures))

    async def prune_forever(self) -> None:
        """Prune once an hour; runs until it is cancelled."""
        while True:
            try:
                await self.prune()
            except HistoryFailed as error:
                log.warning("Cannot prune forgotten exchanges yet: %s", error)
            self.delete_copies()
            await asyncio.sleep(HOUR_SECONDS)

    async def prune(self) -> None:
        """Forget what is past the retention period, and delete old ids; raises HistoryFailed."""
        if self._retention_seconds:
            oldest = self._now() - self._retention_seconds
            await self._erasure.forget_before(snowflake_at(oldest))
            await self._usage.delete_before(int(oldest // DAY_SECONDS))
        await self._spending.delete_before(int(self._now() // DAY_SECONDS) - SPENDING_DAYS)
        await self._erasure.delete_ids_before(snowflake_at(self._now() - self._keep_seconds))
        await self._erasure.rewrite_large_file()

    def delete_copies(self) -> None:
        """Delete old copies of the database, which hold what was forgotten since."""
        now = datetime.fromtimestamp(self._now(), UTC)
        try:
            # Not in a thread: its memory would stay, for a look into one folder each hour.
            count = self._copies.delete_expired(now)
        except OSError as error:
            log.warning("Cannot delete old copies of the database yet: %s", error)
            return
        if count:
            log.info("Delete %d old copies of the database: they were made before an update", count)


async def erase_at_start(erasure: Erasure, facts: Facts) -> None:
    """Erase what the last run forgot but did not erase."""
    try:
        if await facts.get(COPIES):
            erasure.mark_pending()
    except HistoryFailed as error:
        log.warning("Cannot read whether the last run left forgotten text: %s", error)
    erasure.pending.set()
    why_not = await erasure.try_erase()
    if why_not is not None:  # The bot starts anyway: a full disk can still be read.
        log.warning("Cannot erase forgotten text yet: %s", why_not)


async def erase_at_end(database: Database, erasure: Erasure, facts: Facts) -> None:
    """Erase what was forgotten before the file is closed; log if there is no time."""
    if not erasure.is_due:
        return
    database.stop_waiting()
    erasure.pending.set()
    why_not: str | None = "it takes too long"
    with suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            while erasure.pending.is_set():
                why_not = await erasure.try_erase(HOURLY_REWRITE_BYTES)
                if why_not is not None:
                    await asyncio.sleep(END_RETRY_SECONDS)
    try:
        copies = "yes" if erasure.may_have_copies else ""
        if copies != (await facts.get(COPIES) or ""):
            await facts.set(COPIES, copies)
    except HistoryFailed as error:
        why_not = why_not or str(error)
    if erasure.is_due:
        reason = why_not or f"it is over {HOURLY_REWRITE_BYTES // 1_000_000} MB"
        log.warning(
            "Leave forgotten text in the database: %s",
            reason,
            extra=as_event("forgotten_text_left"),
        )
