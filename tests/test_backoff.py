"""Pauses between attempts that fail."""

import pytest

from bot.backoff import Backoff, jittered


def test_a_delay_doubles_up_to_the_maximum() -> None:
    backoff = Backoff(0.5, 5.0)
    assert [backoff.seconds(failures) for failures in range(7)] == [0, 0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize("failures", [1_000, 1_000_000])
def test_any_number_of_failures_has_a_delay(failures: int) -> None:
    assert Backoff(2.0, 300.0).seconds(failures) == 300.0


def test_jitter_spreads_a_delay_by_a_quarter() -> None:
    pauses = [jittered(8.0) for _ in range(1_000)]
    assert 6.0 <= min(pauses) < 6.5
    assert 9.5 < max(pauses) <= 10.0
