"""The Discord client: receives events and passes each to what handles it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

import discord

from bot.assistant.assistant import Assistant
from bot.conversation.snowflakes import earlier, snowflake_at
from bot.errors import HistoryFailed
from bot.inbox import addressing
from bot.inbox.claims import Claims
from bot.inbox.edits import Edits, is_edit
from bot.inbox.in_flight import InFlight
from bot.inbox.messages import Inbox
from bot.log_events import as_event
from bot.metrics import Metrics
from bot.recovery.catch_up import CatchUp
from bot.recovery.guilds import Guilds
from bot.recovery.resume import Resumption
from bot.recovery.watermark import MARGIN_SECONDS, Watermark
from bot.shards import ONLY_SHARD, Shard
from bot.transport.pacer import Pacer
from bot.transport.patches import RateLimitTrace
from bot.transport.payload_checks import is_message

log = logging.getLogger(__name__)

LONGEST_RATE_LIMIT_SECONDS: Final = 30.0  # discord.py's minimum; longer rate limits raise.
GUILD_READY_SECONDS: Final = 0.5  # the wait for each further guild before on_ready
INTERRUPT_SECONDS: Final = 10.0  # for interrupted answers to store what they have
STORE_EDITS_SECONDS: Final = 2.0  # at shutdown, for edits and deletions that are not stored yet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Services:
    """What handles a client's events; *background* runs until the client closes."""

    assistant: Assistant
    background: Sequence[Callable[[], Coroutine[None, None, None]]]
    catch_up: CatchUp
    claims: Claims
    edits: Edits
    guilds: Guilds
    in_flight: InFlight
    inbox: Inbox
    resumption: Resumption
    watermark: Watermark


class ChatClient(discord.Client):
    """Passes the events of one shard to what *build* returns.

    *message_content* asks for that intent.
    """

    def __init__(
        self,
        build: Callable[["ChatClient"], Services],
        pacer: Pacer,
        metrics: Metrics,
        *,
        shard: Shard = ONLY_SHARD,
        message_content: bool,
    ) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        intents.message_content = message_content
        shards = shard.total > 1  # A bot that does not shard identifies without numbers.
        super().__init__(
            shard_id=shard.id if shards else None,
            shard_count=shard.total if shards else None,
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILD_READY_SECONDS,
            max_ratelimit_timeout=LONGEST_RATE_LIMIT_SECONDS,
            http_trace=RateLimitTrace(pacer, metrics),
        )
        self.shard = shard
        self._background: list[asyncio.Task[None]] = []
        self._services = build(self)

    async def setup_hook(self) -> None:
        """Load what the last run left, and start the background tasks, before connecting."""
        try:
            await self._services.watermark.load()
            await self._services.guilds.load()
            await self._services.resumption.look_ahead()
        except HistoryFailed as error:
            log.warning("Cannot read what the last run left open: %s", error)
        self._background = [asyncio.create_task(run()) for run in self._services.background]

    async def on_connect(self) -> None:
        """Pin the watermark: a new session, unlike a resumed one, may have missed events."""
        self._services.watermark.pin()
        await self._services.watermark.initialise()

    async def on_ready(self) -> None:
        """Begin to catch up."""
        connected = as_event("connected", shard=self.shard.id, count=len(self.guilds))
        log.info(
            "Connected as %s in %d guilds%s",
            *(self.user, len(self.guilds), self.shard.suffix),
            extra=connected,
        )
        for guild in self.guilds:
            self._services.edits.mark_guild_restored(guild.id)
        self._services.catch_up.start_all()

    async def on_message(self, message: discord.Message) -> None:
        """Answer *message* if it is for the bot."""
        if addressing.from_a_person(message):
            self._services.in_flight.track()
            await self._services.watermark.initialise()
            await self._services.inbox.handle(message)
        self._services.watermark.advance(message.id)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Store the edit of a question; answer a message that the edit made a question.

        Another bot's message may be quoted.
        """
        message = payload.message
        if not is_message(payload.data):  # A link preview comes as such an event, too.
            return
        if message.author.id == addressing.own_id(self) or not is_edit(message):
            return
        may_ask = await self._services.edits.apply_edit(message)
        if may_ask and addressing.from_a_person(message):
            await self.on_message(message)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Forget a deleted message."""
        await self._services.edits.forget_messages({payload.message_id})

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Forget messages that were deleted at once."""
        await self._services.edits.forget_messages(payload.message_ids)

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """Forget the conversation of a deleted thread."""
        await self._services.edits.forget_place(payload.thread_id)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Forget the conversations of a deleted channel and its threads."""
        await self._services.edits.forget_place(channel.id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Note when the bot joined a guild: older messages are not for it."""
        self._services.guilds.join(guild, snowflake_at(discord.utils.utcnow().timestamp()))
        await self.on_guild_available(guild)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """Note that a guild is available, and catch up if messages may have been missed in it."""
        self._services.guilds.see(guild, snowflake_at(discord.utils.utcnow().timestamp()))
        self._services.edits.mark_guild_restored(guild.id)
        if self._services.guilds.is_unsearched(guild.id):
            self._services.catch_up.start_all()

    async def on_guild_unavailable(self, guild: discord.Guild) -> None:
        """Note when a guild stopped sending events."""
        try:
            last_seen_id = earlier(self._services.watermark.position, MARGIN_SECONDS)
            await self._services.guilds.mark_unavailable(guild.id, last_seen_id)
        except HistoryFailed as error:
            log.warning("Cannot record guild %d as unavailable: %s", guild.id, error)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Forget the conversations of a guild that the bot left."""
        await self._services.edits.forget_guild(guild.id)

    async def on_error(self, event_method: str, /, *_args: object, **_kwargs: object) -> None:
        """Log an unexpected error of a handler, without the arguments: people wrote them."""
        log.error("Cannot handle event %s", event_method, exc_info=True)  # noqa: LOG014  # discord.py calls this in its handler

    @property
    def draining(self) -> bool:
        """Whether the bot is stopping."""
        return self._services.in_flight.draining

    def open_questions(self) -> int:
        """Return how many answers and commands are in progress."""
        return len(self._services.in_flight)

    def streaming(self) -> int:
        """Return how many answers have begun and not ended."""
        return self._services.assistant.conversations.streaming()

    async def finish(self, grace_seconds: float) -> None:
        """Begin no new answers, and finish those that fit into the grace period."""
        in_flight = self._services.in_flight
        in_flight.draining = True
        self._services.claims.release_new_questions()
        if in_flight:
            finishing = as_event("answers_finishing", count=len(in_flight))
            log.info("Finish %d answers%s", len(in_flight), self.shard.suffix, extra=finishing)
            await in_flight.wait(grace_seconds)

    async def leave(self) -> None:
        """Store the answers that are not finished; the next start resumes them."""
        in_flight = self._services.in_flight
        if in_flight:
            left = as_event("answers_left", count=len(in_flight))
            log.info(
                "Leave %d answers to the next start%s",
                *(len(in_flight), self.shard.suffix),
                extra=left,
            )
            self._services.assistant.interrupt()
            await in_flight.wait(INTERRUPT_SECONDS)
        await self._services.edits.finish(STORE_EDITS_SECONDS)
        await self._services.watermark.write()

    def abandon(self) -> None:
        """Begin nothing and cancel all answers: another process may write for this shard."""
        self._services.in_flight.draining = True
        self._services.claims.release_new_questions()
        self._services.in_flight.cancel()
        for task in self._background:
            task.cancel()

    async def ended(self, timeout_seconds: float) -> None:
        """Wait until the answers that `abandon` cancelled have ended."""
        await self._services.in_flight.wait(timeout_seconds)

    async def close(self) -> None:
        """Cancel the background tasks and close the connection."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await super().close()

    def locale_of(self, guild_id: int) -> str | None:
        """Return the locale of a guild, None if it is no community: others cannot choose one."""
        guild = self.get_guild(guild_id)
        if guild is None or "COMMUNITY" not in guild.features:
            return None
        return str(guild.preferred_locale)
