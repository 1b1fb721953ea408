"""The command /help: how to ask the bot in a place, and which settings apply there."""

import discord

from bot.access import AccessLists
from bot.assistant.overrides import Overrides
from bot.commands.base import is_user_install, place_of, strings_for, user_installable
from bot.commands.privacy import DataPolicy
from bot.commands.surface import Surface
from bot.i18n.sentences import Sentences
from bot.live import Live
from bot.storage.places import Places


def add_help(
    surface: Surface,
    overrides: Overrides,
    places: Places,
    policy: DataPolicy,
    access: Live[AccessLists],
) -> None:
    """Add the command, for everyone who may use the bot."""

    @surface.command(lambda t: t.help_name, lambda t: t.help_description)
    @user_installable
    async def help_command(interaction: discord.Interaction) -> None:
        place, strings = place_of(interaction), strings_for(interaction)
        user_install = is_user_install(interaction)
        effective = await overrides.at(place)
        prompts = {
            "channel": strings.help_prompt_own,
            "guild": strings.help_prompt_server,
            None: strings.help_prompt_default,
        }
        override = effective.prompt_override
        sentences = [
            *([strings.help_may_use] if access.value.restrict else []),
            *await _how_to_ask(interaction, places, strings),
            strings.help_about,
            *_readable_kinds(policy, strings),
            strings.help_memory,
            strings.help_buttons_user_install if user_install else strings.help_buttons,
            strings.help_model.format(model=effective.model),
            prompts[override.scope if override else None],
            *_commands(interaction, strings),
        ]
        text = "\n".join(f"* {sentence}" for sentence in sentences)
        await interaction.response.send_message(text, ephemeral=True)


async def _how_to_ask(
    interaction: discord.Interaction, places: Places, strings: Sentences
) -> list[str]:
    allowed, channel = interaction.app_permissions, interaction.channel
    reads_all = interaction.client.intents.message_content
    if is_user_install(interaction):
        return [strings.help_ask_user_install]
    if interaction.guild_id is None:
        return [strings.help_ask_dm]
    if not allowed.view_channel:
        return [strings.help_ask_user_install]
    if isinstance(channel, discord.Thread):
        own = reads_all and await _is_own(channel, interaction.client, places)
        return [strings.help_ask_own_thread if own else strings.help_ask_in_place]
    threads = allowed.create_public_threads and allowed.send_messages_in_threads
    if not isinstance(channel, discord.TextChannel) or not threads:
        return [strings.help_ask_in_place]
    follow_up = strings.help_follow_up if reads_all else strings.help_follow_up_mention
    return [strings.help_ask_channel, follow_up]


async def _is_own(thread: discord.Thread, client: discord.Client, places: Places) -> bool:
    me = client.user
    return (me is not None and thread.owner_id == me.id) or await places.is_own_thread(thread.id)


def _readable_kinds(policy: DataPolicy, strings: Sentences) -> list[str]:
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
