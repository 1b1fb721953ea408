"""Which messages are parts of an answer that a crash cut off."""

import random

import pytest

from bot.replies.parts import Part, adopted_parts

QUESTION = 100


def chain(*ids: int, first: int | None = QUESTION) -> list[tuple[Part, int | None]]:
    return [
        (Part(one, f"text {one}"), before) for one, before in zip(ids, (first, *ids), strict=False)
    ]


def ids(parts: tuple[Part, ...]) -> list[int]:
    return [part.message_id for part in parts]


@pytest.mark.parametrize(("opens_thread", "first"), [(False, QUESTION), (True, None)])
def test_every_part_refers_to_the_one_before(opens_thread: bool, first: int | None) -> None:
    seen = [
        *chain(111, 113, 115, first=first),
        *chain(112, 114, first=99),
        (Part(116, "x"), 113),
    ]
    random.Random(1).shuffle(seen)
    parts = adopted_parts(seen, question_id=QUESTION, opens_thread=opens_thread, recorded=())
    assert ids(parts) == [111, 113, 115]
    assert parts[0].text == "text 111"


def test_a_recorded_part_needs_no_reference() -> None:
    """Without the history permission an answer is not a reply to the question."""
    seen = [(Part(111, "a"), None), (Part(112, "b"), 111), (Part(113, "c"), None)]
    parts = adopted_parts(seen, question_id=QUESTION, opens_thread=False, recorded={111})
    assert ids(parts) == [111, 112]


def test_answers_to_others_are_not_adopted() -> None:
    seen = [(Part(111, "a"), None), *chain(112, 113, first=50)]
    assert adopted_parts(seen, question_id=QUESTION, opens_thread=False, recorded=()) == ()
    in_thread = adopted_parts(chain(112), question_id=QUESTION, opens_thread=True, recorded=())
    assert in_thread == ()


def test_of_two_first_parts_only_one_is_adopted() -> None:
    seen = [(Part(111, "a"), None), (Part(112, "b"), None)]
    parts = adopted_parts(seen, question_id=QUESTION, opens_thread=True, recorded=())
    assert ids(parts) == [111]
