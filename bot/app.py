"""Run the bot: open what it needs, serve its shards, drain and close them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.assistant.screening import NO_SCREENER, Screener
from bot.attachments.reader import Attachments
from bot.build import Resources, SharedServices, build
from bot.connection import Access, Connection
from bot.errors import HistoryFailed, HistoryUnusable
from bot.llm.api_config import ModerationConfig
from bot.llm.budget_rules import Period, Scope
from bot.llm.client import ChatCompletions
from bot.llm.model_catalog import ModelCatalog
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Gauge, Metrics
from bot.reload import LiveSettings, Reloader
from bot.settings import AUTO, Settings
from bot.shard_host import ShardHost
from bot.shards import ONLY_SHARD, TOTAL_FACT, Shard, shards_of
from bot.signals import reload_signal, stop_signal
from bot.storage.database import Database
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.facts import Facts
from bot.storage.location import Location, PostgresLocation
from bot.storage.opening import StoppedEarly, open_database, opened_unless
from bot.storage.orders import Orders, read_orders
from bot.transport.patches import point_at
from bot.transport.reconnect import ShardsRefused

if TYPE_CHECKING:
    from bot.cluster.cluster import Cluster
    from bot.cluster.membership import Membership
    from bot.monitoring.readiness import Condition
    from bot.monitoring.server import Monitor

log = logging.getLogger(__name__)

DatabaseSource = DatabaseFile | PostgresLocation


async def run(settings: Settings, source: DatabaseSource) -> None:
    """Run the bot with the database *source* until a signal ends it; raises StartRefused."""
    live = LiveSettings(settings)
    reloader = Reloader(settings, live)
    # First, because opening the database may take long.
    with stop_signal() as stop, reload_signal(reloader.reload, stop.set), suppress(StoppedEarly):
        if settings.health_port is None:
            await _run(settings, live, source, stop)
            return
        # Late, because most bots open no port, and aiohttp's server takes memory.
        from bot.monitoring.server import monitored  # noqa: PLC0415

        host, port = settings.health_host, settings.health_port
        async with monitored(host, port, live.prices) as monitor:
            await _run(settings, live, source, stop, monitor)


async def _run(
    settings: Settings,
    live: LiveSettings,
    source: DatabaseSource,
    stop: asyncio.Event,
    monitor: "Monitor | None" = None,
) -> None:
    metrics = NO_METRICS if monitor is None else monitor.metrics
    unusable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    api = replace(settings.api, options=live.request_options, reply_tokens=live.longest_reply)
    refused = partial(_end_with, unusable)
    cluster = _cluster(settings, source, refused)
    joined = None if cluster is None else cluster.admit
    async with (
        opened_unless(
            stop, open_database(source, metrics, refused=refused, joined=joined)
        ) as database,
        History.over(database) as history,
        ChatCompletions.open(api, metrics) as model,
        ModelCatalog(live.models, model.list_models) as models,
        Attachments(
            settings.discord_api_url,
            max_bytes=settings.attachment_bytes,
            images=settings.image_turns > 0,
            redact=settings.redaction,
        ) as attachments,
        moderation(settings.moderation_api, metrics) as screener,
    ):
        resources = Resources(
            settings=settings,
            live=live,
            history=history,
            model=model,
            models=models,
            attachments=attachments,
            metrics=metrics,
            screener=screener,
            cluster=_membership(cluster, database),
        )
        live.apply_orders(await _orders(history, settings.database))
        await _serve(resources, stop, unusable, monitor)


async def _serve(
    resources: Resources,
    stop: asyncio.Event,
    unusable: asyncio.Future[None],
    monitor: "Monitor | None",
) -> None:
    """Run all shards until *stop* is set or the database is *unusable*; raises StartRefused."""
    history, shared = resources.history, SharedServices.of(resources)
    async with host_of(resources, shared) as host:
        if monitor is not None:
            monitor.condition = partial(_condition, host, resources)
        running = asyncio.create_task(_run_shards(resources, shared, host))
        stopping = asyncio.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {running, stopping, unusable}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            running.result()
        elif unusable.done():  # Another instance may answer by now.
            history.stop_waiting()
            running.cancel()
            await asyncio.wait({running})
            unusable.result()
        else:
            log.info("Stop the bot: a signal asks for it", extra=as_event("stopping"))
            cluster = resources.cluster
            drain = host.drain_all if cluster is None else cluster.drain
            await drain(resources.live.shutdown_grace.value)
            running.cancel()
            await asyncio.wait({running})


def _end_with(unusable: asyncio.Future[None], error: HistoryUnusable) -> None:
    if not unusable.done():
        unusable.set_exception(error)


async def total_shards(settings: Settings, facts: Facts) -> int:
    """Return the number of shards; raises HistoryFailed, or DiscordRefused.

    With SHARDS=auto, Discord recommended that number at the first start.
    """
    if settings.shards != AUTO:
        return settings.shards

    # Late, to save memory: few bots have more than one shard.
    from bot.recovery.resharding import recommended  # noqa: PLC0415
    from bot.transport.recommended_shards import recommended_shards  # noqa: PLC0415

    async def ask() -> int:
        return await recommended_shards(
            settings.discord_api_url, settings.discord_token.get_secret_value()
        )

    return await recommended(facts, ask)


def _cluster(
    settings: Settings, source: DatabaseSource, refused: Callable[[HistoryUnusable], None]
) -> "Cluster | None":
    """Return the cluster that divides the shards among processes; None for a SQLite file."""
    if not isinstance(source, PostgresLocation):
        return None
    # Late, because most bots run alone, on a file.
    from bot.cluster.cluster import Cluster  # noqa: PLC0415
    from bot.cluster.names import process_name  # noqa: PLC0415
    from bot.storage.postgres_errors import pooler  # noqa: PLC0415

    return Cluster(
        process_name(),
        most=settings.shards_per_process,
        pooler_found=partial(refused, pooler(source)),
    )


def _membership(cluster: "Cluster | None", database: Database) -> "Membership | None":
    if cluster is None:
        return None
    from bot.cluster.membership import Membership  # noqa: PLC0415  # see `_cluster`
    from bot.storage.postgres import PostgresDatabase  # noqa: PLC0415

    assert isinstance(database, PostgresDatabase)
    return Membership(cluster, database)


async def _adopt(resources: Resources, shared: SharedServices, total: int) -> None:
    """Continue where the last holders of the shards ended; a standby does so before its first."""
    facts = resources.history.facts
    if total > 1 or await facts.get(TOTAL_FACT) is not None:
        from bot.recovery.resharding import adopt_total  # noqa: PLC0415  # as in `total_shards`

        await adopt_total(resources.history, total)
    if resources.cluster is not None:
        await _look_at_changes(resources, shared)


async def _look_at_changes(resources: Resources, shared: SharedServices) -> None:
    """Apply what another process changed in the database; raises HistoryFailed."""
    shared.changes.look_here()
    async with shared.ordering:
        orders = await read_orders(resources.history.facts)
        if orders != resources.live.orders and resources.live.accepts(orders):
            resources.live.apply_orders(orders)


async def _run_shards(resources: Resources, shared: SharedServices, host: ShardHost) -> None:
    """Run the shards of this process until one ends for good; raises StartRefused."""
    history, cluster = resources.history, resources.cluster
    try:
        total = await total_shards(resources.settings, history.facts)
        adopted = partial(_adopt, resources, shared, total)
        if cluster is None:
            await adopted()
    except HistoryFailed as error:
        raise HistoryUnusable(
            f"The state of the shards cannot be read from the database ({error}). Check the "
            "database, then start the bot again."
        ) from error
    shared.sign_ins.budget.scale_to(total)
    try:
        if cluster is None:
            for shard in shards_of(total):
                host.start(shard)
            await host.wait()
        else:
            changed = partial(_look_at_changes, resources, shared)
            shared.changes.tell_others = cluster.tell_others
            await cluster.run(
                host,
                total,
                adopted=adopted,
                changed=changed,
                outdated=shared.budgets.invalidate,
                resized=shared.pacer.share,
            )
    except ShardsRefused:
        with suppress(HistoryFailed):  # Then the next start is refused as well, and tries again.
            from bot.recovery.resharding import forget_recommended  # noqa: PLC0415  # see above

            await forget_recommended(history.facts)
        raise


async def _orders(history: History, database: Location) -> Orders:
    """Return what operators set; without it, people whom they blocked would be answered."""
    try:
        return await read_orders(history.facts)
    except HistoryFailed as error:
        raise HistoryUnusable(
            f"What /operator set cannot be read from the database {database} ({error}). End other "
            "programs that use it, or name another database in DATABASE_URL."
        ) from error


async def _condition(host: ShardHost, resources: Resources) -> "Condition":
    """Return what the health port judges by."""
    from bot.monitoring.readiness import STARTING, Condition  # noqa: PLC0415  # see `run`

    cluster = resources.cluster
    standby = cluster is not None and cluster.is_standby
    return Condition(
        shards=host.states() or ({} if standby else STARTING.shards),
        database_works=await resources.history.works(),
        draining=host.draining,
        standby=standby,
    )


@asynccontextmanager
async def moderation(
    config: ModerationConfig | None, metrics: Metrics = NO_METRICS
) -> AsyncIterator[Screener]:
    """Yield the screener of *config*, or one that checks nothing if there is none."""
    if config is None:
        yield NO_SCREENER
        return
    # Imported late, to save memory in a bot that checks no questions.
    from bot.assistant.moderation import Moderator  # noqa: PLC0415
    from bot.llm.moderation import ModerationApi  # noqa: PLC0415

    async with ModerationApi.open(config) as service:
        moderator = Moderator(service, config.policy, metrics)
        try:
            yield moderator
        finally:
            await moderator.close()


def host_of(resources: Resources, shared: SharedServices) -> ShardHost:
    """Return the host of the shards that this process runs; none is started yet."""
    metrics, budgets = resources.metrics, shared.budgets
    for one in Period:
        used = partial(budgets.used_by_bot, one)
        metrics.watch(Gauge.BUDGET_USED, used, scope=Scope.BOT, period=one)
    metrics.watch(Gauge.DISCORD_WAITING, shared.pacer.waiting)
    metrics.watch(Gauge.ERASURE_PENDING, resources.history.erasure.pending_seconds)
    metrics.watch(Gauge.IDENTIFIES_LEFT, shared.sign_ins.budget.left_now)
    return ShardHost(
        partial(connection, resources, shared=shared),
        background=(shared.retention.erase_forever, budgets.read_bot_account),
        stop_waiting=resources.history.stop_waiting,
        metrics=metrics,
    )


def connection(
    resources: Resources, shard: Shard = ONLY_SHARD, *, shared: SharedServices | None = None
) -> Connection:
    """Return the connection of a shard, not opened yet, with the bot that `build` makes."""
    settings = resources.settings
    point_at(settings.discord_api_url, settings.discord_gateway_url)
    # Another process may have had this shard, and deleted places of it.
    resources.history.places.recorded.clear()
    shared = shared or SharedServices.of(resources)
    access = Access(
        token=settings.discord_token.get_secret_value(),
        facts=resources.history.facts,
        pacer=shared.pacer,
        sign_ins=shared.sign_ins,
        metrics=resources.metrics,
        redact=settings.redaction,
    )
    return Connection(partial(build, resources, shared), access, shard)
