"""Check one channel: whether the bot sees it, and what it lacks there."""

import asyncio
from typing import Final, NamedTuple

from bot.doctor.channel_permissions import allowed_in, timed_out_until
from bot.doctor.discord_api import NOT_FOUND, DiscordApi, Problem
from bot.doctor.discord_check import Json
from bot.doctor.findings import Finding, fail, ok, warn
from bot.transport.permissions import (
    TO_ATTACH,
    TO_READ,
    TO_START_THREAD,
    TO_WRITE_LOCKED,
    lacking,
)

DIRECT: Final = frozenset({1, 3})  # Discord's types of channels
CATEGORY: Final = 4
THREADS: Final = frozenset({10, 11, 12})
FORUMS: Final = frozenset({15, 16})
VOICE: Final = frozenset({2, 13})
IN_CHANNEL: Final = ("send_messages",)
IN_THREADS: Final = ("send_messages_in_threads",)


class Place(NamedTuple):
    """A channel, and for a thread the channel that it belongs to; of a server, with the member."""

    channel: Json
    parent: Json
    guild: Json
    member: Json


async def check_channel(api: DiscordApi, channel_id: int, me_id: str) -> list[Finding]:
    """Check what the bot may do in a channel or thread, by the overwrites of roles and members."""
    channel = await api.get(f"/channels/{channel_id}")
    if isinstance(channel, Problem):
        return [unseen(channel_id, channel)]
    if channel["type"] in DIRECT:
        return [ok("channel", f"{channel_id} is a direct message, which needs no permissions.")]
    parent, guild, member = await asyncio.gather(
        _parent(api, channel),
        api.get(f"/guilds/{channel['guild_id']}"),
        api.get(f"/guilds/{channel['guild_id']}/members/{me_id}"),
    )
    for answer in (parent, guild, member):
        if isinstance(answer, Problem):
            return [unseen(channel_id, answer)]
    assert isinstance(parent, dict)
    return judge_place(Place(channel, parent, guild, member))


async def _parent(api: DiscordApi, channel: Json) -> Json | Problem:
    if channel["type"] not in THREADS:
        return channel
    parent: Json | Problem = await api.get(f"/channels/{channel['parent_id']}")
    return parent


def unseen(channel_id: int, problem: Problem) -> Finding:
    """Say why a channel cannot be read."""
    if problem.status == NOT_FOUND:
        text = f"There is no channel {channel_id}."
        remedy = "Copy the id again: Developer Mode is in Discord's settings under Advanced."
    elif problem.status == 403:
        text = f"The bot does not see channel {channel_id}: View Channel is missing there."
        remedy = "Grant its role View Channel, in the channel or its category."
    else:
        text, remedy = f"Cannot read channel {channel_id}: {problem.text}.", "Try again later."
    return fail("channel", text, remedy)


def judge_place(place: Place) -> list[Finding]:
    """Judge what the bot may do in a place of a server."""
    channel, where = place.channel, f"#{place.channel.get('name')} ({place.channel['id']})"
    if channel["type"] == CATEGORY:
        return [ok("channel", f"{where} is a category. Check one of its channels.")]
    allowed = allowed_in(place.parent, place.guild, place.member)
    hidden = lacking(allowed, access_to(channel))
    lacks = hidden or lacking(allowed, needed_in(channel))
    if not lacks:
        return [ok("channel_permissions", f"In {where} the bot has all permissions that it needs.")]
    text, remedy = f"In {where} the bot lacks: {', '.join(lacks)}.", _remedy(place)
    if (until := timed_out_until(place.member)) is not None:
        text = f"{text} A moderator timed it out until {until:%Y-%m-%d %H:%M} UTC."
        remedy = "End the time-out, or wait."
    if not hidden and any(not lacking(allowed, way) for way in ways_to_answer(channel)):
        text = f"{text} It can answer there, but not everything works."
        return [warn("channel_permissions", text, remedy)]
    return [fail("channel_permissions", f"{text} So it cannot answer there.", remedy)]


def _remedy(place: Place) -> str:
    what = "the channel of the thread" if place.channel["type"] in THREADS else "the channel"
    return (
        f"Look at the permissions of {what} for @everyone, for each role of the bot and for the "
        "bot itself: a role that denies one there overrides the server's settings."
    )


def access_to(channel: Json) -> tuple[str, ...]:
    """Return what the bot needs to see a channel at all."""
    return ("view_channel", "connect") if channel["type"] in VOICE else ("view_channel",)


def ways_to_answer(channel: Json) -> list[tuple[str, ...]]:
    """Return what the bot needs to answer in a channel at all: one of these is enough."""
    if channel["type"] in THREADS:
        return [TO_WRITE_LOCKED if _is_locked(channel) else IN_THREADS]
    if channel["type"] in FORUMS:
        return [IN_THREADS]
    return [IN_CHANNEL] if channel["type"] in VOICE else [TO_START_THREAD, IN_CHANNEL]


def needed_in(channel: Json) -> tuple[str, ...]:
    """Return what the bot needs in a channel for all that it does."""
    ways = [name for way in ways_to_answer(channel) for name in way]
    return (*dict.fromkeys(ways), *TO_READ, *TO_ATTACH)


def _is_locked(channel: Json) -> bool:
    return bool((channel.get("thread_metadata") or {}).get("locked"))
