"""The messages that show a reply, and which of those in a place an earlier attempt began."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from bot.conversation.reply_actions import Offers

SMALL: Final = "\n-# "  # Discord: small print, in which notices stand under a reply


@dataclass(slots=True)
class Part:
    """A message that shows a part of a reply. None means unknown.

    *offers* are the buttons under it; *file* is the attached text, "" if there is none.
    """

    message_id: int
    text: str | None
    offers: Offers | None = None
    file: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of the bot's own as it stands in a place. *refers_to* is what it replies to."""

    message_id: int
    text: str
    refers_to: int | None
    offers: Offers | None = None


def adopted(
    seen: Iterable[Seen], *, question_id: int, opens_thread: bool, recorded: Collection[int]
) -> tuple[Part, ...]:
    """Return the parts of the answer to *question_id* among *seen*, in order.

    The first part refers to the question, or, in the thread that it opens, to nothing; each later
    one refers to the part before. *recorded* are those that were stored as parts: a crash comes
    between Discord's taking a part and its being stored, so one more may be there.
    """
    parts: list[Part] = []
    first_refers_to = None if opens_thread else question_id
    for message in sorted(seen, key=lambda one: one.message_id):
        expected = parts[-1].message_id if parts else first_refers_to
        if message.message_id in recorded or message.refers_to == expected:
            parts.append(Part(message.message_id, message.text, message.offers))
    return tuple(parts)
