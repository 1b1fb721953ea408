"""Change guilds and announce it: channels, roles, members, outages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bot.sandbox.discord import payloads
from bot.sandbox.discord.world import ChannelType, Overwrite

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Guild, Json, Role, User


def open_dm(state: State, user_id: int) -> Channel:
    """Return the DM channel with *user_id*; announce a new one."""
    known = set(state.world.channels)
    channel = state.world.open_dm(user_id)
    if channel.id not in known:
        # Bots get no CHANNEL_CREATE for DMs since API v8: only the journal shows it.
        event = payloads.channel_object(state.world, channel)
        state.journal.note("channel_create", channel=event)
    return channel


def create_channel(state: State, guild: Guild, name: str, kind: int) -> Channel:
    """Make a channel in *guild*."""
    channel = state.world.add_channel(guild, name, kind)
    _announce_channel(state, channel, "create")
    return channel


def edit_channel(state: State, channel: Channel, changes: Json) -> None:
    """Change a channel's name, topic, category or overwrites."""
    channel.name = changes.get("name") or channel.name
    if "topic" in changes:
        channel.topic = changes["topic"]
    if changes.get("parent_id"):
        channel.parent_id = int(changes["parent_id"])
    for item in changes.get("permission_overwrites") or []:
        overwrite = Overwrite(
            int(item["id"]),
            int(item.get("type", 0)),
            int(item.get("allow") or 0),
            int(item.get("deny") or 0),
        )
        channel.overwrites[overwrite.id] = overwrite
    _announce_channel(state, channel, "update")


def delete_channel(state: State, channel: Channel) -> None:
    """Delete a channel with its threads and messages."""
    event = payloads.channel_object(state.world, channel)
    state.gateway.dispatch("CHANNEL_DELETE", event, guild_id=channel.guild_id)
    state.world.remove_channel(channel)
    state.journal.note("channel_delete", channel=event)


def _announce_channel(state: State, channel: Channel, change: str) -> None:
    event = payloads.channel_object(state.world, channel)
    state.gateway.dispatch(f"CHANNEL_{change.upper()}", event, guild_id=channel.guild_id)
    state.journal.note(f"channel_{change}", channel=event)


def set_role_permissions(state: State, guild: Guild, role: Role, bits: int) -> None:
    """Give a role other permissions."""
    role.permissions = bits
    event = {"guild_id": str(guild.id), "role": payloads.role_object(role)}
    state.gateway.dispatch("GUILD_ROLE_UPDATE", event, guild_id=guild.id)


def bot_role(state: State, guild: Guild) -> Role:
    """Return the bot's managed role in *guild*."""
    return next(role for role in guild.roles.values() if role.bot_id == state.world.bot.id)


def create_guild(
    state: State,
    name: str,
    owner: User,
    *,
    with_bot: bool,
    channel_count: int = 1,
    locale: str = "en-US",
    shard: tuple[int, int] | None = None,
) -> Guild:
    """Make a guild with so many text channels; all people are members.

    Its id belongs to *shard*, which is the number of a shard and how many there are.
    """
    guild_id = None if shard is None else state.world.snowflakes.next_of(*shard)
    guild = state.world.add_guild(name, owner, guild_id=guild_id)
    guild.locale = locale
    for user in state.world.users.values():
        if not user.bot and user.id not in guild.members:
            state.world.add_member(guild, user)
    for number in range(channel_count):
        state.world.add_channel(guild, f"place-{number}" if number else "general", ChannelType.TEXT)
    if with_bot:
        invite(state, guild)
    return guild


def invite(state: State, guild: Guild) -> None:
    """Let the bot join *guild*."""
    if state.world.bot.id in guild.members:
        return
    state.world.invite_bot(guild, state.world.bot)
    state.gateway.announce_guild(guild)
    state.journal.note("guild_join", guild_id=str(guild.id))


def kick(state: State, guild: Guild, user_id: int) -> None:
    """Remove a member; if it is the bot, it leaves the guild."""
    member = guild.members.get(user_id)
    if member is None:
        return
    if user_id == state.world.bot.id:
        # The gateway sends the guild's events only while the bot is a member.
        event = {"id": str(guild.id)}
        state.gateway.dispatch("GUILD_DELETE", event, guild_id=guild.id)
        role = bot_role(state, guild)
        del guild.members[user_id], guild.roles[role.id]
        state.journal.note("guild_leave", guild_id=str(guild.id))
        return
    removal: Json = {
        "guild_id": str(guild.id),
        "user": payloads.user_object(state.world.users[user_id]),
    }
    state.gateway.dispatch("GUILD_MEMBER_REMOVE", removal, guild_id=guild.id)
    del guild.members[user_id]


def time_out(state: State, guild: Guild, user_id: int, seconds: float) -> None:
    """Put a member in time-out, or end it with 0 seconds. Bots hear of their own without intent."""
    member = guild.members[user_id]
    member.timed_out_until = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None
    if user_id == state.world.bot.id:
        event = payloads.member_object(state.world, member) | {"guild_id": str(guild.id)}
        state.gateway.broadcast("GUILD_MEMBER_UPDATE", event)


def set_available(state: State, guild: Guild, *, available: bool) -> None:
    """Start or end an outage of a guild; during one, the gateway sends none of its events."""
    if available:
        guild.available = True
        state.gateway.announce_guild(guild)
    else:
        event = {"id": str(guild.id), "unavailable": True}
        state.gateway.dispatch("GUILD_DELETE", event, guild_id=guild.id)
        guild.available = False
