"""What each shard takes over when the number of shards changes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bot.recovery.resharding import adopt_total, last_total, recommended, resharding
from bot.shards import Shard, shards_of
from bot.storage.exchanges import History

TOTALS = st.integers(1, 20)


def test_a_bot_that_always_had_one_shard_changes_nothing() -> None:
    assert resharding({"heard": "5", "first heard": "1", "identifies": "9 9"}, 1) is None


def test_each_new_shard_begins_at_the_oldest_watermark() -> None:
    facts = {"shards": "2", "heard 0/2": "70", "heard 1/2": "50"}
    change = resharding(facts, 3)
    assert change is not None
    assert change.values == {"shards": "3", "heard 0/3": "50", "heard 1/3": "50", "heard 2/3": "50"}
    assert change.removed == {"heard 0/2", "heard 1/2"}


def test_a_shard_that_processed_nothing_leaves_no_watermark() -> None:
    """Its guilds may have messages from before that of the others."""
    change = resharding({"shards": "2", "heard 0/2": "70"}, 1)
    assert change is not None
    assert "heard" not in change.values


def test_the_facts_of_a_single_shard_are_kept_under_their_names() -> None:
    change = resharding({"shards": "2", "heard 0/2": "70", "heard 1/2": "60"}, 1)
    assert change is not None
    assert change.values == {"shards": "1", "heard": "60"}


def test_the_first_message_ever_is_the_oldest_of_all() -> None:
    facts = {"shards": "3", "first heard 0/3": "8", "first heard 2/3": "6"}
    change = resharding(facts, 1)
    assert change is not None
    assert change.values["first heard"] == "6"


@given(TOTALS, TOTALS, st.dictionaries(st.integers(1, 2**62), st.integers(1, 2**62)))
def test_each_unsearched_guild_is_left_to_its_new_shard(
    before: int, total: int, guilds: dict[int, int]
) -> None:
    facts = {"shards": str(before)}
    for shard in shards_of(before):
        own = {guild: id_ for guild, id_ in guilds.items() if shard.owns(guild)}
        facts[shard.fact("unseen")] = json.dumps(own)
    change = resharding(facts, total)
    values = facts if change is None else change.values
    for shard in shards_of(total):
        found = json.loads(values.get(shard.fact("unseen"), "{}"))
        assert found == {str(one): id_ for one, id_ in guilds.items() if shard.owns(one)}


def test_a_fact_that_somebody_wrote_by_hand_is_ignored() -> None:
    change = resharding({"unseen": "[", "heard": "x", "shards": "one"}, 2)
    assert change is not None
    assert change.values == {"shards": "2"}


@given(TOTALS, st.integers(0, 2**63 - 1))
def test_each_guild_belongs_to_one_shard(total: int, guild_id: int) -> None:
    """Discord: (guild_id >> 22) % num_shards."""
    assert [one.id for one in shards_of(total) if one.owns(guild_id)] == [(guild_id >> 22) % total]
    assert [one.id for one in shards_of(total) if one.owns(None)] == [0]


async def test_the_database_follows_each_change(history: History) -> None:
    await history.facts.set("heard", "70")
    for total in (4, 3, 1):
        await adopt_total(history, total)
        facts = await history.facts.all()
        assert last_total(facts) == total
        kept = {name: value for name, value in facts.items() if name.startswith("heard")}
        assert kept == {Shard(one, total).fact("heard"): "70" for one in range(total)}


async def test_the_recommended_number_is_asked_for_once(history: History) -> None:
    asked = iter([4])

    async def ask() -> int:
        return next(asked)

    assert await recommended(history.facts, ask) == 4
    assert await recommended(history.facts, ask) == 4
