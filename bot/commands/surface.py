"""Where commands register what they own: slash commands, modals and buttons."""

from collections.abc import Callable, Coroutine
from typing import Any

import discord
from discord import app_commands

from bot.commands.base import Authorizer, localized
from bot.commands.modals import Modals
from bot.commands.tree import CommandTree
from bot.i18n.sentences import Explain
from bot.storage.facts import Facts

Command = app_commands.Command[Any, ..., Any]


class Surface:
    """The slash commands, the modals and the lasting buttons of one client.

    *authorizer* judges each use of a command or a modal. Buttons decide for themselves.
    """

    def __init__(self, client: discord.Client, facts: Facts, authorizer: Authorizer) -> None:
        self.tree = CommandTree(client, facts, authorizer)
        self.modals = Modals(client, authorizer)
        self.add_view = client.add_view

    def command(
        self, name: Explain, description: Explain
    ) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Command]:
        """Return a decorator that makes a function a slash command."""
        return self.tree.command(name=localized(name), description=localized(description))
