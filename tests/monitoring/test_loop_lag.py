"""How late the event loop is."""

import asyncio
import time

from bot.monitoring.loop_lag import SAMPLE_SECONDS, SAMPLES, LoopLag

BLOCKED_SECONDS = 0.4


async def test_a_blocked_loop_shows_for_a_minute() -> None:
    lag = LoopLag()
    assert lag.longest() == 0
    measuring = asyncio.create_task(lag.measure_forever())
    await asyncio.sleep(SAMPLE_SECONDS / 2)
    time.sleep(SAMPLE_SECONDS / 2 + BLOCKED_SECONDS)  # noqa: ASYNC251  # This is the fault.
    await asyncio.sleep(SAMPLE_SECONDS * 3)
    assert lag.longest() > BLOCKED_SECONDS * 0.9
    measuring.cancel()
    await asyncio.wait([measuring])


def test_only_the_last_minute_counts() -> None:
    assert SAMPLES * SAMPLE_SECONDS == 60
    lag = LoopLag()
    lag._seconds.extend([9.0, *[0.1] * (SAMPLES - 1)])
    assert lag.longest() == 9.0
    lag._seconds.append(0.1)
    assert lag.longest() == 0.1
