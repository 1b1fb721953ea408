"""The REST routes of messages: post, list, edit, delete, react, type."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bot.sandbox.discord import installs, messages
from bot.sandbox.discord.calls import Call, store_uploads
from bot.sandbox.discord.errors import (
    DiscordError,
    NotModelledError,
    invalid_form,
    refused,
)
from bot.sandbox.discord.intents import blank_content
from bot.sandbox.discord.message_payloads import created_message, message_object
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.validation import (
    check_message,
    is_snowflake,
    require_something,
)
from bot.sandbox.discord.world import (
    NO_MESSAGES_TYPES,
    ChannelType,
    MessageFlag,
    MessageType,
    created_at,
)

if TYPE_CHECKING:
    from bot.sandbox.discord.messages import Draft
    from bot.sandbox.discord.world import Channel, Json, Message

DELETABLE = frozenset(
    {0, 6, 7, 8, 9, 10, 11, 12, 18, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29, 31, 32}
)
_REPLIABLE = frozenset(
    {
        MessageType.DEFAULT,
        MessageType.REPLY,
        MessageType.CHAT_INPUT_COMMAND,
        MessageType.CONTEXT_MENU_COMMAND,
    }
)
BULK_AGE_SECONDS = 14 * 86400.0
OLD_EDITS = (
    429,
    30046,
    "Maximum number of edits to messages older than 1 hour reached. Try again later",
)


def require_can_speak(call: Call, channel: Channel) -> None:
    """Refuse if the bot may not post in *channel*."""
    world = call.state.world
    if channel.type in NO_MESSAGES_TYPES:
        raise refused("non_text_channel")
    if channel.type == ChannelType.DM:
        if any(not world.users[uid].accepts_dms for uid in channel.recipients):
            raise refused("cannot_dm")
        return
    if channel.thread is None:
        call.require(channel, Permission.SEND_MESSAGES)
        return
    call.require(channel, Permission.SEND_MESSAGES_IN_THREADS)
    if channel.thread.locked and not call.may(channel, Permission.MANAGE_THREADS):
        raise refused("thread_locked")


async def create_message(call: Call) -> tuple[int, Any]:
    """POST /channels/{channel_id}/messages."""
    channel, form = call.messages_channel(), call.form()
    require_can_speak(call, channel)
    check_message(form, file_count=len(call.uploads))
    require_something(form, file_count=len(call.uploads))
    if form.get("embeds"):
        call.require(channel, Permission.EMBED_LINKS)
    if call.uploads:
        call.require(channel, Permission.ATTACH_FILES)
    earlier = _same_nonce(call, form)
    if earlier is not None:
        call.notes["returned_by_nonce"] = True
        return 200, created_message(call.state.world, earlier)
    draft = draft_from_form(call, channel, form)
    message = messages.post(call.state, channel, call.me, draft)
    return 200, created_message(call.state.world, message)


def _same_nonce(call: Call, form: Json) -> Message | None:
    nonce = form.get("nonce")
    if not form.get("enforce_nonce") or nonce is None:
        return None
    oldest = time.time() - call.state.knobs.nonce_window_seconds
    first_id = call.state.world.snowflakes.at(oldest)
    for channel in call.state.world.channels.values():
        if channel.last_message_id is None or channel.last_message_id < first_id:
            continue
        for message in reversed(channel.messages.values()):
            if message.id < first_id:
                break
            if message.author_id == call.me and str(message.nonce) == str(nonce):
                return message
    return None


def draft_from_form(call: Call, channel: Channel, form: Json) -> Draft:
    """Return the draft of a checked form, after storing its files."""
    for_all = not (form.get("flags") or 0) & MessageFlag.EPHEMERAL
    call.state.refusals.judge(channel, form, files=len(call.uploads), for_all=for_all)
    draft = messages.Draft(
        content=form.get("content") or "",
        flags=form.get("flags") or 0,
        embeds=form.get("embeds") or [],
        components=form.get("components") or [],
        allowed_mentions=form.get("allowed_mentions"),
        nonce=form.get("nonce"),
        tts=bool(form.get("tts")),
        attachments=store_uploads(call, channel.id, form),
    )
    if form.get("message_reference"):
        _refer(call, channel, draft, form["message_reference"])
    return draft


def _refer(call: Call, channel: Channel, draft: Draft, reference: Json) -> None:
    if int(reference.get("channel_id") or channel.id) != channel.id:
        raise invalid_form(
            ("message_reference",),
            "REPLIES_CANNOT_REFERENCE_OTHER_CHANNEL",
            "Cannot reply to a message in a different channel",
        )
    if not call.may(channel, Permission.READ_MESSAGE_HISTORY):
        raise refused("no_history")
    source = channel.messages.get(int(reference["message_id"]))
    if source is None:
        if reference.get("fail_if_not_exists", True):
            raise invalid_form(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        return
    if source.type not in _REPLIABLE:
        raise invalid_form(
            ("message_reference",),
            "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
            "Cannot reply to a system message",
        )
    reply_to(draft, channel, source)


def reply_to(draft: Draft, channel: Channel, source: Message) -> None:
    """Make *draft* a reply to *source*."""
    draft.type = MessageType.REPLY
    draft.replied_user = source.author_id
    draft.reference = {"type": 0, "channel_id": str(channel.id), "message_id": str(source.id)}
    if channel.guild_id is not None:
        draft.reference["guild_id"] = str(channel.guild_id)


async def list_messages(call: Call) -> tuple[int, Any]:
    """GET /channels/{channel_id}/messages."""
    channel = call.messages_channel()
    if channel.type in NO_MESSAGES_TYPES:
        raise refused("non_text_channel")
    limit = call.number("limit", 50, 1, 100)
    before, after, around = (call.snowflake(key) for key in ("before", "after", "around"))
    if not call.may(channel, Permission.READ_MESSAGE_HISTORY):
        return 200, []
    found = list(channel.messages.values())
    if around is not None:
        older = [m for m in found if m.id < around][-(limit // 2) :]
        found = older + [m for m in found if m.id >= around][: limit - len(older)]
    elif after is not None:
        found = [m for m in found if m.id > after][:limit]
    else:
        found = [m for m in found if before is None or m.id < before][-limit:]
    return 200, [_seen(call, channel, message) for message in reversed(found)]


def _seen(call: Call, channel: Channel, message: Message) -> Json:
    body = message_object(call.state.world, message)
    if call.state.knobs.portal.message_content:
        return body
    return blank_content(body, call.me, in_guild=channel.guild_id is not None)


async def get_message(call: Call) -> tuple[int, Any]:
    """GET /channels/{channel_id}/messages/{message_id}."""
    channel = call.messages_channel()
    call.require(channel, Permission.READ_MESSAGE_HISTORY)
    return 200, _seen(call, channel, call.message(channel))


async def edit_message(call: Call) -> tuple[int, Any]:
    """PATCH /channels/{channel_id}/messages/{message_id}."""
    channel, form = call.messages_channel(), call.form()
    message = call.message(channel)
    if message.author_id != call.me or message.webhook_id not in {None, call.me}:
        only_flags = set(form) <= {"flags"}
        if not (only_flags and call.may(channel, Permission.MANAGE_MESSAGES)):
            raise refused("not_the_author")
    if call.uploads:
        call.require(channel, Permission.ATTACH_FILES)
    count_old_edit(call, channel, message)
    apply_edit(call, channel, message, form)
    return 200, message_object(call.state.world, message)


def count_old_edit(call: Call, channel: Channel, message: Message) -> None:
    """Count the edit of an old message; refuse it if there were too many in *channel*.

    The headers do not show this limit.
    """
    state = call.state
    age_seconds = time.time() - created_at(message.id).timestamp()
    if age_seconds <= state.knobs.old_message_seconds:
        return
    verdict = state.limits.ask("old_message_edit", str(channel.id))
    if not verdict.passes:
        raise DiscordError(*OLD_EDITS, retry_after=verdict.retry_after)


def apply_edit(call: Call, channel: Channel, message: Message, form: Json) -> None:
    """Check an edit's channel and form, and apply it to the message."""
    for_all = not message.flags & MessageFlag.EPHEMERAL
    if for_all:
        _require_editable(call, channel, message)
    check_message(form, file_count=len(call.uploads), editing=True)
    # Discord: an edit repeats the flags of the message, and sets or clears this one.
    added = (form.get("flags") or 0) & ~(message.flags | MessageFlag.SUPPRESS_EMBEDS)
    if added:
        raise NotModelledError(f"flags={added}")
    call.state.refusals.judge(channel, form, files=len(call.uploads), for_all=for_all)
    changes = dict(form)
    if "attachments" in form or call.uploads:
        listed_ids = {str(item.get("id")) for item in form.get("attachments") or []}
        keeps_all = "attachments" not in form
        kept = [item for item in message.attachments if keeps_all or str(item.id) in listed_ids]
        changes["attachments"] = kept + store_uploads(call, channel.id, form, kept)
    after = {
        "content": changes.get("content", message.content),
        "embeds": changes.get("embeds", message.embeds),
        "components": changes.get("components", message.components),
    }
    require_something(after, file_count=len(changes.get("attachments", message.attachments)))
    messages.edit(call.state, channel, message, changes)


def _require_editable(call: Call, channel: Channel, message: Message) -> None:
    """Refuse if the thread of a message allows no edits."""
    thread = channel.thread
    if thread is None:
        return
    if thread.archived:
        raise refused("thread_archived")
    if thread.locked and not call.may(channel, Permission.MANAGE_THREADS):
        if message.webhook_id is None:
            raise refused("thread_locked")
        refuse_in_locked(call, channel)


def refuse_in_locked(call: Call, channel: Channel) -> None:
    """Refuse an answer to an interaction in a locked thread, as bots have reported."""
    there = installs.is_there(call.state.world, channel)
    raise refused("thread_archived" if there else "missing_access")


async def delete_message(call: Call) -> tuple[int, Any]:
    """DELETE /channels/{channel_id}/messages/{message_id}."""
    channel = call.messages_channel()
    message = call.message(channel)
    if channel.guild_id is None and message.author_id != call.me:
        raise refused("dm_channel")
    if message.type not in DELETABLE:
        raise refused("system_message")
    if message.author_id != call.me:
        call.require(channel, Permission.MANAGE_MESSAGES)
    thread = channel.thread
    # Discord: deleting is all that may happen in an archived thread, unless it is locked.
    closed = thread and thread.archived and thread.locked
    if closed and not call.may(channel, Permission.MANAGE_THREADS):
        raise refused("thread_archived")
    messages.delete(call.state, channel, message.id)
    return 204, None


async def bulk_delete(call: Call) -> tuple[int, Any]:
    """POST /channels/{channel_id}/messages/bulk-delete."""
    channel = call.messages_channel()
    if channel.guild_id is None:
        raise refused("dm_channel")
    call.require(channel, Permission.MANAGE_MESSAGES)
    ids = call.form().get("messages")
    if not isinstance(ids, list) or not all(is_snowflake(item) for item in ids):
        raise invalid_form(("messages",), "BASE_TYPE_REQUIRED", "This field is required")
    if not 2 <= len(ids) <= 100:
        raise refused("bulk_count")
    if any(time.time() - created_at(int(i)).timestamp() > BULK_AGE_SECONDS for i in ids):
        raise refused("too_old")
    messages.delete(call.state, channel, *(int(item) for item in ids), bulk=True)
    return 204, None


async def type_in(call: Call) -> tuple[int, Any]:
    """POST /channels/{channel_id}/typing."""
    channel = call.messages_channel()
    require_can_speak(call, channel)
    call.state.journal.note("typing", channel_id=str(channel.id), user_id=str(call.me))
    return 204, None


async def add_reaction(call: Call) -> tuple[int, Any]:
    """PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me."""
    channel = call.messages_channel()
    message = call.message(channel)
    call.require(channel, Permission.READ_MESSAGE_HISTORY)
    emoji = call.ids["emoji"]
    if channel.thread and channel.thread.archived:
        raise refused("thread_archived")
    if emoji not in message.reactions:
        call.require(channel, Permission.ADD_REACTIONS)
        if len(message.reactions) >= 20:
            raise refused("too_many_reactions")
    users = message.reactions.setdefault(emoji, [])
    if call.me not in users:
        users.append(call.me)
        _announce_reaction(call, channel, message, "ADD")
    return 204, None


async def remove_reaction(call: Call) -> tuple[int, Any]:
    """DELETE /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me."""
    channel = call.messages_channel()
    message = call.message(channel)
    users = message.reactions.get(call.ids["emoji"], [])
    if call.me in users:
        users.remove(call.me)
        if not users:
            del message.reactions[call.ids["emoji"]]
        _announce_reaction(call, channel, message, "REMOVE")
    return 204, None


def _announce_reaction(call: Call, channel: Channel, message: Message, change: str) -> None:
    event: Json = {
        "user_id": str(call.me),
        "channel_id": str(channel.id),
        "message_id": str(message.id),
        "emoji": {"id": None, "name": call.ids["emoji"]},
        "burst": False,
        "type": 0,
    }
    if channel.guild_id is not None:
        event["guild_id"] = str(channel.guild_id)
    call.state.gateway.dispatch(f"MESSAGE_REACTION_{change}", event, channel=channel)
    call.state.journal.note(f"reaction_{change.lower()}", **event)
