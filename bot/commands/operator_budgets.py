"""The budgets of /operator: what an operator asks for, and what the answer says."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from bot.commands.base import Refused
from bot.commands.operator import AS_SET, PERIODS, RESETS, SCOPES
from bot.i18n.sentences import Sentences
from bot.llm.budget_rules import MONEY, NANOS, BudgetRules, Period, Scope
from bot.storage.orders import BudgetOrder, Orders


class AskedBudget(NamedTuple):
    """A budget that an operator sets; an *order* of None leaves it to the settings."""

    scope: Scope
    period: Period
    order: BudgetOrder | None

    def __str__(self) -> str:
        """Return the words of the log."""
        if self.order is None:
            amount = "as in the settings"
        elif self.order.amount is None:
            amount = "without limit"
        elif self.order.unit == MONEY:
            amount = f"to {Decimal(self.order.amount) / NANOS:f} of the currency"
        else:
            amount = f"to {self.order.amount} tokens"
        return f"budget of {self.scope} and {self.period} {amount}"


def asked_budget(
    scope: str | None, period: str | None, amount: float | None, reset: str | None, unit: str
) -> AskedBudget | None:
    """Return the budget that the options ask for, None if they ask to see all; raises Refused."""
    if scope is None and period is None and amount is None and reset is None:
        return None
    is_offered = scope in {*Scope} and period in {*Period} and reset in {None, *RESETS}
    is_clear = is_offered and (amount is None) != (reset is None)
    if scope is None or period is None or not is_clear:
        raise Refused(lambda t: t.operator_budget_options)
    if reset == AS_SET:
        order = None
    else:
        order = BudgetOrder(unit, None if amount is None else _in_unit(amount, unit))
    return AskedBudget(Scope(scope), Period(period), order)


def _in_unit(amount: float, unit: str) -> int:
    """Return an amount as the rules count it; raises Refused."""
    # The text of a number is what was typed: 0.1 is one tenth, not the float next to it.
    exact = Decimal(str(amount)) * (NANOS if unit == MONEY else 1)
    if exact != int(exact):
        raise Refused(lambda t: t.operator_budget_too_fine)
    return int(exact)


def budget_lines(rules: BudgetRules, orders: Orders, strings: Sentences) -> Iterator[str]:
    """Yield a line for each budget in force."""
    if not rules:
        yield strings.operator_no_budgets
    for (scope, period), amount in rules.limits.items():
        order = orders.budgets.get((scope, period))
        by_order = order is not None and order.unit == rules.unit
        line = strings.operator_budget_ordered if by_order else strings.operator_budget
        yield line.format(
            who=SCOPES[scope](strings),
            period=PERIODS[period](strings),
            limit=rules.shown(amount, strings.usage_tokens),
        )
