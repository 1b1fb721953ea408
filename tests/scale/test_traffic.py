"""The judgement of what several processes do together."""

from typing import Any

import pytest

from bench.crowd import most_in_a_second
from tests.scale.traffic import FOR_EVER, shortest_gap, traffic, two_sessions

Json = dict[str, Any]


def event(kind: str, at: float, shard: int = 0, session: str = "a") -> Json:
    data = {"shard": [shard, 4], "session": session}
    return {"type": f"gateway_{kind}", "at": at, "data": data}


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([1.0], 1), ([1.9, 2.1, 2.8], 3), ([1.0, 2.0], 1), ([3.0, 1.5, 1.0, 2.4], 2)],
)
def test_a_second_may_begin_at_any_time(times: list[float], most: int) -> None:
    assert most_in_a_second(times) == most


def test_identifies_are_compared_with_those_of_the_same_key() -> None:
    events = [event("identify", at, shard) for at, shard in ((0.0, 0), (0.5, 1), (5.2, 2))]
    assert shortest_gap(events, keys=2) == pytest.approx(5.2)
    assert shortest_gap(events, keys=1) == pytest.approx(0.5)
    assert shortest_gap(events, keys=4) == FOR_EVER


def test_session_ends_before_its_successor_begins() -> None:
    events = [event("ready", 0.0), event("disconnect", 1.0), event("ready", 1.1, session="b")]
    assert two_sessions(events) == 0


def test_two_sessions_of_a_shard_are_noticed() -> None:
    events = [event("ready", 0.0), event("ready", 1.0, session="b"), event("disconnect", 1.1)]
    assert two_sessions(events) == 1


def test_sessions_of_different_shards_live_side_by_side() -> None:
    events = [event("ready", 0.0), event("ready", 0.1, shard=1, session="b")]
    assert two_sessions(events) == 0


def test_resumed_session_is_the_same_session() -> None:
    events = [event("ready", 0.0), event("disconnect", 1.0), event("resume", 2.0)]
    assert two_sessions(events) == 0


def test_interactions_do_not_count_for_the_limit() -> None:
    """Discord: they are outside the limit of 50 requests a second."""
    requests = [
        {"at": 1.0, "route": "/channels/{channel_id}/messages"},
        {"at": 1.1, "route": "/interactions/{interaction_id}/{interaction_token}/callback"},
        {"at": 1.2, "route": "/webhooks/{webhook_id}/{webhook_token}"},
    ]
    assert traffic(requests, [], keys=1).most_in_a_second == 1
