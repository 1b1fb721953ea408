"""The REST routes of users, channels, threads and guilds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.sandbox.discord import guilds, modelled, payloads, thread_making, threads
from bot.sandbox.discord.errors import FormErrors, invalid_form, refused
from bot.sandbox.discord.message_payloads import message_object
from bot.sandbox.discord.permissions import Permission, guild_permissions
from bot.sandbox.discord.rest_messages import draft_from_form
from bot.sandbox.discord.validation import check_message, is_snowflake, require_something
from bot.sandbox.discord.world import ChannelType

if TYPE_CHECKING:
    from bot.sandbox.discord.calls import Call
    from bot.sandbox.discord.world import Channel, Guild, Json, Thread

_OF_MODERATORS = frozenset({"locked", "rate_limit_per_user"})  # fields of a thread
_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)


async def get_gateway(call: Call) -> tuple[int, Any]:
    """GET /gateway."""
    return 200, {"url": call.state.gateway_url}


async def get_gateway_bot(call: Call) -> tuple[int, Any]:
    """GET /gateway/bot."""
    knobs, total = call.state.knobs, call.state.knobs.identify_limit
    return 200, {
        "url": call.state.gateway_url,
        "shards": knobs.shards,
        "session_start_limit": {
            "total": total,
            "remaining": max(0, total - call.state.gateway.identifies),
            "reset_after": 86_400_000,
            "max_concurrency": knobs.max_concurrency,
        },
    }


async def get_me(call: Call) -> tuple[int, Any]:
    """GET /users/@me."""
    return 200, payloads.own_user_object(call.state.world.bot)


async def get_user(call: Call) -> tuple[int, Any]:
    """GET /users/{user_id}."""
    user = call.state.world.users.get(call.id("user_id"))
    if user is None:
        raise refused("unknown_user")
    return 200, payloads.user_object(user)


async def get_application(call: Call) -> tuple[int, Any]:
    """GET /applications/@me and /oauth2/applications/@me."""
    return 200, payloads.application_object(call.state.world, call.state.knobs.portal)


async def open_dm(call: Call) -> tuple[int, Any]:
    """POST /users/@me/channels."""
    recipient: Any = call.form().get("recipient_id")
    if not is_snowflake(recipient):
        raise invalid_form(("recipient_id",), "BASE_TYPE_REQUIRED", "This field is required")
    user = call.state.world.users.get(int(recipient))
    if user is None:
        raise refused("unknown_user")
    if user.bot:
        raise refused("cannot_dm")
    channel = guilds.open_dm(call.state, user.id)
    return 200, payloads.channel_object(call.state.world, channel)


async def my_guilds(call: Call) -> tuple[int, Any]:
    """GET /users/@me/guilds."""
    limit = call.number("limit", 200, 1, 200)
    after = call.snowflake("after") or 0
    found: list[Json] = [
        {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": guild.owner_id == call.me,
            "permissions": str(int(guild_permissions(guild, call.me))),
            "features": guild.features,
        }
        | _counts(call, guild)
        for guild in sorted(call.state.world.guilds.values(), key=lambda item: item.id)
        if call.me in guild.members and guild.id > after
    ]
    return 200, found[:limit]


async def leave_guild(call: Call) -> tuple[int, Any]:
    """DELETE /users/@me/guilds/{guild_id}."""
    guilds.kick(call.state, call.guild(), call.me)
    return 204, None


async def get_channel(call: Call) -> tuple[int, Any]:
    """GET /channels/{channel_id}."""
    return 200, payloads.channel_object(call.state.world, call.channel())


async def edit_channel(call: Call) -> tuple[int, Any]:
    """PATCH /channels/{channel_id}."""
    channel, form = call.channel(), call.form()
    thread = channel.thread
    call.require_modelled(modelled.CHANNEL_EDIT if thread is None else modelled.THREAD_EDIT)
    _check_name(form, required=False)
    if thread is None:
        call.require(channel, Permission.MANAGE_CHANNELS)
        guilds.edit_channel(call.state, channel, form)
        return 200, payloads.channel_object(call.state.world, channel)
    moderator = call.may(channel, Permission.MANAGE_THREADS)
    opening = form.get("archived") is False
    if thread.archived and not opening:
        raise refused("thread_archived")
    if not moderator:
        if opening and set(form) == {"archived"}:
            _require_can_open(call, channel, thread)
        elif thread.owner_id != call.me or thread.locked or form.keys() & _OF_MODERATORS:
            raise refused("missing_permissions")
    threads.change(call.state, channel, form)
    return 200, payloads.channel_object(call.state.world, channel)


def _require_can_open(call: Call, channel: Channel, thread: Thread) -> None:
    """Refuse if the bot, which may not manage threads, may not open *thread*."""
    knobs = call.state.knobs
    call.require(channel, Permission.SEND_MESSAGES_IN_THREADS)
    if knobs.only_members_open_threads and call.me not in thread.members:
        raise refused("missing_permissions")
    if thread.locked and not (knobs.owners_open_locked_threads and thread.owner_id == call.me):
        raise refused("missing_permissions")


async def delete_channel(call: Call) -> tuple[int, Any]:
    """DELETE /channels/{channel_id}."""
    channel = call.channel()
    body = payloads.channel_object(call.state.world, channel)
    if channel.thread:
        call.require(channel, Permission.MANAGE_THREADS)
        threads.delete(call.state, channel)
    elif channel.guild_id is not None:
        call.require(channel, Permission.MANAGE_CHANNELS)
        guilds.delete_channel(call.state, channel)
    return 200, body


def _check_name(form: Json, *, required: bool = True) -> None:
    errors = FormErrors()
    name = form.get("name")
    if name is None and required:
        errors.add(("name",), "BASE_TYPE_REQUIRED", "This field is required")
    elif name is not None and not (isinstance(name, str) and 1 <= len(name.strip()) <= 100):
        errors.add(("name",), "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    minutes = form.get("auto_archive_duration")
    if minutes is not None and minutes not in _ARCHIVE_MINUTES:
        errors.add(
            ("auto_archive_duration",),
            "BASE_TYPE_CHOICES",
            f"Value must be one of {_ARCHIVE_MINUTES}.",
        )
    errors.raise_if_any()


async def thread_from_message(call: Call) -> tuple[int, Any]:
    """POST /channels/{channel_id}/messages/{message_id}/threads."""
    channel, form = call.channel(), call.form()
    if channel.type not in {ChannelType.TEXT, ChannelType.ANNOUNCEMENT}:
        raise refused("wrong_channel_type")
    source = call.message(channel)
    call.require(channel, Permission.CREATE_PUBLIC_THREADS)
    _check_name(form)
    call.state.refusals.judge_title(channel, form["name"])
    thread = thread_making.make_from_message(
        call.state,
        channel,
        source,
        call.me,
        form["name"].strip(),
        auto_archive_minutes=form.get("auto_archive_duration"),
    )
    return 201, payloads.channel_object(call.state.world, thread)


async def thread_without_message(call: Call) -> tuple[int, Any]:
    """POST /channels/{channel_id}/threads: a thread without a message, or a forum post."""
    channel, form = call.channel(), call.form()
    in_forum = channel.type == ChannelType.FORUM
    call.require_modelled(modelled.FORUM_POST if in_forum else modelled.THREAD)
    _check_name(form)
    call.state.refusals.judge_title(channel, form["name"])
    if in_forum:
        return _forum_post(call, channel, form)
    kind = form.get("type", ChannelType.PRIVATE_THREAD)
    private = kind == ChannelType.PRIVATE_THREAD
    needed = Permission.CREATE_PRIVATE_THREADS if private else Permission.CREATE_PUBLIC_THREADS
    call.require(channel, needed)
    thread = thread_making.make_without_message(
        call.state,
        channel,
        call.me,
        form["name"].strip(),
        kind=kind,
        auto_archive_minutes=form.get("auto_archive_duration"),
    )
    return 201, payloads.channel_object(call.state.world, thread)


def _forum_post(call: Call, channel: Channel, form: Json) -> tuple[int, Any]:
    call.require(channel, Permission.SEND_MESSAGES)
    first = form.get("message") or {}
    check_message(first, file_count=len(call.uploads))
    require_something(first, file_count=len(call.uploads))
    thread, message = thread_making.make_forum_post(
        call.state,
        channel,
        call.me,
        form["name"].strip(),
        draft_from_form(call, channel, first),
        auto_archive_minutes=form.get("auto_archive_duration"),
    )
    body = payloads.channel_object(call.state.world, thread)
    return 201, body | {"message": message_object(call.state.world, message)}


async def join_thread(call: Call) -> tuple[int, Any]:
    """PUT /channels/{channel_id}/thread-members/@me."""
    channel = _open_thread(call)
    threads.join(call.state, channel, call.me)
    return 204, None


async def leave_thread(call: Call) -> tuple[int, Any]:
    """DELETE /channels/{channel_id}/thread-members/@me."""
    channel = _open_thread(call)
    threads.leave(call.state, channel, call.me)
    return 204, None


def _open_thread(call: Call) -> Channel:
    channel = call.channel()
    if channel.thread is None:
        raise refused("wrong_channel_type")
    if channel.thread.archived:
        raise refused("thread_archived")
    return channel


async def get_guild(call: Call) -> tuple[int, Any]:
    """GET /guilds/{guild_id}."""
    guild = call.guild()
    return 200, payloads.guild_object(guild) | _counts(call, guild)


def _counts(call: Call, guild: Guild) -> Json:
    """Return the numbers of people in *guild* if the query asks for them."""
    if call.query.get("with_counts") not in {"1", "true"}:
        return {}
    names = ("approximate_member_count", "approximate_presence_count")
    return dict.fromkeys(names, len(guild.members))


async def guild_channels(call: Call) -> tuple[int, Any]:
    """GET /guilds/{guild_id}/channels."""
    world = call.state.world
    return 200, [payloads.channel_object(world, c) for c in world.guild_channels(call.guild().id)]


async def guild_roles(call: Call) -> tuple[int, Any]:
    """GET /guilds/{guild_id}/roles."""
    return 200, [payloads.role_object(role) for role in call.guild().roles.values()]


async def guild_member(call: Call) -> tuple[int, Any]:
    """GET /guilds/{guild_id}/members/{user_id}."""
    guild = call.guild()
    member = guild.members.get(call.id("user_id"))
    if member is None:
        known = call.id("user_id") in call.state.world.users
        raise refused("unknown_member" if known else "unknown_user")
    return 200, payloads.member_object(call.state.world, member)


async def active_threads(call: Call) -> tuple[int, Any]:
    """GET /guilds/{guild_id}/threads/active."""
    found = [
        thread
        for thread in call.state.world.threads(guild_id=call.guild().id)
        if thread.thread
        and not thread.thread.archived
        and call.state.world.can_view(thread, call.me)
    ]
    found.sort(key=lambda item: item.id, reverse=True)
    return 200, _thread_list(call, found, more=False)


async def archived_threads(call: Call) -> tuple[int, Any]:
    """GET /channels/{channel_id}/threads/archived/public."""
    channel = call.channel()
    call.require(channel, Permission.READ_MESSAGE_HISTORY)
    limit = call.number("limit", 50, 2, 100)
    before = call.query.get("before")
    found = [
        (payloads.timestamp(thread.thread.archive_timestamp), thread)
        for thread in call.state.world.threads(parent_id=channel.id)
        if thread.thread and thread.thread.archived and thread.type != ChannelType.PRIVATE_THREAD
    ]
    found = [item for item in found if before is None or item[0] < before]
    found.sort(key=lambda item: item[0], reverse=True)
    threads_found = [thread for _, thread in found]
    return 200, _thread_list(call, threads_found[:limit], more=len(found) > limit)


def _thread_list(call: Call, found: list[Channel], *, more: bool) -> Json:
    return {
        "threads": [payloads.channel_object(call.state.world, thread) for thread in found],
        "members": [
            payloads.thread_member(thread, thread.thread, call.me)
            for thread in found
            if thread.thread and call.me in thread.thread.members
        ],
        "has_more": more,
    }
