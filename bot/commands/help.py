"""The command /help: what the bot does here, with the place's own settings."""

from typing import Any

import discord
from discord import app_commands

from bot.assistant.assistant import Assistant
from bot.commands.base import Commands, everywhere, is_brought, localized
from bot.commands.privacy import Keeping
from bot.conversation.exchange import Conversation
from bot.i18n.sentences import Sentences
from bot.storage.exchanges import History


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

        @tree.command(
            name=localized(lambda t: t.help_name),
            description=localized(lambda t: t.help_description),
        )
        @everywhere
        async def tell(interaction: discord.Interaction) -> None:
            await self._tell(interaction)

    async def _tell(self, interaction: discord.Interaction) -> None:
        strings = self._commands.heard(interaction)
        place = self._commands.place_of(interaction)
        choices = await self._history.preferences.overrides(place)
        scope = choices.system_prompts[0].scope if choices.system_prompts else None
        prompts = {
            "channel": strings.help_prompt_own,
            "guild": strings.help_prompt_server,
            None: strings.help_prompt_default,
        }
        model, _ = await self._assistant.model_in(place)
        sentences = [
            *await self._how_to_ask(interaction, place, strings),
            strings.help_about,
            *self._what_is_read(strings),
            strings.help_memory,
            strings.help_buttons_brought if is_brought(interaction) else strings.help_buttons,
            strings.help_model.format(model=model),
            prompts[scope],
            *_commands(interaction, strings),
        ]
        text = "\n".join(f"* {sentence}" for sentence in sentences)
        await interaction.response.send_message(text, ephemeral=True)

    async def _how_to_ask(
        self, interaction: discord.Interaction, place: Conversation, strings: Sentences
    ) -> list[str]:
        allowed, hears_all = interaction.app_permissions, interaction.client.intents.message_content
        if is_brought(interaction):
            return [strings.help_ask_brought]
        if place.guild_id is None:
            return [strings.help_ask_dm]
        if not allowed.view_channel:
            return [strings.help_ask_brought]
        channel = interaction.channel
        if isinstance(channel, discord.Thread):
            own = hears_all and await self._is_own(channel, interaction.client)
            return [strings.help_ask_own_thread if own else strings.help_ask_in_place]
        threads = allowed.create_public_threads and allowed.send_messages_in_threads
        if not isinstance(channel, discord.TextChannel) or not threads:
            return [strings.help_ask_in_place]
        follow_up = strings.help_follow_up if hears_all else strings.help_follow_up_mention
        return [strings.help_ask_channel, follow_up]

    async def _is_own(self, thread: discord.Thread, client: discord.Client) -> bool:
        """Whether a thread is a conversation with the bot."""
        if client.user is not None and thread.owner_id == client.user.id:
            return True
        return bool(await self._history.places.is_own_thread(thread.id))

    def _what_is_read(self, strings: Sentences) -> list[str]:
        keeping = self._keeping
        read = {
            strings.help_files: keeping.files,
            strings.help_pdfs: keeping.pdfs,
            strings.help_pictures: keeping.pictures,
        }
        return [sentence for sentence, is_so in read.items() if is_so]


def _commands(interaction: discord.Interaction, strings: Sentences) -> list[str]:
    if is_brought(interaction):
        return [strings.help_commands_brought]
    of_guild = interaction.guild_id is not None
    return [
        strings.help_commands,
        strings.help_commands_managers if of_guild else strings.help_commands_dm,
    ]
