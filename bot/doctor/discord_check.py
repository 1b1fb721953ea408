"""Check the connection to Discord: token, intent, sign-ins that are left, clock."""

import asyncio
import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from bot.doctor.discord_api import RATE_LIMITED, UNAUTHORIZED, DiscordApi, Problem
from bot.doctor.findings import Finding, as_sentences, fail, ok, warn
from bot.doctor.proxies import proxy_variable
from bot.transport.reconnect import TOKEN_REFUSED

MESSAGE_CONTENT: Final = 1 << 18 | 1 << 19  # Discord: flags of an application; 19 below 100 servers
FAILED: Final = 500  # from this status on, the fault is the server's
FEW_IDENTIFIES: Final = 50
SKEW_SECONDS: Final = 10.0
GUILDS_A_PAGE: Final = 200  # Discord: the most
REQUESTS_A_SECOND: Final = 50  # Discord: for the whole bot
MAX_PAGES: Final = 15  # more servers than a bot without shards may be in

Json = dict[str, Any]


class Account(NamedTuple):
    """The bot's account at Discord: itself, its application, and the servers that it is in."""

    me: Json
    application: Json | Problem
    gateway: Json | Problem
    guilds: list[Json] | Problem


async def read_account(api: DiscordApi) -> Account | Problem:
    """Read the account; with a token that Discord refuses, no further request is made."""
    me = await api.get("/users/@me")
    if isinstance(me, Problem):
        return me
    application, gateway, guilds = await asyncio.gather(
        api.get("/applications/@me"), api.get("/gateway/bot"), _guilds(api)
    )
    return Account(me, application, gateway, guilds)


async def _guilds(api: DiscordApi) -> list[Json] | Problem:
    found: list[Json] = []
    for _ in range(MAX_PAGES):
        after = found[-1]["id"] if found else 0
        page = await api.get("/users/@me/guilds", limit=GUILDS_A_PAGE, after=after)
        if isinstance(page, Problem):
            return page
        found += page
        if len(page) < GUILDS_A_PAGE:
            break
    return found


def judge_account(
    account: Account | Problem,
    url: str,
    clock_skew: float | None,
    *,
    shards: int | None,
    per_second: int,
) -> list[Finding]:
    """Judge what Discord at *url* says of the account of a bot with so many *shards*.

    None stands for the number that Discord recommends. The bot sends *per_second* requests at most.
    """
    if isinstance(account, Problem):
        findings = [_unreachable(account, url)]
    else:
        name = account.me.get("username")
        findings = [
            ok("token", f"Discord accepts the token: this is {name}, id {account.me['id']}."),
            *judge_application(account.application),
            *judge_gateway(account.gateway, shards, per_second),
        ]
    return findings if clock_skew is None else [*findings, judge_clock(clock_skew)]


def _unreachable(problem: Problem, url: str) -> Finding:
    if problem.status == UNAUTHORIZED:
        what, _, advice = TOKEN_REFUSED.partition(": ")
        return fail("token", *as_sentences(what, advice))
    host = urlsplit(url).hostname
    if problem.status == RATE_LIMITED or problem.status >= FAILED:
        text = f"Discord at {host} has a problem: {problem.text}."
        return fail("discord", text, "Try again later, and look at discordstatus.com.")
    if problem.status:
        text = f"What answers at {host} is not Discord: {problem.text}."
        remedy = "Check DISCORD_API_URL, and whether a proxy answers in place of Discord."
        return fail("discord", text, remedy)
    remedy = "Check the network, and whether a firewall lets this machine reach that host."
    if (variable := proxy_variable(url)) is not None:
        remedy = (
            f"The bot does not use {variable} for Discord: open the network to Discord, or name "
            "proxies that answer in its place in DISCORD_API_URL and DISCORD_GATEWAY_URL."
        )
    return fail("discord", f"Cannot reach Discord at {host}: {problem.text}.", remedy)


def judge_application(application: Json | Problem) -> Iterator[Finding]:
    """Judge the switches in the Developer Portal."""
    if isinstance(application, Problem):
        yield _unread("application", "the application", application)
        return
    yield judge_intent(application)
    if application.get("interactions_endpoint_url"):
        yield fail(
            "interactions_endpoint",
            "The application has an Interactions Endpoint URL, so Discord sends commands and "
            "buttons there and not to the bot.",
            "Empty it in the Discord Developer Portal (your application > General Information).",
        )
    if application.get("bot_require_code_grant"):
        yield warn(
            "code_grant",
            "The application requires OAuth2 code grants, so the invitation link does not work.",
            "Switch that off in the Discord Developer Portal (your application > Bot).",
        )


def judge_intent(application: Json) -> Finding:
    """Judge whether the bot may read messages that do not mention it."""
    if int(application.get("flags") or 0) & MESSAGE_CONTENT:
        return ok("message_content", "The Message Content Intent is on.")
    return warn(
        "message_content",
        "The Message Content Intent is off: only mentions, replies and direct messages can be "
        "read, so follow-ups in threads need a mention.",
        "Switch it on in the Discord Developer Portal (your application > Bot), then restart.",
    )


def judge_gateway(gateway: Json | Problem, shards: int | None, per_second: int) -> list[Finding]:
    """Judge how often the bot may still sign in today, and whether its size is set as it is."""
    if isinstance(gateway, Problem):
        return [_unread("gateway", "the address of the gateway", gateway)]
    limit = gateway.get("session_start_limit") or {}
    findings = [judge_identifies(limit)]
    recommended = gateway.get("shards") or 1
    if shards is not None and shards < recommended:
        text = f"Discord recommends {recommended} shards, but SHARDS is {shards}."
        remedy = "Set SHARDS=auto: Discord refuses a shard that has more than 2500 servers."
        findings.append(warn("shards", text, remedy))
    # Discord lets very large bots do more of both.
    if per_second > REQUESTS_A_SECOND and (limit.get("max_concurrency") or 1) == 1:
        text = (
            f"REQUESTS_PER_SECOND is {per_second}, but Discord allows {REQUESTS_A_SECOND} unless "
            "it told you more, and blocks a bot that sends more."
        )
        findings.append(warn("requests_per_second", text, "Remove REQUESTS_PER_SECOND."))
    return findings


def judge_identifies(limit: Json) -> Finding:
    """Judge the sign-ins at the gateway that are left."""
    left, total = limit.get("remaining"), limit.get("total")
    if not isinstance(left, int):
        return ok("identifies", "Discord does not say how many sign-ins are left.")
    hours = math.ceil(limit.get("reset_after", 0) / 3_600_000)
    text = f"{left} of {total} sign-ins (IDENTIFYs) at the gateway are left for today."
    remedy = f"Find in the log why the bot starts so often. Discord resets the count in {hours} h."
    if left <= 0:
        return fail("identifies", text, remedy)
    return warn("identifies", text, remedy) if left < FEW_IDENTIFIES else ok("identifies", text)


def judge_clock(skew: float) -> Finding:
    """Judge how far the clock of this machine is ahead of Discord's."""
    if abs(skew) < SKEW_SECONDS:
        return ok("clock", "The clock agrees with Discord's.")
    side = "ahead of" if skew > 0 else "behind"
    return warn(
        "clock",
        f"The clock of this machine is {abs(skew):.0f} s {side} Discord's. Times in answers and "
        "the wait after a limit are off by that much.",
        "Set it by NTP, for example with systemd-timesyncd or chrony.",
    )


def _unread(name: str, what: str, problem: Problem) -> Finding:
    return warn(name, f"Cannot read {what} from Discord: {problem.text}.", "Try again later.")
