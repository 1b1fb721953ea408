"""What a conversation is made of: exchanges, each belonging to a channel and shown in a place."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far an exchange has come; the words stand in the database."""

    RECEIVED = "received"
    ANSWERING = "answering"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one place remembers.

    A thread sees, before its own exchanges, its parent channel's up to the one that started it. A
    thread has the id of the message it was made from, which makes that a comparison of ids.
    """

    channel_id: int
    parent_id: int | None = None
    guild_id: int | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its reply: the unit that is stored, fitted and dropped.

    *message_id* is the Discord message that asked; *channel_id* says whose history it belongs to,
    *place_id* where the answer appears: the same, or the thread made from the question. *quoted* is
    what the question replied to, ready for the model. *tokens* is the estimate for both turns,
    without calibration.
    """

    message_id: int
    conversation: Conversation
    place_id: int
    author_id: int
    author: str
    question: str
    quoted: str = ""
    reply: str = ""
    cut: bool = False
    tokens: int = 0


def scrubbed(text: str) -> str:
    """Return *text* without what SQLite and JSON cannot carry: lone surrogates and NULs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
