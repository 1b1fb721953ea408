"""How many questions one person may ask in a minute."""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bot.bounded import BoundedDict

MINUTE_SECONDS: Final = 60.0
KNOWN_PERSONS: Final = 10_000  # Who was silent for longest is forgotten first.


class Verdict(Enum):
    """What becomes of a question."""

    ADMITTED = auto()
    REFUSED = auto()  # and the person is told
    IGNORED = auto()  # and was told already, less than a minute ago


@dataclass(slots=True)
class _Person:
    asked: deque[float]
    told: float = float("-inf")


class PersonLimits:
    """Counts questions by when they were written: what is caught up on is judged as it was asked.

    Times are in seconds, on Discord's clock, in any order: places are caught up with side by side.
    """

    def __init__(self, questions_per_minute: int) -> None:
        self.questions_per_minute = questions_per_minute
        self._persons = BoundedDict[int, _Person](KNOWN_PERSONS)

    def judge(self, person_id: int, at: float) -> Verdict:
        """Count a question of *person_id*, unless it is one too many."""
        person = self._persons.get(person_id)
        if person is None:
            person = _Person(deque(maxlen=2 * self.questions_per_minute))
        self._persons[person_id] = person
        if sum(_within_a_minute(at, one) for one in person.asked) < self.questions_per_minute:
            person.asked.append(at)
            return Verdict.ADMITTED
        if _within_a_minute(at, person.told):
            return Verdict.IGNORED
        person.told = at
        return Verdict.REFUSED


def _within_a_minute(one: float, other: float) -> bool:
    return abs(one - other) < MINUTE_SECONDS
