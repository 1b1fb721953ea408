"""The permissions that the bot lacks, as Discord names them."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.inbox.channels import can_read
from bot.transport.permissions import (
    TO_READ,
    TO_SEE,
    missing,
    permissions_in,
    reason,
    reason_of_lock,
    to_write,
)
from tests.world import CHANNEL, GUILD, ME, World

SPEAKING = {"view_channel": True, "read_message_history": True, "send_messages": True}


def allow(world: World, **permissions: bool) -> None:
    """Let the bot have these permissions and no others."""
    world.guild.default_role._permissions = discord.Permissions(**permissions).value


def voice(world: World, kind: type[Any] = discord.VoiceChannel) -> Any:
    data = {"id": "201", "name": "Lounge", "type": 2, "position": 1, "permission_overwrites": []}
    data |= {"nsfw": False, "parent_id": None, "bitrate": 64000, "user_limit": 0}
    return kind(state=world.state, guild=world.guild, data=data)


def thread(world: World, *, locked: bool = False) -> discord.Thread:
    metadata: dict[str, Any] = {"archived": False, "locked": locked, "auto_archive_duration": 60}
    metadata |= {"archive_timestamp": "2026-08-01T00:00:00+00:00"}
    data: Any = {
        "id": "300",
        "parent_id": str(CHANNEL),
        "owner_id": str(ME),
        "name": "x",
        "type": 11,
    }
    data |= {"thread_metadata": metadata, "message_count": 0, "member_count": 1}
    return discord.Thread(guild=world.guild, state=world.state, data=data)


def test_without_access_no_other_permission_matters() -> None:
    world = World()
    allow(world)
    assert missing(world.channel, to_write(world.channel)) == ["View Channel"]
    allow(world, view_channel=True)
    assert missing(world.channel, to_write(world.channel)) == ["Send Messages"]
    assert missing(world.channel, TO_READ) == ["Read Message History"]
    assert missing(world.channel, TO_SEE) == []


@pytest.mark.parametrize("kind", [discord.VoiceChannel, discord.StageChannel])
def test_access_to_a_voice_channel_needs_connect(kind: type[Any]) -> None:
    world = World()
    channel = voice(world, kind)
    allow(world, **SPEAKING)
    assert missing(channel, to_write(channel)) == missing(channel, TO_READ) == ["Connect"]
    assert not can_read(channel)
    assert can_read(world.channel), "a text channel needs no Connect"
    allow(world, **SPEAKING, connect=True)
    assert missing(channel, to_write(channel)) == []
    assert can_read(channel)


def test_a_thread_needs_permissions_of_its_own() -> None:
    world = World()
    allow(world, **SPEAKING)
    assert missing(thread(world), to_write(thread(world))) == ["Send Messages in Threads"]
    locked = thread(world, locked=True)
    both = "the permissions Send Messages in Threads and Manage Threads are missing"
    assert reason(locked, to_write(locked)) == both
    assert reason_of_lock(locked) == f"the thread is locked, and {both}"
    allow(world, view_channel=True, send_messages_in_threads=True, manage_threads=True)
    assert reason(locked, to_write(locked)) == ""
    assert reason_of_lock(locked) == "the thread is locked"


def test_none_is_named_if_none_is_known_to_be_missing() -> None:
    world = World()
    allow(world)
    direct = world.say("Hello", dm=True).channel
    partial = world.client.get_partial_messageable(7, guild_id=GUILD)
    for place in (direct, partial, SimpleNamespace(id=8)):
        assert permissions_in(place) is None
        assert reason(place, to_write(place)) == ""
        assert can_read(place)
    world.guild._members.clear()  # as in an outage
    assert reason(world.channel, to_write(world.channel)) == ""
    allow(world, **SPEAKING)
    assert reason(world.channel, to_write(world.channel)) == ""


def test_a_lock_that_discord_reports_means_manage_threads() -> None:
    """Even in a thread that discord.py does not know."""
    place = World().client.get_partial_messageable(7, guild_id=GUILD)
    assert reason_of_lock(place).endswith("the permission Manage Threads is missing")


def test_a_time_out_is_named() -> None:
    """A member in time-out may only view and read."""
    world = World()
    allow(world, **SPEAKING)
    me = world.guild.me
    me.timed_out_until = discord.utils.utcnow() + timedelta(hours=1)
    assert reason(world.channel, to_write(world.channel)).startswith(
        "the permission Send Messages is missing: a moderator timed the bot out until 2"
    )
    assert can_read(world.channel)
    me.timed_out_until = discord.utils.utcnow() - timedelta(seconds=1)
    assert reason(world.channel, to_write(world.channel)) == ""
