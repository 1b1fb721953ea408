"""The settings of a chat API, and of a moderation service."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ApiConfig:
    """Where a chat API is and how it is asked.

    *base_url* may have credentials and a query: see BaseAddress. *options* returns what is merged
    into each request to a model. *length_option* is the name of the field that limits a reply to
    what *reply_tokens* returns. The API may be silent for *first_token_seconds* before the first
    words and for *idle_seconds* after that; a reply may take *reply_seconds*. If
    *hides_conversation*, errors leave out what they repeat of the conversation.
    """

    base_url: str
    api_key: str | None
    model: str
    options: Callable[[str], Mapping[str, Any]]
    reply_tokens: Callable[[], int]
    length_option: str
    first_token_seconds: float
    idle_seconds: float
    reply_seconds: float
    hides_conversation: bool = True


VERDICT_SECONDS: Final = 10.0  # A verdict of a moderation service that takes longer has failed.


class ModerationPolicy(Enum):
    """What follows from the verdict on a question."""

    LOG = auto()  # A flagged question is logged, and answered.
    REFUSE = auto()  # A flagged question is withheld; one without a verdict is answered.
    REQUIRE = auto()  # Only a question that was checked and not flagged is answered.


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class ModerationConfig:
    """Where a moderation service is, how it is asked, and what follows from its verdict.

    *base_url* may have credentials and a query: see BaseAddress.
    """

    base_url: str
    api_key: str | None
    model: str
    policy: ModerationPolicy
