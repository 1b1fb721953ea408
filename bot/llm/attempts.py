"""Say in the log, at DEBUG, how each request to the model goes: in names and numbers alone."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bot.conversation.prompt import Prompt
from bot.errors import ModelError

log = logging.getLogger(__name__)

ATTEMPTS: Final = 4  # in all, also where the form of the request or the prompt has to change
_PLAIN: Final = re.compile(r"[\w.-]{1,40}")  # as reasons are; what else a server says is left out


@dataclass(slots=True)
class AttemptBudget:
    """What one question has left, however many prompts it is put with."""

    question_id: int
    left: int = ATTEMPTS


def note_request(question_id: int, prompt: Prompt) -> None:
    """Say that *prompt* is sent: how many messages by role, and how many pictures."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    roles = Counter(turn.role.value for turn in prompt.turns)
    counts = ", ".join(f"{role} {count}" for role, count in roles.items())
    pictures = f"; pictures {prompt.images}" if prompt.images else ""
    log.debug("Request of %d: %d messages: %s%s", question_id, len(prompt.turns), counts, pictures)


def note_end(question_id: int, finish_reason: str, characters: int) -> None:
    """Say that the answer is whole, and how long it is."""
    reason = finish_reason if _PLAIN.fullmatch(finish_reason) else "a reason of its own"
    log.debug("Request of %d ended: %s, %d characters", question_id, reason, characters)


@contextmanager
def failure_noted(question_id: int) -> Iterator[None]:
    """Say so where what runs inside fails, or is left before its end."""
    try:
        yield
    except ModelError as error:
        log.debug("Request of %d failed: %s %s", question_id, type(error).__name__, error)
        raise
    except BaseException:
        log.debug("Request of %d left before its end", question_id)
        raise
