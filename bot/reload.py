"""Reload the settings while the bot runs: all that may change at once, or nothing."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Final

from bot.access import AccessLists
from bot.errors import SettingsInvalid
from bot.live import Live
from bot.llm.budget_rules import Period, Scope
from bot.log_events import as_event
from bot.logs import set_level
from bot.settings import Settings, unread_lines
from bot.storage.orders import NO_ORDERS, Orders

log = logging.getLogger(__name__)

# The settings of `LiveSettings`, which a reload applies. The others need a restart: what is built
# from them is open, or was sent to Discord.
RELOADED: Final = frozenset(
    {
        "admins",
        "allow_dms",
        "allowed_channels",
        "allowed_guilds",
        "allowed_roles",
        "allowed_users",
        "blocked_channels",
        "blocked_guilds",
        "blocked_roles",
        "blocked_users",
        "budgets",
        "context_tokens",
        "log_level",
        "openai_model",
        "openai_models",
        "openai_options",
        "reply_tokens",
        "shutdown_grace",
        "system_prompt",
        "token_prices",
        "user_messages_per_minute",
    }
)
UNREAD_LINE: Final = "line {} of .env sets nothing: write NAME=value, and close each quote."
# What these mean depends on the server: if OPENAI_BASE_URL waits for a restart, so do they.
OF_THE_SERVER: Final = frozenset(
    {"budgets", "openai_model", "openai_models", "openai_options", "token_prices"}
)


class LiveSettings:
    """The settings that a reload replaces, each as a value that is read at each decision.

    The *orders* of operators override the settings.
    """

    def __init__(self, settings: Settings, orders: Orders = NO_ORDERS) -> None:
        self.reloaded_at: float | None = None
        self.orders = orders
        self._settings = settings
        settings = with_orders(settings, orders)
        self.access = Live(settings.access)
        self.budgets = Live(settings.budget_rules)
        self.log_level = Live[str](settings.log_level)
        self.models = Live(settings.models)
        self.options = Live(settings.request_options)
        self.prices = Live(settings.token_prices)
        self.prompts = Live(settings.prompts)
        self.questions_per_minute = Live(settings.user_messages_per_minute)
        self.reply_tokens = Live(settings.reply_tokens)
        self.shutdown_grace = Live(settings.shutdown_grace)

    def request_options(self, model: str) -> Mapping[str, Any]:
        """Return the options that are merged into each request to *model* now."""
        return self.options.value(model)

    def longest_reply(self) -> int:
        """Return how many tokens a reply may have now."""
        return self.reply_tokens.value

    @property
    def access_without_orders(self) -> AccessLists:
        """The access lists of the settings."""
        return self._settings.access

    def take_over(self, settings: Settings) -> None:
        """Replace all values by those of *settings*, in one step.

        Raises SettingsInvalid if the settings are not complete for the orders.
        """
        self._replace(settings, self.orders)

    def accepts(self, orders: Orders) -> bool:
        """Whether the settings are complete for *orders*: budgets in money need prices."""
        try:
            with_orders(self._settings, orders)
        except SettingsInvalid:
            return False
        return True

    def apply_orders(self, orders: Orders) -> None:
        """Replace the orders, and all values that follow from them, in one step.

        Raises SettingsInvalid if the settings are not complete for them.
        """
        self._replace(self._settings, orders)

    def _replace(self, settings: Settings, orders: Orders) -> None:
        fresh = LiveSettings(settings, orders)
        for name, live in vars(self).items():
            if isinstance(live, Live):
                live.value = getattr(fresh, name).value
        self._settings, self.orders = settings, orders
        set_level(self.log_level.value)


def load_whole() -> Settings:
    """Read the settings as at the start, but from a `.env` of which no line is left out.

    Without the line of BLOCKED_USERS, whose quote is open, a reload would unblock everybody. Raises
    SettingsInvalid.
    """
    settings = Settings.load()
    if unread := unread_lines():
        raise SettingsInvalid("\n".join(map(UNREAD_LINE.format, unread)))
    return settings


class Reloader:
    """Reads the settings again, and takes over what changed."""

    def __init__(
        self,
        settings: Settings,
        live: LiveSettings,
        *,
        load: Callable[[], Settings] = load_whole,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._in_force = settings
        self._live = live
        self._load = load
        self._now = now

    def reload(self) -> None:
        """Read the settings again; log the names of what changed, or each problem."""
        try:
            taken, later = self._take_over(self._load())
        except SettingsInvalid as problems:
            for problem in str(problems).splitlines():
                refused = as_event("settings_refused")
                log.warning(
                    "Cannot reload the settings, all stay as they are: %s", problem, extra=refused
                )
            return
        self._live.reloaded_at = self._now()
        if taken:
            reloaded = as_event("settings_reloaded", count=len(taken))
            log.info("Reload the settings: changed %s", _names(taken), extra=reloaded)
        else:
            reloaded = as_event("settings_reloaded", count=0)
            log.info("Reload the settings: none changed", extra=reloaded)
        if later:
            left = as_event("settings_left", count=len(later))
            log.warning(
                "Leave settings as they are until the next start: %s", _names(later), extra=left
            )

    def _take_over(self, wanted: Settings) -> tuple[frozenset[str], frozenset[str]]:
        """Return what changed at once, and what waits for a restart; raises SettingsInvalid."""
        changed = changes(self._in_force, wanted)
        later = changed - RELOADED
        if "openai_base_url" in later:
            later |= changed & OF_THE_SERVER
        taken = changed - later
        update = {name: getattr(wanted, name) for name in taken}
        in_force = self._in_force.model_copy(update=update)
        self._live.take_over(in_force)
        self._in_force = in_force
        return taken, later


def with_orders(settings: Settings, orders: Orders) -> Settings:
    """Return *settings* with the *orders* of operators applied.

    A limit in another unit than that of the settings is ignored. Raises SettingsInvalid if a
    limit in money needs prices that the settings lack.
    """
    if orders == NO_ORDERS:
        return settings
    access = settings.access.overridden(users=orders.persons, guilds=orders.guilds)
    budgets = settings.budgets
    for scope, period in product(Scope, Period):
        order = orders.budgets.get((scope, period))
        if order is not None and order.unit == budgets.unit:
            budgets = budgets.with_limit(scope, period, order.amount)
    return settings.changed(
        blocked_users=access.blocked_users, blocked_guilds=access.blocked_guilds, budgets=budgets
    )


def changes(old: Settings, new: Settings) -> frozenset[str]:
    """Return the names of the fields that differ."""
    before, after = _comparable(old), _comparable(new)
    return frozenset(name for name in before if before[name] != after[name])


def _comparable(settings: Settings) -> dict[str, object]:
    """Return the values by field; options as JSON, because 1 equals True in Python alone."""
    options = json.dumps(settings.openai_options, sort_keys=True)
    return {**dict(settings), "openai_options": options}


def _names(fields: Iterable[str]) -> str:
    return ", ".join(sorted(fields)).upper()
