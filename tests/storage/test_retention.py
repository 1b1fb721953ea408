"""When text is erased, on a manual clock."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from bot.conversation.snowflakes import HOUR_SECONDS, snowflake_at
from bot.storage.copies import Copies
from bot.storage.database import Database
from bot.storage.erasure import REWRITE_BYTES, Erasure
from bot.storage.exchanges import History
from bot.storage.places import RecordedPlaces
from bot.storage.retention import ERASE_DELAY_SECONDS, Retention
from bot.storage.spending import SpendingStore
from bot.storage.usage import DAY_SECONDS, UsageRow, UsageStore, UsageTotal
from tests.doubles import an_exchange, keep, run_virtually

NOW = 20_000 * DAY_SECONDS + HOUR_SECONDS
OLD, NEW = snowflake_at(NOW - 2 * DAY_SECONDS), snowflake_at(NOW - HOUR_SECONDS)
NO_DATABASE = cast("Database", None)


class BlockedErasure(Erasure):
    """An Erasure that fails *failures* times, and records when it was tried."""

    def __init__(self, failures: int) -> None:
        super().__init__(NO_DATABASE, RecordedPlaces())
        self.failures = failures
        self.tried_at: list[float] = []

    async def try_erase(self, _max_bytes: int = REWRITE_BYTES) -> str | None:
        self.tried_at.append(asyncio.get_running_loop().time())
        if len(self.tried_at) <= self.failures:
            return "disk full"
        self.pending.clear()
        return None


def retention(history: History, *, days: int, keep_seconds: float = DAY_SECONDS) -> Retention:
    return Retention(
        history.erasure,
        history.usage,
        Copies(Path("none", "bot.db")),
        history.spending,
        keep_seconds=keep_seconds,
        retention_days=days,
        now=lambda: NOW,
    )


async def remembered(history: History) -> list[int]:
    return [one for one in (OLD, NEW) if await history.find(one) is not None]


@pytest.mark.parametrize(("days", "ids"), [(0, [OLD, NEW]), (1, [NEW]), (3, [OLD, NEW])])
async def test_exchanges_are_erased_after_the_retention_period(
    history: History, days: int, ids: list[int]
) -> None:
    """0 days mean for ever."""
    await keep(history, an_exchange(OLD, reply="old"), an_exchange(NEW, reply="new"))
    await retention(history, days=days).prune()
    assert await remembered(history) == ids


async def test_usage_is_deleted_after_the_retention_period(history: History) -> None:
    for day in (19_998, 19_999, 20_000):
        await history.usage.add(UsageRow(day, 7, 1, 99, "m", UsageTotal(1, 1, 1)))
    await retention(history, days=1).prune()
    assert [row.day for row in await history.usage.rows_of(99, 9)] == [19_999, 20_000]


async def test_an_erased_id_stays_while_it_may_arrive_again(
    history: History,
) -> None:
    await keep(history, an_exchange(OLD, reply="old"), an_exchange(NEW, reply="new"))
    for message_id in (OLD, NEW):
        await history.erasure.forget(message_id)
        await history.mark_reply_deleted(message_id)
    await retention(history, days=0).prune()
    assert [await history.was_received(one) for one in (OLD, NEW)] == [False, True]


def test_a_failed_erasure_backs_off_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> list[float]:
        erasure = BlockedErasure(failures=6)
        usage, spending = UsageStore(NO_DATABASE), SpendingStore(NO_DATABASE)
        copies = Copies(Path("none", "bot.db"))
        kept = Retention(erasure, usage, copies, spending, keep_seconds=0.0, retention_days=0)
        erasing = asyncio.create_task(kept.erase_forever())
        await asyncio.sleep(100.0)
        assert erasure.tried_at == [], "nothing was forgotten"
        erasure.mark_pending()
        await asyncio.sleep(100.0)
        erasing.cancel()
        return [at - 100.0 for at in erasure.tried_at]

    caplog.set_level("INFO", "bot")
    tried_at = run_virtually(scene())
    pauses = [later - earlier for earlier, later in pairwise(tried_at)]
    assert tried_at[0] == pytest.approx(ERASE_DELAY_SECONDS)
    waits = [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pauses == pytest.approx([wait + ERASE_DELAY_SECONDS for wait in waits])
    assert caplog.messages == ["Cannot erase forgotten text yet: disk full"]
