"""Where commands add what people use: slash commands, modals and buttons that last."""

from collections.abc import Callable, Coroutine
from typing import Any

import discord
from discord import app_commands

from bot.commands.base import Authorizer, localized
from bot.commands.modals import Modals
from bot.commands.responses import report_error
from bot.commands.tree import CommandTree
from bot.i18n.sentences import Explain
from bot.storage.facts import Facts

Command = app_commands.Command[Any, ..., Any]
Callback = Callable[..., Coroutine[Any, Any, None]]


class Surface:
    """The slash commands, the modals and the lasting buttons of one client.

    *authorizer* judges each use of a command or a modal. Buttons decide for themselves.
    """

    def __init__(self, client: discord.Client, facts: Facts, authorizer: Authorizer) -> None:
        self.tree = CommandTree(client, facts, authorizer)
        self.modals = Modals(client, authorizer)
        self.add_view = client.add_view

    def command(self, name: Explain, description: Explain) -> Callable[[Callback], Command]:
        """Return a decorator that makes a function a slash command."""
        return self.tree.command(name=localized(name), description=localized(description))


class PersistentView(discord.ui.View):
    """Buttons that never expire; the person who pressed one reads what went wrong."""

    def __init__(self) -> None:
        super().__init__(timeout=None)

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

    async def on_error(
        self, interaction: discord.Interaction, error: Exception, _item: discord.ui.Item[Any], /
    ) -> None:
        """Tell the person what went wrong."""
        await report_error(interaction, error)
