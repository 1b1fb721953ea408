"""How latency and requests grow with the number of conversations, as a plot."""

import asyncio
import time
from pathlib import Path
from typing import Final

from bench.crowd import Crowd, percentile, spans
from bench.crowds import channels
from bench.stage import MODULES, ROOT, a_stage

COUNTS: Final = (1, 10, 25, 50, 75, 100, 150, 200)
PATIENCE_SECONDS: Final = 120.0
PLOT: Final = ROOT / "docs" / "performance.svg"
COLOURS: Final = {"floor": "tab:gray", "bot": "tab:blue"}


async def measured(name: str, count: int) -> tuple[float, float, float]:
    """Return the median and 95th percentile of waiting after the last token, and requests a second.

    Of *count* conversations at once; what is never whole waits for ever.
    """
    async with a_stage() as stage, stage.running(name):
        places = await channels(stage, count)
        await asyncio.sleep(1.0)
        crowd = Crowd(stage)
        await crowd.begin()
        began = time.monotonic()
        await crowd.ask_in(places)
        asked = await crowd.answered(count, timeout_seconds=PATIENCE_SECONDS)
        times = await crowd.request_times()
    late = spans((one for one in asked if one.whole), "last_token_at", "last_words_at")
    late += [float("inf")] * (count - len(late))
    return percentile(late, 50), percentile(late, 95), len(times) / (max(times) - began)


async def plot(path: Path = PLOT) -> None:
    """Measure and draw."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # nothing else here needs it

    figure = Figure(figsize=(9, 4), layout="constrained")
    waiting, requests = figure.subplots(1, 2)
    for name in MODULES:
        found = [await measured(name, count) for count in COUNTS]
        medians, highs, rates = zip(*found, strict=True)
        colour = COLOURS[name]
        waiting.plot(COUNTS, medians, "o-", color=colour, label=f"{name}, median")
        waiting.plot(COUNTS, highs, "o:", color=colour, label=f"{name}, 95 %")
        requests.plot(COUNTS, rates, "o-", color=colour, label=name)
        for count, row in zip(COUNTS, found, strict=True):
            print(name, count, *(f"{one:.2f}" for one in row))
    waiting.set(xlabel="conversations at once", ylabel="s from the last token to the whole answer")
    requests.set(xlabel="conversations at once", ylabel="requests a second, on average")
    for axes in (waiting, requests):
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    asyncio.run(plot())
