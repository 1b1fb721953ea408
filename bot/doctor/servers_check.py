"""Check the servers that the bot is in: missing permissions, and ids that name nothing."""

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Final

import discord

from bot.access import NO_IDS, AccessLists
from bot.doctor.discord_api import Problem
from bot.doctor.discord_check import Account, Json
from bot.doctor.findings import Finding, and_more, ok, warn
from bot.transport.permissions import lacking

# What the README's link asks for; each is used in one kind of place at least.
NEEDED: Final = (
    "view_channel",
    "send_messages",
    "create_public_threads",
    "send_messages_in_threads",
    "read_message_history",
    "attach_files",
)
INVITE: Final = (
    "https://discord.com/oauth2/authorize?client_id={id}&scope={scope}&permissions={bits}"
)
SCOPES: Final = "bot+applications.commands"
MAX_LISTED: Final = 20  # servers that are named each


def judge_servers(account: Account, lists: AccessLists) -> Iterator[Finding]:
    """Judge the servers of *account*, and the permissions in those where *lists* let it work."""
    if isinstance(account.guilds, Problem):
        text = f"Cannot read the list of servers from Discord: {account.guilds.text}."
        yield warn("servers", text, "Try again later.")
        return
    yield from _judge_membership(account, account.guilds)
    to_all = replace(lists, admins=NO_IDS)  # Admins may use it in every server, but rarely do.
    counted = [one for one in account.guilds if to_all.serves_guild(int(one["id"]))]
    lacks = [(guild, names) for guild in counted if (names := lacking_in(guild))]
    for guild, names in lacks[:MAX_LISTED]:
        text = f"In {_named(guild)} the bot lacks: {', '.join(names)}."
        remedy = (
            "Grant its role these permissions, in the server's settings or in the channels where "
            "it works. Then check one with --channel ID."
        )
        yield warn("server_permissions", text, remedy)
    if len(lacks) > MAX_LISTED:
        rest = and_more((guild["id"] for guild, _ in lacks[MAX_LISTED:]), MAX_LISTED)
        yield warn("server_permissions", f"The bot lacks some also in: {rest}.", "Do the same.")
    if counted and not lacks:
        yield ok("server_permissions", "It has the permissions that it needs in all of them.")


def _judge_membership(account: Account, guilds: list[Json]) -> Iterator[Finding]:
    if guilds:
        servers = "1 server" if len(guilds) == 1 else f"{len(guilds)} servers"
        yield ok("servers", f"The bot is in {servers}.")
    else:
        yield warn("servers", "The bot is in no server.", f"Invite it: {invite(account.me['id'])}")


def invite(application_id: str) -> str:
    """Return the link that invites the bot with all permissions that it needs."""
    bits = reduce(or_, (discord.Permissions(**{name: True}).value for name in NEEDED))
    return INVITE.format(id=application_id, scope=SCOPES, bits=bits)


def lacking_in(guild: Json) -> list[str]:
    """Return Discord's names of the permissions that the bot lacks in an entry of its servers."""
    allowed = discord.Permissions(int(guild.get("permissions") or 0))
    return [] if allowed.administrator or guild.get("owner") else lacking(allowed, NEEDED)


def _named(guild: Json) -> str:
    return f"{guild.get('name')} ({guild['id']})"
