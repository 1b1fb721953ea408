"""Wire the bot of each shard: its services, and those that all shards of a process share."""

import asyncio
import time
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

from bot.assistant.assistant import Assistant
from bot.assistant.budgets import Budgets
from bot.assistant.conversations import Conversations
from bot.assistant.generator import Generator, Learned
from bot.assistant.ports import ChatModel
from bot.assistant.prompt_images import MEMORY_BYTES, MemoryBudget, PromptImages
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
from bot.conversation.snowflakes import HOUR_SECONDS
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
from bot.llm.model_catalog import ModelCatalog
from bot.metrics import NO_METRICS, Metrics
from bot.recovery.backfill import Backfill
from bot.recovery.catch_up import CatchUp, CatchUpPeriod, Changes, Need
from bot.recovery.guilds import Guilds
from bot.recovery.interactions import UnfinishedInteractions
from bot.recovery.reconcile import Reconciliation
from bot.recovery.resume import Resumption
from bot.recovery.search import SearchPlanner
from bot.recovery.unfinished import Unfinished
from bot.recovery.watermark import Watermark
from bot.reload import LiveSettings
from bot.settings import Settings
from bot.storage.copies import Copies
from bot.storage.exchanges import History
from bot.storage.opening import copies_of
from bot.storage.retention import Retention
from bot.transport.identify_budget import IdentifyBudget
from bot.transport.pacer import EARLIER_CALLS, Pacer
from bot.transport.sign_ins import SignIns

if TYPE_CHECKING:
    from bot.cluster.membership import Membership


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The base of the bot: opened before the connections to Discord, and closed after them."""

    settings: Settings
    live: LiveSettings
    history: History
    model: ChatModel
    models: ModelCatalog
    attachments: Attachments
    metrics: Metrics = NO_METRICS
    screener: Screener = NO_SCREENER
    cluster: "Membership | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedServices:
    """The services that all shards of a process share."""

    admission: Admission
    budgets: Budgets
    changes: Changes
    clients: WeakSet[ChatClient]
    conversations: WeakSet[Conversations]
    copies: Copies
    image_memory: MemoryBudget
    learned: Learned
    ordering: asyncio.Lock
    pacer: Pacer
    retention: Retention
    sign_ins: SignIns
    started_at: float

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Return the shared services on top of *resources*."""
        settings, live, history = resources.settings, resources.live, resources.history
        metrics = resources.metrics
        limit = UserRateLimit(live.questions_per_minute, metrics)
        budgets = Budgets(history.spending, live.budgets)
        copies = copies_of(settings.database)
        passed = None if resources.cluster is None else resources.cluster.passed
        pacer = Pacer(
            earlier_calls=EARLIER_CALLS, per_second=settings.requests_per_second, passed=passed
        )
        return cls(
            admission=Admission(limit, budgets, metrics),
            budgets=budgets,
            changes=Changes(),
            clients=WeakSet(),
            conversations=WeakSet(),
            copies=copies,
            image_memory=MemoryBudget(MEMORY_BYTES),
            learned=Learned.of(resources.model, history, resources.models, budgets, metrics),
            ordering=asyncio.Lock(),
            pacer=pacer,
            retention=Retention(
                history.erasure,
                history.usage,
                copies,
                history.spending,
                keep_seconds=(settings.catch_up_hours + 1) * HOUR_SECONDS,
                retention_days=settings.retention_days,
            ),
            sign_ins=_sign_ins(resources, pacer),
            started_at=time.time(),
        )


def _sign_ins(resources: Resources, pacer: Pacer) -> SignIns:
    if resources.cluster is None:
        return SignIns(IdentifyBudget(resources.history.facts), pacer=pacer)
    return SignIns(resources.cluster.budget(), resources.cluster.slots(), pacer)


def build(resources: Resources, shared: SharedServices, client: ChatClient) -> Services:
    """Build the bot of a shard for its *client*, from the bottom to the top.

    The function is long because the whole program is wired in this one place.
    """
    settings, live, history = resources.settings, resources.live, resources.history
    attachments, metrics = resources.attachments, resources.metrics
    shard, pacer, admission, budgets = client.shard, shared.pacer, shared.admission, shared.budgets
    shared.clients.add(client)
    languages = Languages(settings.language, client.locale_of)
    in_flight = InFlight()
    catch_up = CatchUp(in_flight)
    shared.changes.join(catch_up)
    claims = Claims(in_flight, catch_up.on_release)

    channels = Channels(client, history.places, pacer)
    conversations = Conversations(
        history,
        languages,
        resources.screener,
        rename_thread=channels.rename_own_thread,
        siblings=shared.conversations,
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
        learned=shared.learned,
        images=PromptImages(settings.image_turns, questions.past_images, shared.image_memory),
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

    watermark = Watermark(history.facts, shard=shard)
    guilds = Guilds(client, history.places, history.facts, live.access, shard)
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
    resumption = Resumption(
        history,
        unfinished,
        unsaved,
        claims,
        catch_up,
        in_flight,
        period,
        shard,
        withdraw=conversations.withdraw,
    )
    planner = SearchPlanner(client, history.places, channels, guilds, pacer)
    backfill = Backfill(planner, inbox, resumption, catch_up, guilds, watermark, period)
    reconciliation = Reconciliation(client, history, channels, edits, pacer, period, shard)

    policy, overrides = _data_policy(settings, attachments), generator.overrides
    authorizer = Authorizer(gate, in_flight)
    surface = Surface(client, history.facts, authorizer)
    add_reset(surface, conversations, edits)
    add_privacy(surface, overrides, policy, shared.copies, budgets)
    add_export(surface, history)
    add_forget_me(surface, conversations, resume=shared.changes.announce)
    add_help(surface, overrides, history.places, policy, live.access)
    add_model(surface, overrides, resources.models)
    add_usage(surface, history.usage, live.prices, budgets)
    add_system_prompt(surface, overrides, resources.screener.check_system_prompt)
    add_operator(surface, cache(partial(_operator_desk, resources, shared, client)))
    add_ask(surface, channels, interactions.handle)
    regenerator = Regenerator(assistant, history, questions, claims, admission, replies, places)
    surface.add_view(ReplyButtons(authorizer, assistant, history, regenerator, languages, pacer))

    once_for_the_bot = (shared.retention.prune_forever, surface.tree.sync_if_changed)
    return Services(
        assistant=assistant,
        background=(
            partial(catch_up.repeat, Need.RESUME, resumption.run),
            partial(catch_up.repeat, Need.BACKFILL, backfill.run),
            partial(catch_up.repeat, Need.RECONCILE, reconciliation.run),
            edits.keep_applied,
            guilds.keep_recorded,
            watermark.keep_written,
            *(once_for_the_bot if shard.is_first else ()),
        ),
        catch_up=catch_up,
        claims=claims,
        edits=edits,
        guilds=guilds,
        watermark=watermark,
        in_flight=in_flight,
        inbox=inbox,
        resumption=resumption,
    )


def _operator_desk(resources: Resources, shared: SharedServices, client: ChatClient) -> Desk:
    # Late, to save memory in a bot whose operators have not used the command yet.
    from bot.commands.operator_access import Operators  # noqa: PLC0415
    from bot.commands.operator_desk import OperatorDesk  # noqa: PLC0415
    from bot.commands.status import StatusReport  # noqa: PLC0415

    live, history = resources.live, resources.history
    operators = Operators(client, lambda: live.access.value.admins)
    report = StatusReport(
        shared.clients, history, shared.copies, shared.budgets, live, shared.started_at
    )
    return OperatorDesk(
        operators,
        report,
        history.facts,
        live,
        ordering=shared.ordering,
        tell_others=shared.changes.tell_others,
    )


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
