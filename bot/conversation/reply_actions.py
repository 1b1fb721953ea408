"""What people may do with a reply: stop, regenerate or continue it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from bot.conversation.exchange import State
from bot.i18n.languages import LANGUAGES


class ReplyAction(StrEnum):
    """An action; the words are ids of buttons, so they must never change."""

    STOP = "stop"
    REGENERATE = "regenerate"
    CONTINUE = "continue"


ReplyActions = frozenset[ReplyAction]

NO_ACTIONS: Final[ReplyActions] = frozenset()
ALL_ACTIONS: Final[ReplyActions] = frozenset(ReplyAction)
WHILE_STREAMING: Final[ReplyActions] = frozenset({ReplyAction.STOP})
# The sentences that mention the Continue button, and those for replies without it.
_PLAIN: Final = {
    sentence: plain
    for strings in LANGUAGES.values()
    for sentence, plain in (
        (strings.model_output_truncated, strings.model_output_truncated_plain),
        (strings.model_cut, strings.model_cut_plain),
        (strings.model_unfinished, strings.model_unfinished_plain),
        (strings.model_stopped, strings.model_stopped_plain),
        (strings.continue_interrupted, strings.continue_interrupted_plain),
    )
}


def actions_after(state: State, *, empty: bool, cut: bool) -> ReplyActions:
    """Return the actions for a reply that ended in *state*.

    A reply that somebody stopped has no Continue, as they had enough of it. A reply without text of
    the model is a hint, which has no actions.
    """
    if empty and state is State.ANSWERED:
        return NO_ACTIONS
    if cut and state is State.FAILED:
        return frozenset({ReplyAction.REGENERATE, ReplyAction.CONTINUE})
    return frozenset({ReplyAction.REGENERATE})


def notices_for(actions: ReplyActions, notices: Sequence[str]) -> list[str]:
    """Return *notices*, without mentioning Continue if that is not among *actions*."""
    if ReplyAction.CONTINUE in actions:
        return [*notices]
    return [_PLAIN.get(notice, notice) for notice in notices]
