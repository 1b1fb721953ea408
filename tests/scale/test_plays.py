"""The plays of several processes, in short; `scripts/faults --long` plays them longer."""

from collections.abc import Awaitable, Callable

import pytest

from bot.sandbox.postgres_server import PostgresServer
from tests.e2e.conftest import Stage
from tests.faults.kills import Counts
from tests.scale.plays import play_rolling_restarts, play_takeovers

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
    pytest.mark.variation,
]


@pytest.mark.parametrize("play", [play_takeovers, play_rolling_restarts])
async def test_nothing_is_lost_or_doubled_and_discords_limits_hold(
    play: Callable[..., Awaitable[Counts]], stand_ins: Stage, postgres: PostgresServer
) -> None:
    """Over all processes: requests a second, IDENTIFYs a key, and one session for each shard."""
    counts = await play(stand_ins, postgres, tries=1, seed=18)
    assert (counts.lost, counts.doubled, counts.failures) == (0, 0, [])
    assert counts.tries == 1
