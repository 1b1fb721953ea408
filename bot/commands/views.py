"""Buttons that still work after a restart."""

from collections.abc import Callable, Coroutine
from typing import Any

import discord

from bot.commands.responses import report_error

Callback = Callable[[discord.Interaction], Coroutine[Any, Any, None]]


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
        button.callback = pressed  # type: ignore[method-assign, assignment]  # discord.py's way
        self.add_item(button)

    async def on_error(
        self, interaction: discord.Interaction, error: Exception, _item: discord.ui.Item[Any], /
    ) -> None:
        """Tell the person what went wrong."""
        await report_error(interaction, error)
