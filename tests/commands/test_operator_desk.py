"""The orders of operators: what is stored holds, and what does not hold is not stored."""

import asyncio
from collections.abc import Callable
from typing import Any

import discord
import pytest

from bot.commands.base import Refused
from bot.commands.operator_budgets import asked_budget
from bot.commands.operator_desk import OperatorDesk
from bot.errors import HistoryFailed
from bot.llm.budget_rules import MONEY
from bot.reload import LiveSettings
from bot.settings import Settings
from bot.storage.orders import FACT, NO_ORDERS, Orders
from tests.commands.doubles import DoubleInteraction

OPERATOR = 1


def nothing() -> None:
    """Happens while an order is stored."""


class DoubleFacts:
    """Stands in for the facts of a database: *meanwhile* is called while a value is stored."""

    def __init__(self, meanwhile: Callable[[], None] = nothing) -> None:
        self.meanwhile = meanwhile
        self.values = dict[str, str]()

    async def get(self, name: str) -> str | None:
        await asyncio.sleep(0)
        return self.values.get(name)

    async def set(self, name: str, value: str) -> None:
        await asyncio.sleep(0)
        self.meanwhile()
        self.values[name] = value

    @property
    def orders(self) -> Orders:
        return Orders.from_json(self.values[FACT]) if FACT in self.values else NO_ORDERS


class DoubleOperators:
    async def include(self, person_id: int) -> bool:
        return person_id == OPERATOR


def settings(**given: str) -> Settings:
    return Settings.load(discord_token="a-token", openai_api_key="sk-key", **given)


def desk_for(rules: LiveSettings, facts: DoubleFacts) -> OperatorDesk:
    operators: Any = DoubleOperators()
    no_report: Any = None
    stored: Any = facts
    return OperatorDesk(operators, no_report, stored, rules)


def asks() -> Any:
    return DoubleInteraction(user=discord.Object(OPERATOR))


async def test_a_reload_during_an_order_leaves_memory_and_database_agreed() -> None:
    """Otherwise the next start would find a budget that lacks prices, and refuse."""
    rules = LiveSettings(settings(openai_model="a", token_prices='{"a": [1, 2]}'))
    facts = DoubleFacts(lambda: rules.take_over(settings(openai_model="a")))
    with pytest.raises(Refused):
        await desk_for(rules, facts).budget(asks(), "person", "day", 1.0, None)
    assert facts.orders == rules.orders == NO_ORDERS
    assert not rules.budgets.value


async def test_an_order_that_cannot_be_stored_does_not_hold() -> None:
    def fail() -> None:
        raise HistoryFailed("OperationalError: disk I/O error", is_transient=True)

    rules, facts = LiveSettings(settings()), DoubleFacts(fail)
    with pytest.raises(HistoryFailed):
        await desk_for(rules, facts).block(asks(), None, "5")
    assert facts.orders == rules.orders == NO_ORDERS


async def test_orders_of_two_operators_at_once_are_both_kept() -> None:
    rules, facts = LiveSettings(settings()), DoubleFacts()
    desk = desk_for(rules, facts)
    await asyncio.gather(*(desk.block(asks(), None, str(one)) for one in range(1, 9)))
    assert facts.orders == rules.orders
    assert rules.access.value.blocked_guilds == frozenset(range(1, 9))


@pytest.mark.parametrize(
    ("scope", "period", "amount", "reset"),
    [
        ("everybody", "day", 1.0, None),
        ("person", "year", 1.0, None),
        ("person", "day", None, "unlimited"),
        ("person", "day", None, ""),
    ],
)
def test_what_is_no_choice_is_no_budget(
    scope: str, period: str, amount: float | None, reset: str | None
) -> None:
    """An older bot's command may offer others; none of them lifts a limit."""
    with pytest.raises(Refused):
        asked_budget(scope, period, amount, reset, MONEY)
