"""Permission bits, and a member's permissions in a channel as Discord computes them."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Channel, Guild, World


class Permission(IntFlag):
    """The bits that the stand-in checks, by Discord's names."""

    KICK_MEMBERS = 1 << 1
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    SEND_TTS_MESSAGES = 1 << 12
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_EXTERNAL_EMOJIS = 1 << 18
    CONNECT = 1 << 20
    SPEAK = 1 << 21
    CHANGE_NICKNAME = 1 << 26
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38
    USE_EXTERNAL_APPS = 1 << 50


ALL = (1 << 53) - 1
INVITED_BOT = 309237746688  # The smallest invite that threads, files and history allow.
EVERYONE = int(
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.CONNECT
    | Permission.SPEAK
    | Permission.CHANGE_NICKNAME
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
    | Permission.USE_EXTERNAL_APPS
)
DIRECT = int(
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.MENTION_EVERYONE
    | Permission.USE_APPLICATION_COMMANDS
)
_NEEDS_SENDING = int(
    Permission.MENTION_EVERYONE
    | Permission.SEND_TTS_MESSAGES
    | Permission.ATTACH_FILES
    | Permission.EMBED_LINKS
)
VOICE_TYPES = frozenset({2, 13})
# Discord: what a member may do in time-out
_IN_TIME_OUT = int(Permission.VIEW_CHANNEL | Permission.READ_MESSAGE_HISTORY)


def guild_permissions(guild: Guild, user_id: int) -> int:
    """Return the permissions of *user_id* in *guild* before any channel overwrite."""
    if user_id == guild.owner_id:
        return ALL
    member = guild.members.get(user_id)
    if member is None:
        return 0
    bits = guild.roles[guild.id].permissions
    for role_id in member.roles:
        bits |= guild.roles[role_id].permissions
    return ALL if bits & Permission.ADMINISTRATOR else bits


def permissions_in(world: World, channel: Channel, user_id: int) -> int:
    """Return the permissions of *user_id* in *channel*; a thread has its parent's overwrites."""
    if channel.guild_id is None:
        return DIRECT if user_id in channel.recipients else 0
    guild = world.guilds[channel.guild_id]
    bits = guild_permissions(guild, user_id)
    if user_id not in guild.members or bits == ALL:
        return bits
    source = world.channels[channel.parent_id] if channel.thread and channel.parent_id else channel
    bits = _with_overwrites(guild, source, user_id, bits)
    if guild.members[user_id].in_time_out():
        bits &= _IN_TIME_OUT
    return _implied(bits, channel)


def _with_overwrites(guild: Guild, channel: Channel, user_id: int, bits: int) -> int:
    everyone = channel.overwrites.get(guild.id)
    if everyone:
        bits = bits & ~everyone.deny | everyone.allow
    allow = deny = 0
    for role_id in guild.members[user_id].roles:
        overwrite = channel.overwrites.get(role_id)
        if overwrite:
            allow |= overwrite.allow
            deny |= overwrite.deny
    bits = bits & ~deny | allow
    own = channel.overwrites.get(user_id)
    if own:
        bits = bits & ~own.deny | own.allow
    return bits


def _implied(bits: int, channel: Channel) -> int:
    if not bits & Permission.VIEW_CHANNEL:
        return 0
    if channel.type in VOICE_TYPES and not bits & Permission.CONNECT:
        return int(Permission.VIEW_CHANNEL)
    speaking = Permission.SEND_MESSAGES_IN_THREADS if channel.thread else Permission.SEND_MESSAGES
    return bits if bits & speaking else bits & ~_NEEDS_SENDING
