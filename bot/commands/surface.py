"""Where commands add what people use: slash commands, modals and buttons that last."""

from collections.abc import Callable, Coroutine
from typing import Any

import discord
from discord import app_commands

from bot.commands.base import Authorizer, Use, localized
from bot.commands.modals import Modals
from bot.commands.responses import report_error
from bot.commands.tree import CommandTree
from bot.i18n.sentences import Explain
from bot.storage.facts import Facts

Command = app_commands.Command[Any, ..., Any]
Callback = Callable[..., Coroutine[Any, Any, None]]


class Surface:
    """The slash commands, the modals and the lasting buttons of one client.

    *authorizer* judges each use of a command, a modal or a button.
    """

    def __init__(self, client: discord.Client, facts: Facts, authorizer: Authorizer) -> None:
        self.tree = CommandTree(client, facts, authorizer)
        self.modals = Modals(client, authorizer)
        self.authorizer = authorizer
        self.add_view = client.add_view

    def command(
        self, name: Explain, description: Explain, *, use: Use = Use.JUDGED
    ) -> Callable[[Callback], Command]:
        """Return a decorator that makes a function a slash command."""
        return self.tree.command(
            name=localized(name), description=localized(description), extras={Use: use}
        )

    def for_operators(
        self, name: Explain, description: Explain
    ) -> Callable[[Explain, Explain], Callable[[Callback], Command]]:
        """Add a slash command, and return a decorator that makes a function a subcommand of it.

        Discord offers it in servers alone, and there to administrators, unless they let others use
        it. Each subcommand checks by itself that an operator uses it.
        """
        group = app_commands.Group(
            name=localized(name),
            description=localized(description),
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=False, private_channel=False
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
            default_permissions=discord.Permissions.none(),
        )
        self.tree.add_command(group)

        def subcommand(name: Explain, description: Explain) -> Callable[[Callback], Command]:
            return group.command(
                name=localized(name),
                description=localized(description),
                extras={Use: Use.OPERATING},
            )

        return subcommand


class PersistentView(discord.ui.View):
    """Buttons that never expire; the person who pressed one reads what went wrong.

    *authorizer* judges each press, according to what the buttons are for.
    """

    def __init__(self, authorizer: Authorizer, use: Use = Use.JUDGED) -> None:
        super().__init__(timeout=None)
        self._authorizer = authorizer
        self.use = use

    def add_button(
        self,
        custom_id: str,
        pressed: Callback,
        *,
        label: str,
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    ) -> None:
        """Add a button that calls *pressed*; its *custom_id* outlives the program."""
        button: discord.ui.Button[PersistentView] = discord.ui.Button(
            label=label, style=style, custom_id=custom_id
        )
        button.callback = pressed  # type: ignore[method-assign]  # discord.py's way
        self.add_item(button)

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        """Raise Refused unless the person may press the buttons here."""
        self._authorizer.authorize(interaction, self.use)
        return True

    async def on_error(
        self, interaction: discord.Interaction, error: Exception, _item: discord.ui.Item[Any], /
    ) -> None:
        """Tell the person what went wrong."""
        await report_error(interaction, error)
