"""The values that a conversation consists of: exchanges, in the history of a channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bot.conversation.images import PendingImage


class State(StrEnum):
    """How far an exchange has come; the words are stored in the database."""

    RECEIVED = "received"
    ANSWERING = "answering"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"


# A place and the one person who sees what is answered there, 0 if everybody does.
QueueKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The history that one place sees.

    A thread sees, before its own exchanges, those of its parent channel up to the one that started
    it. A thread has the id of the message it was made from, so this is a comparison of ids.

    *person_id* is the one person who sees the answers, 0 if everybody does. What one person sees
    alone is a conversation of its own, separate from the place's in both directions.
    """

    channel_id: int
    parent_id: int | None = None
    guild_id: int | None = None
    person_id: int = 0

    @property
    def top_id(self) -> int:
        """The id of the channel, or of the parent channel of a thread."""
        return self.channel_id if self.parent_id is None else self.parent_id


@dataclass(frozen=True, slots=True)
class FromMessage:
    """Asked by a message."""


@dataclass(frozen=True, slots=True)
class FromInteraction:
    """Asked by a command, whose interaction has its id in the place of a message's.

    The answer is sent with *token*, "" once that has expired. The token is the command's own, or
    that of the button press *pressed_id*. *locale* is the language of the person who gave the
    command, known as long as the token; it counts if they alone see the answer. *shard* is the id
    of the shard that received the interaction, None if it is that of the guild: Discord may choose
    any for a guild without the bot.
    """

    token: str = field(repr=False)
    locale: str = ""
    pressed_id: int | None = None
    shard: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Exchange:
    """A question and its reply: the unit that is stored, and kept in a prompt or dropped from it.

    *message_id* is the message or interaction that asked. The exchange is in the history of its
    conversation's channel; the answer appears at *place_id*: there, or in the thread made from the
    question.

    Three texts are ready for the prompt: *embedded* is what the question forwards and embeds,
    *quoted* what it replies to ("" for the bot's own words), *files* the text of its files.
    *quoted_id* is the quoted message, *quoted_author_id* its author. *cut* marks a reply that is
    not whole. *tokens* is the estimate for both turns, without calibration.
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
        """Whether it contains anything to answer."""
        return bool(self.question or self.embedded or self.quoted or self.files)

    @property
    def opens_thread(self) -> bool:
        """Whether the answer appears in the thread made from the question."""
        # The first message of a forum post has the id of the post, and is answered in it.
        return self.place_id == self.message_id != self.conversation.channel_id


@dataclass(frozen=True, slots=True, repr=False)
class Files:
    """The *text* of a question's files, ready for the prompt, and *notices* about them.

    *quoted* are the files of the message that it replies to: the text of each, by name. *images*
    are still to be fetched, the quoted ones first; None if they were not looked for. *unread* names
    the files that are not read, ready for the prompt; alone, they are no question.
    """

    text: str = ""
    notices: tuple[str, ...] = ()
    quoted: Mapping[str, str] = field(default_factory=dict)
    images: tuple[PendingImage, ...] | None = None
    unread: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class ReplyContext:
    """The reply chain above a question, beyond the message that it quotes.

    *quotations* are the messages above that one, oldest first and ready for the prompt. *answer* is
    the exchange whose reply is at the top of the chain, if it leads to one.
    """

    quotations: tuple[str, ...] = ()
    answer: Exchange | None = None


NO_REPLY_CONTEXT: Final = ReplyContext()


@dataclass(frozen=True, slots=True, repr=False)
class QuestionContext:
    """What is loaded just before a question is answered; *reply_context* is not stored."""

    files: Files = Files()
    reply_context: ReplyContext = NO_REPLY_CONTEXT


@dataclass(frozen=True, slots=True, repr=False)
class Attempt:
    """One attempt to answer a question, or to show a reply that is stored already.

    *number* counts from 1. *pending_notices* are those of a reply that is stored whole but perhaps
    not shown whole, None if the reply is yet to be written; *state* is how it ended.
    """

    exchange: Exchange
    number: int
    pending_notices: tuple[str, ...] | None
    state: State = State.ANSWERING


@dataclass(frozen=True, slots=True, repr=False)
class OpenQuestion:
    """A question that has not ended, with the ids of the *parts* of its reply so far.

    *attempts* counts those that began. *complete* means that the whole reply is stored,
    *deletion_pending* that the question was deleted and its parts are to be deleted, too.
    """

    exchange: Exchange
    attempts: int
    parts: tuple[int, ...]
    complete: bool
    deletion_pending: bool


def scrubbed(text: str) -> str:
    """Return *text* without lone surrogates and NULs, which SQLite and JSON cannot carry.

    Returns the same object if there are none, to save memory.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "")
