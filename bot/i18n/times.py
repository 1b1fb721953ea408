"""Moments in sentences: as Discord shows them in each reader's time zone, or in plain words."""

import re
from datetime import datetime
from typing import Final

_TIMESTAMP: Final = re.compile(r"<t:(\d+):(?:f> \(<t:\1:R>\)|R>)")


def discord_time(moment: int) -> str:
    """Return the Discord timestamps of a *moment* in seconds since 1970: when, and in how long."""
    return f"<t:{moment}:f> (<t:{moment}:R>)"


def discord_countdown(moment: int) -> str:
    """Return the Discord timestamp that says in how long a *moment* comes."""
    return f"<t:{moment}:R>"


def with_plain_times(sentence: str) -> str:
    """Return *sentence* with local times in place of Discord timestamps."""
    return _TIMESTAMP.sub(_plain, sentence)


def _plain(found: re.Match[str]) -> str:
    return f"{datetime.fromtimestamp(int(found[1])).astimezone():%Y-%m-%d %H:%M %Z}"
