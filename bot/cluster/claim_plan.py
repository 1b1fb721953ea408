"""Decide which shards a process takes, from the locks that all processes hold."""

from collections.abc import Collection
from typing import NamedTuple

from bot.storage.leases import Lock


class ClaimPlan(NamedTuple):
    """The decision: take the *free* shards in this order, or wait for processes of other totals."""

    free: tuple[int, ...] = ()
    other_totals: tuple[int, ...] = ()


def claim_plan(
    locks: Collection[Lock], held: Collection[int], *, total: int, most: int
) -> ClaimPlan:
    """Return which shards a process takes that holds *held* of *total*.

    It runs *most* of them, or any number if that is 0.

    Two numbers of shards never run side by side: Discord would send each event twice.
    """
    other_totals = sorted({lock.total for lock in locks} - {total})
    if other_totals:
        return ClaimPlan(other_totals=tuple(other_totals))
    taken = {lock.shard for lock in locks} | set(held)
    free = [shard for shard in range(total) if shard not in taken]
    room = max(0, most - len(held)) if most else total
    return ClaimPlan(free=tuple(free[:room]))
