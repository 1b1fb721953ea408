"""The settings of a chat API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ApiConfig:
    """Where a chat API is and how it is asked.

    *base_url* may have credentials and a query: see BaseAddress. *options* returns what is merged
    into each request to a model. *length_option* is the name of the field that limits a reply to
    *reply_tokens*. The API may be silent for *first_token_seconds* before the first words and for
    *idle_seconds* after that; a reply may take *reply_seconds*. If
    *hides_conversation*, errors leave out what they repeat of the conversation.
    """

    base_url: str
    api_key: str | None
    model: str
    options: Callable[[str], Mapping[str, Any]]
    reply_tokens: int
    length_option: str
    first_token_seconds: float
    idle_seconds: float
    reply_seconds: float
    hides_conversation: bool = True
