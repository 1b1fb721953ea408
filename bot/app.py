"""Build the bot, run it, drain it and close it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from bot.assistant.assistant import Assistant
from bot.assistant.budgets import Budgets
from bot.assistant.conversations import Conversations
from bot.assistant.generator import Generator
from bot.assistant.ports import ChatModel
from bot.assistant.prompt_images import PromptImages
from bot.assistant.screening import NO_SCREENER, Screener
from bot.attachments.reader import Attachments
from bot.client import ChatClient, Services
from bot.commands.ask import add_ask
from bot.commands.base import Authorizer
from bot.commands.buttons import ReplyButtons
from bot.commands.help import add_help
from bot.commands.model import add_model
from bot.commands.operator import Desk, add_operator
from bot.commands.privacy import DataPolicy, add_export, add_forget_me, add_privacy
from bot.commands.regenerate import Regenerator
from bot.commands.reset import add_reset
from bot.commands.surface import Surface
from bot.commands.system_prompt import add_system_prompt
from bot.commands.usage import add_usage
from bot.connection import Connection
from bot.conversation.snowflakes import HOUR_SECONDS
from bot.errors import HistoryFailed, HistoryUnusable
from bot.i18n.languages import Languages
from bot.inbox.admission import Admission
from bot.inbox.channel_context import channel_context
from bot.inbox.channels import Channels
from bot.inbox.claims import Claims
from bot.inbox.edits import Edits
from bot.inbox.gate import Gate
from bot.inbox.in_flight import InFlight
from bot.inbox.interaction_places import InteractionPlaces
from bot.inbox.interactions import Interactions
from bot.inbox.messages import Inbox
from bot.inbox.questions import Questions
from bot.inbox.reply_factory import ReplyFactory
from bot.inbox.unsaved import Unsaved
from bot.inbox.user_limits import UserRateLimit
from bot.llm.api_config import ModerationConfig
from bot.llm.budget_rules import Period, Scope
from bot.llm.client import ChatCompletions
from bot.llm.model_catalog import ModelCatalog
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Gauge, Metrics
from bot.recovery.backfill import Backfill
from bot.recovery.catch_up import CatchUp, CatchUpPeriod, Need
from bot.recovery.guilds import Guilds
from bot.recovery.interactions import UnfinishedInteractions
from bot.recovery.reconcile import Reconciliation
from bot.recovery.resume import Resumption
from bot.recovery.search import SearchPlanner
from bot.recovery.unfinished import Unfinished
from bot.recovery.watermark import Watermark
from bot.reload import LiveSettings, Reloader
from bot.settings import Settings
from bot.signals import reload_signal, stop_signal
from bot.storage.copies import Copies
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.location import Location, PostgresLocation
from bot.storage.opening import copies_of, open_database
from bot.storage.orders import Orders, read_orders
from bot.storage.retention import Retention
from bot.transport.pacer import Pacer
from bot.transport.patches import point_at

if TYPE_CHECKING:
    from bot.monitoring.readiness import Condition
    from bot.monitoring.server import Monitor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the bot is built on. It is opened before the connection to Discord, and closed after."""

    settings: Settings
    live: LiveSettings
    history: History
    model: ChatModel
    models: ModelCatalog
    attachments: Attachments
    metrics: Metrics = NO_METRICS
    screener: Screener = NO_SCREENER


DatabaseSource = DatabaseFile | PostgresLocation


async def run(settings: Settings, source: DatabaseSource) -> None:
    """Run the bot with the database *source* until a signal ends it; raises StartRefused."""
    live = LiveSettings(settings)
    reloader = Reloader(settings, live)
    # First, because opening the database may take long.
    with stop_signal() as stop, reload_signal(reloader.reload, stop.set):
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
    async with (
        open_database(source, metrics, refused=partial(_end_with, unusable)) as database,
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
        connection(
            Resources(
                settings=settings,
                live=live,
                history=history,
                model=model,
                models=models,
                attachments=attachments,
                metrics=metrics,
                screener=screener,
            )
        ) as connected,
    ):
        live.apply_orders(await _orders(history, settings.database))
        if monitor is not None:
            monitor.condition = partial(_condition, connected, history)
        running = asyncio.create_task(connected.run())
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
            await connected.client.drain(live.shutdown_grace.value)
            running.cancel()
            await asyncio.wait({running})


def _end_with(unusable: asyncio.Future[None], error: HistoryUnusable) -> None:
    if not unusable.done():
        unusable.set_exception(error)


async def _orders(history: History, database: Location) -> Orders:
    """Return what operators set; without it, people whom they blocked would be answered."""
    try:
        return await read_orders(history.facts)
    except HistoryFailed as error:
        raise HistoryUnusable(
            f"What /operator set cannot be read from the database {database} ({error}). End other "
            "programs that use it, or name another database in DATABASE_URL."
        ) from error


async def _condition(connected: Connection, history: History) -> "Condition":
    """Return what the health port judges by."""
    from bot.monitoring.readiness import Condition  # noqa: PLC0415  # see `run`

    return Condition(
        shards={0: connected.state},
        database_works=await history.works(),
        draining=connected.client.draining,
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


def connection(resources: Resources) -> Connection:
    """Return the connection, not opened yet, of a bot that `build` makes."""
    settings = resources.settings
    point_at(settings.discord_api_url, settings.discord_gateway_url)
    return Connection(
        partial(build, resources),
        token=settings.discord_token.get_secret_value(),
        facts=resources.history.facts,
        metrics=resources.metrics,
        redact=settings.redaction,
    )


def build(resources: Resources, client: ChatClient, pacer: Pacer) -> Services:
    """Build the bot for *client*, from the bottom to the top.

    The function is long because the whole program is wired in this one place.
    """
    settings, live, history = resources.settings, resources.live, resources.history
    attachments, metrics = resources.attachments, resources.metrics
    languages = Languages(settings.language, client.locale_of)
    limit = UserRateLimit(live.questions_per_minute, metrics)
    budgets = Budgets(history.spending, live.budgets)
    admission = Admission(limit, budgets, metrics)
    in_flight = InFlight()
    catch_up = CatchUp(in_flight)
    claims = Claims(in_flight, catch_up.on_release)

    channels = Channels(client, history.places, pacer)
    conversations = Conversations(
        history, languages, resources.screener, rename_thread=channels.rename_own_thread
    )
    gate = Gate(live.access, channels, metrics)
    edits = Edits(
        conversations, history, client, claims, admits=gate.admits, resume=catch_up.resume
    )
    questions = Questions(
        history,
        channels,
        attachments=attachments,
        languages=languages,
        message_content=client.intents.message_content,
    )
    generator = Generator(
        resources.model,
        history,
        live.prompts,
        resources.models,
        budgets=budgets,
        images=PromptImages(settings.image_turns, questions.past_images),
        describe_place=lambda question: settings.redaction(channel_context(client, question)),
        screening=conversations.screening,
        metrics=metrics,
    )
    assistant = Assistant(
        generator, history, conversations, languages, refresh=edits.refresh, metrics=metrics
    )

    unsaved = Unsaved(history)
    replies = ReplyFactory(
        assistant, history, questions, channels, unsaved, pacer, settings.reply_parts
    )
    inbox = Inbox(assistant, history, questions, claims, admission, replies, unsaved, gate)
    places = InteractionPlaces(client, channels)
    interactions = Interactions(assistant, unsaved, questions, claims, admission, replies, places)

    watermark = Watermark(history.facts)
    guilds = Guilds(client, history.places, history.facts, live.access)
    period = CatchUpPeriod(settings.catch_up_hours)
    unfinished = Unfinished(
        assistant,
        history,
        questions,
        replies,
        UnfinishedInteractions(assistant, replies, places),
        channels,
        gate,
    )
    resumption = Resumption(history, unfinished, unsaved, claims, catch_up, in_flight, period)
    planner = SearchPlanner(client, history.places, channels, guilds, pacer)
    backfill = Backfill(planner, inbox, resumption, catch_up, guilds, watermark, period)
    reconciliation = Reconciliation(client, history, channels, edits, pacer, period)
    copies = copies_of(settings.database)
    retention = Retention(
        history.erasure,
        history.usage,
        copies,
        history.spending,
        keep_seconds=(settings.catch_up_hours + 1) * HOUR_SECONDS,
        retention_days=settings.retention_days,
    )

    policy, overrides = _data_policy(settings, attachments), generator.overrides
    authorizer = Authorizer(gate, in_flight)
    surface = Surface(client, history.facts, authorizer)
    add_reset(surface, conversations, edits)
    add_privacy(surface, overrides, policy, copies, budgets)
    add_export(surface, history)
    add_forget_me(surface, conversations, resume=catch_up.resume)
    add_help(surface, overrides, history.places, policy, live.access)
    add_model(surface, overrides, resources.models)
    add_usage(surface, history.usage, live.prices, budgets)
    add_system_prompt(surface, overrides, resources.screener.check_system_prompt)
    desk = partial(_operator_desk, client, history, copies, budgets, live, time.time())
    add_operator(surface, cache(desk))
    add_ask(surface, channels, interactions.handle)
    regenerator = Regenerator(assistant, history, questions, claims, admission, replies, places)
    surface.add_view(ReplyButtons(authorizer, assistant, history, regenerator, languages, pacer))

    metrics.watch(Gauge.OPEN_QUESTIONS, in_flight.__len__)
    for one in Period:
        used = partial(budgets.used_by_bot, one)
        metrics.watch(Gauge.BUDGET_USED, used, scope=Scope.BOT, period=one)
    metrics.watch(Gauge.STREAMING, conversations.streaming)
    metrics.watch(Gauge.DISCORD_WAITING, pacer.waiting)
    metrics.watch(Gauge.ERASURE_PENDING, history.erasure.pending_seconds)

    return Services(
        assistant=assistant,
        background=(
            partial(catch_up.repeat, Need.RESUME, resumption.run),
            partial(catch_up.repeat, Need.BACKFILL, backfill.run),
            partial(catch_up.repeat, Need.RECONCILE, reconciliation.run),
            edits.keep_applied,
            retention.erase_forever,
            retention.prune_forever,
            guilds.keep_recorded,
            watermark.keep_written,
            surface.tree.sync_if_changed,
            budgets.read_bot_account,
        ),
        catch_up=catch_up,
        claims=claims,
        edits=edits,
        guilds=guilds,
        watermark=watermark,
        history=history,
        in_flight=in_flight,
        inbox=inbox,
        resumption=resumption,
    )


def _operator_desk(
    client: ChatClient,
    history: History,
    copies: Copies,
    budgets: Budgets,
    live: LiveSettings,
    started_at: float,
) -> Desk:
    # Late, to save memory in a bot whose operators have not used the command yet.
    from bot.commands.operator_access import Operators  # noqa: PLC0415
    from bot.commands.operator_desk import OperatorDesk  # noqa: PLC0415
    from bot.commands.status import StatusReport  # noqa: PLC0415

    operators = Operators(client, lambda: live.access.value.admins)
    report = StatusReport(client, history, copies, budgets, live, started_at)
    return OperatorDesk(operators, report, history.facts, live)


def _data_policy(settings: Settings, attachments: Attachments) -> DataPolicy:
    reads_files = settings.attachment_bytes > 0
    return DataPolicy(
        settings.openai_host,
        settings.retention_days,
        files=reads_files,
        pictures=reads_files and settings.image_turns > 0,
        pdfs=reads_files and attachments.reads_pdfs,
        moderation_host=settings.moderation_host,
        redacts=settings.redact,
    )
