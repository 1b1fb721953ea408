"""Measure the bot against the floor, in turn, and print the table: see scripts/bench."""

import argparse
import asyncio
import platform
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import Final

from bench import scale
from bench.crowds import hundred, in_one_place, other_limits, ten_thousand, thousand
from bench.features import features
from bench.figures import Found
from bench.stage import LATENCY_SECONDS, MODULES
from bench.workloads import (
    Workload,
    alone,
    guilds,
    idle,
    long_answer,
    noise,
    shows_help,
    stored,
)

RUNS: Final = 3
QUICK: Final[dict[str, Workload]] = {
    "help": shows_help,
    "idle": idle,
    "alone": partial(alone, latency_seconds=LATENCY_SECONDS, questions=10),
    "near": partial(alone, latency_seconds=0.0, questions=10),
    "hundred": hundred,
}
ONCE: Final[dict[str, Workload]] = {
    "other": other_limits,
    "thousand": thousand,
    "place": in_one_place,
    "flat": ten_thousand,
    "stored": stored,
    "noise": noise,
    "guilds": guilds,
    "long": long_answer,
}
MORE: Final[dict[str, Workload]] = {
    "alone": partial(alone, latency_seconds=LATENCY_SECONDS, questions=40),
    "near": partial(alone, latency_seconds=0.0, questions=40),
    "features": features,
}
ALL: Final[dict[str, Workload]] = QUICK | MORE | ONCE


async def measure(workloads: dict[str, Workload], runs: int) -> Found:
    """Play each workload with both programs, so many times, in turn."""
    found = Found()
    for title, play in workloads.items():
        for number in range(1 if title in ONCE else runs):
            for name in MODULES:
                began = time.monotonic()
                await play(name, found)
                seconds = time.monotonic() - began
                print(f"{title} {number + 1}: {name}, {seconds:.0f} s", file=sys.stderr)
    return found


def main() -> int:
    """Read the command line and measure; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, and not all, in two minutes")
    parser.add_argument("--runs", type=int, help=f"of each; {RUNS}, quick 1")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(ALL)}; or scale alone"
    )
    given = parser.parse_args()
    if given.names == ["scale"]:
        _print_head()
        asyncio.run(scale.measure(quick=given.quick))
        return 0
    if unknown := set(given.names) - ALL.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    chosen = {name: ALL[name] for name in given.names} or (QUICK if given.quick else ALL)
    found = asyncio.run(measure(chosen, given.runs or (1 if given.quick else RUNS)))
    _print_head()
    print(*found.lines(), sep="\n")
    missed = found.missed()
    if missed:
        print(f"\nMissed: {', '.join(missed)}.")
    return 1 if missed else 0


def _print_head() -> None:
    today = datetime.now(UTC).date()
    print(f"{today}, Python {platform.python_version()}, {platform.machine()}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
