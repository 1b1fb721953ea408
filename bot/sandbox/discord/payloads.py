"""The JSON of users, roles, guilds, channels, the application; ids are strings, as on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.sandbox.discord.world import ChannelType

if TYPE_CHECKING:
    from datetime import datetime

    from bot.sandbox.discord.knobs import Portal
    from bot.sandbox.discord.world import (
        Channel,
        Guild,
        Json,
        Member,
        Role,
        Thread,
        User,
        World,
    )

GATEWAY_MESSAGE_CONTENT_LIMITED = 1 << 19
TEAM_ACCEPTED: Final = 2  # Discord: the state of a membership
TEAM_PSEUDO_USER: Final = 1 << 10  # Discord: a flag of users

_EMPTY_GUILD_FIELDS: Final = (
    "icon",
    "description",
    "home_header",
    "splash",
    "discovery_splash",
    "banner",
    "application_id",
    "afk_channel_id",
    "system_channel_id",
    "widget_channel_id",
    "max_presences",
    "vanity_url_code",
    "rules_channel_id",
    "safety_alerts_channel_id",
    "public_updates_channel_id",
    "incidents_data",
)


def timestamp(moment: datetime) -> str:
    """Return ISO 8601 with microseconds and offset, as Discord writes it."""
    return moment.isoformat(timespec="microseconds")


def _optional_id(snowflake: int | None) -> str | None:
    return None if snowflake is None else str(snowflake)


def user_object(user: User) -> Json:
    """Return a user as others see them."""
    body: Json = {
        "id": str(user.id),
        "username": user.name if user.bot else user.name.lower(),
        "avatar": None,
        "discriminator": f"{user.id % 9999 + 1:04}" if user.bot else "0",
        "public_flags": 0,
        "flags": 0,
        "banner": None,
        "accent_color": None,
        "global_name": None if user.bot else user.name,
        "avatar_decoration_data": None,
        "collectibles": None,
        "primary_guild": None,
    }
    if user.bot:
        body["bot"] = True
    return body


def own_user_object(user: User) -> Json:
    """Return a user as they see themselves."""
    return user_object(user) | {
        "bio": "",
        "locale": user.locale,
        "mfa_enabled": True,
        "verified": True,
        "email": None,
        "premium_type": 0,
    }


def bare_member(member: Member) -> Json:
    """Return a member without the user, as it comes inside messages."""
    return {
        "avatar": None,
        "banner": None,
        "communication_disabled_until": (
            timestamp(member.timed_out_until) if member.timed_out_until else None
        ),
        "flags": 0,
        "joined_at": timestamp(member.joined_at),
        "nick": member.nick,
        "pending": False,
        "premium_since": None,
        "roles": [str(role_id) for role_id in member.roles],
        "mute": False,
        "deaf": False,
    }


def member_object(world: World, member: Member) -> Json:
    """Return a member with the user."""
    return bare_member(member) | {"user": user_object(world.users[member.user_id])}


def role_object(role: Role) -> Json:
    """Return a role."""
    body: Json = {
        "id": str(role.id),
        "name": role.name,
        "description": None,
        "permissions": str(int(role.permissions)),
        "position": role.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": role.bot_id is not None,
        "mentionable": role.mentionable,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    if role.bot_id is not None:
        body["tags"] = {"bot_id": str(role.bot_id)}
    return body


def channel_object(world: World, channel: Channel) -> Json:
    """Return any channel: of a guild, a thread, or a DM."""
    body: Json = {
        "id": str(channel.id),
        "type": int(channel.type),
        "flags": 0,
        "last_message_id": _optional_id(channel.last_message_id),
    }
    if channel.guild_id is None:
        others = [world.users[uid] for uid in channel.recipients if uid != world.bot.id]
        body["recipients"] = [user_object(user) for user in others]
        if channel.type == ChannelType.GROUP_DM:
            body |= {"name": None, "icon": None, "owner_id": str(channel.recipients[0])}
        return body
    body |= {
        "guild_id": str(channel.guild_id),
        "name": channel.name,
        "parent_id": _optional_id(channel.parent_id),
        "rate_limit_per_user": channel.rate_limit_per_user,
    }
    if channel.thread:
        return body | _thread_fields(world, channel, channel.thread)
    return body | _guild_channel_fields(channel)


def _guild_channel_fields(channel: Channel) -> Json:
    body: Json = {
        "position": channel.position,
        "topic": channel.topic,
        "nsfw": False,
        "permission_overwrites": [
            {
                "id": str(overwrite.id),
                "type": overwrite.type,
                "allow": str(int(overwrite.allow)),
                "deny": str(int(overwrite.deny)),
            }
            for overwrite in channel.overwrites.values()
        ],
    }
    if channel.type in {ChannelType.VOICE, ChannelType.STAGE}:
        body |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
    if channel.type == ChannelType.FORUM:
        body |= {
            "available_tags": [],
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 0,
        }
    return body


def _thread_fields(world: World, channel: Channel, thread: Thread) -> Json:
    body: Json = {
        "owner_id": str(thread.owner_id),
        "message_count": thread.message_count,
        "member_count": min(len(thread.members), 50),  # Discord stops counting at 50.
        "total_message_sent": thread.total_sent,
        "thread_metadata": {
            "archived": thread.archived,
            "archive_timestamp": timestamp(thread.archive_timestamp),
            "auto_archive_duration": thread.auto_archive_minutes,
            "locked": thread.locked,
            "create_timestamp": timestamp(thread.created),
        },
    }
    if channel.type == ChannelType.PRIVATE_THREAD:
        body["thread_metadata"]["invitable"] = True
    parent = world.channels.get(channel.parent_id or 0)
    if parent and parent.type == ChannelType.FORUM:
        body["applied_tags"] = thread.applied_tags
    if world.bot.id in thread.members:
        body["member"] = thread_member(channel, thread, world.bot.id)
    return body


def thread_member(channel: Channel, thread: Thread, user_id: int) -> Json:
    """Return one member of a thread."""
    return {
        "id": str(channel.id),
        "user_id": str(user_id),
        "join_timestamp": timestamp(thread.members[user_id]),
        "flags": 1,
    }


def guild_object(guild: Guild) -> Json:
    """Return a guild as REST gives it."""
    return dict.fromkeys(_EMPTY_GUILD_FIELDS) | {
        "id": str(guild.id),
        "name": guild.name,
        "owner_id": str(guild.owner_id),
        "region": "us-central",
        "afk_timeout": 300,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "verification_level": 0,
        "roles": [role_object(role) for role in guild.roles.values()],
        "default_message_notifications": 0,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_members": 500000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": guild.locale,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
        "features": guild.features,
    }


def guild_create(world: World, guild: Guild, *, all_members: bool) -> Json:
    """Return a guild as the gateway gives it; without the members intent only the bot's member."""
    bot_id = world.bot.id
    members = [m for m in guild.members.values() if all_members or m.user_id == bot_id]
    threads = [
        thread
        for thread in world.threads(guild_id=guild.id)
        if thread.thread and not thread.thread.archived and world.can_view(thread, bot_id)
    ]
    return guild_object(guild) | {
        "joined_at": timestamp(guild.members[bot_id].joined_at),
        "large": False,
        "unavailable": False,
        "member_count": len(guild.members),
        "voice_states": [],
        "members": [member_object(world, member) for member in members],
        "channels": [channel_object(world, c) for c in world.guild_channels(guild.id)],
        "threads": [channel_object(world, thread) for thread in threads],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def _team_object(team_id: int, people: list[User]) -> Json:
    """Return the team of the first three people: its owner, a developer, one who may only read."""
    roles = ("admin", "developer", "read_only")
    return {
        "id": str(team_id),
        "icon": None,
        "name": "The team",
        "owner_user_id": str(people[0].id),
        "members": [
            {
                "user": user_object(person),
                "team_id": str(team_id),
                "membership_state": TEAM_ACCEPTED,
                "role": role,
                "permissions": ["*"],
            }
            for person, role in zip(people, roles, strict=False)
        ],
    }


def _team_user(team: Json) -> Json:
    """Return the user that stands for a team where Discord names the owner of an application."""
    person: Json = team["members"][0]["user"]
    return person | {
        "id": team["id"],
        "username": f"team{team['id']}",
        "global_name": None,
        "public_flags": TEAM_PSEUDO_USER,
        "flags": TEAM_PSEUDO_USER,
    }


def application_object(world: World, portal: Portal) -> Json:
    """Return the bot's application as it is set up in the developer *portal*."""
    bot = world.bot
    flags = GATEWAY_MESSAGE_CONTENT_LIMITED if portal.message_content else 0
    people = [user for user in world.users.values() if not user.bot]
    team = _team_object(bot.id, people) if portal.team else None
    return {
        "id": str(bot.id),
        "name": bot.name,
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot": user_object(bot),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": flags,
        "flags_new": str(flags),
        "max_participants": None,
        "tags": [],
        "hook": True,
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user_object(people[0]) if team is None else _team_user(team),
        "team": team,
        "approximate_guild_count": len(world.guilds),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "eligible_oauth2_scopes": [],
        "integration_types_config": {str(context): {} for context in portal.installs},
    }
