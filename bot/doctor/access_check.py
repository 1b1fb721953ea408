"""Tell whether a person may use the bot in a place, by the function that the bot itself uses."""

import asyncio

from bot.access import AccessLists, Ids, Place
from bot.doctor.channel_check import DIRECT, THREADS, unseen
from bot.doctor.discord_api import NOT_FOUND, DiscordApi, Problem
from bot.doctor.discord_check import Json
from bot.doctor.findings import Finding, ok, warn


async def check_access(
    api: DiscordApi, lists: AccessLists, person_id: int, place_id: int
) -> list[Finding]:
    """Judge a person in a channel or thread, with their roles and what is above the channel."""
    channel = await api.get(f"/channels/{place_id}")
    if isinstance(channel, Problem):
        return [unseen(place_id, channel)]
    place, member = await asyncio.gather(_place(api, channel), _member(api, channel, person_id))
    if isinstance(member, Problem) and member.status == NOT_FOUND:
        text = f"There is no person {person_id} in server {place.guild_id}."
        return [warn("access", text, "Copy the id again. (Developer Mode > Copy ID)")]
    roles = None if isinstance(member, Problem | None) else frozenset(map(int, member["roles"]))
    return [judge_access(lists, place, person_id, roles)]


def judge_access(lists: AccessLists, place: Place, person_id: int, roles: Ids | None) -> Finding:
    """Return the verdict and the rule that decided."""
    verdict = lists.verdict(place, person_id, roles)
    if verdict.allowed:
        return ok("access", f"Person {person_id} may use the bot in {place}: {verdict}.")
    text = f"Person {person_id} may not use the bot in {place}: {verdict}."
    return warn("access", text, "If that is not what you want, change this setting.")


async def _place(api: DiscordApi, channel: Json) -> Place:
    place_id = int(channel["id"])
    if channel["type"] in DIRECT:
        return Place(None, (place_id,))
    guild_id = int(channel["guild_id"])
    if channel["type"] not in THREADS:
        return Place(guild_id, (place_id, *_above(channel)))
    parent = await api.get(f"/channels/{channel['parent_id']}")
    if isinstance(parent, Problem):
        return Place(guild_id, (place_id, *_above(channel)), complete=False)
    return Place(guild_id, (place_id, *_above(channel), *_above(parent)))


def _above(channel: Json) -> tuple[int, ...]:
    """Return the id of the channel or category that a thread or channel belongs to, if any."""
    return (int(channel["parent_id"]),) if channel.get("parent_id") else ()


async def _member(api: DiscordApi, channel: Json, person_id: int) -> Json | Problem | None:
    """Return a person as a member of the server, None in a private channel."""
    if channel["type"] in DIRECT:
        return None
    member: Json | Problem = await api.get(f"/guilds/{channel['guild_id']}/members/{person_id}")
    return member
