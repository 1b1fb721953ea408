"""Time what a budget adds to each question, in microseconds: `python -m bench.budgets`.

`scripts/bench features` compares whole answers with budgets and without.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Final

from bot.assistant.budgets import Budgets
from bot.live import Live
from bot.llm.budget_rules import NO_BUDGETS, BudgetRules, Period, Scope
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.sqlite import SqliteDatabase
from bot.storage.usage import UsageRow, UsageTotal, today

TIMES: Final = 500
BURSTS: Final = 9
PERSON_ID, GUILD_ID = 99, 7
PLENTY: Final = 10**12
ALL: Final = BudgetRules(
    {(scope, period): PLENTY for scope in Scope for period in Period}, "tokens"
)
USAGE: Final = UsageRow(today(), GUILD_ID, 1, PERSON_ID, "m", UsageTotal(1000, 200, 1))


async def main() -> None:
    """Print the best burst of each step."""
    with tempfile.TemporaryDirectory() as folder, DatabaseFile.hold(Path(folder, "bot.db")) as file:
        async with SqliteDatabase.open(file) as database, History.over(database) as history:
            on = Budgets(history.spending, Live(ALL))
            off = Budgets(history.spending, Live(NO_BUDGETS))

            async def reserve() -> None:
                reserved = await on.reservations.reserve(
                    PERSON_ID, GUILD_ID, model="m", prompt=1000, reply=2000
                )
                assert reserved is not None
                on.reservations.settle(reserved, 1000, 200)

            async def store(*, charged: bool) -> None:
                reserved = await on.reservations.reserve(
                    PERSON_ID, GUILD_ID, model="m", prompt=1000, reply=2000
                )
                assert reserved is not None
                on.reservations.settle(reserved, 1000, 200)
                spent = reserved.take_unsaved()
                await history.usage.add(USAGE, spent if charged else ())

            steps: dict[str, Callable[[], Awaitable[object]]] = {
                "admit, budgets off": lambda: off.refusal(PERSON_ID, GUILD_ID),
                "admit, six budgets": lambda: on.refusal(PERSON_ID, GUILD_ID),
                "reserve and settle, six budgets": reserve,
                "the same, and store the usage alone": lambda: store(charged=False),
                "the same, and store both": lambda: store(charged=True),
            }
            for name, step in steps.items():
                print(f"{name}: {await _best(step):.1f} µs")


async def _best(step: Callable[[], Awaitable[object]]) -> float:
    bursts = []
    for _ in range(BURSTS):
        found = []
        for _ in range(TIMES):
            begun = time.perf_counter_ns()
            await step()
            found.append((time.perf_counter_ns() - begun) / 1000)
        bursts.append(median(found))
    return min(bursts)


if __name__ == "__main__":
    asyncio.run(main())
