"""Check whether the ids in the access lists name something that the bot can see."""

import asyncio
from collections.abc import Iterable
from typing import Final

from bot.access import AccessLists, Ids
from bot.doctor.discord_api import NOT_FOUND, DiscordApi, Problem
from bot.doctor.discord_check import Json
from bot.doctor.findings import Finding, and_more, warn

MAX_IDS: Final = 50  # that are looked up for each list; Discord has no way to ask for many at once
MAX_GUILDS: Final = 20  # whose roles are read
MAX_NAMED: Final = 10
FORBIDDEN: Final = 403


async def check_ids(api: DiscordApi, lists: AccessLists, guilds: list[Json]) -> list[Finding]:
    """Look the ids of *lists* up; *guilds* are those that the bot is in."""
    guild_ids = {int(guild["id"]) for guild in guilds}
    roles = {*lists.allowed_roles, *lists.blocked_roles}
    known_roles = await _roles(api, guild_ids) if roles else None
    unseen, *unknown = await asyncio.gather(
        _missing(api, "/channels", lists.allowed_channels, {NOT_FOUND, FORBIDDEN}),
        _missing(api, "/channels", lists.blocked_channels, {NOT_FOUND}),
        _missing(api, "/users", lists.allowed_users, {NOT_FOUND}),
        _missing(api, "/users", lists.blocked_users, {NOT_FOUND}),
        _missing(api, "/users", lists.admins, {NOT_FOUND}),
    )
    people = "people who do not exist"
    named = {
        "BLOCKED_CHANNELS": "channels that do not exist",
        **dict.fromkeys(("ALLOWED_USERS", "BLOCKED_USERS", "ADMINS"), people),
    }
    found = [
        ("ALLOWED_GUILDS", "servers that the bot is not in", lists.allowed_guilds - guild_ids),
        ("ALLOWED_CHANNELS", "channels that do not exist or that the bot does not see", unseen),
        *((name, what, ids) for (name, what), ids in zip(named.items(), unknown, strict=True)),
    ]
    if known_roles is not None:
        what = "roles that none of the bot's servers has"
        found.append(("ALLOWED_ROLES", what, lists.allowed_roles - known_roles))
        found.append(("BLOCKED_ROLES", what, lists.blocked_roles - known_roles))
    return [_finding(name, what, ids) for name, what, ids in found if ids]


def _finding(name: str, what: str, ids: Iterable[int]) -> Finding:
    text = f"{name} has ids of {what}: {and_more(map(str, sorted(ids)), MAX_NAMED)}."
    return warn("unknown_ids", text, "Correct or remove them. (Developer Mode > Copy ID)")


async def _missing(api: DiscordApi, path: str, ids: Ids, statuses: set[int]) -> set[int]:
    """Return those of *ids* for which Discord answers with one of these *statuses*."""
    asked = sorted(ids)[:MAX_IDS]
    answers = await asyncio.gather(*(api.get(f"{path}/{one}") for one in asked))
    return {
        one
        for one, answer in zip(asked, answers, strict=True)
        if isinstance(answer, Problem) and answer.status in statuses
    }


async def _roles(api: DiscordApi, guild_ids: set[int]) -> Ids | None:
    """Return the ids of all roles, None if Discord does not give them all."""
    if len(guild_ids) > MAX_GUILDS:
        return None
    answers = await asyncio.gather(*(api.get(f"/guilds/{one}/roles") for one in guild_ids))
    if any(isinstance(answer, Problem) for answer in answers):
        return None
    return frozenset(int(role["id"]) for roles in answers for role in roles)
