"""Find the mentions and links in a message's text, outside its code blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.sandbox.discord.permissions import Permission

if TYPE_CHECKING:
    from bot.sandbox.discord.world import Channel, Guild, Json, World

_CODE = re.compile(r"```.*?```|``.+?``|`[^`\n]+`", re.DOTALL)
_USER = re.compile(r"<@!?(\d{15,20})>")
_ROLE = re.compile(r"<@&(\d{15,20})>")
_EVERYONE = re.compile(r"@(everyone|here)\b")
_LINK = re.compile(r"(?<!<)\bhttps?://[^\s<>\")]+")
PREVIEWS_AT_MOST = 5


@dataclass(slots=True)
class Mentions:
    """The mentions of a text, and the pings among them."""

    users: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    everyone: bool = False
    pings: list[str] = field(default_factory=list)


def visible_text(content: str) -> str:
    """Return *content* without its code: code has no mentions and no links."""
    return _CODE.sub(" ", content)


def links(content: str) -> list[str]:
    """Return the links that get a preview."""
    found = dict.fromkeys(_LINK.findall(visible_text(content)))
    return list(found)[:PREVIEWS_AT_MOST]


def _allows(allowed: Json | None, kind: str, snowflake: int) -> bool:
    if allowed is None:
        return True
    if kind in (allowed.get("parse") or []):
        return True
    return snowflake in {int(item) for item in allowed.get(kind) or []}


def read_mentions(
    world: World,
    channel: Channel,
    author_id: int,
    content: str,
    *,
    allowed: Json | None,
    replied_user: int | None,
) -> Mentions:
    """Return the mentions in *content*; without *allowed* (allowed_mentions) everything counts."""
    text = visible_text(content)
    found = Mentions()
    for user_id in dict.fromkeys(int(item) for item in _USER.findall(text)):
        if user_id in world.users and _allows(allowed, "users", user_id):
            found.users.append(user_id)
    pings_replied = allowed is None or allowed.get("replied_user")
    if replied_user is not None and replied_user not in found.users and pings_replied:
        found.users.append(replied_user)
    found.pings += [str(user_id) for user_id in found.users if user_id != author_id]
    if channel.guild_id is not None:
        rank = world.permissions(channel, author_id)
        loud = bool(rank & Permission.MENTION_EVERYONE)
        _read_roles(world.guilds[channel.guild_id], text, allowed, found, loud=loud)
        _read_everyone(text, allowed, found, loud=loud)
    return found


def _read_roles(
    guild: Guild, text: str, allowed: Json | None, found: Mentions, *, loud: bool
) -> None:
    for role_id in dict.fromkeys(int(item) for item in _ROLE.findall(text)):
        role = guild.roles.get(role_id)
        if role is None or not _allows(allowed, "roles", role_id):
            continue
        found.roles.append(role_id)
        if loud or role.mentionable:
            found.pings.append(str(role_id))


def _read_everyone(text: str, allowed: Json | None, found: Mentions, *, loud: bool) -> None:
    if not loud or (allowed is not None and "everyone" not in (allowed.get("parse") or [])):
        return
    names = dict.fromkeys(_EVERYONE.findall(text))
    found.everyone = bool(names)
    found.pings += names
