"""One answer on its way from its question to its end."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from bot.assistant.ports import ContextLoader, Reply
from bot.conversation.exchange import Exchange, State
from bot.conversation.prompt import NO_PROMPT, Prompt, exchange_tokens
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import Sentences
from bot.llm.events import Event, Thinking, TokenUsage
from bot.storage.usage import UsageTotal

if TYPE_CHECKING:
    from bot.assistant.reservations import Reservation

NOTHING_USED: Final = UsageTotal()


class StopReason(Enum):
    """Why an answer ends before it is whole."""

    REQUESTED = auto()  # It is kept as it is, with a notice.
    RESET = auto()  # It is not kept, but stays on display with a notice.
    INTERRUPTED = auto()  # It resumes after a restart; a notice says so if it has begun.
    FORGOTTEN = auto()  # Its question was deleted: no notice.
    WITHHELD = auto()  # Its question was flagged: both are erased, with a notice.
    UNCHECKED = auto()  # Its question could not be checked, but must be: a notice says so.


class Cancellation:
    """Cancels the task within its block, once; the task continues after the block."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._task: asyncio.Task[object] | None = None  # within the block

    def __enter__(self) -> None:
        self._task = asyncio.current_task()

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> bool:
        task, self._task = self._task, None
        if task is None or kind is not asyncio.CancelledError or self.reason is None:
            return False
        task.uncancel()
        return True

    def cancel(self, reason: StopReason) -> bool:
        """Cancel the answer and keep its text so far; False if it is already ending."""
        if self._task is None or self.reason is not None:
            return False
        self.reason = reason
        self._task.cancel()
        return True


@dataclass(frozen=True, slots=True)
class Job:
    """How a question is to be answered, once it is first in its *queue*.

    *load_context* is called then. The model is not asked if it is *too_late*. *action* regenerates
    or continues a reply that exists.
    """

    queue: AbstractAsyncContextManager[None]
    load_context: ContextLoader
    too_late: bool = False
    action: ReplyAction | None = None


@dataclass(slots=True, repr=False)
class Generation:
    """An answer as far as the model has written it.

    The first *kept* of the *pieces* are from before the newest request. *used* is what that request
    used, once it has ended, and *reservation* what a budget kept for it. *counted* means that an
    earlier request was counted, whose answer was thrown away. *unread* are the sentences about
    files that were not read.
    """

    model: str = ""
    prompt: Prompt = NO_PROMPT  # of the newest request
    pieces: list[str] = field(default_factory=list)
    kept: int = 0
    first_token_seconds: float | None = None  # since this run began
    thought_seconds: float | None = None  # before the first token
    only_thought: bool = False
    usage: TokenUsage | None = None
    used: UsageTotal = NOTHING_USED
    reservation: "Reservation | None" = None
    counted: bool = False
    notices: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # some of the notices
    budget_notices: list[str] = field(default_factory=list)  # also some of the notices
    files_percent: int = 100  # how much of the files goes into the prompt

    @property
    def text(self) -> str:
        """The whole text so far."""
        return "".join(self.pieces).strip()

    @property
    def written(self) -> str:
        """The text that the newest request brought."""
        return "".join(self.pieces[self.kept :])

    @property
    def begun(self) -> bool:
        """Whether the newest request brought any text."""
        return self.first_token_seconds is not None

    def begin(self, prompt: Prompt) -> None:
        """Begin a request with *prompt*, which continues the text so far."""
        self.prompt, self.kept = prompt, len(self.pieces)
        self.usage = self.thought_seconds = None

    def note(self, event: Event) -> None:
        """Note an event that brings no text."""
        if isinstance(event, TokenUsage):
            self.usage = event
        elif isinstance(event, Thinking):
            self.thought_seconds = event.seconds

    def note_unread(self, *sentences: str) -> None:
        """Show *sentences*, about files, under the answer, each once."""
        new = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.unread]
        self.unread += new
        self.notices += new


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer ended: *state*, and the *notices* that say why.

    *whole* means that the model finished, *at_limit* that the limit on its length cut it off,
    *stored* that its reply was stored before, *refused* that a budget, a full queue or the
    moderation did not let it be answered.
    """

    state: State
    notices: tuple[str, ...] = ()
    whole: bool = False
    at_limit: bool = False
    stored: bool = False
    refused: bool = False

    @property
    def counted_as(self) -> str:
        """How the metrics name it: not everything that is stored as failed is a failure."""
        if self.refused:
            return "refused"
        return "cut" if self.at_limit else str(self.state)


@dataclass(slots=True, repr=False)
class Answer:
    """One answer, from its question to its end.

    *exchange* is the question as it is now. *seconds* returns the time since this run began.
    *asker_id* is whose budget it counts for, *usage_person_id* whose usage it counts as, None if it
    is not counted. *previous* has the
    reply that a new one replaces, if there is one. *received* is False if the question could not
    be stored.
    """

    exchange: Exchange
    reply: Reply
    job: Job
    strings: Sentences
    seconds: Callable[[], float]
    asker_id: int
    usage_person_id: int | None
    previous: Exchange | None
    received: bool = field(default=True, init=False)
    cancellation: Cancellation = field(default_factory=Cancellation, init=False)
    generation: Generation = field(default_factory=Generation, init=False)

    def write(self, text: str) -> None:
        """Append *text*, which is shown soon; raises ReplyLost or ReplyBlocked."""
        self.generation.pieces.append(text)
        self.reply.write(text)

    def show_instead(self, text: str) -> None:
        """Show *text* in place of what was written; raises ReplyLost or ReplyBlocked."""
        self.reply.restart()
        self.reply.write(text)

    def rewind(self) -> str:
        """Drop what the newest request brought; return the text before it."""
        del self.generation.pieces[self.generation.kept :]
        text = "".join(self.generation.pieces)
        self.show_instead(text)
        return text

    def previous_to_keep(self, outcome: Outcome) -> Exchange | None:
        """Return the exchange whose reply stays because the new one is worse, None if it is not."""
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
