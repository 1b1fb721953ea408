"""The command /help: what the bot does here, with the place's own settings."""

from typing import Any

import discord
from discord import app_commands

from bot.assistant import Assistant
from bot.commands import Commands, said
from bot.conversation import Conversation
from bot.history import History
from bot.own_data import Keeping
from bot.sentences import Sentences


class Help:
    """Tells anybody how to ask where they are, and what holds there."""

    def __init__(
        self, commands: Commands, assistant: Assistant, history: History, keeping: Keeping
    ) -> None:
        self._commands = commands
        self._assistant = assistant
        self._history = history
        self._keeping = keeping

    def add_to(self, tree: app_commands.CommandTree[Any]) -> None:
        """Add the command."""

        @tree.command(name="help", description=said("help_description"))
        async def tell(interaction: discord.Interaction) -> None:
            await self._tell(interaction)

    async def _tell(self, interaction: discord.Interaction) -> None:
        say = self._commands.heard(interaction)
        place = self._commands.place_of(interaction)
        choices = await self._history.notes.choices(place)
        scope = choices.system_prompts[0].scope if choices.system_prompts else None
        prompts = {
            "channel": say.help_prompt_own,
            "guild": say.help_prompt_server,
            None: say.help_prompt_default,
        }
        model, _ = await self._assistant.model_in(place)
        sentences = [
            await self._how_to_ask(interaction, place, say),
            say.help_pictures if self._keeping.pictures else say.help_files,
            *([say.help_pdfs] if self._keeping.pdfs else []),
            say.help_model.format(model=model),
            prompts[scope],
            say.help_commands,
        ]
        text = "\n".join(f"* {sentence}" for sentence in sentences)
        await interaction.response.send_message(text, ephemeral=True)

    async def _how_to_ask(
        self, interaction: discord.Interaction, place: Conversation, say: Sentences
    ) -> str:
        if place.guild_id is None:
            return say.help_ask_dm
        channel, me = interaction.channel, interaction.client.user
        if isinstance(channel, discord.Thread):
            own = me is not None and channel.owner_id == me.id
            if own or await self._history.places.own_place(channel.id):
                return say.help_ask_own_thread
        text = isinstance(channel, discord.TextChannel)
        return say.help_ask_channel if text else say.help_ask_in_place
