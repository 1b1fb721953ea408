"""Discord's ids, which contain the time of their creation."""

from typing import Final

EPOCH_SECONDS: Final = 1_420_070_400.0  # Discord: snowflakes count milliseconds since 2015
TIME_SHIFT: Final = 22  # Discord: the bits of a snowflake below its time
HOUR_SECONDS: Final = 3600


def snowflake_at(seconds: float) -> int:
    """Return the smallest id of a time, in seconds since 1970."""
    return max(0, int((seconds - EPOCH_SECONDS) * 1000)) << TIME_SHIFT


def seconds_of(snowflake: int) -> float:
    """Return the time of an id, in seconds since 1970."""
    return (snowflake >> TIME_SHIFT) / 1000 + EPOCH_SECONDS


def earlier(snowflake: int, seconds: float) -> int:
    """Return the id that is *seconds* older."""
    return snowflake_at(seconds_of(snowflake) - seconds)
