"""What a running completion yields."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The token counts that the API reported."""

    prompt_tokens: int
    completion_tokens: int
