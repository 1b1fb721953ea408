"""What operators set by /operator: who is blocked, and budgets."""

import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from bot.storage.facts import Facts

log = logging.getLogger(__name__)

FACT: Final = "orders"


class BudgetOrder(NamedTuple):
    """A limit in a *unit*, such as tokens; an *amount* of None lifts the limit of the settings."""

    unit: str
    amount: int | None


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders override the settings until another order reverts them.

    *persons* and *guilds* are blocked (True), or unblocked (False) although the settings block
    them. *budgets* are by scope and period.
    """

    persons: Mapping[int, bool] = field(default_factory=dict)
    guilds: Mapping[int, bool] = field(default_factory=dict)
    budgets: Mapping[tuple[str, str], BudgetOrder] = field(default_factory=dict)

    def with_person(self, person_id: int, *, blocked: bool | None) -> "Orders":
        """Return the orders with a person blocked or not; None leaves it to the settings."""
        return replace(self, persons=_changed(self.persons, person_id, blocked))

    def with_guild(self, guild_id: int, *, blocked: bool | None) -> "Orders":
        """Return the orders with a guild blocked or not; None leaves it to the settings."""
        return replace(self, guilds=_changed(self.guilds, guild_id, blocked))

    def with_budget(self, scope: str, period: str, order: BudgetOrder | None) -> "Orders":
        """Return the orders with another budget; None leaves it to the settings."""
        return replace(self, budgets=_changed(self.budgets, (scope, period), order))

    def as_json(self) -> str:
        """Return the text that `from_json` reads."""
        budgets = [[*key, *order] for key, order in self.budgets.items()]
        persons, guilds = [*self.persons.items()], [*self.guilds.items()]
        return json.dumps({"persons": persons, "guilds": guilds, "budgets": budgets})

    @classmethod
    def from_json(cls, text: str) -> "Orders":
        """Return the orders in *text*; raises ValueError, TypeError or KeyError."""
        stored = json.loads(text)
        return cls(
            {int(one): bool(blocked) for one, blocked in stored["persons"]},
            {int(one): bool(blocked) for one, blocked in stored["guilds"]},
            {
                (str(scope), str(period)): BudgetOrder(str(unit), amount)
                for scope, period, unit, amount in stored["budgets"]
            },
        )


NO_ORDERS: Final = Orders()


def _changed(held: Mapping[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    """Return *held* with another value for *key*, or without the key if the value is None."""
    others = {one: kept for one, kept in held.items() if one != key}
    return others if value is None else {**others, key: value}


async def read_orders(facts: Facts) -> Orders:
    """Return the orders in force; raises HistoryFailed."""
    return orders_from(await facts.get(FACT))


async def store_orders(facts: Facts, orders: Orders) -> None:
    """Store the orders, which then survive a restart; raises HistoryFailed."""
    await facts.set(FACT, orders.as_json())


def orders_in(connection: sqlite3.Connection) -> Orders:
    """Return the orders in a database that the bot may have open; raises sqlite3.Error."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (FACT,)).fetchone()
    return orders_from(row[0] if row else None)


def orders_from(text: str | None) -> Orders:
    """Return the orders in the text of the fact, if there is one."""
    if text is None:
        return NO_ORDERS
    try:
        return Orders.from_json(text)
    except (ValueError, TypeError, KeyError):  # Somebody edited the database.
        log.warning("Cannot read what operators set, use the settings alone")
        return NO_ORDERS
