"""What the sandbox can run, and the sentences about what it cannot."""

import pytest

from bot.__main__ import main
from bot.sandbox.layout import MOST_SHARDS, PLAIN, SERVERS, Layout, LayoutRefused, checked


@pytest.mark.parametrize(
    ("layout", "in_terminal", "words"),
    [
        (Layout(processes=2), False, "add --postgres"),
        (Layout(processes=2, postgres=True), True, "leave out --terminal"),
        (Layout(shards=2), True, "leave out --terminal"),
    ],
)
def test_contradicting_options_are_refused_with_a_sentence(
    layout: Layout, in_terminal: bool, words: str
) -> None:
    with pytest.raises(LayoutRefused, match=words):
        checked(layout, in_terminal=in_terminal)


@pytest.mark.parametrize(
    ("layout", "in_terminal"),
    [
        (PLAIN, False),
        (PLAIN, True),
        (Layout(postgres=True), True),
        (Layout(shards=MOST_SHARDS), False),
        (Layout(processes=2, shards=4, postgres=True), False),
    ],
)
def test_options_that_fit_together_are_taken(layout: Layout, in_terminal: bool) -> None:
    assert checked(layout, in_terminal=in_terminal) == layout


def test_refusal_ends_the_program_without_starting_anything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sandbox", "--processes=2"]) == 2
    assert "add --postgres" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--processes=0", "--processes=9", "--shards=x", "--shards=17"])
def test_impossible_number_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sandbox", option])
    assert "give a whole number from 1 to" in capsys.readouterr().err


def test_there_is_a_server_for_each_shard() -> None:
    """One shard has the server Sandbox; names tell the others apart."""
    assert len(set(SERVERS)) >= MOST_SHARDS - 1


def test_bot_as_most_people_run_it_needs_no_more_settings() -> None:
    assert PLAIN.settings() == {}
    assert PLAIN.limits() == {}
