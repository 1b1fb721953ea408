"""How many questions a person may ask, judged by when they were written."""

from hypothesis import given
from hypothesis import strategies as st

from bot.inbox import user_limits as limits
from bot.inbox.user_limits import PersonLimits, Verdict


def test_so_many_a_minute_are_admitted_and_one_notice_is_given_a_minute() -> None:
    person = PersonLimits(2)
    times = [0.0, 1.0, 2.0, 3.0, 59.0, 60.5, 60.6, 62.5, 121.0]
    assert [person.judge(1, at).name for at in times] == [
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
    persons = PersonLimits(1)
    assert [persons.judge(who, 0.0) for who in (1, 2, 1)] == [
        Verdict.ADMITTED,
        Verdict.ADMITTED,
        Verdict.REFUSED,
    ]


@given(st.lists(st.integers(0, 300), max_size=200).map(sorted))
def test_no_minute_admits_more_and_none_gives_two_notices(times: list[int]) -> None:
    person = PersonLimits(5)
    verdicts = [(at, person.judge(1, at)) for at in times]
    for verdict, most in ((Verdict.ADMITTED, 5), (Verdict.REFUSED, 1)):
        then = [at for at, one in verdicts if one is verdict]
        assert all(sum(start <= at < start + 60 for at in then) <= most for start in then)


def test_what_was_asked_earlier_elsewhere_is_judged_by_its_own_minute() -> None:
    """Two places are caught up with one after the other."""
    person = PersonLimits(2)
    times = [1000.0, 1001.0, 1002.0, 10.0, 11.0, 12.0, 13.0]
    assert [person.judge(1, at).name for at in times] == [
        "ADMITTED",
        "ADMITTED",
        "REFUSED",
        "ADMITTED",
        "ADMITTED",
        "REFUSED",
        "IGNORED",
    ]


def test_only_so_many_persons_are_kept_in_mind() -> None:
    persons = PersonLimits(1)
    for person_id in range(limits.KNOWN_PERSONS + 10):
        persons.judge(person_id, 0.0)
    assert len(persons._persons) == limits.KNOWN_PERSONS
