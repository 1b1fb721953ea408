"""Run all checks side by side, each within its time, and put their findings in order."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final, NamedTuple

from bot.doctor.access_check import check_access
from bot.doctor.channel_check import check_channel
from bot.doctor.database_check import check_database
from bot.doctor.discord_api import DiscordApi, Problem
from bot.doctor.discord_check import Account, judge_account, read_account
from bot.doctor.findings import Check, Finding, Report, fail
from bot.doctor.ids_check import check_ids
from bot.doctor.model_check import check_model
from bot.doctor.operation_check import check_operation
from bot.doctor.orders_check import in_force
from bot.doctor.server_check import Look, look_into
from bot.doctor.servers_check import judge_servers
from bot.doctor.settings_check import check_names, read_settings
from bot.doctor.system_check import check_system
from bot.errors import HistoryUnusable
from bot.settings import AUTO, Settings
from bot.storage.inspection import orders_of
from bot.storage.location import PostgresLocation
from bot.storage.orders import NO_ORDERS, Orders

ORDERS_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 30.0  # A probe makes requests one after the other, each for 10 s at most.
OF_MODERATION: Final = frozenset(
    {
        *("moderation", "moderation_api_key", "moderation_base_url", "moderation_model"),
        *("moderation_required", "openai_api_key", "openai_base_url"),
    }
)


class Options(NamedTuple):
    """What to check besides the usual: a channel, a person there, and whether the model answers."""

    channel: int | None = None
    person: int | None = None
    live: bool = False


async def examine(options: Options) -> Report:
    """Check everything; return the findings by check, in the order of `Check`."""
    read = read_settings()
    found: Report = {Check.SETTINGS: [*read.findings, *check_names()]}
    probes: list[Coroutine[None, None, Report]] = [
        _bounded(Check.SYSTEM, _of(Check.SYSTEM, asyncio.to_thread(check_system)))
    ]
    if read.settings is not None:
        settings, orders, server = read.settings, list[Finding](), None
        if "database_url" not in read.wrong:
            server = await _server(settings)
            settings, orders = in_force(settings, await _orders(settings, server))
        found[Check.SETTINGS] += orders
        probes += _probes(settings, read.wrong, options, server)
    for report in await asyncio.gather(*probes):
        found |= report
    return {check: found[check] for check in Check if check in found}


async def _server(settings: Settings) -> Look | None:
    """Return what there is in a database of PostgreSQL; None if the database is a file."""
    location = settings.database
    return await look_into(location) if isinstance(location, PostgresLocation) else None


async def _orders(settings: Settings, server: Look | None) -> Orders:
    """Return what operators set, none if that cannot be read: the check of the database says so."""
    path = settings.database_path
    if path is None:
        return server.stored.orders if server is not None else NO_ORDERS
    with suppress(TimeoutError, OSError, HistoryUnusable):
        async with asyncio.timeout(ORDERS_SECONDS):
            return await asyncio.to_thread(orders_of, path)
    return NO_ORDERS


def _probes(
    settings: Settings, wrong: frozenset[str], options: Options, server: Look | None
) -> list[Coroutine[None, None, Report]]:
    """Return the probes whose settings are not *wrong*."""
    probes = list[Coroutine[None, None, Report]]()
    if "database_url" not in wrong:
        checking = asyncio.to_thread(_database, settings, server)
        probes.append(_bounded(Check.DATABASE, _of(Check.DATABASE, checking)))
        checking = asyncio.to_thread(check_operation, settings, server)
        probes.append(_bounded(Check.OPERATION, _of(Check.OPERATION, checking)))
    if not wrong & {"discord_token", "discord_api_url"}:
        probes.append(_bounded(Check.DISCORD, _discord(settings, options)))
    if not wrong & {"openai_api_key", "openai_base_url", "openai_model", "openai_options"}:
        checking = check_model(settings, live=options.live)
        probes.append(_bounded(Check.MODEL, _of(Check.MODEL, checking)))
    if not wrong & OF_MODERATION and settings.moderation_api is not None:
        # Imported late, because most bots check no questions.
        from bot.doctor.moderation_check import check_moderation  # noqa: PLC0415

        checking = check_moderation(settings.moderation_api, settings.moderation_host)
        probes.append(_bounded(Check.MODERATION, _of(Check.MODERATION, checking)))
    return probes


def _database(settings: Settings, server: Look | None) -> list[Finding]:
    path = settings.database_path
    if path is None:
        return list(server.findings) if server is not None else []
    return check_database(path)


async def _discord(settings: Settings, options: Options) -> Report:
    url, token = settings.discord_api_url, settings.discord_token.get_secret_value()
    async with DiscordApi.open(url, token) as api:
        account = await read_account(api)
        shards = None if settings.shards == AUTO else settings.shards
        findings = judge_account(
            account,
            url,
            api.clock_skew,
            shards=shards,
            per_second=settings.requests_per_second,
        )
        report: Report = {Check.DISCORD: findings}
        if not isinstance(account, Problem):
            report |= await _places(api, account, settings, options)
    return report


async def _places(
    api: DiscordApi, account: Account, settings: Settings, options: Options
) -> Report:
    """Check the servers that the bot is in, the access lists, and the channel that is asked for."""
    servers = list(judge_servers(account, settings.access))
    guilds = [] if isinstance(account.guilds, Problem) else account.guilds
    report: Report = {Check.SERVERS: servers + await check_ids(api, settings.access, guilds)}
    if (channel := options.channel) is not None:
        report[Check.CHANNEL] = await check_channel(api, channel, account.me["id"])
        if options.person is not None:
            verdict = check_access(api, settings.access, options.person, channel)
            report[Check.ACCESS] = await verdict
    return report


async def _of(check: Check, findings: Coroutine[None, None, list[Finding]]) -> Report:
    return {check: await findings}


async def _bounded(check: Check, probe: Coroutine[None, None, Report]) -> Report:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe
    except TimeoutError:
        text = f"The check took longer than {PROBE_SECONDS:.0f} s and was stopped."
        return {check: [fail("no_answer", text, "Look for a disk or a server that hangs.")]}
    except Exception as error:  # noqa: BLE001  # the top handler of a check
        text = f"The check failed unexpectedly: {type(error).__name__}."
        remedy = (
            "Look whether a proxy answers in place of the server. If none does, this is a fault of "
            "the doctor: please report it."
        )
        return {check: [fail("check_failed", text, remedy)]}
