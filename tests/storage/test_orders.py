"""The orders of operators: what is stored is what was given."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.storage.orders import (
    FACT,
    NO_ORDERS,
    BudgetOrder,
    Orders,
    orders_in,
    read_orders,
    store_orders,
)
from tests.doubles import open_history

IDS = st.dictionaries(st.integers(0, 2**63), st.booleans(), max_size=4)
BUDGETS = st.dictionaries(
    st.tuples(st.sampled_from(["person", "bot"]), st.sampled_from(["day", "month"])),
    st.builds(BudgetOrder, st.sampled_from(["money", "tokens"]), st.none() | st.integers(0)),
)


@given(st.builds(Orders, IDS, IDS, BUDGETS))
def test_orders_are_read_as_they_were_written(orders: Orders) -> None:
    assert Orders.from_json(orders.as_json()) == orders


def test_the_last_order_about_somebody_counts() -> None:
    orders = Orders().with_person(1, blocked=True).with_guild(2, blocked=False)
    assert orders.with_person(1, blocked=False).persons == {1: False}
    assert orders.with_person(1, blocked=None).persons == {}
    assert orders.with_guild(2, blocked=None) == Orders().with_person(1, blocked=True)
    limited = orders.with_budget("bot", "day", BudgetOrder("tokens", 5))
    assert limited.with_budget("bot", "day", None) == orders


async def test_orders_are_read_from_beside_the_bot(path: Path) -> None:
    """The doctor reads them while the bot has the database open."""
    async with open_history(path) as history:
        assert await read_orders(history.facts) == NO_ORDERS
        orders = Orders().with_person(1, blocked=True)
        await store_orders(history.facts, orders)
        assert await read_orders(history.facts) == orders
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
            assert orders_in(reader) == orders


@pytest.mark.parametrize("written", ["", "{}", "[]", '{"persons": 1, "guilds": [], "budgets": []}'])
async def test_edited_orders_count_as_none(path: Path, written: str) -> None:
    async with open_history(path) as history:
        await history.facts.set(FACT, written)
        assert await read_orders(history.facts) == NO_ORDERS
