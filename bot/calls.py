"""What one question may use of the model's API in calls, and what it used in tokens."""

from dataclasses import dataclass
from typing import Final

CALLS: Final = 4  # in all, also where the form of the request or the prompt has to change


@dataclass(slots=True)
class Calls:
    """What one question has left, however many prompts it is put with."""

    question_id: int
    left: int = CALLS


@dataclass(frozen=True, slots=True)
class Usage:
    """What the API counted, in tokens."""

    prompt_tokens: int
    completion_tokens: int
