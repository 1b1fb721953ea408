"""What discord.py knows of a small server: its own objects, fed with payloads."""

from collections.abc import Iterable
from typing import Any

import discord

ME, MINA, JUN, GUILD, CHANNEL, THREAD = 1, 10, 11, 100, 200, 300
MY_ROLE, OTHER_ROLE = 101, 102
Json = dict[str, Any]


def user(user_id: int, name: str, **more: Any) -> Json:
    return {
        "id": str(user_id),
        "username": name.lower(),
        "global_name": name,
        "discriminator": "0",
        "avatar": None,
    } | more


def role(role_id: int, name: str, permissions: int = 0, **more: Any) -> Json:
    return {
        "id": str(role_id),
        "name": name,
        "permissions": str(permissions),
        "position": 1,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": True,
        "flags": 0,
    } | more


MEMBER: Json = {"roles": [], "joined_at": None, "deaf": False, "mute": False, "flags": 0}
SPEAK_IN_THREADS = discord.Permissions(
    view_channel=True, create_public_threads=True, send_messages_in_threads=True
).value


class World:
    """What discord.py knows after READY and GUILD_CREATE, fed to its real state."""

    def __init__(self) -> None:
        self.client = discord.Client(intents=discord.Intents(guilds=True, guild_messages=True))
        self.state = self.client._connection
        me: Any = user(ME, "ChatBot", bot=True)
        self.state.user = discord.ClientUser(state=self.state, data=me)
        self.state.application_id = ME
        channel = {"id": str(CHANNEL), "type": 0, "name": "general", "position": 0}
        channel |= {"permission_overwrites": [], "nsfw": False, "parent_id": None}
        data: Any = {
            "id": str(GUILD),
            "name": "Sandbox",
            "owner_id": str(MINA),
            "roles": [
                role(GUILD, "@everyone", SPEAK_IN_THREADS),
                role(MY_ROLE, "ChatBot", managed=True, tags={"bot_id": str(ME)}),
                role(OTHER_ROLE, "helpers"),
            ],
            "channels": [channel],
            "members": [MEMBER | {"user": user(ME, "ChatBot", bot=True), "roles": [str(MY_ROLE)]}],
            "emojis": [],
            "stickers": [],
            "features": [],
            "threads": [],
            "member_count": 3,
        }
        self.guild = discord.Guild(data=data, state=self.state)
        self.state._add_guild(self.guild)
        self.channel = self.guild.get_channel(CHANNEL)

    def member(self, person_id: int, role_ids: Iterable[int] = ()) -> discord.Member:
        """Return a member of the guild who has these roles."""
        data: Any = MEMBER | {"user": user(person_id, "Mina"), "roles": [*map(str, role_ids)]}
        return discord.Member(data=data, guild=self.guild, state=self.state)

    def say(self, text: str, *, dm: bool = False, **more: Any) -> discord.Message:
        data: Any = {
            "id": "1000",
            "channel_id": str(CHANNEL),
            "type": 0,
            "content": text,
            "author": user(MINA, "Mina"),
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": False,
            "attachments": [],
            "embeds": [],
            "edited_timestamp": None,
            "timestamp": "2026-08-01T00:00:00+00:00",
            "pinned": False,
            "tts": False,
            "flags": 0,
        }
        data |= more
        if dm:
            payload: Any = {"id": "5", "type": 1, "recipients": [user(MINA, "Mina")]}
            assert self.state.user is not None
            place: Any = discord.DMChannel(me=self.state.user, state=self.state, data=payload)
        else:
            place = self.channel
            data |= {"guild_id": str(GUILD)}
        return discord.Message(state=self.state, channel=place, data=data)
