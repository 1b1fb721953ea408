"""A model's reasoning is never shown, however the text is cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.reasoning import ReasoningFilter

WORDS = st.sampled_from(["<think>", "</think>", "<", "think>", "\n\n", " ", "answer", "<b>", "/"])
TEXTS = st.lists(WORDS, max_size=12).map("".join)


def shown(*pieces: str) -> str:
    reasoning = ReasoningFilter()
    return "".join(map(reasoning.write, pieces)) + reasoning.end()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("plain", "plain"),
        ("", ""),
        ("  indented", "  indented"),
        ("<think>hm</think>yes", "yes"),
        ("\n<think>hm</think>\n\nyes\n", "yes\n"),
        ("<think></think>yes", "yes"),
        ("<think>a</think>\n<think>b</think> yes", "yes"),
        ("<think>never ends", ""),
        ("<think>all of it</think>", ""),
        ("<think>all of it</think>\n\n", ""),
        ("<thinker>", "<thinker>"),
        ("<thin", "<thin"),
        ("<", "<"),
        ("1 < 2", "1 < 2"),
        ("use <think>tags</think> so", "use <think>tags</think> so"),
        ("</think>", "</think>"),
        ("<think>a</thin</think>b", "b"),
    ],
)
def test_only_reasoning_in_front_is_kept_out(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer, "cut everywhere"


@given(TEXTS, st.data())
def test_how_the_text_is_cut_does_not_matter(said: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(said)))
    assert shown(said[:cut], said[cut:]) == shown(*said) == shown(said)


def test_an_answer_is_not_held_back() -> None:
    """Each piece of an answer comes out as it goes in: people see it at once."""
    reasoning = ReasoningFilter()
    assert [reasoning.write(piece) for piece in ("<think>a</think>", "b", " ", "<think>")] == [
        "",
        "b",
        " ",
        "<think>",
    ]
    assert reasoning.end() == ""


def test_blanks_without_end_are_not_kept() -> None:
    """The last thousand are, so that an answer may be indented."""
    reasoning = ReasoningFilter()
    began = time.process_time()
    assert not any(reasoning.write("  ") for _ in range(200_000))
    assert reasoning.write("<think>hm</think>") == ""
    assert reasoning.write("yes") == "yes"
    assert time.process_time() - began < 10
    assert len(shown(*["  "] * 5000)) == 1000
