"""Pauses after failed attempts: doubled, spread, or as long as a server asks for."""

import random
from collections.abc import Mapping
from typing import Final, NamedTuple

JITTER: Final = 0.25
MAX_DOUBLINGS: Final = 64  # More than any longest pause needs; more would overflow.


class Backoff(NamedTuple):
    """Pauses that double with each failure in a row, from the first pause to the longest.

    The caller counts the failures and starts at 0 again after a success.
    """

    first_seconds: float
    longest_seconds: float

    def seconds(self, failures: int) -> float:
        """Return the pause after so many *failures* in a row, 0 after none."""
        if failures < 1:
            return 0.0
        doubled = self.first_seconds * 2.0 ** min(failures - 1, MAX_DOUBLINGS)
        return min(self.longest_seconds, doubled)


def jittered(seconds: float) -> float:
    """Return *seconds* plus or minus up to a quarter, so that clients do not retry in step."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return how many seconds a response asks to wait, 0 if it does not say."""
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (LookupError, ValueError):
        return 0.0
