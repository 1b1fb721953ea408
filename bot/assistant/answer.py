"""One answer on its way from its question to its end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from bot.assistant.ports import ContextLoader
from bot.conversation.exchange import NO_REPLY_CONTEXT, Exchange, ReplyContext, State
from bot.conversation.images import PendingImage
from bot.conversation.prompt import Prompt, exchange_tokens
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import Sentences
from bot.llm.events import TokenUsage
from bot.storage.usage import UsageTotal

NOTHING_USED: Final = UsageTotal()


class StopReason(Enum):
    """Why an answer ends before it is whole."""

    ASKED = auto()  # it is kept as it is, and says so
    RESET = auto()  # it says so, and is not kept
    INTERRUPTED = auto()  # it goes on after a restart, and says so where it has begun
    FORGOTTEN = auto()  # without a word


@dataclass(slots=True)
class Answer:
    """One answer from its question to its end."""

    exchange: Exchange
    task: asyncio.Task[object]
    began: float
    strings: Sentences
    load_context: ContextLoader
    too_late: bool = False
    renewal: ReplyAction | None = None  # regenerate or continue: there is a reply already
    before: Exchange | None = None  # the exchange with that reply
    pieces: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)  # it ended before it was whole, in sentences
    unread: list[str] = field(default_factory=list)  # those of the notices that are about files
    files_percent: int = 100  # how much of its files goes into the prompt
    reply_context: ReplyContext = NO_REPLY_CONTEXT
    pictures: tuple[PendingImage, ...] | None = None  # of the question; None: not at hand
    first_words_seconds: float | None = None
    model: str = ""
    prompt: Prompt | None = None
    images_sent: int = 0
    taken: int = 0  # pieces that were there before the model said any
    counts_for: int | None = None  # whose use it is; None where it is not counted
    thought: bool = False  # and said nothing
    usage: TokenUsage | None = None
    spent: UsageTotal = NOTHING_USED  # by answers that were discarded
    whole: bool = False
    at_limit: bool = False
    state: State | None = State.CANCELLED  # how it ends; None where it had ended already
    received: bool = True
    recorded: bool = False
    kept: bool = True  # what is shown is stored, too
    stoppable: bool = True
    stopped: StopReason | None = None

    @property
    def text(self) -> str:
        """What the reply says so far."""
        return "".join(self.pieces).strip()

    def note_unread(self, sentence: str) -> None:
        """Say *sentence*, about files, under the answer, once."""
        if sentence in self.unread:
            return
        self.unread.append(sentence)
        self.notices.append(sentence)

    @property
    def said(self) -> str:
        """What the model says in this attempt."""
        return "".join(self.pieces[self.taken :])

    @property
    def begun(self) -> bool:
        """Whether the model said anything yet."""
        return self.first_words_seconds is not None

    @property
    def kept_before(self) -> Exchange | None:
        """What is shown again, where the new reply did not come to its end."""
        longer = self.renewal is ReplyAction.CONTINUE and bool(self.pieces)
        return None if self.whole or self.at_limit or longer else self.before

    def stop(self, why: StopReason) -> bool:
        """End the answer where it is; False where it ends already."""
        stops = self.stoppable and self.stopped is None
        if stops:
            self.stopped = why
            self.task.cancel()
        return stops

    def outcome(self) -> Exchange:
        """Return the exchange with the reply as it is; one that is not whole is marked as cut."""
        text = self.text
        exchange = replace(self.exchange, reply=text, cut=bool(text) and not self.whole)
        return replace(exchange, tokens=exchange_tokens(exchange))

    @contextmanager
    def stops_here(self) -> Iterator[None]:
        """Let `stop` end this block, and what is stopped go on behind it."""
        try:
            yield
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            self.task.uncancel()
        finally:
            self.stoppable = False
