"""Compute what a member may do in a channel, as Discord documents it."""

from datetime import UTC, datetime
from typing import Any, Final

import discord

MEMBER: Final = 1  # Discord: the type of an overwrite for one member
WHILE_TIMED_OUT: Final = discord.Permissions(view_channel=True, read_message_history=True)

Json = dict[str, Any]


def allowed_in(channel: Json, guild: Json, member: Json) -> discord.Permissions:
    """Return what *member* may do in *channel* of *guild*. For a thread, give its parent.

    *guild* is as GET /guilds/ID returns it, with its roles.
    """
    user_id, role_ids = member["user"]["id"], {guild["id"], *member["roles"]}
    if guild["owner_id"] == user_id:
        return discord.Permissions.all()
    allowed = discord.Permissions.none()
    for role in guild["roles"]:
        if role["id"] in role_ids:
            allowed |= discord.Permissions(int(role["permissions"]))
    if allowed.administrator:
        return discord.Permissions.all()
    everyones, roles, members = _sorted(channel, guild["id"], role_ids, user_id)
    for overwrites in (everyones, roles, members):
        allow = deny = 0
        for one in overwrites:
            allow |= int(one["allow"])
            deny |= int(one["deny"])
        allowed.handle_overwrite(allow, deny)
    return allowed & WHILE_TIMED_OUT if timed_out_until(member) else allowed


def _sorted(
    channel: Json, guild_id: str, role_ids: set[str], user_id: str
) -> tuple[list[Json], list[Json], list[Json]]:
    """Return the overwrites that apply: of everyone, of the roles, of the member, in this order."""
    of_roles = [one for one in channel.get("permission_overwrites") or () if one["id"] in role_ids]
    of_member = [
        one
        for one in channel.get("permission_overwrites") or ()
        if one["type"] == MEMBER and one["id"] == user_id
    ]
    everyones = [one for one in of_roles if one["id"] == guild_id]
    return everyones, [one for one in of_roles if one["id"] != guild_id], of_member


def timed_out_until(member: Json) -> datetime | None:
    """Return until when a moderator timed *member* out, None if that is not so now."""
    text = member.get("communication_disabled_until")
    until = datetime.fromisoformat(text) if text else None
    return until if until is not None and until > datetime.now(UTC) else None
