"""Decide what each message of a reply is to show, and which of them is to change next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.offers import NOTHING, Offers
from bot.parts import Part


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a part is to show, None for what it shows now; *file* is attached, "" for nothing."""

    text: str | None
    offers: Offers | None
    file: str = field(default="", repr=False)


def while_streaming(parts: Sequence[Part], texts: Sequence[str], offers: Offers) -> list[Wanted]:
    """Return what each part is to show by now; the last of *texts* is still growing.

    A text that another follows is shown as it is, without buttons. The growing one takes nothing
    away: what an earlier attempt wrote there stays until there is as much of the new text.
    *offers* are under the last message that there is, and under no other.
    """
    wanted = [Wanted(text, NOTHING) for text in texts]
    growing = len(texts) - 1
    if growing < len(parts) and len(texts[growing]) < len(parts[growing].text or ""):
        wanted[growing] = Wanted(None, NOTHING)
    wanted += [Wanted(None, NOTHING if part.offers else None) for part in parts[len(texts) :]]
    wanted[-1] = replace(wanted[-1], offers=offers)
    return wanted


def at_the_end(texts: Sequence[str], offers: Offers, file: str = "") -> list[Wanted]:
    """Return what each part is to show of a whole reply: *offers* and *file* go with the last."""
    wanted = [Wanted(text, NOTHING) for text in texts]
    if wanted:
        wanted[-1] = replace(wanted[-1], offers=offers, file=file)
    return wanted


def as_it_stands(
    parts: Sequence[Part], texts: Sequence[str | None], offers: Offers
) -> list[Wanted]:
    """Return what each part is to show where all stay as they are but the last, which is *texts*.

    None leaves that one, too. *offers* are under the last message.
    """
    kept = [Wanted(None, NOTHING if part.offers else None) for part in parts[:-1]]
    wanted = [*kept, *(Wanted(text, NOTHING) for text in texts)]
    if wanted:
        wanted[-1] = replace(wanted[-1], offers=offers)
    return wanted


def next_change(parts: Sequence[Part], wanted: Sequence[Wanted]) -> int | None:
    """Return the number of the part to change next, None where all show what is wanted.

    Texts change in order, and buttons that change alone before them, but one that comes does so
    after those that go. The number of parts is for a new one.
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
