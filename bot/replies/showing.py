"""Decide what each message of a reply should show, and which message to change next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.conversation.reply_actions import NOTHING, Offers
from bot.replies.parts import Part


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a part should show; None leaves it as it is. *file* is attached, "" for no file."""

    text: str | None
    offers: Offers | None
    file: str = field(default="", repr=False)


def while_streaming(parts: Sequence[Part], texts: Sequence[str], offers: Offers) -> list[Wanted]:
    """Return what each part should show while the last of *texts* is still growing.

    All other texts are complete and have no buttons. The growing one never makes a message shorter:
    the text of an earlier attempt stays until the new text is as long. *offers* are under the last
    message only.
    """
    wanted = [Wanted(text, NOTHING) for text in texts]
    growing = len(texts) - 1
    if growing < len(parts) and len(texts[growing]) < len(parts[growing].text or ""):
        wanted[growing] = Wanted(None, NOTHING)
    wanted += [Wanted(None, NOTHING if part.offers else None) for part in parts[len(texts) :]]
    wanted[-1] = replace(wanted[-1], offers=offers)
    return wanted


def at_the_end(texts: Sequence[str], offers: Offers, file: str = "") -> list[Wanted]:
    """Return what each part of a whole reply should show; the last has *offers* and *file*."""
    wanted = [Wanted(text, NOTHING) for text in texts]
    if wanted:
        wanted[-1] = replace(wanted[-1], offers=offers, file=file)
    return wanted


def as_it_stands(
    parts: Sequence[Part], texts: Sequence[str | None], offers: Offers
) -> list[Wanted]:
    """Return what each part should show if all but the last keep their text.

    *texts* replace the last one; None keeps its text too. *offers* are under the last message.
    """
    kept = [Wanted(None, NOTHING if part.offers else None) for part in parts[:-1]]
    wanted = [*kept, *(Wanted(text, NOTHING) for text in texts)]
    if wanted:
        wanted[-1] = replace(wanted[-1], offers=offers)
    return wanted


def next_change(parts: Sequence[Part], wanted: Sequence[Wanted]) -> int | None:
    """Return the index of the part to change next, None if all show what is wanted.

    First buttons change, then texts in order, but buttons are added only after others are removed.
    An index equal to the number of parts means a new part.
    """
    changes = [n for n, part in enumerate(parts[: len(wanted)]) if _differs(part, wanted[n])]

    def rank(number: int) -> int:
        if wanted[number].text is not None:
            return 1
        others = (parts[other].offers for other in changes if other != number)
        return 2 if wanted[number].offers and any(others) else 0

    if changes:
        return min(changes, key=rank)
    return len(parts) if len(parts) < len(wanted) else None


def _differs(part: Part, wanted: Wanted) -> bool:
    return (
        (wanted.text is not None and part.text != wanted.text)
        or (wanted.offers is not None and part.offers != wanted.offers)
        or (bool(wanted.file) and part.file != wanted.file)
    )
