"""The number of shards, and what each shard takes over when that number changes."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from bot.recovery.guilds import UNSEARCHED_FACT
from bot.recovery.watermark import FIRST_MESSAGE_FACT, WATERMARK_FACT
from bot.shards import TOTAL_FACT, Shard, shards_of
from bot.storage.exchanges import History
from bot.storage.facts import Facts

log = logging.getLogger(__name__)

RECOMMENDED_FACT: Final = "recommended shards"
FAILURES_FACT: Final = "connection failures"
OF_EACH_SHARD: Final = (WATERMARK_FACT, FIRST_MESSAGE_FACT, UNSEARCHED_FACT, FAILURES_FACT)


class Resharding(NamedTuple):
    """The names of facts that no shard uses any more, and the *values* for the new shards."""

    removed: frozenset[str]
    values: Mapping[str, str]


async def recommended(facts: Facts, ask: Callable[[], Awaitable[int]]) -> int:
    """Return the number of shards that Discord recommended before, or *ask* and keep it.

    Raises HistoryFailed, or what *ask* raises.
    """
    stored = _number(await facts.get(RECOMMENDED_FACT))
    if stored:
        return stored
    total = await ask()
    await facts.set(RECOMMENDED_FACT, str(total))
    log.info("Use %d shards: Discord recommends this number", total)
    return total


async def forget_recommended(facts: Facts) -> None:
    """Let the next start ask for the recommended number again; raises HistoryFailed."""
    await facts.replace([RECOMMENDED_FACT], {})


async def adopt_total(history: History, total: int) -> None:
    """Let *total* shards begin where those of the last run ended; raises HistoryFailed.

    No shard runs meanwhile.
    """
    facts = await history.facts.all()
    change = resharding(facts, total)
    if change is None:
        return
    await history.forget_unexpected_shards()
    await history.facts.replace(change.removed, change.values)
    if change.removed:  # A new database has nothing to take over.
        log.info("Change the number of shards from %d to %d", last_total(facts), total)


def last_total(facts: Mapping[str, str]) -> int:
    """Return how many shards there were in the last run."""
    return _number(facts.get(TOTAL_FACT)) or 1


def resharding(facts: Mapping[str, str], total: int) -> Resharding | None:
    """Return how the facts change if there are *total* shards from now on; None if not at all.

    A new shard has guilds of several old ones, so each begins at the oldest of their watermarks. If
    an old shard has none, it has processed nothing, and the new shards get none either.
    """
    old, new = shards_of(last_total(facts)), shards_of(total)
    if len(old) == len(new):
        return None
    watermark = min(_number(facts.get(shard.fact(WATERMARK_FACT))) for shard in old)
    first_ids = [_number(facts[name]) for name in _names(old, FIRST_MESSAGE_FACT) if name in facts]
    unsearched = _unsearched(facts, old)
    values = {TOTAL_FACT: str(total)}
    for shard in new:
        owned = {guild_id: id_ for guild_id, id_ in unsearched.items() if shard.owns(guild_id)}
        if watermark:
            values[shard.fact(WATERMARK_FACT)] = str(watermark)
        if first_ids:
            values[shard.fact(FIRST_MESSAGE_FACT)] = str(min(first_ids))
        if owned:
            values[shard.fact(UNSEARCHED_FACT)] = json.dumps(owned)
    used = {name for kind in OF_EACH_SHARD for name in _names(old, kind)}
    return Resharding(frozenset(used & facts.keys() - values.keys()), values)


def _names(shards: tuple[Shard, ...], kind: str) -> list[str]:
    return [shard.fact(kind) for shard in shards]


def _unsearched(facts: Mapping[str, str], shards: tuple[Shard, ...]) -> dict[int, int]:
    """Return the guilds that were unavailable at the last search, with their last ids."""
    found = dict[int, int]()
    for name in _names(shards, UNSEARCHED_FACT):
        try:
            stored = json.loads(facts.get(name, "{}"))
            found |= {int(guild_id): int(id_) for guild_id, id_ in stored.items()}
        except (ValueError, TypeError, AttributeError):  # Somebody wrote it by hand.
            log.warning("Ignore the fact %s: it is malformed", name)
    return found


def _number(value: str | None) -> int:
    return int(value) if value is not None and value.isdecimal() else 0
