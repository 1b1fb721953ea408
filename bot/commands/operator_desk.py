"""What operators do by /operator: see the state of the bot, block, unblock and set budgets."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

import discord

from bot.access import AccessLists
from bot.commands.base import NotPermitted, Refused, strings_for
from bot.commands.operator_access import Operators
from bot.commands.operator_budgets import AskedBudget, asked_budget, budget_lines
from bot.commands.status import StatusReport
from bot.i18n.sentences import Explain
from bot.live import Live
from bot.llm.budget_rules import BudgetRules
from bot.log_events import as_event
from bot.storage.facts import Facts
from bot.storage.orders import Orders, read_orders, store_orders

log = logging.getLogger(__name__)

DIGITS: Final = 20  # Discord: ids have 64 bits

Person = discord.User | discord.Member
Target = Person | int  # an int is the id of a server
Change = Callable[[Orders], Orders]


class Rules(Protocol):
    """The rules in force: the settings, and the orders that override them."""

    access: Live[AccessLists]
    budgets: Live[BudgetRules]
    orders: Orders

    @property
    def access_without_orders(self) -> AccessLists:
        """The access lists of the settings."""

    def accepts(self, orders: Orders) -> bool:
        """Whether the settings are complete for *orders*."""

    def apply_orders(self, orders: Orders) -> None:
        """Replace the orders, and all rules that follow from them."""


class OperatorDesk:
    """Takes the orders of operators; each is stored before it takes effect.

    All desks of the process share the lock *ordering*; *tell_others* asks other processes to read
    the orders again. Its methods for subcommands raise HistoryFailed, and Refused, such as for
    others than operators.
    """

    def __init__(
        self,
        operators: Operators,
        report: StatusReport,
        facts: Facts,
        rules: Rules,
        *,
        ordering: asyncio.Lock | None = None,
        tell_others: Callable[[], None] = lambda: None,
    ) -> None:
        self._operators = operators
        self._report = report
        self._facts = facts
        self._rules = rules
        self._ordering = ordering or asyncio.Lock()
        self._tell_others = tell_others

    async def status(self, interaction: discord.Interaction) -> None:
        """Show the state of the bot."""
        await self._admit(interaction)
        lines = await self._report.lines(strings_for(interaction))
        await interaction.edit_original_response(content="\n".join(f"* {one}" for one in lines))

    async def block(
        self, interaction: discord.Interaction, person: Person | None, server: str | None
    ) -> None:
        """Block a person or a server."""
        await self._admit(interaction)
        target = _target(person, server)
        await self._block(target, interaction.user.id)
        await _confirm(
            interaction, target, lambda t: t.operator_blocked, lambda t: t.operator_blocked_server
        )

    async def unblock(
        self, interaction: discord.Interaction, person: Person | None, server: str | None
    ) -> None:
        """Unblock a person or a server."""
        await self._admit(interaction)
        target = _target(person, server)
        await self._unblock(target, interaction.user.id)
        await _confirm(
            interaction,
            target,
            lambda t: t.operator_unblocked,
            lambda t: t.operator_unblocked_server,
        )

    async def budget(
        self,
        interaction: discord.Interaction,
        scope: str | None,
        period: str | None,
        amount: float | None,
        reset: str | None,
    ) -> None:
        """Set a budget if there are options, and show all."""
        await self._admit(interaction)
        asked = asked_budget(scope, period, amount, reset, self._rules.budgets.value.unit)
        if asked is not None:
            await self._set_budget(asked, interaction.user.id)
        rules, strings = self._rules.budgets.value, strings_for(interaction)
        text = "\n".join(budget_lines(rules, self._rules.orders, strings))
        await interaction.edit_original_response(content=text)

    async def _admit(self, interaction: discord.Interaction) -> None:
        """Defer an ephemeral answer; raises Refused if the person is not an operator."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if not await self._operators.include(interaction.user.id):
            raise NotPermitted(lambda t: t.operator_only, "not an operator")

    async def _block(self, target: Target, by: int) -> None:
        """Block a person or a server; raises Refused for an operator, and HistoryFailed."""
        if isinstance(target, int):
            await self._order(by, f"block server {target}", _guild(target, blocked=True))
            return
        if await self._operators.include(target.id):
            raise Refused(lambda t: t.operator_cannot_block)
        await self._order(by, f"block person {target.id}", _person(target.id, blocked=True))

    async def _unblock(self, target: Target, by: int) -> None:
        """Unblock a person or a server, even if the settings block them; raises HistoryFailed."""
        lists = self._rules.access_without_orders
        if isinstance(target, int):
            blocked = False if target in lists.blocked_guilds else None
            await self._order(by, f"unblock server {target}", _guild(target, blocked=blocked))
        else:
            blocked = False if target.id in lists.blocked_users else None
            await self._order(
                by, f"unblock person {target.id}", _person(target.id, blocked=blocked)
            )

    async def _set_budget(self, asked: AskedBudget, by: int) -> None:
        """Set a budget; raises Refused if the settings lack prices for it, and HistoryFailed."""

        def changed(orders: Orders) -> Orders:
            return orders.with_budget(asked.scope, asked.period, asked.order)

        await self._order(by, f"set {asked}", changed)

    async def _order(self, by: int, what: str, changed: Change) -> None:
        async with self._ordering:
            before = await read_orders(self._facts)  # Another process may have changed them.
            orders = changed(before)
            if not self._rules.accepts(orders):
                raise Refused(lambda t: t.operator_needs_prices)
            await store_orders(self._facts, orders)
            if not self._rules.accepts(orders):  # Meanwhile, a reload took the prices away.
                await store_orders(self._facts, before)
                raise Refused(lambda t: t.operator_needs_prices)
            self._rules.apply_orders(orders)
        self._tell_others()
        given = as_event("order_given", person=by)
        log.info("Apply order of operator %d: %s", by, what, extra=given)


async def _confirm(
    interaction: discord.Interaction, target: Target, of_person: Explain, of_server: Explain
) -> None:
    strings = strings_for(interaction)
    if isinstance(target, int):
        sentence = of_server(strings).format(server=target)
    else:
        sentence = of_person(strings).format(person=target.mention)
    await interaction.edit_original_response(content=sentence)


def _target(person: Person | None, server: str | None) -> Target:
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
