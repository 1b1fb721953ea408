"""Measure how late the event loop is."""

import asyncio
from collections import deque
from typing import Final

SAMPLE_SECONDS: Final = 0.5
SAMPLES: Final = 120  # a minute


class LoopLag:
    """The delays of the event loop in the last minute."""

    def __init__(self) -> None:
        self._seconds = deque([0.0], maxlen=SAMPLES)

    def longest(self) -> float:
        """Return the longest delay in seconds."""
        return max(self._seconds)

    async def measure_forever(self) -> None:
        """Measure until cancelled."""
        time = asyncio.get_running_loop().time
        while True:
            due = time() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            self._seconds.append(max(0.0, time() - due))
