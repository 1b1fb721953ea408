"""How /model offers and shows names, and which place a setting applies to."""

import pytest

from bot.commands.model import enumerated, matching, quoted
from bot.commands.scopes import CHANNEL_SCOPE, SERVER_SCOPE, chosen_scope, confirmation_for
from bot.commands.tree import CHOICE_LENGTH, CHOICES
from bot.conversation.exchange import Conversation
from bot.storage.preferences import Scope

MODELS = ["big-model", "model-2", "Model-1", "other"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", MODELS),
        ("model", ["model-2", "Model-1", "big-model"]),
        (" MODEL-1 ", ["Model-1"]),
        ("none", []),
    ],
)
def test_autocomplete_lists_prefix_matches_first(typed: str, offered: list[str]) -> None:
    assert matching(MODELS, typed) == offered


def test_autocomplete_keeps_to_discords_limit() -> None:
    assert len(matching([f"m{number}" for number in range(99)], "m")) == CHOICES


def test_a_name_cannot_leave_its_code_or_fill_the_message() -> None:
    assert quoted("a`b") == "`a'b`"
    assert len(quoted("x" * 999)) == CHOICE_LENGTH + 2


@pytest.mark.parametrize(
    ("room", "text"), [(99, "`a`, `b`, `c`"), (9, "`a`, `b` …"), (3, "`a` …"), (0, " …")]
)
def test_as_many_names_are_listed_as_fit(room: int, text: str) -> None:
    assert enumerated("abc", room) == text


@pytest.mark.parametrize(
    ("place", "scope", "named"),
    [
        (Conversation(1, None, 7), CHANNEL_SCOPE, "channel"),
        (Conversation(2, 1, 7), CHANNEL_SCOPE, "thread"),
        (Conversation(3), CHANNEL_SCOPE, "dm"),
        (Conversation(2, 1, 7), SERVER_SCOPE, "server"),
    ],
)
def test_a_confirmation_names_what_was_set(place: Conversation, scope: str, named: str) -> None:
    chosen: Scope = chosen_scope(scope)
    sentences = {one: one for one in ("channel", "thread", "dm", "server")}
    assert confirmation_for(place, chosen, **sentences) == named
