"""How many questions a person may ask, judged by when they were written."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from bot.conversation.snowflakes import EPOCH_SECONDS, snowflake_at
from bot.inbox import user_limits as limits
from bot.inbox.user_limits import UserRateLimit, Verdict

numbers = count()


def at(seconds: float) -> int:
    """Return a new id from that time on."""
    return snowflake_at(EPOCH_SECONDS + 1000 + seconds) + next(numbers)


def test_so_many_a_minute_are_admitted_and_one_notice_is_given_a_minute() -> None:
    person = UserRateLimit(2)
    times = [0.0, 1.0, 2.0, 3.0, 59.0, 60.5, 60.6, 62.5, 121.0]
    assert [person.judge(1, at(seconds)).name for seconds in times] == [
        "ADMITTED",
        "ADMITTED",
        "REFUSED",
        "IGNORED",
        "IGNORED",
        "ADMITTED",
        "IGNORED",
        "ADMITTED",
        "ADMITTED",
    ]


def test_one_person_is_not_held_back_by_another() -> None:
    persons = UserRateLimit(1)
    assert [persons.judge(who, at(0)) for who in (1, 2, 1)] == [
        Verdict.ADMITTED,
        Verdict.ADMITTED,
        Verdict.REFUSED,
    ]


def test_a_question_that_comes_twice_counts_once() -> None:
    person = UserRateLimit(2)
    ids = [at(0), at(1), at(2), at(3)]
    first = [person.judge(1, one) for one in ids[:1] * 3 + ids[1:]]
    assert first == [
        *[Verdict.ADMITTED] * 4,
        Verdict.REFUSED,
        Verdict.IGNORED,
    ]
    assert [person.judge(1, one) for one in ids] == first[2:], "the verdicts stay"


@given(st.lists(st.integers(0, 300), max_size=200).map(sorted))
def test_no_minute_admits_more_and_none_gives_two_notices(times: list[int]) -> None:
    person = UserRateLimit(5)
    verdicts = [(seconds, person.judge(1, at(seconds))) for seconds in times]
    for verdict, most in ((Verdict.ADMITTED, 5), (Verdict.REFUSED, 1)):
        then = [seconds for seconds, one in verdicts if one is verdict]
        assert all(sum(start <= one < start + 60 for one in then) <= most for start in then)


def test_what_was_asked_earlier_elsewhere_is_judged_by_its_own_minute() -> None:
    """Two places are caught up with one after the other."""
    person = UserRateLimit(2)
    times = [1000.0, 1001.0, 1002.0, 10.0, 11.0, 12.0, 13.0]
    assert [person.judge(1, at(seconds)).name for seconds in times] == [
        "ADMITTED",
        "ADMITTED",
        "REFUSED",
        "ADMITTED",
        "ADMITTED",
        "REFUSED",
        "IGNORED",
    ]


def test_only_so_many_persons_are_kept_in_mind() -> None:
    persons = UserRateLimit(1)
    for person_id in range(limits.MAX_PERSONS + 10):
        persons.judge(person_id, at(0))
    assert len(persons._persons) == limits.MAX_PERSONS
