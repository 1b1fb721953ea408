"""What a conversation is made of: exchanges, each belonging to a channel and shown in a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bot.conversation.images import PendingImage


class State(StrEnum):
    """How far an exchange has come; the words stand in the database."""

    RECEIVED = "received"
    ANSWERING = "answering"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"


# A place and the one person who sees what is answered there, 0 if everybody does.
QueueKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one place remembers.

    A thread sees, before its own exchanges, its parent channel's up to the one that started it. A
    thread has the id of the message it was made from, which makes that a comparison of ids.

    What is asked for *person_id* alone to see, 0 for what all see, is a conversation of its own:
    neither sees into the other.
    """

    channel_id: int
    parent_id: int | None = None
    guild_id: int | None = None
    person_id: int = 0

    @property
    def top_id(self) -> int:
        """The channel; of a thread the one that it belongs to."""
        return self.channel_id if self.parent_id is None else self.parent_id


@dataclass(frozen=True, slots=True)
class FromMessage:
    """Asked by a message."""


@dataclass(frozen=True, slots=True)
class FromInteraction:
    """Asked by a command, whose interaction has its id in the place of a message's.

    The answer is sent with *token*, "" once that has expired. The token is the command's own, or
    that of the button press *pressed_id*. *locale* is the language of the person who gave the
    command, known as long as the token; it counts if they alone see the answer.
    """

    token: str = field(repr=False)
    locale: str = ""
    pressed_id: int | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its reply: the unit that is stored, fitted and dropped.

    *message_id* is the Discord message that asked; *channel_id* says whose history it belongs to,
    *place_id* where the answer appears: the same, or the thread made from the question. *embedded*
    is what it forwarded and embedded, ready for the model; *quoted* is what it replied to, ready as
    well and "" for the bot's own words, *quoted_id* that message, *quoted_author_id* which person
    wrote that; so is *files*, which is what its files say. *tokens* is the estimate for both turns,
    without calibration.
    """

    message_id: int
    conversation: Conversation
    place_id: int
    author_id: int
    author: str
    question: str
    embedded: str = ""
    quoted: str = ""
    quoted_id: int | None = None
    quoted_author_id: int | None = None
    files: str = ""
    reply: str = ""
    cut: bool = False
    tokens: int = 0
    origin: FromMessage | FromInteraction = FromMessage()

    @property
    def queue_key(self) -> QueueKey:
        """The queue in which it is answered: questions with the same key wait for each other."""
        return self.place_id, self.conversation.person_id

    @property
    def private_locale(self) -> str:
        """The locale of the only person who sees the answer, "" if everybody sees it."""
        if isinstance(self.origin, FromInteraction) and self.conversation.person_id:
            return self.origin.locale
        return ""

    @property
    def asks(self) -> bool:
        """Whether there is anything in it to answer."""
        return bool(self.question or self.embedded or self.quoted or self.files)

    @property
    def opens_thread(self) -> bool:
        """Whether the answer appears in the thread made from the question."""
        # The message that a forum post begins with has the post's id, and is answered in it.
        return self.place_id == self.message_id != self.conversation.channel_id


@dataclass(frozen=True, slots=True)
class Files:
    """What the files of a question say, ready for the model, and what people are told of them.

    *quoted* are those of the message that it replies to, each as it stands there, by its name.
    *pictures* are yet to be fetched, those of that message first; None where none were looked for.
    """

    text: str = ""
    notices: tuple[str, ...] = ()
    quoted: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[PendingImage, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What a question is about besides what it quotes.

    *quotations* are the replies above the message that it replies to, oldest first and ready for
    the model; *answer* is the exchange whose reply all of that, or the question itself, replies to.
    """

    quotations: tuple[str, ...] = ()
    answer: Exchange | None = None


NO_REPLY_CONTEXT: Final = ReplyContext()


@dataclass(frozen=True, slots=True)
class QuestionContext:
    """What is looked up for a question when its turn comes: what its files say, what it is about.

    *reply_context* is not stored.
    """

    files: Files = Files()
    reply_context: ReplyContext = NO_REPLY_CONTEXT


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at answering a question, or at showing what is stored already.

    *number* counts from 1. *pending_notices* are those of a reply that is stored whole but perhaps
    not shown whole, None if the reply is yet to be written; *state* says how it ended.
    """

    exchange: Exchange
    number: int
    pending_notices: tuple[str, ...] | None
    state: State = State.ANSWERING


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that did not come to its end, with the ids of the parts shown so far.

    *attempts* counts those that began. *complete* says that all there is to show is stored,
    *deletion_pending* that its parts are to be deleted, as the question was.
    """

    exchange: Exchange
    attempts: int
    parts: tuple[int, ...]
    complete: bool
    deletion_pending: bool


def scrubbed(text: str) -> str:
    """Return *text* without what SQLite and JSON cannot carry: lone surrogates and NULs.

    The same object where there is nothing to scrub: a thousand open questions hold it once each.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "")
