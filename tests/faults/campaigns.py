"""Play faults many times from a seed, and count losses and doubles: scripts/faults."""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from bot.sandbox.postgres_server import PostgresServer, running_server
from tests.e2e.conftest import Stage, a_stage
from tests.faults.failing import play_failing_database
from tests.faults.gateway_fuzz import play_malformed
from tests.faults.interaction_fuzz import play_fuzzed
from tests.faults.interleavings import play_interleavings
from tests.faults.kills import Counts, play_named_points, play_random_kills
from tests.faults.lost_creates import play_lost_creates
from tests.faults.points import POINTS
from tests.faults.stream_fuzz import cut_at_each_byte, garbled_streams
from tests.fork_server import ForkServer
from tests.scale.connection_cuts import play_connection_cuts
from tests.scale.plays import play_rolling_restarts, play_takeovers

HEAD: Final = ("fault", "tries", "lost", "doubled", "worst recovery", "seed", "took")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A row of the table: *play* with *tries* in the long form, with *quick* tries otherwise."""

    title: str
    play: Callable[[int, int], Awaitable[Counts]]
    tries: int
    quick: int


def on_a_stage(
    play: Callable[..., Awaitable[Counts | dict[str, Any]]], *, with_bot: bool = True
) -> Callable[[int, int], Awaitable[Counts]]:
    """Return *play* on a stage of its own, with a bot on it or without."""

    async def played(tries: int, seed: int) -> Counts:
        counts = Counts()
        try:
            async with AsyncExitStack() as running:
                start = running.enter_context(ForkServer()).start
                stage = await running.enter_async_context(a_stage(start))
                if with_bot:
                    await running.enter_async_context(stage.bot())
                counts = await _counted_play(play, stage, tries, seed)
        except AssertionError as misconduct:  # found by the check at the end of a stage
            counts.count("conduct", misconduct)
        return counts

    return played


async def _counted_play(
    play: Callable[..., Awaitable[Counts | dict[str, Any]]], stage: Stage, tries: int, seed: int
) -> Counts:
    try:
        return counted(await play(stage, tries=tries, seed=seed))
    except (AssertionError, TimeoutError) as failure:
        counts = Counts(tries)
        counts.count("it ended early", failure)
        return counts


def counted(found: Counts | dict[str, Any]) -> Counts:
    """Return the results of a campaign as counts."""
    if isinstance(found, Counts):
        return found
    failures = [str(one) for one in found.get("failures", [])]
    lost = found.get("lost", len(failures))
    return Counts(found["tries"], lost, found.get("doubled", 0), failures=failures)


def on_postgres(play: Callable[..., Awaitable[Counts]]) -> Callable[[int, int], Awaitable[Counts]]:
    """Return *play* on a stage and a PostgreSQL server of its own, without a bot."""

    async def played(tries: int, seed: int) -> Counts:
        with running_server() as server:
            on_server = partial(_on_server, play, server)
            return await on_a_stage(on_server, with_bot=False)(tries, seed)

    return played


async def _on_server(
    play: Callable[..., Awaitable[Counts]], server: PostgresServer, stage: Stage, **more: int
) -> Counts:
    return await play(stage, server, **more)


async def _each_byte(step: int, _seed: int) -> Counts:
    return counted(dict(await cut_at_each_byte(step=step)))


async def _garbled(tries: int, seed: int) -> Counts:
    return counted(dict(await garbled_streams(tries=tries, seed=seed)))


async def _failing_database(_tries: int, seed: int) -> Counts:
    return counted(await play_failing_database(seed=seed))


CAMPAIGNS: Final = {
    "kills": Campaign(
        "kill -9 at a random instant, 20 replies running",
        on_a_stage(play_random_kills, with_bot=False),
        200,
        3,
    ),
    "points": Campaign(
        f"kill -9 at each of {len(POINTS)} named points",
        on_a_stage(play_named_points, with_bot=False),
        20,
        1,
    ),
    "bytes": Campaign("the stream cut at each byte of a 4 kB answer", _each_byte, 1, 41),
    "garbled": Campaign("garbled streams", _garbled, 10_000, 300),
    "gateway": Campaign(
        "malformed gateway events, each before a question", on_a_stage(play_malformed), 10_000, 60
    ),
    "interactions": Campaign("fuzzed interactions", on_a_stage(play_fuzzed), 10_000, 60),
    "interleavings": Campaign(
        "interleavings of messages, /reset, /system, edits, deletions",
        on_a_stage(play_interleavings),
        1_000,
        8,
    ),
    "creates": Campaign(
        "answers while the responses to created messages are lost",
        on_a_stage(play_lost_creates),
        500,
        10,
    ),
    "cuts": Campaign(
        "the connection to PostgreSQL cut in the middle of a question",
        on_a_stage(play_connection_cuts, with_bot=False),
        500,
        10,
    ),
    "database": Campaign("SQLite fails at the n-th call, for every n", _failing_database, 1, 1),
    "takeovers": Campaign(
        "kill -9 of the process with 4 shards, 20 replies running, a standby takes over",
        on_postgres(play_takeovers),
        50,
        2,
    ),
    "rolling": Campaign(
        "rolling restarts of 3 processes, 5 questions a second",
        on_postgres(play_rolling_restarts),
        10,
        1,
    ),
}


async def run(names: Sequence[str], *, long: bool, seed: int) -> int:
    """Play the campaigns and print their rows; return how many lost or doubled something."""
    today = datetime.now(UTC).date()
    print(f"{today}, Python {platform.python_version()}, {platform.machine()}\n")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    failed = 0
    notes: list[str] = []
    for name in names:
        campaign = CAMPAIGNS[name]
        began = time.monotonic()
        counts = await campaign.play(campaign.tries if long else campaign.quick, seed)
        took = time.monotonic() - began
        worst = f"{counts.worst_seconds:.1f} s" if counts.worst_seconds else ""
        cells = (campaign.title, counts.tries, counts.lost, counts.doubled, worst, seed)
        print(f"| {' | '.join(map(str, cells))} | {took:.0f} s |", flush=True)
        notes += [f"{name}: {note}" for note in _notes(counts)]
        failed += bool(counts.lost or counts.doubled or counts.failures)
        for failure in counts.failures:
            print(f"{name}: {failure}", file=sys.stderr, flush=True)
    print("", *notes, sep="\n")
    return failed


def _notes(counts: Counts) -> list[str]:
    """Return what the row of a campaign has no column for."""
    seconds = counts.worst_takeover_seconds
    taken = [f"another process had all shards within {seconds:.1f} s"] if seconds else []
    return [*taken, *counts.notes]


def main() -> int:
    """Read the command line and run; return 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="as often as the figures say")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(CAMPAIGNS)}")
    options = parser.parse_args()
    unknown = set(options.names) - CAMPAIGNS.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    names = options.names or list(CAMPAIGNS)
    return 1 if asyncio.run(run(names, long=options.long, seed=options.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
