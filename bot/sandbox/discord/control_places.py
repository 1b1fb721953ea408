"""Look up names of the control interface: people, channels, guilds, messages, by id or by name."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from bot.sandbox.discord import payloads
from bot.sandbox.discord.permissions import Permission

if TYPE_CHECKING:
    from bot.sandbox.discord.interactions import Interaction
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Guild, Json, Message, User

_TYPED = re.compile(r"@(\w+)")


class Places:
    """Looks things up by id or name; raises LookupError with the name if it finds none."""

    def __init__(self, state: State) -> None:
        self._state = state

    def user(self, name: object) -> User:
        """Return a user by id or name."""
        text = str(name)
        for user in self._state.world.users.values():
            if text in {str(user.id), user.name}:
                return user
        raise LookupError(f"user {text!r}")

    def guild(self, name: object) -> Guild:
        """Return a guild by id or name."""
        text = str(name)
        for guild in self._state.world.guilds.values():
            if text in {str(guild.id), guild.name}:
                return guild
        raise LookupError(f"guild {text!r}")

    def channel(self, name: object) -> Channel:
        """Return a channel by id, by name, or by `Guild/name`."""
        text = str(name).lstrip("#")
        guild_name, _, short = text.rpartition("/")
        guild = self.guild(guild_name) if guild_name else None
        world = self._state.world
        if text.isdigit() and int(text) in world.channels:
            return world.channels[int(text)]
        for channel in world.channels.values():
            here = guild is None or channel.guild_id == guild.id
            if here and channel.name and channel.name == short:
                return channel
        raise LookupError(f"channel {text!r}")

    def message(self, channel: Channel, number: object) -> Message:
        """Return a message of *channel*, an ephemeral one too."""
        key = int(str(number))
        found = channel.messages.get(key) or self._state.ephemerals.get(key)
        if found is None or found.channel_id != channel.id:
            raise LookupError(f"message {key} in {channel.name or channel.id}")
        return found

    def interaction(self, number: object) -> Interaction:
        """Return an interaction by id."""
        found = self._state.interactions.get(int(str(number)))
        if found is None:
            raise LookupError(f"interaction {number}")
        return found

    def resolve_mentions(self, text: str) -> str:
        """Turn `@Name` into a mention, as the client does when one picks a name."""

        def mention(match: re.Match[str]) -> str:
            try:
                return f"<@{self.user(match[1]).id}>"
            except LookupError:
                return match[0]

        return _TYPED.sub(mention, text)

    def bits(self, value: object) -> int:
        """Return permission bits from a number, or from a list of Discord's names."""
        if isinstance(value, list):
            total = 0
            for name in value:
                total |= Permission[str(name)]
            return total
        return int(str(value))

    def overwrite(self, channel: Channel, item: Json) -> Json:
        """Return an overwrite for `target`: `everyone`, a user's name, or an id."""
        target = str(item["target"])
        if target == "everyone":
            number, kind = channel.guild_id, 0
        else:
            number, kind = self.user(target).id, 1
        return {
            "id": number,
            "type": kind,
            "allow": self.bits(item.get("allow", 0)),
            "deny": self.bits(item.get("deny", 0)),
        }

    def announce_typing(self, channel: Channel, user: User) -> None:
        """Send the bot the event that *user* is typing."""
        event: Json = {
            "channel_id": str(channel.id),
            "user_id": str(user.id),
            "timestamp": int(time.time()),
        }
        if channel.guild_id is not None:
            guild = self._state.world.guilds[channel.guild_id]
            event["guild_id"] = str(guild.id)
            event["member"] = payloads.member_object(self._state.world, guild.members[user.id])
        self._state.gateway.dispatch("TYPING_START", event, channel=channel)
        self._state.journal.note("typing", channel_id=str(channel.id), user_id=str(user.id))

    def guild_overview(self, guild: Guild) -> Json:
        """Return a guild with its channels by name."""
        world = self._state.world
        return {
            "id": str(guild.id),
            "name": guild.name,
            "channels": {c.name: str(c.id) for c in world.guild_channels(guild.id)},
            "members": {world.users[m].name: str(m) for m in guild.members},
            "roles": {role.name: str(role.id) for role in guild.roles.values()},
        }

    def overview(self) -> Json:
        """Return the people, guilds and channels by name."""
        world = self._state.world
        return {
            "bot": {"id": str(world.bot.id), "name": world.bot.name},
            "users": {user.name: str(user.id) for user in world.users.values()},
            "guilds": [self.guild_overview(guild) for guild in world.guilds.values()],
            "last_event": self._state.journal.last,
            "invalid_requests": self._state.limits.invalid_total,
        }
