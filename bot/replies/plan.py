"""Plan what each message of a reply should show, and which message to change next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.conversation.reply_actions import NO_ACTIONS, ReplyActions
from bot.replies.parts import Part


@dataclass(frozen=True, slots=True, repr=False)
class PlannedPart:
    """What a part should show; None leaves it as it is. *file* is attached, "" for no file."""

    text: str | None
    actions: ReplyActions | None
    file: str = field(default="", repr=False)


def streaming_plan(
    parts: Sequence[Part], texts: Sequence[str], actions: ReplyActions
) -> list[PlannedPart]:
    """Plan each part while the last of *texts* is still growing.

    All other texts are complete and have no buttons. The growing text never makes a message
    shorter: the text of an earlier attempt stays until the new text is as long. *actions* are under
    the last message only.
    """
    plan = [PlannedPart(text, NO_ACTIONS) for text in texts]
    growing = len(texts) - 1
    if growing < len(parts) and len(texts[growing]) < len(parts[growing].text or ""):
        plan[growing] = PlannedPart(None, NO_ACTIONS)
    plan += map(_kept, parts[len(texts) :])
    plan[-1] = replace(plan[-1], actions=actions)
    return plan


def final_plan(
    kept: Sequence[Part], texts: Sequence[str | None], actions: ReplyActions, file: str = ""
) -> list[PlannedPart]:
    """Plan the *kept* parts, whose text stays, and *texts* after them; None keeps a text, too.

    *actions* and *file* are under the last message.
    """
    plan = [*map(_kept, kept), *(PlannedPart(text, NO_ACTIONS) for text in texts)]
    if plan:
        plan[-1] = replace(plan[-1], actions=actions, file=file)
    return plan


def next_change(parts: Sequence[Part], plan: Sequence[PlannedPart]) -> int | None:
    """Return the index of the part to change next, None if all parts are as planned.

    First buttons change, then texts in order, but buttons are added only after others are removed.
    An index equal to the number of parts means a new part.
    """
    changes = [n for n, part in enumerate(parts[: len(plan)]) if _differs(part, plan[n])]

    def rank(number: int) -> int:
        if plan[number].text is not None:
            return 1
        others = (parts[other].actions for other in changes if other != number)
        return 2 if plan[number].actions and any(others) else 0

    if changes:
        return min(changes, key=rank)
    return len(parts) if len(parts) < len(plan) else None


def _kept(part: Part) -> PlannedPart:
    return PlannedPart(None, NO_ACTIONS if part.actions else None)


def _differs(part: Part, planned: PlannedPart) -> bool:
    return (
        (planned.text is not None and part.text != planned.text)
        or (planned.actions is not None and part.actions != planned.actions)
        or (bool(planned.file) and part.file != planned.file)
    )
