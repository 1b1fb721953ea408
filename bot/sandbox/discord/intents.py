"""The gateway events of a session's intents, and messages without the content intent."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bot.sandbox.discord.knobs import Portal
    from bot.sandbox.discord.world import Json


class Intent(IntFlag):
    """Gateway intents by Discord's names."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    GUILD_MESSAGE_TYPING = 1 << 11
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    DIRECT_MESSAGE_TYPING = 1 << 14
    MESSAGE_CONTENT = 1 << 15


VALID: Final = (1 << 17) - 1 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25
_MESSAGES = (Intent.GUILD_MESSAGES, Intent.DIRECT_MESSAGES)
_REACTIONS = (Intent.GUILD_MESSAGE_REACTIONS, Intent.DIRECT_MESSAGE_REACTIONS)
_GUILDS = (Intent.GUILDS, None)
_NEEDED: Final[dict[str, tuple[Intent, Intent | None]]] = {
    "MESSAGE_CREATE": _MESSAGES,
    "MESSAGE_UPDATE": _MESSAGES,
    "MESSAGE_DELETE": _MESSAGES,
    "MESSAGE_DELETE_BULK": _MESSAGES,
    "MESSAGE_REACTION_ADD": _REACTIONS,
    "MESSAGE_REACTION_REMOVE": _REACTIONS,
    "TYPING_START": (Intent.GUILD_MESSAGE_TYPING, Intent.DIRECT_MESSAGE_TYPING),
    "GUILD_CREATE": _GUILDS,
    "GUILD_UPDATE": _GUILDS,
    "GUILD_DELETE": _GUILDS,
    "GUILD_ROLE_CREATE": _GUILDS,
    "GUILD_ROLE_UPDATE": _GUILDS,
    "GUILD_ROLE_DELETE": _GUILDS,
    "CHANNEL_CREATE": _GUILDS,
    "CHANNEL_UPDATE": _GUILDS,
    "CHANNEL_DELETE": _GUILDS,
    "THREAD_CREATE": _GUILDS,
    "THREAD_UPDATE": _GUILDS,
    "THREAD_DELETE": _GUILDS,
    "THREAD_MEMBERS_UPDATE": _GUILDS,
    "GUILD_MEMBER_ADD": (Intent.GUILD_MEMBERS, None),
    "GUILD_MEMBER_REMOVE": (Intent.GUILD_MEMBERS, None),
}
BLANKED: Final[Json] = {"content": "", "embeds": [], "attachments": [], "components": []}


def wants(intents: int, event: str, *, in_guild: bool) -> bool:
    """Return whether a session with *intents* gets *event*; an event without intent goes to all."""
    needed = _NEEDED.get(event)
    if needed is None:
        return True
    intent = needed[0] if in_guild else needed[1]
    return intent is None or bool(intents & intent)


def disallowed(intents: int, portal: Portal) -> bool:
    """Return whether *intents* include one that the portal has switched off."""
    return bool(
        (intents & Intent.MESSAGE_CONTENT and not portal.message_content)
        or (intents & Intent.GUILD_MEMBERS and not portal.members)
        or (intents & Intent.GUILD_PRESENCES and not portal.presences)
    )


def blank_content(message: Json, bot_id: int, *, in_guild: bool) -> Json:
    """Return *message* as an app without message content sees it.

    DMs, the app's own messages and those that mention it stay readable.
    """
    me = str(bot_id)
    readable = (
        not in_guild
        or message["author"]["id"] == me
        or any(user["id"] == me for user in message["mentions"])
    )
    shown = message if readable else {k: v for k, v in message.items() if k != "poll"} | BLANKED
    if not readable and "message_snapshots" in message:
        forwarded = [one["message"] | BLANKED for one in message["message_snapshots"]]
        shown = shown | {"message_snapshots": [{"message": one} for one in forwarded]}
    referenced = message.get("referenced_message")
    if referenced:
        shown = shown | {"referenced_message": blank_content(referenced, bot_id, in_guild=in_guild)}
    return shown
