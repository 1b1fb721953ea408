"""Show what operators set by /operator, which overrides the settings."""

from collections.abc import Iterator
from typing import Final

from bot.doctor.findings import Finding, and_more, fail, ok
from bot.errors import SettingsInvalid
from bot.reload import with_orders
from bot.settings import Settings
from bot.storage.orders import NO_ORDERS, Orders

MAX_NAMED: Final = 10


def in_force(settings: Settings, orders: Orders) -> tuple[Settings, list[Finding]]:
    """Return the settings with *orders*, and the findings about these."""
    if orders == NO_ORDERS:
        return settings, []
    text = f"Set by /operator, which overrides the settings: {'; '.join(described(orders))}."
    shown = ok("orders", text)
    try:
        return with_orders(settings, orders), [shown]
    except SettingsInvalid as problems:
        remedy = "Correct the settings, or take the order back by /operator."
        return settings, [shown, fail("orders_invalid", f"With these orders, {problems}", remedy)]


def described(orders: Orders) -> Iterator[str]:
    """Yield a phrase for each kind of order."""
    for what, ids in (("person", orders.persons), ("server", orders.guilds)):
        for verb, is_blocked in (("blocked", True), ("unblocked", False)):
            named = [str(one) for one, blocked in ids.items() if blocked is is_blocked]
            if named:
                plural = "s" * (len(named) > 1)
                yield f"{what}{plural} {and_more(named, MAX_NAMED)} {verb}"
    for (scope, period), order in orders.budgets.items():
        yield f"the {period}'s budget of {'the bot' if scope == 'bot' else f'a {scope}'} " + (
            "lifted" if order.amount is None else "changed"
        )
