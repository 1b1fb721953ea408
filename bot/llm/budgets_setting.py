"""Read BUDGETS. Imported if it is set, to save memory in a bot without budgets."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from bot.llm.budget_rules import MONEY, NANOS, TOKENS, BudgetRules, Period, Scope
from bot.llm.numbered_json import read_object

UNIT, EXEMPT = "unit", "exempt"  # the keys that are no scope
HIGHEST_LIMIT: Final = 1_000_000_000  # of the currency, or tokens in thousands


def read_budgets(text: str) -> BudgetRules:
    """Return the budgets in a JSON object, without prices; raises ValueError."""
    data = read_object(text)
    unit, exempt = data.pop(UNIT, MONEY), data.pop(EXEMPT, [])
    if unit not in (MONEY, TOKENS) or not isinstance(exempt, list):
        raise ValueError("no unit or no ids")
    limits = {
        (Scope(scope), Period(period)): _limit(amount, unit)
        for scope, periods in data.items()
        for period, amount in _items(periods)
    }
    return BudgetRules(limits, unit, frozenset(map(_id, exempt)))


def _items(periods: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(periods, dict):
        raise ValueError("no periods")
    yield from periods.items()


def _limit(amount: Any, unit: str) -> int:
    highest = HIGHEST_LIMIT if unit == MONEY else HIGHEST_LIMIT * 1000
    if not isinstance(amount, Decimal) or not 0 <= amount <= highest:
        raise ValueError("no amount")
    limit = amount * NANOS if unit == MONEY else amount
    if limit != int(limit):
        raise ValueError("finer than the unit counts")
    return int(limit)


def _id(given: Any) -> int:
    """Return an id, which people give as a number or, as Discord does, as a text."""
    text = str(given) if isinstance(given, str | Decimal) else ""
    if not text.isascii() or not text.isdigit():
        raise ValueError("no id")
    return int(text)
