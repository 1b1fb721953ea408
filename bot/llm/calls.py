"""The calls that a question may make to the model's API, and the tokens it used."""

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
    """The token counts that the API reported."""

    prompt_tokens: int
    completion_tokens: int
