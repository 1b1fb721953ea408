"""The events of a running completion: text, thinking and token counts."""

from dataclasses import dataclass
from typing import NamedTuple


class Delta(NamedTuple):
    """More of the answer's text.

    If it *replaces* the earlier deltas, these turned out to be reasoning.
    """

    text: str
    replaces: bool = False


class Thinking(NamedTuple):
    """The model is thinking, for *seconds* so far. The next delta ends that."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The token counts that the API reported; a later report replaces an earlier one."""

    prompt_tokens: int
    completion_tokens: int


Event = Delta | Thinking | TokenUsage
