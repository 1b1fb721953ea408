"""A character that people see as one is never split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markdown.characters import is_boundary, last_boundary


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param("\r\n", id="line end"),
        pytest.param("e\u0301", id="combining mark"),
        pytest.param("o\u0302\u0323\u20dd", id="several marks"),
        pytest.param("\U0001f468\u200d\U0001f469\u200d\U0001f467", id="family"),
        pytest.param("\u2764\ufe0f\u200d\U0001f525", id="heart on fire"),
        pytest.param("\U0001f44b\U0001f3fd", id="skin tone"),
        pytest.param("\U0001f1e9\U0001f1ea", id="flag"),
        pytest.param("\U0001f3f4\U000e0067\U000e0062\U000e007f", id="flag of tags"),
        pytest.param("1\ufe0f\u20e3", id="keycap"),
        pytest.param("\u1112\u1161\u11ab", id="jamo"),
        pytest.param("\uac00\u11a8", id="syllable and jamo"),
        pytest.param("\u0915\u094d\u0937\u093f", id="Devanagari conjunct"),
        pytest.param("\u0915\u094d\u200d\u0937", id="conjunct with a joiner"),
        pytest.param("\u0e01\u0e33", id="Thai AM"),
        pytest.param("\uff76\uff9e", id="halfwidth kana"),
        pytest.param("\u0600\u0661", id="Arabic number sign"),
    ],
)
def test_a_cluster_has_boundaries_only_at_its_ends(cluster: str) -> None:
    text = f"a{cluster}b"
    boundaries = [index for index in range(len(text) + 1) if is_boundary(text, index)]
    assert boundaries == [0, 1, len(text) - 1, len(text)]


@pytest.mark.parametrize(
    "text",
    [
        "ab",
        "\n\r",
        "\n\u0301",
        "\u200b\u0301",
        "\u11a8\u1100",
        "한글",
        "漢字",
        "a\U0001f600",
        "क त",
    ],
)
def test_separate_characters_have_a_boundary(text: str) -> None:
    assert all(is_boundary(text, index) for index in range(len(text) + 1))


def test_flags_are_pairs() -> None:
    flags = "\U0001f1e9\U0001f1ea" * 3
    assert [index for index in range(7) if is_boundary(flags, index)] == [0, 2, 4, 6]


def test_last_boundary_is_the_lowest_index_if_there_is_no_other() -> None:
    text = "ab" + "\u0301" * 5
    assert last_boundary(text, 6) == 1
    assert last_boundary(text, 6, lowest=2) == 2
    assert last_boundary(text, len(text)) == len(text)


@settings(max_examples=200, derandomize=True)
@given(
    st.text(st.sampled_from("a \n\u0301\u200d\U0001f468\U0001f1e9\u1100\u1161\u094d\u0915\ud800"))
)
def test_any_text_has_boundaries_at_its_ends(text: str) -> None:
    assert is_boundary(text, 0)
    assert is_boundary(text, len(text))
    for index in range(len(text) + 1):
        assert is_boundary(text, last_boundary(text, index))
