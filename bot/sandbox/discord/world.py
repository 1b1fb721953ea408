"""The world that the stand-in shows: people, guilds, roles, channels, messages. State, no wire."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from bot.sandbox.discord import permissions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

EPOCH_MS = 1420070400000  # Discord: the first millisecond of 2015
DAY_SECONDS = 86400.0


class ChannelType(IntEnum):
    """Discord's channel types."""

    TEXT = 0
    DM = 1
    VOICE = 2
    GROUP_DM = 3
    CATEGORY = 4
    ANNOUNCEMENT = 5
    ANNOUNCEMENT_THREAD = 10
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    STAGE = 13
    FORUM = 15


NO_MESSAGES_TYPES = frozenset({ChannelType.CATEGORY, ChannelType.FORUM})


class MessageType(IntEnum):
    """The message types that the stand-in makes."""

    DEFAULT = 0
    PIN = 6
    JOIN = 7
    THREAD_CREATED = 18
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    THREAD_STARTER = 21
    CONTEXT_MENU_COMMAND = 23


class MessageFlag(IntEnum):
    """Message flags by Discord's names."""

    SUPPRESS_EMBEDS = 1 << 2
    HAS_THREAD = 1 << 5
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_NOTIFICATIONS = 1 << 12
    IS_VOICE_MESSAGE = 1 << 13
    HAS_SNAPSHOT = 1 << 14
    IS_COMPONENTS_V2 = 1 << 15


class Snowflakes:
    """Make ids as Discord does: the time in the high bits, each larger than the one before."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """Return an id of this moment, larger than all before."""
        self._last = max(self._last + 1, self.at(self._clock()))
        return self._last

    def next_of(self, shard: int, total: int) -> int:
        """Return the next id that belongs to this shard of *total*, some milliseconds ahead."""
        behind = (shard - (self.next() >> 22)) % total
        self._last += behind << 22
        return self._last

    def at(self, unix_seconds: float) -> int:
        """Return the first id of the millisecond *unix_seconds*."""
        return (int(unix_seconds * 1000) - EPOCH_MS) << 22


def created_at(snowflake: int) -> datetime:
    """Return the time that *snowflake* carries."""
    return datetime.fromtimestamp(((snowflake >> 22) + EPOCH_MS) / 1000, UTC)


@dataclass(slots=True)
class User:
    """A person or a bot."""

    id: int
    name: str
    bot: bool = False
    locale: str = "en-US"
    accepts_dms: bool = True
    installed_bot: bool = False


@dataclass(slots=True)
class Role:
    """A role of a guild; the one with the guild's id is everyone's."""

    id: int
    name: str
    permissions: int
    position: int = 0
    mentionable: bool = False
    bot_id: int | None = None


@dataclass(slots=True)
class Member:
    """A user's place in a guild."""

    user_id: int
    joined_at: datetime
    roles: list[int] = field(default_factory=list)
    nick: str | None = None
    timed_out_until: datetime | None = None

    def in_time_out(self) -> bool:
        """Return whether a moderator's time-out lasts."""
        return self.timed_out_until is not None and self.timed_out_until > datetime.now(UTC)


@dataclass(slots=True)
class Overwrite:
    """What a channel allows or denies one role (type 0) or member (type 1)."""

    id: int
    type: int
    allow: int = 0
    deny: int = 0


@dataclass(slots=True)
class Guild:
    """A guild with its roles and members."""

    id: int
    name: str
    owner_id: int
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    locale: str = "en-US"
    available: bool = True

    @property
    def features(self) -> list[str]:
        """Discord: only a community can choose its locale."""
        return [] if self.locale == "en-US" else ["COMMUNITY"]


@dataclass(slots=True)
class Thread:
    """The additional fields of a channel that is a thread."""

    owner_id: int
    archive_timestamp: datetime
    created: datetime
    archived: bool = False
    locked: bool = False
    auto_archive_minutes: int = 1440
    members: dict[int, datetime] = field(default_factory=dict)
    message_count: int = 0
    total_sent: int = 0
    applied_tags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Attachment:
    """A file of a message; Discord reports *size*, the CDN serves *data*.

    *title* is the name without its extension, if *filename* is not the name that it was given.
    *dimensions* are the width and height of an image in pixels.
    """

    id: int
    filename: str
    size: int
    data: bytes
    url: str
    title: str | None = None
    content_type: str | None = None
    description: str | None = None
    dimensions: tuple[int, int] | None = None


@dataclass(slots=True)
class Message:
    """The current version of a message, with its earlier texts and its pings."""

    id: int
    channel_id: int
    author_id: int
    content: str = ""
    type: int = MessageType.DEFAULT
    flags: int = 0
    embeds: list[Json] = field(default_factory=list)
    previews: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    reactions: dict[str, list[int]] = field(default_factory=dict)
    mentions: list[int] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    pings: list[str] = field(default_factory=list)
    reference: Json | None = None
    snapshots: list[Json] = field(default_factory=list)
    stickers: list[Json] = field(default_factory=list)
    poll: Json | None = None
    nonce: str | int | None = None
    edited_at: datetime | None = None
    tts: bool = False
    pinned: bool = False
    webhook_id: int | None = None
    webhook_name: str | None = None
    application_id: int | None = None
    interaction_metadata: Json | None = None
    thread_id: int | None = None
    revisions: list[Json] = field(default_factory=list)

    def revise(self) -> None:
        """Record the current text of the message and the time of the change."""
        self.revisions.append({"content": self.content, "at": time.monotonic()})


@dataclass(slots=True)
class Channel:
    """Anything with a channel id: text, voice, forum, DM, thread."""

    id: int
    type: int
    name: str = ""
    guild_id: int | None = None
    parent_id: int | None = None
    position: int = 0
    topic: str | None = None
    rate_limit_per_user: int = 0
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    recipients: list[int] = field(default_factory=list)
    last_message_id: int | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    thread: Thread | None = None


class World:
    """All objects by id. `bot` is the user that logs in."""

    def __init__(self, snowflakes: Snowflakes | None = None) -> None:
        self.snowflakes = snowflakes or Snowflakes()
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self._age_days = 400.0
        self._settled = False
        self.bot = self.add_user("ChatBot", bot=True)

    def _old_id(self) -> int:
        # Objects of the start are older than any message, each a little newer than the last.
        self._age_days -= 1
        return self.snowflakes.at(time.time() - self._age_days * DAY_SECONDS) | 1

    def _new_id(self) -> int:
        return self.snowflakes.next() if self._settled else self._old_id()

    def settle(self) -> None:
        """End the setup: give new objects the current time from now on."""
        self._settled = True

    def add_user(self, name: str, *, bot: bool = False, locale: str = "en-US") -> User:
        """Add a person, or another bot."""
        user = User(self._new_id(), name, bot=bot, locale=locale)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, owner: User, *, guild_id: int | None = None) -> Guild:
        """Add a guild with its everyone role and its owner."""
        guild = Guild(guild_id or self._new_id(), name, owner.id)
        guild.roles[guild.id] = Role(guild.id, "@everyone", permissions.EVERYONE)
        self.guilds[guild.id] = guild
        self.add_member(guild, owner)
        return guild

    def add_role(self, guild: Guild, name: str, bits: int, *, bot_id: int | None = None) -> Role:
        """Add a role; with *bot_id* it is the managed one of that bot."""
        role = Role(self._new_id(), name, bits, position=len(guild.roles), bot_id=bot_id)
        guild.roles[role.id] = role
        return role

    def add_member(self, guild: Guild, user: User, roles: tuple[Role, ...] = ()) -> Member:
        """Let *user* be a member of *guild*."""
        member = Member(user.id, datetime.now(UTC), [role.id for role in roles])
        guild.members[user.id] = member
        return member

    def invite_bot(self, guild: Guild, bot: User, bits: int = permissions.INVITED_BOT) -> Member:
        """Let *bot* join *guild* with a managed role that has the permissions *bits*."""
        return self.add_member(guild, bot, (self.add_role(guild, bot.name, bits, bot_id=bot.id),))

    def add_channel(self, guild: Guild, name: str, kind: int = ChannelType.TEXT) -> Channel:
        """Add a channel at the end of the guild's list."""
        position = sum(1 for _ in self.guild_channels(guild.id))
        channel = Channel(self._new_id(), kind, name, guild.id, position=position)
        self.channels[channel.id] = channel
        return channel

    def open_dm(self, user_id: int) -> Channel:
        """Return the DM channel between the bot and *user_id*, making it if needed."""
        for channel in self.channels.values():
            if channel.type == ChannelType.DM and {user_id, self.bot.id} <= {*channel.recipients}:
                return channel
        channel = Channel(self.snowflakes.next(), ChannelType.DM, recipients=[user_id, self.bot.id])
        self.channels[channel.id] = channel
        return channel

    def add_private_channel(self, *user_ids: int) -> Channel:
        """Add a DM of two people, or a group DM of more; the bot is in none of them."""
        kind = ChannelType.DM if len(user_ids) == 2 else ChannelType.GROUP_DM
        channel = Channel(self.snowflakes.next(), kind, recipients=list(user_ids))
        self.channels[channel.id] = channel
        return channel

    def guild_channels(self, guild_id: int) -> Iterator[Channel]:
        """Yield the channels of a guild that are not threads."""
        for channel in self.channels.values():
            if channel.guild_id == guild_id and channel.thread is None:
                yield channel

    def threads(
        self, *, guild_id: int | None = None, parent_id: int | None = None
    ) -> list[Channel]:
        """Return the threads of a guild or of a channel, archived ones too."""
        return [
            channel
            for channel in self.channels.values()
            if channel.thread
            and (guild_id is None or channel.guild_id == guild_id)
            and (parent_id is None or channel.parent_id == parent_id)
        ]

    def remove_channel(self, channel: Channel) -> None:
        """Remove a channel and the threads in it."""
        for thread in self.threads(parent_id=channel.id):
            del self.channels[thread.id]
        del self.channels[channel.id]

    def permissions(self, channel: Channel, user_id: int) -> int:
        """Return the permissions of *user_id* in *channel*."""
        return permissions.permissions_in(self, channel, user_id)

    def can_view(self, channel: Channel, user_id: int) -> bool:
        """Return whether *user_id* sees *channel*; only members see a private thread."""
        bits = self.permissions(channel, user_id)
        if not bits & permissions.Permission.VIEW_CHANNEL:
            return False
        if channel.type != ChannelType.PRIVATE_THREAD or channel.thread is None:
            return True
        return user_id in channel.thread.members or bool(
            bits & permissions.Permission.MANAGE_THREADS
        )


def sandbox_world() -> World:
    """Return the world at the start: one guild, three people, the bot and another bot."""
    world = World()
    mina, jun, sora = (world.add_user(name) for name in ("Mina", "Jun", "Sora"))
    other = world.add_user("OtherBot", bot=True)
    guild = world.add_guild("Sandbox", mina)
    admins = world.add_role(guild, "Admins", int(permissions.Permission.ADMINISTRATOR))
    world.add_member(guild, mina, (admins,))
    world.add_member(guild, jun)
    world.add_member(guild, sora)
    world.invite_bot(guild, world.bot)
    world.invite_bot(guild, other)
    for name, kind in (
        ("general", ChannelType.TEXT),
        ("random", ChannelType.TEXT),
        ("news", ChannelType.ANNOUNCEMENT),
        ("Lounge", ChannelType.VOICE),
        ("help", ChannelType.FORUM),
    ):
        world.add_channel(guild, name, kind)
    world.settle()
    return world
