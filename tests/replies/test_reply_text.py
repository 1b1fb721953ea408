"""The texts of the messages of a reply, with notices under them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.markdown.characters import utf16_units
from bot.markdown.splitter import MESSAGE_LIMIT
from bot.replies.reply_text import LAST_PART_LIMIT, ReplyText, cut_for, with_notices

WORDS = "word " * 2000


def whole(text: str) -> ReplyText:
    reply = ReplyText()
    reply.write(text)
    reply.finish()
    return reply


def test_only_settled_text_is_shown() -> None:
    reply = ReplyText()
    assert not reply.write("")
    assert reply.write("One, ")
    assert not reply.write("`two")
    assert reply.so_far(5) == ["One,"]
    assert reply.write("`.")
    assert reply.so_far(5) == ["One, `two`."]
    assert reply.written == "One, `two`."


@pytest.mark.parametrize("max_parts", [1, 2, 3])
def test_a_growing_reply_shows_a_prefix_of_its_last_part(max_parts: int) -> None:
    """Else the sentence about the file would replace text that people have seen."""
    reply = ReplyText()
    for start in range(0, len(WORDS), 700):
        reply.write(WORDS[start : start + 700])
        shown = reply.so_far(max_parts)
        assert len(shown) <= max_parts
        if len(shown) == max_parts:
            assert utf16_units(shown[-1]) <= LAST_PART_LIMIT
    reply.finish()
    [*_, last] = reply.first_parts(max_parts, ["The rest is in the file."])
    assert last.startswith(shown[-1])


@given(
    words=st.lists(st.text(min_size=1, max_size=2000), max_size=5),
    most=st.integers(min_value=1, max_value=4),
    notices=st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=3),
)
def test_the_parts_of_a_long_reply_leave_space_for_notices(
    words: list[str], most: int, notices: list[str]
) -> None:
    text = whole("\n\n".join([*(f"x{word}" for word in words), WORDS]))
    assert len(text.parts) > most
    shown = text.first_parts(most, notices)
    assert shown[:-1] == text.parts[: most - 1]
    assert all(len(one.encode("utf-16-le", "surrogatepass")) // 2 <= MESSAGE_LIMIT for one in shown)
    assert all(notice in shown[-1] for notice in notices)


@pytest.mark.parametrize(
    ("length", "parts"), [(MESSAGE_LIMIT - 8, 1), (MESSAGE_LIMIT - 7, 2), (MESSAGE_LIMIT, 2)]
)
@pytest.mark.parametrize("letter", ["x", "🎉"])
def test_a_notice_that_does_not_fit_gets_a_message_of_its_own(
    length: int, parts: int, letter: str
) -> None:
    text = letter * (length // len(letter.encode("utf-16-le")) * 2)
    text += "x" * (length - len(text.encode("utf-16-le")) // 2)
    shown = with_notices(["before", text], ["End."])
    assert len(shown) == 1 + parts
    assert "\n".join(shown[1:]) == f"{text}\n-# End."


def test_a_message_is_cut_for_the_notices_under_it() -> None:
    text = ("word " * 500)[:MESSAGE_LIMIT].strip()
    shown = cut_for(text, ["The end."])
    assert utf16_units(shown) <= MESSAGE_LIMIT
    kept = shown.removesuffix("\n-# The end.")
    assert text.startswith(kept)
    assert len(kept) > MESSAGE_LIMIT // 2
