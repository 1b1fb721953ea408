"""Tell the model how much time has passed between one question and the next."""

from datetime import UTC, datetime
from typing import Final

from bot.conversation.snowflakes import seconds_of

GAP: Final = "⟦{moment:%A %Y-%m-%d %H:%M} UTC, {passed} later⟧"
GAP_TOKENS: Final = 24  # what such a line costs at most, by the estimate
HOUR_SECONDS: Final = 3600
DAY_HOURS: Final = 24


def time_gap(before_id: int, after_id: int) -> str:
    """Return the line that tells of more than an hour between two messages, "" where it is less.

    It depends on their ids alone, so that a question is put into words in the same way each time:
    what the API has read of a prompt it knows again.
    """
    after_seconds = seconds_of(after_id)
    passed_seconds = after_seconds - seconds_of(before_id)
    if passed_seconds <= HOUR_SECONDS:
        return ""
    hours = int(passed_seconds // HOUR_SECONDS)
    passed = f"{hours} hours" if hours < 2 * DAY_HOURS else f"{hours // DAY_HOURS} days"
    return GAP.format(
        moment=datetime.fromtimestamp(after_seconds, UTC),
        passed="1 hour" if hours == 1 else passed,
    )
