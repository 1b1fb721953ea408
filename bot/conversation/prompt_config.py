"""The settings of prompts."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """The default *system_prompt*, and the *token_budget* of each prompt.

    *models* are those that may be set in a place; all are if it is empty.
    """

    system_prompt: str
    token_budget: int
    models: Collection[str] = ()
