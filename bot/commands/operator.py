"""The command /operator for the operators of the bot, with its subcommands and their options."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import discord
from discord import app_commands

from bot.commands.base import localized, option
from bot.commands.surface import Surface
from bot.i18n.sentences import Explain
from bot.llm.budget_rules import Period, Scope

HIGHEST: Final = 1_000_000_000  # of the currency, or tokens
NO_LIMIT: Final = "none"
AS_SET: Final = "settings"
SCOPES: Final[dict[Scope, Explain]] = {
    Scope.PERSON: lambda t: t.budget_person_choice,
    Scope.SERVER: lambda t: t.budget_server_choice,
    Scope.BOT: lambda t: t.budget_bot_choice,
}
PERIODS: Final[dict[Period, Explain]] = {
    Period.DAY: lambda t: t.budget_day_choice,
    Period.MONTH: lambda t: t.budget_month_choice,
}
RESETS: Final[dict[str, Explain]] = {
    NO_LIMIT: lambda t: t.budget_none_choice,
    AS_SET: lambda t: t.budget_settings_choice,
}


class Desk(Protocol):
    """Carries out the subcommands; it is imported when somebody first uses one."""

    async def status(self, interaction: discord.Interaction) -> None:
        """Show the state of the bot."""

    async def block(
        self,
        interaction: discord.Interaction,
        person: discord.User | discord.Member | None,
        server: str | None,
    ) -> None:
        """Block a person or a server."""

    async def unblock(
        self,
        interaction: discord.Interaction,
        person: discord.User | discord.Member | None,
        server: str | None,
    ) -> None:
        """Unblock a person or a server."""

    async def budget(
        self,
        interaction: discord.Interaction,
        scope: str | None,
        period: str | None,
        amount: float | None,
        reset: str | None,
    ) -> None:
        """Set a budget if there are options, and show all."""


def add_operator(surface: Surface, desk: Callable[[], Desk]) -> None:
    """Add the command with its subcommands."""
    subcommand = surface.for_operators(lambda t: t.operator_name, lambda t: t.operator_description)

    @subcommand(lambda t: t.status_subcommand, lambda t: t.status_description)
    async def status(interaction: discord.Interaction) -> None:
        await desk().status(interaction)

    @subcommand(lambda t: t.block_subcommand, lambda t: t.block_description)
    @option("person", lambda t: t.person_option_name, lambda t: t.person_option)
    @option("server", lambda t: t.server_option_name, lambda t: t.server_option)
    async def block(
        interaction: discord.Interaction,
        person: discord.User | None = None,
        server: str | None = None,
    ) -> None:
        await desk().block(interaction, person, server)

    @subcommand(lambda t: t.unblock_subcommand, lambda t: t.unblock_description)
    @option("person", lambda t: t.person_option_name, lambda t: t.person_option)
    @option("server", lambda t: t.server_option_name, lambda t: t.server_option)
    async def unblock(
        interaction: discord.Interaction,
        person: discord.User | None = None,
        server: str | None = None,
    ) -> None:
        await desk().unblock(interaction, person, server)

    @subcommand(lambda t: t.budget_subcommand, lambda t: t.budget_description)
    @option("scope", lambda t: t.budget_scope_option_name, lambda t: t.budget_scope_option)
    @option("period", lambda t: t.budget_period_option_name, lambda t: t.budget_period_option)
    @option("amount", lambda t: t.budget_amount_option_name, lambda t: t.budget_amount_option)
    @option("reset", lambda t: t.budget_reset_option_name, lambda t: t.budget_reset_option)
    @app_commands.choices(**_choices())
    async def budget(
        interaction: discord.Interaction,
        scope: str | None = None,
        period: str | None = None,
        amount: app_commands.Range[float, 0, HIGHEST] | None = None,
        reset: str | None = None,
    ) -> None:
        await desk().budget(interaction, scope, period, amount, reset)


def _choices() -> dict[str, list[app_commands.Choice[str]]]:
    """Return the choices of the options, by parameter."""
    offered: dict[str, Mapping[str, Explain]] = {
        "scope": {str(scope): explain for scope, explain in SCOPES.items()},
        "period": {str(period): explain for period, explain in PERIODS.items()},
        "reset": RESETS,
    }
    return {
        name: [
            app_commands.Choice(name=localized(explain), value=value)
            for value, explain in values.items()
        ]
        for name, values in offered.items()
    }
