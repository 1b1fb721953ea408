"""How far back the bot answers questions after an absence."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from bot.conversation.snowflakes import snowflake_at

HOUR_SECONDS: Final = 3600.0
MIN_STORED_SECONDS: Final = 3600.0  # A stored question is answered, however short the period is.


class CatchUpPeriod(NamedTuple):
    """The last *hours*. 0 hours: questions that were missed are not looked for."""

    hours: float
    now: Callable[[], float] = time.time

    def oldest_missed_id(self) -> int:
        """Return the least id of a missed question that is young enough to be answered."""
        return snowflake_at(self.now() - self.hours * HOUR_SECONDS)

    def oldest_stored_id(self) -> int:
        """Return the same for a question that was stored before the absence."""
        return snowflake_at(self.now() - max(self.hours * HOUR_SECONDS, MIN_STORED_SECONDS))
