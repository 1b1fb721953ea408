"""The JSON of messages: for REST, for the gateway, and as people see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.discord.payloads import bare_member, channel_object, timestamp, user_object
from bot.sandbox.discord.world import MessageFlag, MessageType, created_at

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Attachment, Json, Message, World

_COMMAND_TYPES = frozenset({MessageType.CHAT_INPUT_COMMAND, MessageType.CONTEXT_MENU_COMMAND})

_SNAPSHOT = (
    "type",
    "content",
    "mentions",
    "mention_roles",
    "attachments",
    "embeds",
    "timestamp",
    "edited_timestamp",
    "flags",
    "components",
    "sticker_items",
)


def attachment_object(attachment: Attachment) -> Json:
    """Return an attachment with its address on the stand-in's CDN."""
    body: Json = {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": attachment.size,
        "url": attachment.url,
        "proxy_url": attachment.url,
    }
    if attachment.title:
        body["title"] = attachment.title
    if attachment.content_type:
        body["content_type"] = attachment.content_type
    if attachment.description:
        body["description"] = attachment.description
    if attachment.dimensions:
        body["width"], body["height"] = attachment.dimensions
    return body


def author_object(world: World, message: Message) -> Json:
    """Return the author of *message*: a user, or a webhook under the name it used."""
    if message.webhook_id is None or message.application_id is not None:
        return user_object(world.users[message.author_id])
    return {
        "id": str(message.webhook_id),
        "username": message.webhook_name or "Webhook",
        "avatar": None,
        "discriminator": "0000",
        "public_flags": 0,
        "flags": 0,
        "global_name": None,
        "primary_guild": None,
        "bot": True,
    }


def message_object(world: World, message: Message, *, nested: bool = True) -> Json:
    """Return a message as REST gives it; a referenced message comes without its own reference."""
    body: Json = {
        "id": str(message.id),
        "type": int(message.type),
        "channel_id": str(message.channel_id),
        "author": author_object(world, message),
        "content": message.content,
        "timestamp": timestamp(created_at(message.id)),
        "edited_timestamp": timestamp(message.edited_at) if message.edited_at else None,
        "tts": message.tts,
        "mention_everyone": message.mention_everyone,
        "mentions": [user_object(world.users[uid]) for uid in message.mentions],
        "mention_roles": [str(role_id) for role_id in message.mention_roles],
        "attachments": [attachment_object(a) for a in message.attachments],
        "embeds": [
            *message.embeds,
            *([] if message.flags & MessageFlag.SUPPRESS_EMBEDS else message.previews),
        ],
        "components": message.components,
        "pinned": message.pinned,
        "flags": message.flags,
    }
    if message.reactions:
        body["reactions"] = [
            {
                "emoji": {"id": None, "name": emoji},
                "count": len(users),
                "count_details": {"burst": 0, "normal": len(users)},
                "burst_colors": [],
                "me": world.bot.id in users,
                "me_burst": False,
                "burst_me": False,
                "burst_count": 0,
            }
            for emoji, users in message.reactions.items()
        ]
    return body | _optional_message_fields(world, message, nested=nested)


def _optional_message_fields(world: World, message: Message, *, nested: bool) -> Json:
    body: Json = {}
    if message.webhook_id is not None:
        body["webhook_id"] = str(message.webhook_id)
    if message.application_id is not None:
        body["application_id"] = str(message.application_id)
    if message.interaction_metadata is not None:
        body["interaction_metadata"] = message.interaction_metadata
        if message.type in _COMMAND_TYPES:
            body["interaction"] = {
                key: message.interaction_metadata[key] for key in ("id", "type", "name", "user")
            }
    if message.thread_id is not None and message.thread_id in world.channels:
        body["thread"] = channel_object(world, world.channels[message.thread_id])
    beside = {
        "message_snapshots": message.snapshots,
        "sticker_items": message.stickers,
        "poll": message.poll,
    }
    body |= {name: value for name, value in beside.items() if value}
    if message.reference is not None:
        body["message_reference"] = message.reference
        if nested and message.type in {MessageType.REPLY, MessageType.THREAD_STARTER}:
            body["referenced_message"] = _referenced(world, message.reference)
    return body


def _referenced(world: World, reference: Json) -> Json | None:
    channel = world.channels.get(int(reference["channel_id"]))
    message = channel.messages.get(int(reference["message_id"])) if channel else None
    return message_object(world, message, nested=False) if message else None


def snapshot_of(world: World, message: Message) -> Json:
    """Return the unchanging copy of *message* in a forward, without its author."""
    body = message_object(world, message, nested=False)
    return {"message": {name: body[name] for name in _SNAPSHOT if name in body}}


def created_message(world: World, message: Message) -> Json:
    """Return a message as the answer to its creation gives it: with the nonce."""
    body = message_object(world, message)
    return body if message.nonce is None else body | {"nonce": message.nonce}


def message_event(world: World, message: Message, *, created: bool = False) -> Json:
    """Return a message as the gateway gives it: in a guild with guild and member."""
    body = created_message(world, message) if created else message_object(world, message)
    channel = world.channels[message.channel_id]
    body["channel_type"] = int(channel.type)
    if channel.guild_id is None:
        return body
    members = world.guilds[channel.guild_id].members
    body["guild_id"] = str(channel.guild_id)
    if message.author_id in members and (message.webhook_id is None or message.application_id):
        body["member"] = bare_member(members[message.author_id])
    for user in body["mentions"]:
        if int(user["id"]) in members:
            user["member"] = bare_member(members[int(user["id"])])
    return body


def shown_message(world: World, message: Message) -> Json:
    """Return *message* as people see it, with fields of the stand-in."""
    author = author_object(world, message)
    known = world.users.get(message.author_id) if author["id"] == str(message.author_id) else None
    return created_message(world, message) | {
        "pings": list(message.pings),
        "revisions": list(message.revisions),
        "ephemeral": bool(message.flags & MessageFlag.EPHEMERAL),
        "loading": bool(message.flags & MessageFlag.LOADING),
        "author_name": known.name if known else author["username"],
    }
