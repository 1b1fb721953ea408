"""Count how often the model's API may still be called for one question."""

from dataclasses import dataclass
from typing import Final

CALLS: Final = 4  # in all, also where the form of the request or the prompt has to change


@dataclass(slots=True)
class Calls:
    """What one question has left, however many prompts it is put with."""

    question_id: int
    left: int = CALLS
