"""The Discord client: what comes from the gateway, and whose it is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import discord

from bot.assistant.assistant import Assistant
from bot.attachments.reader import Attachments
from bot.commands.regenerate import Renewals
from bot.conversation.exchange import Exchange
from bot.conversation.snowflakes import earlier, snowflake_at
from bot.errors import HistoryFailed, ReplyDelayed
from bot.i18n.languages import Languages
from bot.inbox import addressing
from bot.inbox.channel_context import whereabouts
from bot.inbox.channels import Channels
from bot.inbox.edits import Changes, is_edit
from bot.inbox.interactions import Interactions
from bot.inbox.messages import Inbox
from bot.inbox.past_images import Gallery
from bot.inbox.questions import Questions
from bot.inbox.user_limits import PersonLimits
from bot.recovery.catch_up import CatchUp
from bot.recovery.guilds import Guilds
from bot.recovery.missed import Absence
from bot.recovery.reconcile import Comparison
from bot.recovery.unfinished import Recovery
from bot.recovery.watermark import MARGIN_SECONDS, Heard
from bot.storage.exchanges import History
from bot.storage.retention import HOUR_SECONDS, Retention
from bot.transport.pacer import Pacer
from bot.transport.patches import RateLimitTrace
from bot.transport.payload_checks import is_message

log = logging.getLogger(__name__)

LONGEST_RATE_LIMIT_SECONDS: Final = 30.0  # discord.py takes no less; longer ones raise.
GUILD_READY_SECONDS: Final = 0.5  # How long READY waits for a further guild; each asks anew.
STOPPING_SECONDS: Final = 10.0
FORGETTING_SECONDS: Final = 2.0  # at shutdown, for edits and deletions that are not stored yet


class ChatClient(discord.Client):
    """Hands questions to the assistant. *message_content* says whether that intent is asked for.

    *catch_up_hours*: how old a question may be that is answered after an absence; 0 answers none.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        *,
        message_content: bool,
        allowed_guilds: frozenset[int],
        allow_dms: bool,
        catch_up_hours: float,
        questions_per_minute: int,
        reply_parts: int,
        attachments: Attachments,
        languages: Languages,
        retention_days: int,
        prepare: Callable[["ChatClient"], Awaitable[None]],
    ) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        intents.message_content = message_content
        pacer = Pacer()
        limits = PersonLimits(questions_per_minute)
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILD_READY_SECONDS,
            max_ratelimit_timeout=LONGEST_RATE_LIMIT_SECONDS,
            http_trace=RateLimitTrace(pacer),
        )
        self._assistant = assistant
        self._history = history
        self._allowed_guilds = allowed_guilds
        self._allow_dms = allow_dms
        self._prepare = prepare
        self._draining = False
        self._answering: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[None]] = []
        channels = self.channels = Channels(self, history.places, pacer)
        assistant.pictures.come_from(Gallery(channels, attachments))
        self._questions = Questions(history, channels, attachments=attachments, languages=languages)
        self._inbox = Inbox(
            assistant,
            history,
            self._questions,
            channels,
            pacer,
            limits=limits,
            languages=languages,
            message_content=message_content,
            max_parts=reply_parts,
        )
        self._interactions = Interactions(
            self,
            assistant,
            history,
            self._inbox,
            channels,
            pacer,
            attachments=attachments,
            limits=limits,
            languages=languages,
        )
        self._changes = Changes(assistant, history, arrivals=self._inbox, withdraw=self.withdraw)
        assistant.follow(self._changes.as_it_stands)
        assistant.locate(partial(whereabouts, self))
        languages.follow(self._locale_of)
        self._erasure = Retention(
            history,
            keep_seconds=(catch_up_hours + 1) * HOUR_SECONDS,
            retention_days=retention_days,
        )
        self._heard = Heard(history)
        self._guilds = Guilds(self, history, works_in=self.works_in)
        self._catch_up = CatchUp(
            self,
            history,
            self._questions,
            self._inbox,
            Recovery(
                assistant,
                history,
                self._questions,
                self._inbox,
                self._interactions,
                channels,
                pacer,
                languages=languages,
            ),
            self._guilds,
            Absence(self, history, channels, self._guilds, pacer),
            Comparison(self, history, channels, self._guilds, self._changes, pacer),
            self._heard,
            hours=catch_up_hours,
            in_task=self.finish_before_closing,
        )
        self.renewals = Renewals(
            assistant,
            history,
            self._questions,
            self._inbox,
            self._interactions,
            self._catch_up,
            limits,
        )

    @property
    def me_id(self) -> int:
        """The bot's own user id."""
        assert self.user is not None
        return self.user.id

    def works_in(self, guild_id: int | None) -> bool:
        """Whether the operator lets the bot work in this guild, None for direct messages."""
        if guild_id is None:
            return self._allow_dms
        return not self._allowed_guilds or guild_id in self._allowed_guilds

    async def setup_hook(self) -> None:
        """Prepare what is done once, before the gateway is connected."""
        try:
            await self._heard.load()
            await self._guilds.load()
            await self._catch_up.look_ahead()
        except HistoryFailed as error:
            log.warning("What the last run left open cannot be read: %s", error)
        self._background = [
            asyncio.create_task(self._catch_up.run()),
            asyncio.create_task(self._changes.keep_making()),
            asyncio.create_task(self._erasure.keep_erased()),
            asyncio.create_task(self._erasure.keep_pruned()),
            asyncio.create_task(self._guilds.keep_recorded()),
            asyncio.create_task(self._heard.keep_written()),
        ]
        await self._prepare(self)

    async def on_connect(self) -> None:
        """Keep in mind that something was missed: this is a new session, not a resumed one."""
        self._heard.freeze()

    async def on_ready(self) -> None:
        """Say that the bot is there, and catch up."""
        log.info("Connected as %s; servers: %d", self.user, len(self.guilds))
        for guild in self.guilds:
            self._changes.guild_back(guild.id)
        self._catch_up.came_back()

    async def on_message(self, message: discord.Message) -> None:
        """Answer *message* if it is for the bot."""
        if addressing.from_a_person(message) and self.works_in(addressing.guild_id_of(message)):
            self.finish_before_closing()
            await self._take(message)
        self._heard.hear(message.id)

    async def answer_interaction(
        self,
        interaction: discord.Interaction,
        exchange: Exchange,
        about: Sequence[discord.Attachment],
    ) -> None:
        """Store what a command asked and see it answered; while draining, the next start does.

        *about* are the files of the message that it asks about. Raises PersonBusy.
        """
        done = True
        with self._inbox.holding(interaction.id) as free:
            if not free:
                return
            try:
                taken = await self._interactions.take(interaction, exchange)
                if taken is not None:
                    done = False
                    exchange, reply = taken
                    await self._catch_up.turn_of(exchange.queue_key)
                    look_up = self._interactions.looking_up(about)
                    if not self._draining:
                        delivery = await self._assistant.answer(exchange, reply, look_up=look_up)
                        done = delivery.done
            except ReplyDelayed as error:
                log.info("Question %d waits: %s", interaction.id, error)
                done = False
            finally:
                self._catch_up.released(interaction.id, exchange.queue_key, done=done)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Take over what somebody made of their question; an edit may make a question, too."""
        message = payload.message
        if not is_message(payload.data):  # Discord may tell of a preview alone.
            return
        if not addressing.from_a_person(message) or not is_edit(message):
            return
        if await self._changes.edited(message, self.me_id):
            await self.on_message(message)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Forget what somebody deleted."""
        await self._changes.deleted({payload.message_id})

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Forget what somebody deleted at once."""
        await self._changes.deleted(payload.message_ids)

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """Forget what was said in a thread."""
        await self._changes.place_gone(payload.thread_id)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Forget what was said in a channel and its threads."""
        await self._changes.place_gone(channel.id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Note from when on the bot is there: nothing older is for it."""
        self._guilds.join(guild, snowflake_at(discord.utils.utcnow().timestamp()))
        await self.on_guild_available(guild)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """Note a guild that was not there before, and look whether something was missed in it."""
        self._guilds.see(guild, snowflake_at(discord.utils.utcnow().timestamp()))
        self._changes.guild_back(guild.id)
        if self._guilds.waits_for(guild.id):
            self._catch_up.came_back()

    async def on_guild_unavailable(self, guild: discord.Guild) -> None:
        """Keep in mind from when on nothing is heard of a guild."""
        try:
            await self._guilds.lost(guild.id, earlier(self._heard.mark, MARGIN_SECONDS))
        except HistoryFailed as error:
            log.warning("That server %d is unavailable is not recorded: %s", guild.id, error)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Forget what was said in a guild that the bot left."""
        await self._changes.guild_gone(guild.id)

    async def changes_made(self) -> None:
        """Wait until the edits and deletions that came before are made."""
        await self._changes.made()

    def finish_before_closing(self) -> None:
        """Let `drain` wait for the task that calls this."""
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def on_error(self, event_method: str, /, *_args: object, **_kwargs: object) -> None:
        """Log what no other handler expected; what people wrote stays out of it."""
        log.error("Handling %s failed", event_method, exc_info=True)  # noqa: LOG014  # discord.py calls this in its handler

    async def drain(self, grace_seconds: float) -> None:
        """Begin no more answers, finish those that fit into the time, leave the rest stored."""
        self._draining = True
        self._catch_up.stop()
        if self._answering:
            log.info("Finishing %d answers", len(self._answering))
            await asyncio.wait(set(self._answering), timeout=grace_seconds)
        self._history.stop_waiting()
        if self._answering:
            log.info("Going on after the next start: %d answers", len(self._answering))
            self._assistant.interrupt()
            await asyncio.wait(set(self._answering), timeout=STOPPING_SECONDS)
        await self._changes.finish(FORGETTING_SECONDS)
        await self._heard.write()

    async def close(self) -> None:
        """Close the connection and end what runs beside it."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await super().close()

    async def _take(self, message: discord.Message) -> None:
        """Store a question and see it answered; while draining, the next start does that."""
        done, queue_key = True, (message.channel.id, 0)
        with self._inbox.holding(message.id) as free:
            if not free:
                return
            await self._heard.begin(message.id)
            if not await self._questions.is_for_me(message, self.me_id):
                return
            try:
                question = await self._inbox.store(message, self.me_id)
                if question is not None:
                    done = False  # Also where a failure of our own ends this: it is stored.
                    queue_key = question.exchange.queue_key
                    await self._catch_up.turn_of(queue_key)
                    done = not self._draining and await self._inbox.answer(question, self.me_id)
            finally:
                self._catch_up.released(message.id, queue_key, done=done)

    def _locale_of(self, guild_id: int) -> str | None:
        """Return the locale that a guild chose; only communities can, others are set to en-US."""
        guild = self.get_guild(guild_id)
        if guild is None or "COMMUNITY" not in guild.features:
            return None
        return str(guild.preferred_locale)

    def withdraw(self) -> None:
        """Delete at Discord what is shown of what is forgotten."""
        self._catch_up.again()
