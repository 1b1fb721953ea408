"""What a person may do with a reply, by how far it has come."""

from enum import StrEnum
from typing import Final

from bot.conversation import State


class Offer(StrEnum):
    """One thing to do; the words are the ids of the buttons, which outlive the program."""

    STOP = "stop"
    REGENERATE = "regenerate"
    CONTINUE = "continue"


Offers = frozenset[Offer]

NOTHING: Final[Offers] = frozenset()
EVERYTHING: Final[Offers] = frozenset(Offer)
WHILE_STREAMING: Final[Offers] = frozenset({Offer.STOP})


def offered(state: State, *, empty: bool, cut: bool) -> Offers:
    """Return what may be done with a reply that ended in *state*.

    One that somebody stopped is not to be continued: they had enough of it. One that answers
    without a word of the model's is a hint.
    """
    if empty and state is State.ANSWERED:
        return NOTHING
    if cut and state is State.FAILED:
        return frozenset({Offer.REGENERATE, Offer.CONTINUE})
    return frozenset({Offer.REGENERATE})
