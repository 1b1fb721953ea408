"""The command /reset: forget the conversation of a place."""

from dataclasses import replace

import discord
from discord import app_commands

from bot.assistant.conversations import Conversations
from bot.commands.base import managed_place, strings_for
from bot.commands.responses import confirm, run_or_defer
from bot.commands.surface import Surface
from bot.inbox.edits import Edits


def add_reset(surface: Surface, conversations: Conversations, edits: Edits) -> None:
    """Add the command, for those who manage a place."""

    @surface.command(lambda t: t.reset_name, lambda t: t.reset_description)
    @app_commands.default_permissions(manage_guild=True)
    async def reset(interaction: discord.Interaction) -> None:
        # Private answers are forgotten too, but only those of the person who resets.
        place = replace(managed_place(interaction), person_id=interaction.user.id)

        async def work() -> int:
            await edits.apply_waiting()
            return await conversations.reset(place, interaction.id)

        count = await run_or_defer(interaction, work())
        strings = strings_for(interaction)
        counted = {0: strings.reset_nothing, 1: strings.reset_one}
        await confirm(interaction, counted.get(count, strings.reset_done.format(count=count)))
