"""The command /help: how to ask the bot in a place, and which settings apply there."""

import discord

from bot.assistant.overrides import Overrides
from bot.commands.base import (
    Authorizer,
    is_user_install,
    localized,
    strings_for,
    user_installable,
)
from bot.commands.privacy import DataPolicy
from bot.commands.surface import Surface
from bot.conversation.exchange import Conversation
from bot.i18n.sentences import Sentences
from bot.storage.exchanges import History


class HelpCommand:
    """Tells anybody how to ask in a place, and which settings apply there."""

    def __init__(
        self, authorizer: Authorizer, overrides: Overrides, history: History, policy: DataPolicy
    ) -> None:
        self._authorizer = authorizer
        self._overrides = overrides
        self._history = history
        self._policy = policy

    def register(self, surface: Surface) -> None:
        """Add the command."""

        @surface.tree.command(
            name=localized(lambda t: t.help_name),
            description=localized(lambda t: t.help_description),
        )
        @user_installable
        async def help_command(interaction: discord.Interaction) -> None:
            await self._help(interaction)

    async def _help(self, interaction: discord.Interaction) -> None:
        place, strings = self._authorizer.authorize(interaction), strings_for(interaction)
        user_install = is_user_install(interaction)
        chosen = await self._history.preferences.overrides(place)
        scope = chosen.system_prompts[0].scope if chosen.system_prompts else None
        prompts = {
            "channel": strings.help_prompt_own,
            "guild": strings.help_prompt_server,
            None: strings.help_prompt_default,
        }
        model = (await self._overrides.at(place)).model
        sentences = [
            *await self._how_to_ask(interaction, place, strings),
            strings.help_about,
            *_what_is_read(self._policy, strings),
            strings.help_memory,
            strings.help_buttons_user_install if user_install else strings.help_buttons,
            strings.help_model.format(model=model),
            prompts[scope],
            *_commands(interaction, strings),
        ]
        text = "\n".join(f"* {sentence}" for sentence in sentences)
        await interaction.response.send_message(text, ephemeral=True)

    async def _how_to_ask(
        self, interaction: discord.Interaction, place: Conversation, strings: Sentences
    ) -> list[str]:
        allowed, channel = interaction.app_permissions, interaction.channel
        reads_all = interaction.client.intents.message_content
        if is_user_install(interaction):
            return [strings.help_ask_user_install]
        if place.guild_id is None:
            return [strings.help_ask_dm]
        if not allowed.view_channel:
            return [strings.help_ask_user_install]
        if isinstance(channel, discord.Thread):
            own = reads_all and await self._is_own(channel, interaction.client)
            return [strings.help_ask_own_thread if own else strings.help_ask_in_place]
        threads = allowed.create_public_threads and allowed.send_messages_in_threads
        if not isinstance(channel, discord.TextChannel) or not threads:
            return [strings.help_ask_in_place]
        follow_up = strings.help_follow_up if reads_all else strings.help_follow_up_mention
        return [strings.help_ask_channel, follow_up]

    async def _is_own(self, thread: discord.Thread, client: discord.Client) -> bool:
        """Whether a thread is a conversation with the bot."""
        if client.user is not None and thread.owner_id == client.user.id:
            return True
        return bool(await self._history.places.is_own_thread(thread.id))


def _what_is_read(policy: DataPolicy, strings: Sentences) -> list[str]:
    kinds = {
        strings.help_files: policy.files,
        strings.help_pdfs: policy.pdfs,
        strings.help_pictures: policy.pictures,
    }
    return [sentence for sentence, is_read in kinds.items() if is_read]


def _commands(interaction: discord.Interaction, strings: Sentences) -> list[str]:
    if is_user_install(interaction):
        return [strings.help_commands_user_install]
    in_guild = interaction.guild_id is not None
    return [
        strings.help_commands,
        strings.help_commands_managers if in_guild else strings.help_commands_dm,
    ]
