"""One answer on its way from its question to its end."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from bot.assistant.generation import Generation
from bot.assistant.ports import ContextLoader, no_context
from bot.conversation.exchange import Exchange, State
from bot.conversation.prompt import exchange_tokens
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import Sentences


class StopReason(Enum):
    """Why an answer ends before it is whole."""

    REQUESTED = auto()  # It is kept as it is, with a notice.
    RESET = auto()  # It is not kept, but stays on display with a notice.
    INTERRUPTED = auto()  # It resumes after a restart; a notice says so if it has begun.
    FORGOTTEN = auto()  # Its question was deleted: no notice.


class Cancellation:
    """Cancels the task of an answer, once, while it runs within the `scope`."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self.reason: StopReason | None = None
        self._task = task
        self._possible = True

    def cancel(self, reason: StopReason) -> bool:
        """Cancel the answer and keep its text so far; False if it is already ending."""
        if not self._possible or self.reason is not None:
            return False
        self.reason = reason
        self._task.cancel()
        return True

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Let `cancel` end this block; the task continues after it."""
        try:
            yield
        except asyncio.CancelledError:
            if self.reason is None:
                raise
            self._task.uncancel()
        finally:
            self._possible = False


@dataclass(frozen=True, slots=True)
class Job:
    """How a question is to be answered.

    *load_context* is called when its turn comes. The model is not asked if it is *too_late*.
    *action* regenerates or continues a reply that exists.
    """

    load_context: ContextLoader = no_context
    too_late: bool = False
    action: ReplyAction | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer ended: *state*, and the *notices* that say why.

    *whole* means that the model finished, *at_limit* that the limit on its length cut it off,
    *stored* that its reply was stored before.
    """

    state: State
    notices: tuple[str, ...] = ()
    whole: bool = False
    at_limit: bool = False
    stored: bool = False


@dataclass(slots=True, repr=False)
class Answer:
    """One answer, from its question to its end.

    *exchange* is the question as it is now. *seconds* returns how long ago it came.
    *usage_person_id* is whose usage it counts as, None if it is not counted. *previous* has the
    reply that a new one replaces. *received* is False if the question could not be stored.
    """

    exchange: Exchange
    job: Job
    strings: Sentences
    cancellation: Cancellation
    seconds: Callable[[], float]
    usage_person_id: int | None
    generation: Generation = field(default_factory=Generation)
    previous: Exchange | None = field(default=None, init=False)
    received: bool = field(default=True, init=False)

    def previous_to_keep(self, outcome: Outcome) -> Exchange | None:
        """Return the exchange whose reply stays because the new one is worse; None if it is not."""
        is_longer = self.job.action is ReplyAction.CONTINUE and bool(self.generation.pieces)
        return None if outcome.whole or outcome.at_limit or is_longer else self.previous

    def result(self, outcome: Outcome) -> Exchange:
        """Return the exchange with its reply, marked as cut if that is not whole."""
        text = self.generation.text
        return with_reply(self.exchange, text, cut=bool(text) and not outcome.whole)


def with_reply(exchange: Exchange, reply: str, *, cut: bool) -> Exchange:
    """Return *exchange* with a *reply* and the estimate for both."""
    replied = replace(exchange, reply=reply, cut=cut)
    return replace(replied, tokens=exchange_tokens(replied))
