"""Discord's ids, and the time in them."""

import pytest

from bot.conversation.snowflakes import earlier, seconds_of, snowflake_at

NOW = 1_800_000_000.0


def test_a_snowflake_has_milliseconds() -> None:
    assert seconds_of(snowflake_at(NOW + 0.123)) == pytest.approx(NOW + 0.123, abs=0.001)
    assert seconds_of(earlier(snowflake_at(NOW), 120)) == pytest.approx(NOW - 120, abs=0.001)
    assert snowflake_at(0.0) == 0
