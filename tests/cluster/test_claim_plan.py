"""Which shards a process takes, from the locks of all."""

import pytest

from bot.cluster.claim_plan import ClaimPlan, claim_plan
from bot.storage.leases import Lock


def locks(total: int, *shards: int) -> set[Lock]:
    return {Lock(total, shard) for shard in shards}


@pytest.mark.parametrize(
    ("taken", "held", "most", "free"),
    [
        (set(), (), 0, (0, 1, 2, 3)),
        (set(), (), 2, (0, 1)),
        (locks(4, 0, 2), (), 0, (1, 3)),
        (locks(4, 0, 2), (), 1, (1,)),
        (locks(4, 0, 1), (0, 1), 0, (2, 3)),
        (locks(4, 0, 1), (0, 1), 2, ()),
        (locks(4, 0, 1), (0, 1), 3, (2,)),
        (locks(4, 0, 1, 2, 3), (), 0, ()),
    ],
)
def test_process_takes_what_is_free_up_to_its_limit(
    taken: set[Lock], held: tuple[int, ...], most: int, free: tuple[int, ...]
) -> None:
    assert claim_plan(taken, held, total=4, most=most) == ClaimPlan(free=free)


def test_nothing_is_taken_while_another_number_of_shards_runs() -> None:
    assert claim_plan(locks(2, 1), (), total=4, most=0) == ClaimPlan(other_totals=(2,))


def test_every_shard_is_taken_by_exactly_one_of_several_processes() -> None:
    """Each takes what is left, whatever the limits are."""
    taken: set[Lock] = set()
    for most in (3, 1, 0):
        mine = claim_plan(taken, (), total=7, most=most).free
        assert not taken & locks(7, *mine)
        taken |= locks(7, *mine)
    assert taken == locks(7, *range(7))
