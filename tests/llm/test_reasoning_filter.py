"""A model's reasoning is never shown, however the text is cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.reasoning_filter import WITHIN_LENGTH, ReasoningFilter

WORDS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<",
        "think>",
        "\n",
        "\n\n",
        " ",
        "answer",
        "</think>\n",
        "<b>",
        "/",
        ". ",
        "`",
        "```",
    ]
)
TEXTS = st.lists(WORDS, max_size=20).map("".join)
LONG = "hm " * (WITHIN_LENGTH // 3 + 1)


def shown(*pieces: str) -> str:
    reasoning = ReasoningFilter()
    answer = ""
    for piece in pieces:
        said = reasoning.write(piece)
        answer = said if reasoning.replaces else answer + said
    return answer + reasoning.end()


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
def test_reasoning_in_front_is_left_out(said: str, answer: str) -> None:
    assert shown(said) == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("hm\n</think>\n\nyes\n", "yes\n"),
        ("hm, so</think>\r\nyes", "yes"),
        ("hm</think> \n", ""),
        ("</think>\n\nyes", "yes"),
        ("1 < 2, `<b>`\n</think>\nyes", "yes"),
        ("hm\n</think>\nNow <think>\nhm</think>\n\nyes", "Now <think>\nhm</think>\n\nyes"),
        ("hm\n</think>\n<think>hm</think>yes", "yes"),
        ("Close it by </think> and go on.\n", "Close it by </think> and go on.\n"),
        ("Between <think> and\n</think>\nit thinks", "Between <think> and\n</think>\nit thinks"),
        ("Write `</think>\n`", "Write `</think>\n`"),
        ("```\n</think>\n```\n", "```\n</think>\n```\n"),
        ("<think>hm</think>Then\n</think>\nyes", "Then\n</think>\nyes"),
    ],
)
def test_text_before_a_lone_closing_tag_is_removed(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Sure! <think>hm</think> Yes.", "Sure! Yes."),
        ("**Sure.** <think>\nhm\n</think>\n\nYes.", "**Sure.** \n\nYes."),
        ("Sure!\n<think>hm\n\nso</think>\n\nYes.", "Sure!\nYes."),
        ("Sure!\n\n  <think>a</think>\n<think>b</think>\n\nYes.", "Sure!\n\n  Yes."),
        ("<think>a</think>b\n<think>c</think>d", "b\nd"),
        ("a\n<think>hm</think>", "a\n"),
        (f"a\n<think>{'h' * WITHIN_LENGTH}</think>b", "a\nb"),
        ("```\nx\n```\n<think>hm</think>a", "```\nx\n```\na"),
        ("```a```\n<think>hm</think>a", "```a```\na"),
    ],
)
def test_reasoning_inside_an_answer_is_left_out(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize(
    "said",
    [
        "It is <think>a tag</think> of models",
        "a\n```xml\n<think>x</think>\n```\nb",
        "a\n- ~~~\n<think>x</think>\n```\n<think>x</think>",
        "a\n\n    <think>x</think>",
        "`Sure! <think>x</think>`",
        "Closed never:\n<think>so it is the answer",
        f"a\n<think>{LONG}</think>b",
        "a\n<thin",
        "a\n<thinker>",
    ],
)
def test_text_that_is_not_reasoning_stays(said: str) -> None:
    """A tag in a sentence, in code, or not closed soon enough."""
    assert shown(said) == said
    assert shown(*said) == said, "cut everywhere"


def test_the_end_of_an_answer_is_released() -> None:
    reasoning = ReasoningFilter()
    assert reasoning.write("a\n<think>") == "a\n"
    assert reasoning.write(LONG) == ""
    assert reasoning.write("12345678") == f"<think>{LONG}12345678"
    assert reasoning.write("b") == "b"


@given(TEXTS, st.data())
def test_how_the_text_is_cut_does_not_matter(said: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(said)))
    assert shown(said[:cut], said[cut:]) == shown(*said) == shown(said)


def test_an_answer_is_passed_on_at_once() -> None:
    """Each piece of an answer comes out as it goes in: people see it at once."""
    reasoning = ReasoningFilter()
    assert [reasoning.write(piece) for piece in ("<think>a</think>", "b", " ", "<think>")] == [
        "",
        "b",
        " ",
        "<think>",
    ]
    assert reasoning.end() == ""


def test_endless_blanks_are_not_buffered() -> None:
    """The last thousand are, so that an answer may be indented."""
    reasoning = ReasoningFilter()
    began = time.process_time()
    assert not any(reasoning.write("  ") for _ in range(200_000))
    assert reasoning.write("<think>hm</think>") == ""
    assert reasoning.write("yes") == "yes"
    assert time.process_time() - began < 10
    assert len(shown(*["  "] * 5000)) == 1000
