"""The rate limit of each person: how many questions they may ask in a minute."""

from collections import deque
from enum import Enum, auto
from math import inf
from typing import Final

from bot.bounded import BoundedDict
from bot.conversation.snowflakes import seconds_of
from bot.live import Live
from bot.metrics import NO_METRICS, RATE_LIMITED, Metrics

MINUTE_SECONDS: Final = 60.0
MAX_PERSONS: Final = 10_000  # The person who asked nothing for longest is forgotten first.
MAX_VERDICTS: Final = 10_000  # far more events than may come between an event and its repetition


class Verdict(Enum):
    """What becomes of a question."""

    ADMITTED = auto()
    REFUSED = auto()  # with a notice
    IGNORED = auto()  # without one: the last notice is less than a minute ago


class UserRateLimit:
    """Counts questions by when they were written: a missed one is judged by its own minute.

    Questions may come in any order, since backfill reads several places at the same time. One that
    comes twice counts once. *limit* is how many questions a minute may have.
    """

    def __init__(self, limit: Live[int], metrics: Metrics = NO_METRICS) -> None:
        self._limit = limit
        self._metrics = metrics
        self._asked = BoundedDict[int, deque[float]](MAX_PERSONS)  # when each person asked
        self._notified = BoundedDict[int, float](MAX_PERSONS)  # when each had the last notice
        self._verdicts = BoundedDict[int, Verdict](MAX_VERDICTS)

    @property
    def questions_per_minute(self) -> int:
        """How many questions one person may ask in a minute."""
        return self._limit.value

    def judge(self, person_id: int, event_id: int) -> Verdict:
        """Count a question, which has the id of its message or interaction, if it is admitted."""
        verdict = self._verdicts.get(event_id)
        if verdict is None:
            verdict = self._verdicts[event_id] = self._judge(person_id, seconds_of(event_id))
            if verdict is not Verdict.ADMITTED:
                self._metrics.refused(RATE_LIMITED)
        return verdict

    def _judge(self, person_id: int, at: float) -> Verdict:
        limit = self.questions_per_minute
        # A new deque for each question, because the limit may have changed.
        asked = deque(self._asked.get(person_id, ()), maxlen=2 * limit)
        self._asked[person_id] = asked
        if sum(_within_a_minute(at, asked_at) for asked_at in asked) < limit:
            asked.append(at)
            return Verdict.ADMITTED
        if _within_a_minute(at, self._notified.get(person_id, -inf)):
            return Verdict.IGNORED
        self._notified[person_id] = at
        return Verdict.REFUSED


def _within_a_minute(one: float, other: float) -> bool:
    return abs(one - other) < MINUTE_SECONDS
