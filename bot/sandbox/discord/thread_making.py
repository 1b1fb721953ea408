"""Make threads: from a message, without one, or as a post in a forum."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.sandbox.discord import messages, payloads
from bot.sandbox.discord.errors import refused
from bot.sandbox.discord.world import Channel, ChannelType, MessageFlag, MessageType, Thread

if TYPE_CHECKING:
    from bot.sandbox.discord.messages import Draft
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Message

_WITH_SOURCE = frozenset(
    {
        MessageType.DEFAULT,
        MessageType.REPLY,
        MessageType.CHAT_INPUT_COMMAND,
        MessageType.CONTEXT_MENU_COMMAND,
    }
)


def _make(
    state: State,
    parent: Channel,
    owner_id: int,
    name: str,
    *,
    thread_id: int,
    kind: int,
    auto_archive_minutes: int | None,
) -> Channel:
    active = [
        thread
        for thread in state.world.threads(guild_id=parent.guild_id)
        if thread.thread and not thread.thread.archived
    ]
    if len(active) >= state.knobs.max_active_threads:
        raise refused("too_many_threads")
    now = datetime.now(UTC)
    thread = Thread(owner_id, now, now, auto_archive_minutes=auto_archive_minutes or 1440)
    thread.members[owner_id] = now
    channel = Channel(thread_id, kind, name, parent.guild_id, parent.id, thread=thread)
    state.world.channels[channel.id] = channel
    return channel


def _announce(state: State, channel: Channel) -> None:
    event = payloads.channel_object(state.world, channel) | {"newly_created": True}
    state.gateway.dispatch("THREAD_CREATE", event, channel=channel)
    state.journal.note("thread_create", thread=event)


def make_from_message(
    state: State,
    parent: Channel,
    source: Message,
    owner_id: int,
    name: str,
    *,
    auto_archive_minutes: int | None = None,
) -> Channel:
    """Make the thread of *source*: it has the message's id, and its first message refers to it."""
    if parent.type not in {ChannelType.TEXT, ChannelType.ANNOUNCEMENT}:
        raise refused("wrong_channel_type")
    if source.type not in _WITH_SOURCE:
        raise refused("system_message")
    if source.thread_id is not None or source.id in state.world.channels:
        raise refused("thread_exists")
    announcement = parent.type == ChannelType.ANNOUNCEMENT
    kind = ChannelType.ANNOUNCEMENT_THREAD if announcement else ChannelType.PUBLIC_THREAD
    channel = _make(
        state,
        parent,
        owner_id,
        name,
        thread_id=source.id,
        kind=kind,
        auto_archive_minutes=auto_archive_minutes,
    )
    source.thread_id = channel.id
    source.flags |= MessageFlag.HAS_THREAD
    _announce(state, channel)
    messages.announce_update(state, parent, source, "thread")
    _post_starter(state, parent, channel, source)
    return channel


def _post_starter(state: State, parent: Channel, channel: Channel, source: Message) -> None:
    reference = {
        "type": 0,
        "channel_id": str(parent.id),
        "message_id": str(source.id),
        "guild_id": str(parent.guild_id),
    }
    draft = messages.Draft(type=MessageType.THREAD_STARTER, reference=reference)
    draft.allowed_mentions = {"parse": []}
    messages.post(state, channel, source.author_id, draft)


def make_without_message(
    state: State,
    parent: Channel,
    owner_id: int,
    name: str,
    *,
    kind: int = ChannelType.PUBLIC_THREAD,
    auto_archive_minutes: int | None = None,
) -> Channel:
    """Make a thread without a message; announce a public one in its parent."""
    if parent.type not in {ChannelType.TEXT, ChannelType.ANNOUNCEMENT}:
        raise refused("wrong_channel_type")
    channel = _make(
        state,
        parent,
        owner_id,
        name,
        thread_id=state.world.snowflakes.next(),
        kind=kind,
        auto_archive_minutes=auto_archive_minutes,
    )
    _announce(state, channel)
    if kind != ChannelType.PRIVATE_THREAD:
        reference = {"type": 0, "channel_id": str(channel.id), "guild_id": str(parent.guild_id)}
        draft = messages.Draft(content=name, type=MessageType.THREAD_CREATED, reference=reference)
        draft.allowed_mentions = {"parse": []}
        messages.post(state, parent, owner_id, draft)
    return channel


def make_forum_post(
    state: State,
    parent: Channel,
    owner_id: int,
    name: str,
    draft: Draft,
    *,
    auto_archive_minutes: int | None = None,
) -> tuple[Channel, Message]:
    """Make a post in a forum: a thread whose first message has its id."""
    if parent.type != ChannelType.FORUM:
        raise refused("wrong_channel_type")
    channel = _make(
        state,
        parent,
        owner_id,
        name,
        thread_id=state.world.snowflakes.next(),
        kind=ChannelType.PUBLIC_THREAD,
        auto_archive_minutes=auto_archive_minutes,
    )
    parent.last_message_id = channel.id
    _announce(state, channel)
    draft.id = channel.id
    return channel, messages.post(state, channel, owner_id, draft)
