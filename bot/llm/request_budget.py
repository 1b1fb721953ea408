"""The budget of requests for a question, and a DEBUG log of each: in names and numbers alone."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from bot.conversation.prompt import Prompt
from bot.errors import ModelError
from bot.llm.events import TokenUsage
from bot.log_events import as_event

log = logging.getLogger(__name__)

MAX_REQUESTS: Final = 4  # in all, however often the shape of the request or the prompt changes


@dataclass(slots=True)
class RequestBudget:
    """How many requests are left for one question, whatever prompts they have.

    *failed* is the transient error of an answer that failed before its first word, after its
    images were freed. The next request waits first, as after any transient error.

    *may_cost* means that the API may charge for the newest request: it was sent and not refused.
    *usage* is what the API counted for it, if it failed before its first word. *recharge* counts
    it, so that it can be repeated, and returns the reply limit that the budgets leave.
    """

    question_id: int
    left: int = MAX_REQUESTS
    failed: ModelError | None = None
    may_cost: bool = False
    usage: TokenUsage | None = None
    recharge: Callable[[], Awaitable[int]] | None = field(default=None, compare=False)

    @property
    def is_to_be_counted(self) -> bool:
        """Whether the newest request counts although it failed."""
        return self.may_cost or self.usage is not None

    def take(self) -> None:
        """Take one request, which is sent now."""
        self.left -= 1
        self.may_cost, self.usage = True, None


def note_request(question_id: int, prompt: Prompt) -> None:
    """Log that *prompt* is sent: how many messages of each role, and how many images."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    roles = Counter(turn.role.value for turn in prompt.turns)
    counts = ", ".join(f"{role} {count}" for role, count in roles.items())
    images = f"; images {prompt.images}" if prompt.images else ""
    log.debug(
        "Send request of question %d: %d messages: %s%s",
        question_id,
        len(prompt.turns),
        counts,
        images,
        extra=as_event("request_sent", question=question_id, prompt_tokens=prompt.tokens),
    )


def note_end(question_id: int, reason: str, characters: int) -> None:
    """Log that the answer is whole, its finish *reason* and its length."""
    log.debug(
        "Ended request of question %d: %s, %d characters",
        *(question_id, reason, characters),
        extra=as_event("request_ended", question=question_id, outcome=reason),
    )


@contextmanager
def failure_noted(question_id: int) -> Iterator[None]:
    """Log if the block fails, or is left before its end."""
    try:
        yield
    except ModelError as error:
        log.debug(
            "Cannot complete request of question %d: %s %s",
            question_id,
            type(error).__name__,
            error,
            extra=as_event("request_failed", question=question_id, outcome=type(error).__name__),
        )
        raise
    except BaseException:
        log.debug("Closed request of question %d before its end", question_id)
        raise
