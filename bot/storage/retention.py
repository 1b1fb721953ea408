"""Erase what is forgotten: its words at once, the rest of it when nobody asks for it again."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from bot.backoff import Backoff
from bot.conversation.snowflakes import snowflake_at
from bot.errors import HistoryFailed
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

# What is forgotten one after the other is erased at once; and who deletes what was just reset
# expects the answer to go as well, of which nothing is known any more once it is erased.
SOON_SECONDS: Final = 1.0
BACKOFF: Final = Backoff(0.5, 5.0)
HOUR_SECONDS: Final = 3600.0
DAY_SECONDS: Final = 24 * HOUR_SECONDS


class Retention:
    """Keeps the file free of what is forgotten. *keep_seconds*: how old a message may come again.

    Until then the ids of what is forgotten stay, so that it is not answered anew. After
    *retention_days* all is forgotten; 0 keeps it.
    """

    def __init__(
        self,
        history: History,
        *,
        keep_seconds: float,
        retention_days: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._history = history
        self._keep_seconds = keep_seconds
        self._retention_seconds = retention_days * DAY_SECONDS
        self._now = now

    async def keep_erased(self) -> None:
        """Erase the words of what is forgotten soon after, for ever."""
        failures = 0
        while True:
            await self._history.erasure.pending.wait()
            await asyncio.sleep(SOON_SECONDS)
            why_not = await self._history.erasure.why_not_erased()
            if why_not is None:
                failures = 0
                continue
            failures += 1
            if failures == 1:
                log.info("Cannot erase forgotten text yet: %s", why_not)
            await asyncio.sleep(BACKOFF.seconds(failures))

    async def keep_pruned(self) -> None:
        """Forget what is kept for too long, drop the ids of what long is forgotten, for ever."""
        while True:
            try:
                if self._retention_seconds:
                    oldest_id = snowflake_at(self._now() - self._retention_seconds)
                    await self._history.erasure.expire(oldest_id)
                    oldest_day = (self._now() - self._retention_seconds) // DAY_SECONDS
                    await self._history.usage.expire(int(oldest_day))
                await self._history.erasure.prune(snowflake_at(self._now() - self._keep_seconds))
                await self._history.erasure.tidy()
            except HistoryFailed as error:
                log.warning("What was forgotten is not dropped yet: %s", error)
            await asyncio.sleep(HOUR_SECONDS)
