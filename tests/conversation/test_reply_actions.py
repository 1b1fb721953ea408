"""The buttons of a reply, and the notices that name them."""

import pytest

from bot.conversation.reply_actions import ALL_ACTIONS, NO_ACTIONS, ReplyAction, notices_for
from bot.i18n.languages import LANGUAGES
from bot.i18n.sentences import Sentences, names_in


@pytest.mark.parametrize("strings", LANGUAGES.values(), ids=LANGUAGES)
def test_a_notice_names_a_button_only_if_it_is_shown(strings: Sentences) -> None:
    """A stored notice too, in each language."""
    notices = [
        strings.thought,
        strings.model_output_truncated,
        strings.model_cut,
        strings.model_unfinished,
        strings.model_stopped,
        strings.continue_interrupted,
    ]
    assert notices_for(ALL_ACTIONS, notices) == notices
    for actions in (NO_ACTIONS, frozenset({ReplyAction.REGENERATE})):
        shown = notices_for(actions, notices)
        assert all(strings.continue_label not in sentence for sentence in shown)
        assert shown[0] == strings.thought


@pytest.mark.parametrize("strings", LANGUAGES.values(), ids=LANGUAGES)
def test_no_other_notice_names_the_button(strings: Sentences) -> None:
    names = [
        name for name in names_in(Sentences) if strings.continue_label in getattr(strings, name)
    ]
    about_buttons = {"continue_label", "help_buttons", "help_buttons_user_install"}
    assert {*names} - about_buttons == {
        "model_output_truncated",
        "model_cut",
        "model_unfinished",
        "model_stopped",
        "continue_interrupted",
    }
