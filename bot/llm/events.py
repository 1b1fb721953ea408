"""The events of a running completion: its first word, text, thinking and token counts."""

from dataclasses import dataclass
from typing import NamedTuple


class Begin(NamedTuple):
    """The first word of the answer comes next."""


class Delta(NamedTuple):
    """More of the answer's text. If it *replaces* the earlier deltas, these were reasoning."""

    text: str
    replaces: bool = False


class Thinking(NamedTuple):
    """The model thought for *seconds* before the next delta."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The token counts that the API reported; a later report replaces an earlier one.

    *prompt_added* means that the server added to the prompt, such as the results of a search.
    """

    prompt_tokens: int
    completion_tokens: int
    prompt_added: bool = False


Event = Begin | Delta | Thinking | TokenUsage
