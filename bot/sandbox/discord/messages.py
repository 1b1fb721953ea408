"""Post, edit, preview and delete messages: change the world and announce the change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.sandbox.discord import threads
from bot.sandbox.discord.markup import links, read_mentions
from bot.sandbox.discord.message_payloads import message_event, shown_message
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.world import Message, MessageFlag, MessageType

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.discord.world import Attachment, Channel, Json

_TALK = frozenset(
    {
        MessageType.DEFAULT,
        MessageType.REPLY,
        MessageType.CHAT_INPUT_COMMAND,
        MessageType.CONTEXT_MENU_COMMAND,
    }
)


@dataclass(slots=True)
class Draft:
    """A message before it is posted. A reply would ping `replied_user`."""

    content: str = ""
    type: int = MessageType.DEFAULT
    flags: int = 0
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    reference: Json | None = None
    snapshots: list[Json] = field(default_factory=list)
    stickers: list[Json] = field(default_factory=list)
    poll: Json | None = None
    replied_user: int | None = None
    allowed_mentions: Json | None = None
    nonce: str | int | None = None
    tts: bool = False
    webhook_id: int | None = None
    webhook_name: str | None = None
    application_id: int | None = None
    interaction_metadata: Json | None = None
    id: int | None = None


def post(state: State, channel: Channel, author_id: int, draft: Draft) -> Message:
    """Post *draft* in *channel*: store it, announce it, and add previews of its links later."""
    message = build(state, channel, author_id, draft)
    if channel.thread:
        threads.touch(state, channel, author_id)
    channel.messages[message.id] = message
    channel.last_message_id = message.id
    if channel.thread and message.type in _TALK and message.id != channel.id:
        channel.thread.message_count += 1
        channel.thread.total_sent += 1
    event = message_event(state.world, message, created=True)
    state.gateway.dispatch("MESSAGE_CREATE", event, channel=channel)
    state.journal.note("message_create", message=shown_message(state.world, message))
    expect_previews(state, channel, message)
    return message


def build(state: State, channel: Channel, author_id: int, draft: Draft) -> Message:
    """Return the message that *draft* becomes, without posting it."""
    message = Message(
        draft.id or state.world.snowflakes.next(),
        channel.id,
        author_id,
        draft.content.strip(),
        draft.type,
        draft.flags,
        embeds=[_stored_embed(embed) for embed in draft.embeds],
        components=number_components(draft.components),
        attachments=draft.attachments,
        reference=draft.reference,
        snapshots=draft.snapshots,
        stickers=draft.stickers,
        poll=draft.poll,
        nonce=draft.nonce,
        tts=draft.tts,
        webhook_id=draft.webhook_id,
        webhook_name=draft.webhook_name,
        application_id=draft.application_id,
        interaction_metadata=draft.interaction_metadata,
    )
    _mention(state, channel, message, draft.allowed_mentions, draft.replied_user)
    if _previewed(state, channel, message) and state.known_previews.keys() >= set(
        links(message.content)
    ):
        message.previews = _previews(state, message)
    message.revise()
    return message


def _mention(
    state: State,
    channel: Channel,
    message: Message,
    allowed: Json | None,
    replied_user: int | None,
) -> None:
    found = read_mentions(
        state.world,
        channel,
        message.author_id,
        message.content,
        allowed=allowed,
        replied_user=replied_user,
    )
    message.mentions, message.mention_roles = found.users, found.roles
    message.mention_everyone = found.everyone
    if not message.flags & MessageFlag.SUPPRESS_NOTIFICATIONS:
        message.pings += [item for item in found.pings if item not in message.pings]


def _stored_embed(embed: Json) -> Json:
    kept = {key: value for key, value in embed.items() if value is not None}
    return {"type": "rich"} | kept


def number_components(components: list[Json]) -> list[Json]:
    """Return *components* with the ids that Discord gives to those that have none."""
    number = 0

    def numbered(item: Json) -> Json:
        nonlocal number
        number += 1
        body = item if item.get("id") else item | {"id": number}
        if "components" in body:
            body = body | {"components": [numbered(child) for child in body["components"]]}
        for key in ("accessory", "component"):
            if body.get(key):
                body = body | {key: numbered(body[key])}
        return body

    return [numbered(item) for item in components]


def edit(state: State, channel: Channel, message: Message, changes: Json) -> None:
    """Apply the fields of *changes* to *message* and announce the update.

    `attachments` must hold Attachment objects. Without `allowed_mentions` everything may ping.
    """
    if "content" in changes:
        message.content = (changes["content"] or "").strip()
    if "embeds" in changes:
        message.embeds = [_stored_embed(embed) for embed in changes["embeds"] or []]
    if "components" in changes:
        message.components = number_components(changes["components"] or [])
    if "attachments" in changes:
        message.attachments = changes["attachments"]
    if changes.get("flags") is not None:
        keep = message.flags & ~MessageFlag.SUPPRESS_EMBEDS
        message.flags = keep | (changes["flags"] & MessageFlag.SUPPRESS_EMBEDS)
    message.flags &= ~MessageFlag.LOADING
    replied = _replied_user(state, message) if changes.get("allowed_mentions") else None
    _mention(state, channel, message, changes.get("allowed_mentions"), replied)
    message.edited_at = datetime.now(UTC)
    message.revise()
    wanted = links(message.content)
    message.previews = [preview for preview in message.previews if preview["url"] in wanted]
    announce_update(state, channel, message, "edit")
    expect_previews(state, channel, message)


def close_poll(state: State, channel: Channel, message: Message, votes: dict[int, int]) -> None:
    """Count the *votes* for each answer of a poll, and announce the result: no edit."""
    counts = [{"id": one, "count": count, "me_voted": False} for one, count in votes.items()]
    results = {"is_finalized": True, "answer_counts": counts}
    message.poll = (message.poll or {}) | {"results": results}
    announce_update(state, channel, message, "poll")


def _replied_user(state: State, message: Message) -> int | None:
    if message.type != MessageType.REPLY or message.reference is None:
        return None
    channel = state.world.channels.get(int(message.reference["channel_id"]))
    source = channel.messages.get(int(message.reference["message_id"])) if channel else None
    return source.author_id if source else None


def announce_update(state: State, channel: Channel, message: Message, reason: str) -> None:
    """Announce the update of *message*; only the journal includes the *reason*."""
    if not message.flags & MessageFlag.EPHEMERAL:
        event = message_event(state.world, message)
        state.gateway.dispatch("MESSAGE_UPDATE", event, channel=channel)
    state.journal.note("message_update", reason=reason, message=shown_message(state.world, message))


def delete(state: State, channel: Channel, *message_ids: int, bulk: bool = False) -> None:
    """Delete messages one by one, or in bulk with one event."""
    gone = [mid for mid in message_ids if channel.messages.pop(mid, None) is not None]
    place = {"channel_id": str(channel.id)}
    if channel.guild_id is not None:
        place["guild_id"] = str(channel.guild_id)
    if channel.thread:
        channel.thread.message_count = max(0, channel.thread.message_count - len(gone))
    if bulk:
        ids = [str(mid) for mid in gone]
        state.gateway.dispatch("MESSAGE_DELETE_BULK", place | {"ids": ids}, channel=channel)
        state.journal.note("message_delete_bulk", ids=ids, **place)
        return
    for mid in gone:
        state.gateway.dispatch("MESSAGE_DELETE", place | {"id": str(mid)}, channel=channel)
        state.journal.note("message_delete", id=str(mid), **place)


def expect_previews(state: State, channel: Channel, message: Message) -> None:
    """Add previews of the links in *message* after Discord's delay."""
    if links(message.content) and not message.flags & MessageFlag.SUPPRESS_EMBEDS:
        state.spawn(_preview(state, channel, message))


def _previews(state: State, message: Message) -> list[Json]:
    """Return the previews of the links in *message*."""
    return [
        {"type": "link", "url": url, "title": url} | state.known_previews.get(url, {})
        for url in links(message.content)
    ]


def _previewed(state: State, channel: Channel, message: Message) -> bool:
    allowed = state.world.permissions(channel, message.author_id) & Permission.EMBED_LINKS
    return bool(allowed) and not message.flags & MessageFlag.SUPPRESS_EMBEDS


async def _preview(state: State, channel: Channel, message: Message) -> None:
    await asyncio.sleep(state.knobs.preview_delay_seconds)
    previews = _previews(state, message)
    if (
        previews == message.previews
        or not _previewed(state, channel, message)
        or channel.messages.get(message.id) is not message
        or channel.id not in state.world.channels
    ):
        return
    message.previews = previews
    announce_update(state, channel, message, "preview")
