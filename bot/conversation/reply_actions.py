"""What a person may do with a reply, by how far it has come."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from bot.conversation.exchange import State
from bot.i18n.languages import LANGUAGES


class Offer(StrEnum):
    """One thing to do; the words are the ids of the buttons, which outlive the program."""

    STOP = "stop"
    REGENERATE = "regenerate"
    CONTINUE = "continue"


Offers = frozenset[Offer]

NOTHING: Final[Offers] = frozenset()
EVERYTHING: Final[Offers] = frozenset(Offer)
WHILE_STREAMING: Final[Offers] = frozenset({Offer.STOP})
# The sentences that send people to the button, and what is said where there is none.
_PLAIN: Final = {
    sentence: plain
    for strings in LANGUAGES.values()
    for sentence, plain in (
        (strings.model_output_truncated, strings.model_output_truncated_plain),
        (strings.model_cut, strings.model_cut_plain),
        (strings.continue_interrupted, strings.continue_interrupted_plain),
    )
}


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


def true_with(offers: Offers, notices: Sequence[str]) -> list[str]:
    """Return *notices* without a word of Continue where that is not among *offers*."""
    if Offer.CONTINUE in offers:
        return [*notices]
    return [_PLAIN.get(notice, notice) for notice in notices]
