"""Find the permissions that the bot needs and lacks in a channel."""

from typing import Any, Final

import discord

from bot.transport.calls import FORBIDDEN, GARBLED, MISSING_ACCESS

# Discord's names for its permissions, by those of discord.py
NAMES: Final = {
    "view_channel": "View Channel",
    "connect": "Connect",
    "read_message_history": "Read Message History",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "create_public_threads": "Create Public Threads",
    "manage_threads": "Manage Threads",
    "attach_files": "Attach Files",
}
TO_READ: Final = ("read_message_history",)
TO_SEE: Final = ()  # access alone
TO_START_THREAD: Final = ("create_public_threads", "send_messages_in_threads")
TO_ATTACH: Final = ("attach_files",)
TO_WRITE_LOCKED: Final = ("send_messages_in_threads", "manage_threads")


def permissions_in(channel: Any) -> discord.Permissions | None:
    """Return what the bot may do in *channel*; None if that is not known.

    It is not known in direct messages, where no permissions exist, in a channel that discord.py has
    not cached, and during an outage of the guild.
    """
    guild = getattr(channel, "guild", None)
    if guild is None or isinstance(channel, discord.PartialMessageable):
        return None
    try:
        allowed: discord.Permissions = channel.permissions_for(guild.me)
    except GARBLED:  # Discord has not sent it, or sent it garbled.
        return None
    return allowed


def to_write(channel: Any) -> tuple[str, ...]:
    """Return the permissions that a message in *channel* needs."""
    if not isinstance(channel, discord.Thread):
        return ("send_messages",)
    return TO_WRITE_LOCKED if channel.locked else ("send_messages_in_threads",)


def missing(channel: Any, needed: tuple[str, ...]) -> list[str]:
    """Return Discord's names of the permissions that the bot lacks in *channel*.

    Without access to the channel, its other permissions do not matter. Discord: in a voice channel,
    Connect is a part of the access. A member in time-out may only view and read.
    """
    allowed = permissions_in(channel)
    if allowed is None:
        return []
    is_voice = isinstance(channel, discord.VoiceChannel | discord.StageChannel)
    access = ("view_channel", "connect") if is_voice else ("view_channel",)
    return lacking(allowed, access) or lacking(allowed, needed)


def lacking(allowed: discord.Permissions, needed: tuple[str, ...]) -> list[str]:
    """Return Discord's names of the permissions in *needed* that are not in *allowed*."""
    return [NAMES[name] for name in needed if not getattr(allowed, name)]


def reason(channel: Any, needed: tuple[str, ...]) -> str:
    """Return which permissions are missing in *channel*, for a log line; "" if none is known."""
    names = missing(channel, needed)
    if not names:
        return ""
    plural = "permissions" if len(names) > 1 else "permission"
    verb = "are" if len(names) > 1 else "is"
    text = f"the {plural} {' and '.join(names)} {verb} missing"
    me = channel.guild.me
    if not me.is_timed_out():
        return text
    return f"{text}: a moderator timed the bot out until {me.timed_out_until:%Y-%m-%d %H:%M} UTC"


def reason_of_refusal(error: discord.HTTPException, channel: Any, needed: tuple[str, ...]) -> str:
    """Return why Discord refused a request in *channel* that needs permissions, for a log line."""
    lacks = ""
    if error.status == FORBIDDEN or error.code == MISSING_ACCESS:
        lacks = reason(channel, needed)
    return lacks or f"status {error.status}, code {error.code}"


def reason_of_lock(thread: Any) -> str:
    """Return why the bot cannot write in a locked *thread*, for a log line."""
    lacks = reason(thread, TO_WRITE_LOCKED)
    if not lacks and permissions_in(thread) is None:
        # Discord: only this permission allows it.
        lacks = f"the permission {NAMES['manage_threads']} is missing"
    return f"the thread is locked, and {lacks}" if lacks else "the thread is locked"
