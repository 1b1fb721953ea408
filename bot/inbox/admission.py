"""Decide whether a question is answered: the rate limit of a person, then the budgets."""

import asyncio
import logging
from typing import Final, NamedTuple

from bot.assistant.budgets import Budgets
from bot.bounded import BoundedDict
from bot.conversation.snowflakes import HOUR_SECONDS, seconds_of
from bot.errors import BotError, HistoryFailed, UserRateLimited
from bot.inbox.user_limits import UserRateLimit, Verdict
from bot.log_events import as_event
from bot.metrics import BUDGET_SPENT, NO_METRICS, Metrics

log = logging.getLogger(__name__)

MAX_PERSONS: Final = 10_000  # The person who was refused first is forgotten first.
RATE_LIMIT: Final = "rate_limit"
BUDGET: Final = "budget"


class Refusal(NamedTuple):
    """Why a question is refused: for people, as a word for programs, and for the log.

    *noticed* says whether a refused message gets a notice. Commands and buttons always get one,
    because only the person sees it.
    """

    error: BotError
    outcome: str
    reason: str
    noticed: bool = True


class Admission:
    """Refuses questions before anything is done about them, and logs each refusal."""

    def __init__(
        self, limit: UserRateLimit, budgets: Budgets, metrics: Metrics = NO_METRICS
    ) -> None:
        self._limit = limit
        self._budgets = budgets
        self._metrics = metrics
        self._notified = BoundedDict[int, tuple[float, int]](MAX_PERSONS)

    async def refusal(
        self,
        person_id: int,
        guild_id: int | None,
        event_id: int,
        *,
        within_seconds: float | None = None,
    ) -> Refusal | None:
        """Return why the question with the message or interaction *event_id* is refused, if it is.

        If the database fails, or does not answer *within_seconds*, the question is admitted. The
        budgets are checked again before the model is asked, and then refuse what is not known.
        """
        refusal = await self._refusal(person_id, guild_id, event_id, within_seconds)
        if refusal is not None:
            log.info(
                "Refuse question %d by person %d: %s",
                *(event_id, person_id, refusal.reason),
                extra=as_event(
                    "question_refused",
                    question=event_id,
                    guild=guild_id,
                    person=person_id,
                    outcome=refusal.outcome,
                ),
            )
        return refusal

    async def _refusal(
        self, person_id: int, guild_id: int | None, event_id: int, within_seconds: float | None
    ) -> Refusal | None:
        verdict = self._limit.judge(person_id, event_id)
        if verdict is not Verdict.ADMITTED:
            error = UserRateLimited(self._limit.questions_per_minute)
            return Refusal(error, RATE_LIMIT, "rate limit", verdict is Verdict.REFUSED)
        if not self._budgets:
            return None
        try:
            async with asyncio.timeout(within_seconds):
                spent = await self._budgets.refusal(person_id, guild_id)
        except (TimeoutError, HistoryFailed):
            return None
        if spent is None:
            return None
        self._metrics.refused(BUDGET_SPENT)
        return Refusal(spent, BUDGET, str(spent), self._is_due(person_id, event_id))

    def _is_due(self, person_id: int, event_id: int) -> bool:
        """Whether a refused person gets a notice: one an hour, by when they wrote."""
        at = seconds_of(event_id)
        last, notified_id = self._notified.get(person_id, (at - HOUR_SECONDS, 0))
        if abs(at - last) < HOUR_SECONDS and notified_id != event_id:
            return False
        self._notified[person_id] = at, event_id
        return True
