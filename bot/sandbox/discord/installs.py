"""The bot's installs, by a guild or by a person, and their fields in an interaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.sandbox.discord.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.sandbox.discord.world import Channel, Json, World

GUILD_INSTALL: Final = 0
USER_INSTALL: Final = 1
GUILD_CONTEXT: Final = 0
BOT_DM_CONTEXT: Final = 1
PRIVATE_CHANNEL_CONTEXT: Final = 2
# Discord: the permissions of a bot that only a person installed
_USER_INSTALL_PERMISSIONS: Final = int(
    Permission.EMBED_LINKS | Permission.ATTACH_FILES | Permission.MENTION_EVERYONE
)


def context_of(world: World, channel: Channel) -> int:
    """Return whether *channel* is a guild's, the bot's own DM, or one between people."""
    if channel.guild_id is not None:
        return GUILD_CONTEXT
    return BOT_DM_CONTEXT if world.bot.id in channel.recipients else PRIVATE_CHANNEL_CONTEXT


def is_there(world: World, channel: Channel) -> bool:
    """Return whether the bot is in the guild of *channel*, or in the DM."""
    if channel.guild_id is None:
        return world.bot.id in channel.recipients
    return world.bot.id in world.guilds[channel.guild_id].members


def owners(world: World, channel: Channel, user_id: int, supported: Iterable[int]) -> Json:
    """Return the owners of the bot's installs in *channel*, of the *supported* types only.

    In its own DM, the bot counts as installed by guild 0.
    """
    found: Json = {}
    if GUILD_INSTALL in supported and is_there(world, channel):
        found[str(GUILD_INSTALL)] = str(channel.guild_id or 0)
    if USER_INSTALL in supported and world.users[user_id].installed_bot:
        found[str(USER_INSTALL)] = str(user_id)
    return found


def is_user_install(owned: Json) -> bool:
    """Return whether only a person installed the bot, by the owners of an interaction."""
    return str(GUILD_INSTALL) not in owned


def may_show_to_all(world: World, channel: Channel, user_id: int) -> bool:
    """Return whether everyone may see the answers of a bot that only *user_id* installed.

    Discord's user context limits the bot to the permissions of that person.
    """
    if channel.guild_id is None:
        return True
    in_thread = channel.thread is not None
    speaking = Permission.SEND_MESSAGES_IN_THREADS if in_thread else Permission.SEND_MESSAGES
    needed = Permission.USE_EXTERNAL_APPS | speaking
    return world.permissions(channel, user_id) & needed == needed


def app_permissions(world: World, channel: Channel) -> int:
    """Return the bot's permissions in *channel* for an answer to an interaction."""
    if is_there(world, channel):
        return int(world.permissions(channel, world.bot.id))
    return _USER_INSTALL_PERMISSIONS
