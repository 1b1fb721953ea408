"""Where commands register what they own: slash commands, modals and buttons."""

from typing import Protocol

import discord

from bot.commands.modals import Modals
from bot.commands.tree import CommandTree
from bot.storage.facts import Facts


class Surface:
    """The slash commands, the modals and the lasting buttons of one client."""

    def __init__(self, client: discord.Client, facts: Facts) -> None:
        self.tree = CommandTree(client, facts)
        self.modals = Modals(client)
        self.add_view = client.add_view


class Command(Protocol):
    """A command, or several that belong together, with all that people use it by."""

    def register(self, surface: Surface) -> None:
        """Add everything to *surface*, before the client connects."""
