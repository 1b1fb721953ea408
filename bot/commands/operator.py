"""The command /operator: operators see the state of the bot, block people and set budgets."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

import discord
from discord import app_commands

from bot.access import AccessLists
from bot.commands.base import Refused, option, strings_for
from bot.commands.operator_budgets import (
    HIGHEST,
    AskedBudget,
    asked_budget,
    budget_lines,
    choices,
)
from bot.commands.operators import Operators
from bot.commands.status import StatusReport
from bot.commands.surface import Surface
from bot.live import Live
from bot.llm.budget_rules import BudgetRules
from bot.log_events import as_event
from bot.storage.facts import Facts
from bot.storage.orders import Orders, store_orders

log = logging.getLogger(__name__)

DIGITS: Final = 20  # Discord: ids have 64 bits

Target = discord.User | discord.Member | int  # an int is the id of a server
Change = Callable[[Orders], Orders]


class Rules(Protocol):
    """What holds: the settings, and the orders that win over them."""

    orders: Orders

    @property
    def access_without_orders(self) -> AccessLists:
        """The access lists of the settings."""

    def accepts(self, orders: Orders) -> bool:
        """Whether the settings are complete for *orders*."""

    def obey(self, orders: Orders) -> None:
        """Replace the orders, and all rules that follow from them."""


class Desk:
    """Takes the orders of operators; each is stored before it holds."""

    def __init__(self, operators: Operators, facts: Facts, rules: Rules) -> None:
        self._operators = operators
        self._facts = facts
        self._rules = rules
        self._ordering = asyncio.Lock()

    async def admit(self, interaction: discord.Interaction) -> None:
        """Defer the answer, which nobody else sees; raises Refused unless an operator asks."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if not await self._operators.include(interaction.user.id):
            raise Refused(lambda t: t.operator_only)

    async def block(self, target: Target, by: int) -> None:
        """Block a person or a server; raises Refused for an operator, and HistoryFailed."""
        if isinstance(target, int):
            await self._order(by, f"block server {target}", _guild(target, blocked=True))
            return
        if await self._operators.include(target.id):
            raise Refused(lambda t: t.operator_cannot_block)
        await self._order(by, f"block person {target.id}", _person(target.id, blocked=True))

    async def unblock(self, target: Target, by: int) -> None:
        """Take back a block of a person or a server, also of the settings; raises HistoryFailed."""
        lists = self._rules.access_without_orders
        if isinstance(target, int):
            blocked = False if target in lists.blocked_guilds else None
            await self._order(by, f"unblock server {target}", _guild(target, blocked=blocked))
        else:
            blocked = False if target.id in lists.blocked_users else None
            await self._order(
                by, f"unblock person {target.id}", _person(target.id, blocked=blocked)
            )

    async def set_budget(self, asked: AskedBudget, by: int) -> None:
        """Set a budget; raises Refused if the settings lack prices for it, and HistoryFailed."""

        def changed(orders: Orders) -> Orders:
            return orders.with_budget(asked.scope, asked.period, asked.order)

        await self._order(by, f"set {asked}", changed)

    @property
    def orders(self) -> Orders:
        """The orders in force."""
        return self._rules.orders

    async def _order(self, by: int, what: str, changed: Change) -> None:
        async with self._ordering:
            orders = changed(self._rules.orders)
            if not self._rules.accepts(orders):
                raise Refused(lambda t: t.operator_needs_prices)
            await store_orders(self._facts, orders)
            self._rules.obey(orders)
        log.info("Obey operator %d: %s", by, what, extra=as_event("order_given", person=by))


def add_operator(
    surface: Surface, desk: Desk, report: StatusReport, rules: Live[BudgetRules]
) -> None:
    """Add the command with its subcommands."""
    subcommand = surface.for_operators(lambda t: t.operator_name, lambda t: t.operator_description)

    @subcommand(lambda t: t.status_subcommand, lambda t: t.status_description)
    async def status(interaction: discord.Interaction) -> None:
        await desk.admit(interaction)
        lines = await report.lines(strings_for(interaction))
        await interaction.edit_original_response(content="\n".join(f"* {one}" for one in lines))

    @subcommand(lambda t: t.block_subcommand, lambda t: t.block_description)
    @option("person", lambda t: t.person_option_name, lambda t: t.person_option)
    @option("server", lambda t: t.server_option_name, lambda t: t.server_option)
    async def block(
        interaction: discord.Interaction,
        person: discord.User | None = None,
        server: str | None = None,
    ) -> None:
        await desk.admit(interaction)
        target = _target(person, server)
        await desk.block(target, interaction.user.id)
        strings = strings_for(interaction)
        sentence = (
            strings.operator_blocked_server.format(server=target)
            if isinstance(target, int)
            else strings.operator_blocked.format(person=target.mention)
        )
        await interaction.edit_original_response(content=sentence)

    @subcommand(lambda t: t.unblock_subcommand, lambda t: t.unblock_description)
    @option("person", lambda t: t.person_option_name, lambda t: t.person_option)
    @option("server", lambda t: t.server_option_name, lambda t: t.server_option)
    async def unblock(
        interaction: discord.Interaction,
        person: discord.User | None = None,
        server: str | None = None,
    ) -> None:
        await desk.admit(interaction)
        target = _target(person, server)
        await desk.unblock(target, interaction.user.id)
        strings = strings_for(interaction)
        sentence = (
            strings.operator_unblocked_server.format(server=target)
            if isinstance(target, int)
            else strings.operator_unblocked.format(person=target.mention)
        )
        await interaction.edit_original_response(content=sentence)

    @subcommand(lambda t: t.budget_subcommand, lambda t: t.budget_description)
    @option("scope", lambda t: t.budget_scope_option_name, lambda t: t.budget_scope_option)
    @option("period", lambda t: t.budget_period_option_name, lambda t: t.budget_period_option)
    @option("amount", lambda t: t.budget_amount_option_name, lambda t: t.budget_amount_option)
    @option("reset", lambda t: t.budget_reset_option_name, lambda t: t.budget_reset_option)
    @app_commands.choices(**choices())
    async def budget(
        interaction: discord.Interaction,
        scope: str | None = None,
        period: str | None = None,
        amount: app_commands.Range[float, 0, HIGHEST] | None = None,
        reset: str | None = None,
    ) -> None:
        await desk.admit(interaction)
        asked = asked_budget(scope, period, amount, reset, rules.value.unit)
        if asked is not None:
            await desk.set_budget(asked, interaction.user.id)
        text = "\n".join(budget_lines(rules.value, desk.orders, strings_for(interaction)))
        await interaction.edit_original_response(content=text)


def _target(person: discord.User | discord.Member | None, server: str | None) -> Target:
    """Return the person, or the id of the server; raises Refused if it is not exactly one."""
    if person is not None and server is None:
        return person
    if server is None or person is not None:
        raise Refused(lambda t: t.operator_whom)
    server = server.strip()
    if not (server.isascii() and server.isdigit() and len(server) <= DIGITS):
        raise Refused(lambda t: t.operator_no_id)
    return int(server)


def _person(person_id: int, *, blocked: bool | None) -> Change:
    return lambda orders: orders.with_person(person_id, blocked=blocked)


def _guild(guild_id: int, *, blocked: bool | None) -> Change:
    return lambda orders: orders.with_guild(guild_id, blocked=blocked)
