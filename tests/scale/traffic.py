"""What the records of the stand-in Discord say about all processes of a bot together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Final, NamedTuple

from bench.crowd import most_in_a_second

Json = dict[str, Any]
FOR_EVER: Final = float("inf")
GATEWAY: Final = ("gateway_identify", "gateway_ready", "gateway_resume", "gateway_disconnect")
# Discord: interactions are outside the limit of the whole bot.
OUTSIDE_LIMIT: Final = ("/interactions/", "/webhooks/")


class Life(NamedTuple):
    """The time in which a session was connected."""

    shard: int
    session: str
    began: float
    ended: float = FOR_EVER


@dataclass(frozen=True, slots=True)
class Traffic:
    """The extremes of all processes together; *shortest_gap* is of IDENTIFYs with one key."""

    most_in_a_second: int
    shortest_gap: float
    two_sessions: int

    def __str__(self) -> str:
        gap = "once a key" if self.shortest_gap == FOR_EVER else f"{self.shortest_gap:.1f} s apart"
        return (
            f"at most {self.most_in_a_second} requests in a second, IDENTIFYs {gap}, "
            f"shards with two sessions at a time: {self.two_sessions}"
        )


def traffic(requests: Iterable[Json], events: Sequence[Json], *, keys: int) -> Traffic:
    """Judge the records; *keys* is Discord's max_concurrency."""
    times = [one["at"] for one in requests if not one["route"].startswith(OUTSIDE_LIMIT)]
    return Traffic(most_in_a_second(times), shortest_gap(events, keys), two_sessions(events))


def shortest_gap(events: Iterable[Json], keys: int) -> float:
    """Return the shortest time between two IDENTIFYs with the same rate limit key."""
    times: dict[int, list[float]] = {}
    for event in events:
        if event["type"] == "gateway_identify":
            times.setdefault(event["data"]["shard"][0] % keys, []).append(event["at"])
    gaps = (later - one for found in times.values() for one, later in pairwise(found))
    return min(gaps, default=FOR_EVER)


def lives(events: Iterable[Json]) -> list[Life]:
    """Return when each session was connected; a session that resumes lives again."""
    found: dict[str, Life] = {}
    over: list[Life] = []
    for event in events:
        session = event["data"].get("session")
        if event["type"] in {"gateway_ready", "gateway_resume"}:
            found[session] = Life(event["data"]["shard"][0], session, event["at"])
        elif event["type"] == "gateway_disconnect" and session in found:
            over.append(found.pop(session)._replace(ended=event["at"]))
    return [*over, *found.values()]


def two_sessions(events: Iterable[Json]) -> int:
    """Return how often two sessions of a shard were connected at the same time."""
    return sum(
        one.shard == other.shard
        and one.session != other.session
        and one.began < other.ended
        and other.began < one.ended
        for one, other in combinations(lives(events), 2)
    )
