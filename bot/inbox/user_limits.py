"""The rate limit of each person: how many questions they may ask in a minute."""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bot.bounded import BoundedDict
from bot.conversation.snowflakes import seconds_of

MINUTE_SECONDS: Final = 60.0
MAX_PERSONS: Final = 10_000  # The person who asked nothing for longest is forgotten first.
MAX_VERDICTS: Final = 10_000  # Far more than events that come twice can be apart.


class Verdict(Enum):
    """What becomes of a question."""

    ADMITTED = auto()
    REFUSED = auto()  # with a notice
    IGNORED = auto()  # without one: the last notice is less than a minute ago


@dataclass(slots=True)
class _Person:
    asked_at: deque[float]
    notified_at: float = float("-inf")


class UserRateLimit:
    """Counts questions by when they were written: a missed one is judged by its own minute.

    Questions may come in any order, since backfill reads several places at the same time. One that
    comes twice counts once.
    """

    def __init__(self, questions_per_minute: int) -> None:
        self.questions_per_minute = questions_per_minute
        self._persons = BoundedDict[int, _Person](MAX_PERSONS)
        self._verdicts = BoundedDict[int, Verdict](MAX_VERDICTS)

    def judge(self, person_id: int, event_id: int) -> Verdict:
        """Count a question, which has the id of its message or interaction, if it is admitted."""
        verdict = self._verdicts.get(event_id)
        if verdict is None:
            verdict = self._verdicts[event_id] = self._judge(person_id, seconds_of(event_id))
        return verdict

    def _judge(self, person_id: int, at: float) -> Verdict:
        person = self._persons.get(person_id)
        if person is None:
            person = _Person(deque(maxlen=2 * self.questions_per_minute))
        self._persons[person_id] = person
        count = sum(_within_a_minute(at, asked_at) for asked_at in person.asked_at)
        if count < self.questions_per_minute:
            person.asked_at.append(at)
            return Verdict.ADMITTED
        if _within_a_minute(at, person.notified_at):
            return Verdict.IGNORED
        person.notified_at = at
        return Verdict.REFUSED


def _within_a_minute(one: float, other: float) -> bool:
    return abs(one - other) < MINUTE_SECONDS
