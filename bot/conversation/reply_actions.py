"""What a person may do with a reply, by how far it has come."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from bot.conversation.exchange import State
from bot.i18n.languages import LANGUAGES


class ReplyAction(StrEnum):
    """One thing to do; the words are the ids of the buttons, which outlive the program."""

    STOP = "stop"
    REGENERATE = "regenerate"
    CONTINUE = "continue"


ReplyActions = frozenset[ReplyAction]

NO_ACTIONS: Final[ReplyActions] = frozenset()
ALL_ACTIONS: Final[ReplyActions] = frozenset(ReplyAction)
WHILE_STREAMING: Final[ReplyActions] = frozenset({ReplyAction.STOP})
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


def actions_after(state: State, *, empty: bool, cut: bool) -> ReplyActions:
    """Return what may be done with a reply that ended in *state*.

    One that somebody stopped is not to be continued: they had enough of it. One that answers
    without a word of the model's is a hint.
    """
    if empty and state is State.ANSWERED:
        return NO_ACTIONS
    if cut and state is State.FAILED:
        return frozenset({ReplyAction.REGENERATE, ReplyAction.CONTINUE})
    return frozenset({ReplyAction.REGENERATE})


def notices_for(actions: ReplyActions, notices: Sequence[str]) -> list[str]:
    """Return *notices* without a word of Continue where that is not among *actions*."""
    if ReplyAction.CONTINUE in actions:
        return [*notices]
    return [_PLAIN.get(notice, notice) for notice in notices]
