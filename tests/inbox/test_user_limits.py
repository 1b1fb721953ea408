"""The rate limit of a person, by the time of each question."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from bot.conversation.snowflakes import EPOCH_SECONDS, snowflake_at
from bot.inbox import user_limits as limits
from bot.inbox.user_limits import UserRateLimit, Verdict
from bot.live import Live

numbers = count()


def at(seconds: float) -> int:
    """Return a new id from that time on."""
    return snowflake_at(EPOCH_SECONDS + 1000 + seconds) + next(numbers)


def test_the_limit_admits_n_and_gives_one_notice_a_minute() -> None:
    person = UserRateLimit(Live(2))
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


def test_users_are_limited_separately() -> None:
    persons = UserRateLimit(Live(1))
    assert [persons.judge(who, at(0)) for who in (1, 2, 1)] == [
        Verdict.ADMITTED,
        Verdict.ADMITTED,
        Verdict.REFUSED,
    ]


def test_a_duplicate_event_counts_once() -> None:
    person = UserRateLimit(Live(2))
    ids = [at(0), at(1), at(2), at(3)]
    first = [person.judge(1, one) for one in ids[:1] * 3 + ids[1:]]
    assert first == [
        *[Verdict.ADMITTED] * 4,
        Verdict.REFUSED,
        Verdict.IGNORED,
    ]
    assert [person.judge(1, one) for one in ids] == first[2:], "the verdicts stay"


@given(st.lists(st.integers(0, 300), max_size=200).map(sorted))
def test_no_minute_exceeds_the_limit_or_gives_two_notices(times: list[int]) -> None:
    person = UserRateLimit(Live(5))
    verdicts = [(seconds, person.judge(1, at(seconds))) for seconds in times]
    for verdict, most in ((Verdict.ADMITTED, 5), (Verdict.REFUSED, 1)):
        then = [seconds for seconds, one in verdicts if one is verdict]
        assert all(sum(start <= one < start + 60 for one in then) <= most for start in then)


def test_a_backfilled_question_counts_in_its_own_minute() -> None:
    """Two places are caught up with one after the other."""
    person = UserRateLimit(Live(2))
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


def test_the_number_of_tracked_users_is_bounded() -> None:
    persons = UserRateLimit(Live(1))
    for person_id in range(limits.MAX_PERSONS + 10):
        persons.judge(person_id, at(0))
    assert len(persons._asked) == limits.MAX_PERSONS
