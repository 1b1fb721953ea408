"""Change an existing thread: post in it, archive, join, leave, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.sandbox.discord import payloads
from bot.sandbox.discord.world import MessageFlag

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Channel, Json


def touch(state: State, channel: Channel, author_id: int) -> None:
    """Update a thread for a new message: reopen it and add the author as a member."""
    thread = channel.thread
    if thread is None:
        return
    if thread.archived:
        change(state, channel, {"archived": False})
    if author_id not in thread.members and author_id in state.world.users:
        join(state, channel, author_id)


def change(state: State, channel: Channel, changes: Json) -> None:
    """Change a thread's name, archived, locked and so on, and announce it."""
    thread = channel.thread
    if thread is None:
        return
    channel.name = changes.get("name") or channel.name
    if "archived" in changes and changes["archived"] != thread.archived:
        thread.archived = bool(changes["archived"])
        thread.archive_timestamp = datetime.now(UTC)
    thread.locked = bool(changes.get("locked", thread.locked))
    if changes.get("auto_archive_duration"):
        thread.auto_archive_minutes = int(changes["auto_archive_duration"])
    if changes.get("rate_limit_per_user") is not None:
        channel.rate_limit_per_user = int(changes["rate_limit_per_user"])
    event = payloads.channel_object(state.world, channel)
    state.gateway.dispatch("THREAD_UPDATE", event, channel=channel)
    state.journal.note("thread_update", thread=event)


def join(state: State, channel: Channel, user_id: int) -> None:
    """Make *user_id* a member of the thread."""
    thread = channel.thread
    if thread is None or user_id in thread.members:
        return
    thread.members[user_id] = datetime.now(UTC)
    added = payloads.thread_member(channel, thread, user_id)
    _announce_members(state, channel, added=[added], removed=[], about=user_id)


def leave(state: State, channel: Channel, user_id: int) -> None:
    """Remove *user_id* from the members of the thread."""
    thread = channel.thread
    if thread is None or thread.members.pop(user_id, None) is None:
        return
    _announce_members(state, channel, added=[], removed=[str(user_id)], about=user_id)


def _announce_members(
    state: State, channel: Channel, *, added: list[Json], removed: list[str], about: int
) -> None:
    # Without the members intent, an app gets this event only about itself.
    if about != state.world.bot.id or channel.thread is None:
        return
    event = {
        "id": str(channel.id),
        "guild_id": str(channel.guild_id),
        "member_count": len(channel.thread.members),
        "added_members": added,
        "removed_member_ids": removed,
    }
    state.gateway.dispatch("THREAD_MEMBERS_UPDATE", event, channel=channel)


def delete(state: State, channel: Channel) -> None:
    """Delete a thread with its messages; its source message stays."""
    event = {
        "id": str(channel.id),
        "guild_id": str(channel.guild_id),
        "parent_id": str(channel.parent_id),
        "type": int(channel.type),
    }
    state.gateway.dispatch("THREAD_DELETE", event, channel=channel)
    state.world.remove_channel(channel)
    parent = state.world.channels.get(channel.parent_id or 0)
    source = parent.messages.get(channel.id) if parent else None
    if source is not None:
        source.thread_id = None
        source.flags &= ~MessageFlag.HAS_THREAD
    state.journal.note("thread_delete", thread=event)
