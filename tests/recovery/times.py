"""The present of the tests of the catch-up, and ids of messages around it."""

from bot.conversation.snowflakes import snowflake_at

NOW = 1_800_000_000.0


def at(seconds: float) -> int:
    """Return an id of *seconds* after NOW."""
    return snowflake_at(NOW + seconds)
