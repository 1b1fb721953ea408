"""The messages that show a reply, and which of them an earlier attempt left in a place."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from bot.conversation.reply_actions import ReplyActions


@dataclass(slots=True, repr=False)
class Part:
    """A message that shows a part of a reply. None means unknown.

    *actions* are the buttons under it; *file* is the attached text, "" if there is none.
    *is_current* says whether this attempt at the reply wrote the text, not an earlier one.
    """

    message_id: int
    text: str | None = None
    actions: ReplyActions | None = None
    file: str | None = field(default=None, repr=False)
    is_current: bool = False


def adopted_parts(
    messages: Iterable[tuple[Part, int | None]],
    *,
    question_id: int,
    opens_thread: bool,
    recorded: Collection[int],
) -> tuple[Part, ...]:
    """Return those of the bot's *messages* that are parts of the answer to *question_id*, in order.

    Each comes with the message that it refers to, that is, replies to, or None.
    The first part refers to the question, or to nothing in a thread that the question opens; each
    later part refers to the part before it. The parts whose ids are *recorded* belong to the answer
    whatever they refer to. One more may exist if the bot crashed before it recorded a new part.
    """
    parts: list[Part] = []
    first_refers_to = None if opens_thread else question_id
    for part, refers_to in sorted(messages, key=lambda message: message[0].message_id):
        expected = parts[-1].message_id if parts else first_refers_to
        if part.message_id in recorded or refers_to == expected:
            parts.append(part)
    return tuple(parts)
