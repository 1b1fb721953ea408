"""The command /reset: forget the conversation of a place."""

from dataclasses import replace

import discord
from discord import app_commands

from bot.assistant.memory import Memory
from bot.commands.base import Authorizer, localized, strings_for
from bot.commands.responses import confirm, run_or_defer
from bot.commands.surface import Surface
from bot.inbox.edits import Edits


class ResetCommand:
    """Forgets the conversation of a place, for those who manage it."""

    def __init__(self, authorizer: Authorizer, memory: Memory, edits: Edits) -> None:
        self._authorizer = authorizer
        self._memory = memory
        self._edits = edits

    def register(self, surface: Surface) -> None:
        """Add the command."""

        @surface.tree.command(
            name=localized(lambda t: t.reset_name),
            description=localized(lambda t: t.reset_description),
        )
        @app_commands.default_permissions(manage_guild=True)
        async def reset(interaction: discord.Interaction) -> None:
            await self._reset(interaction)

    async def _reset(self, interaction: discord.Interaction) -> None:
        # Private answers are forgotten too, but only those of the person who resets.
        place = self._authorizer.authorize_manager(interaction)
        place = replace(place, person_id=interaction.user.id)

        async def work() -> int:
            await self._edits.applied()
            return await self._memory.reset(place, interaction.id)

        count = await run_or_defer(interaction, work())
        strings = strings_for(interaction)
        counted = {0: strings.reset_nothing, 1: strings.reset_one}
        await confirm(interaction, counted.get(count, strings.reset_done.format(count=count)))
