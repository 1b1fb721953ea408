"""Changes to the world by the control interface: channels, threads, guilds, members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.discord import guilds, messages, payloads, people, thread_making, threads
from bot.sandbox.discord.control_routes import read_spec
from bot.sandbox.discord.world import ChannelType

if TYPE_CHECKING:
    from aiohttp import web

    from bot.sandbox.discord.control_places import Places
    from bot.sandbox.discord.control_routes import Route
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Json


class WorldControl:
    """Changes the world; every id may be given as a name."""

    def __init__(self, state: State, places: Places) -> None:
        self._state = state
        self._places = places

    def routes(self) -> list[Route]:
        """Return the routes of this part."""
        return [
            ("GET", "/channels", self._channels),
            ("POST", "/channels", self._create_channel),
            ("PATCH", "/channels/{channel}", self._edit_channel),
            ("DELETE", "/channels/{channel}", self._delete_channel),
            ("POST", "/threads", self._create_thread),
            ("POST", "/guilds", self._create_guild),
            ("PATCH", "/guilds/{guild}", self._edit_guild),
            ("POST", "/users", self._create_user),
            ("PATCH", "/users/{user}", self._edit_user),
            ("PUT", "/members/{guild}/{user}", self._invite),
            ("PATCH", "/members/{guild}/{user}", self._edit_member),
            ("DELETE", "/members/{guild}/{user}", self._kick),
        ]

    async def _channels(self, _request: web.Request) -> list[Json]:
        world = self._state.world
        return [payloads.channel_object(world, channel) for channel in world.channels.values()]

    async def _create_channel(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        guild = self._places.guild(spec.get("guild_id", "Sandbox"))
        kind = int(spec.get("type", ChannelType.TEXT))
        channel = guilds.create_channel(self._state, guild, str(spec["name"]), kind)
        return payloads.channel_object(self._state.world, channel)

    async def _edit_channel(self, request: web.Request) -> Json:
        """Change a thread, or a channel; `overwrites` is a list of {target, allow, deny} names."""
        spec, channel = (
            await read_spec(request),
            self._places.channel(request.match_info["channel"]),
        )
        if channel.thread:
            threads.change(self._state, channel, spec)
        else:
            spec["permission_overwrites"] = [
                self._places.overwrite(channel, item) for item in spec.get("overwrites") or []
            ]
            guilds.edit_channel(self._state, channel, spec)
        return payloads.channel_object(self._state.world, channel)

    async def _delete_channel(self, request: web.Request) -> None:
        channel = self._places.channel(request.match_info["channel"])
        if channel.thread:
            threads.delete(self._state, channel)
        else:
            guilds.delete_channel(self._state, channel)

    async def _create_thread(self, request: web.Request) -> Json:
        """Make a thread: of `message_id`, alone, or as a post with `content` and `attachments`."""
        spec = await read_spec(request)
        parent = self._places.channel(spec["channel_id"])
        owner = self._places.user(spec["author_id"])
        name = str(spec["name"])
        if parent.type == ChannelType.FORUM:
            files = [
                people.make_attachment(self._state, parent, item)
                for item in spec.get("attachments") or []
            ]
            draft = messages.Draft(content=str(spec.get("content", "")), attachments=files)
            thread, _ = thread_making.make_forum_post(self._state, parent, owner.id, name, draft)
        elif "message_id" in spec:
            source = self._places.message(parent, spec["message_id"])
            thread = thread_making.make_from_message(self._state, parent, source, owner.id, name)
        else:
            kind = int(spec.get("type", ChannelType.PUBLIC_THREAD))
            thread = thread_making.make_without_message(
                self._state, parent, owner.id, name, kind=kind
            )
        return payloads.channel_object(self._state.world, thread)

    async def _create_guild(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        owner = self._places.user(spec.get("owner_id", "Mina"))
        guild = guilds.create_guild(
            self._state,
            str(spec["name"]),
            owner,
            with_bot=bool(spec.get("with_bot", True)),
            channel_count=int(spec.get("channels", 1)),
            locale=str(spec.get("locale", "en-US")),
            shard=(int(spec["shard"][0]), int(spec["shard"][1])) if "shard" in spec else None,
        )
        return self._places.guild_overview(guild)

    async def _edit_guild(self, request: web.Request) -> Json:
        """Set the bot's permissions (`bot_permissions`), or an outage (`available`)."""
        spec = await read_spec(request)
        guild = self._places.guild(request.match_info["guild"])
        if "bot_permissions" in spec:
            role = guilds.bot_role(self._state, guild)
            guilds.set_role_permissions(self._state, guild, role, int(spec["bot_permissions"]))
        if "everyone_permissions" in spec:
            role = guild.roles[guild.id]
            bits = int(spec["everyone_permissions"])
            guilds.set_role_permissions(self._state, guild, role, bits)
        if "available" in spec:
            guilds.set_available(self._state, guild, available=bool(spec["available"]))
        return self._places.guild_overview(guild)

    async def _create_user(self, request: web.Request) -> Json:
        spec = await read_spec(request)
        user = self._state.world.add_user(
            str(spec["name"]), bot=bool(spec.get("bot")), locale=spec.get("locale", "en-US")
        )
        for name in spec.get("guilds", ["Sandbox"]):
            self._state.world.add_member(self._places.guild(name), user)
        return payloads.user_object(user)

    async def _edit_user(self, request: web.Request) -> Json:
        spec, user = await read_spec(request), self._places.user(request.match_info["user"])
        user.locale = spec.get("locale", user.locale)
        user.accepts_dms = bool(spec.get("accepts_dms", user.accepts_dms))
        user.installed_bot = bool(spec.get("installed_bot", user.installed_bot))
        return payloads.user_object(user)

    async def _invite(self, request: web.Request) -> Json:
        guild = self._places.guild(request.match_info["guild"])
        user = self._places.user(request.match_info["user"])
        if user.id == self._state.world.bot.id:
            guilds.invite(self._state, guild)
        else:
            self._state.world.add_member(guild, user)
        return self._places.guild_overview(guild)

    async def _edit_member(self, request: web.Request) -> Json:
        """Give a member a role of their own with `permissions`, or a time-out (`seconds`)."""
        spec = await read_spec(request)
        guild = self._places.guild(request.match_info["guild"])
        user = self._places.user(request.match_info["user"])
        if "permissions" in spec:
            bits = self._places.bits(spec["permissions"])
            role = self._state.world.add_role(guild, f"{user.name}'s role", bits)
            guild.members[user.id].roles = [role.id]
        if "time_out_seconds" in spec:
            guilds.time_out(self._state, guild, user.id, float(spec["time_out_seconds"]))
        return self._places.guild_overview(guild)

    async def _kick(self, request: web.Request) -> None:
        guild = self._places.guild(request.match_info["guild"])
        guilds.kick(self._state, guild, self._places.user(request.match_info["user"]).id)
