"""A continuation: the truncated text, joined with what the model writes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.assistant.continuation import PENDING, Continuation, joined

TEXT = st.text(alphabet="ab |-`\n한.", max_size=60)


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [
        # It begins with the last line, as it is asked to.
        ("One.\nThe ship and", "The ship and then more", "One.\nThe ship and then more"),
        ("It is beauti", "It is beautiful.", "It is beautiful."),
        ("- two", "- two\n- three", "- two\n- three"),
        ("```py\nx = 1", "x = 1\ny = 2\n```", "```py\nx = 1\ny = 2\n```"),
        ("| 1 | 2 |", "| 1 | 2 |\n| 3 | 4 |", "| 1 | 2 |\n| 3 | 4 |"),
        ("| 1 | 2 |\n", "| 1 | 2 |\n| 3 | 4 |", "| 1 | 2 |\n| 3 | 4 |"),
        ("The ship and ", "The ship and then", "The ship and then"),
        ("밤의 항구는", "밤의 항구는 조용하다.", "밤의 항구는 조용하다."),
        ("a line of many words", "of many words, and more", "a line of many words, and more"),
        # It does not.
        ("It begins", " and ends.", "It begins and ends."),
        ("The ship and", "then more", "The ship and then more"),
        ("The ship and ", "then more", "The ship and then more"),
        ("- two\n", "- three", "- two\n- three"),
        ("- two", "- three", "- two\n- three"),
        ("```py\nx = 1", "y = 2\n```", "```py\nx = 1\ny = 2\n```"),
        ("| 1 | 2 |", "| 3 | 4 |", "| 1 | 2 |\n| 3 | 4 |"),
        ("It ends.", "It goes on.", "It ends. It goes on."),
        ("港は静か", "です。", "港は静かです。"),
        ("It ends", ", and goes on.", "It ends, and goes on."),
        ("", "All of it.", "All of it."),
        ("All of it.", " \n ", "All of it."),
    ],
)
def test_a_continuation_joins_the_first_text(before: str, after: str, whole: str) -> None:
    for size in (1, 3, len(after)):
        seam = Continuation(before)
        pieces = [seam.write(after[at : at + size]) for at in range(0, len(after), size)]
        assert before + "".join(pieces) + seam.finish() == whole


@given(before=TEXT, after=TEXT, rest=st.integers(min_value=0, max_value=30))
def test_text_after_the_overlap_is_never_lost(before: str, after: str, rest: int) -> None:
    new = f"{after}\nnew {'x' * rest}."
    assert joined(before, new).endswith(f"new {'x' * rest}.")


def test_streaming_continues_once_the_overlap_is_known() -> None:
    seam = Continuation("It begins")
    assert seam.write("and") == ""
    assert seam.write("x" * (PENDING + 20)).startswith(" andxxx")
    assert seam.write(" more") == " more"
    assert seam.finish() == ""
