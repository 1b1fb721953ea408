"""The Discord client: who is addressed, what they ask, where the answer appears."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final, TypeVar

import discord

from bot import addressing
from bot.assistant import Assistant
from bot.conversation import Conversation, Exchange, scrubbed
from bot.discord_reply import TRANSIENT, Destination, DiscordReply
from bot.errors import HistoryFailed, PlaceBusy
from bot.gateway import trace_rate_limits
from bot.history import History
from bot.pacing import Pacer, Urgency
from bot.placing import in_place, open_thread, thread_name, thread_possible
from bot.prompt import quote
from bot.sentences import Sentences

log = logging.getLogger(__name__)

LONGEST_RATE_LIMIT_SECONDS: Final = 30.0  # discord.py takes no less; longer ones raise.
GUILD_READY_SECONDS: Final = 0.5  # How long READY waits for a further guild; each asks anew.
QUOTE_SECONDS: Final = 3.0
STOPPING_SECONDS: Final = 10.0
T = TypeVar("T")
KNOWN_THREADS: Final = 10_000  # of each kind of knowledge; the oldest is looked up again


class ChatClient(discord.Client):
    """Hands questions to the assistant. *message_content* says whether that intent is asked for."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        *,
        message_content: bool,
        allowed_guilds: frozenset[int],
        allow_dms: bool,
        sentences: Sentences,
        prepare: Callable[["ChatClient"], Awaitable[None]],
    ) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        intents.message_content = message_content
        self._pacer = Pacer()
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILD_READY_SECONDS,
            max_ratelimit_timeout=LONGEST_RATE_LIMIT_SECONDS,
            http_trace=trace_rate_limits(self._pacer),
        )
        self._assistant = assistant
        self._history = history
        self._message_content = message_content
        self._allowed_guilds = allowed_guilds
        self._allow_dms = allow_dms
        self._say = sentences
        self._prepare = prepare
        self._draining = False
        self._answering: set[asyncio.Task[Any]] = set()
        self._own_threads: OrderedDict[int, bool] = OrderedDict()
        self._fetched: OrderedDict[int, object] = OrderedDict()

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
        await self._prepare(self)

    async def on_ready(self) -> None:
        """Say that the bot is there."""
        log.info("Connected as %s; servers: %d", self.user, len(self.guilds))

    async def on_message(self, message: discord.Message) -> None:
        """Answer *message* if it is for the bot."""
        if self._draining or not addressing.from_a_person(message):
            return
        if not self.works_in(addressing.guild_id_of(message)):
            return
        self.finish_before_closing()
        if await self._is_for_me(message):
            await self._take(message)

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
        """Take no new messages, finish the answers that fit into the time, stop the others."""
        self._draining = True
        if self._answering:
            log.info("Finishing %d answers", len(self._answering))
            await asyncio.wait(set(self._answering), timeout=grace_seconds)
        if self._answering:
            self._assistant.stop(self._say.stopped_by_shutdown)
            await asyncio.wait(set(self._answering), timeout=STOPPING_SECONDS)

    async def _is_for_me(self, message: discord.Message) -> bool:
        is_direct = addressing.guild_id_of(message) is None
        if is_direct or addressing.mentions_me(message, self.me_id):
            return True
        if await self._replies_to_me(message):
            return True
        own = await self._in_own_thread(message)
        return own and not addressing.mentions_only_others(message, self.me_id)

    async def _replies_to_me(self, message: discord.Message) -> bool:
        reference = message.reference
        if reference is None or reference.message_id is None:
            return False
        target = await self._replied_to(message)
        if target is not None:
            return target.author.id == self.me_id
        return await self._history.is_part(reference.message_id)

    async def _replied_to(self, message: discord.Message) -> discord.Message | None:
        """Return the message that *message* replies to; fetched, where Discord left it out."""
        reference = message.reference
        if reference is None or message.type is not discord.MessageType.reply:
            return None
        if reference.resolved is None and reference.message_id is not None:
            reference.resolved = await self._fetched_message(message, reference.message_id)
        return addressing.replied_to(message)

    async def _in_own_thread(self, message: discord.Message) -> bool:
        """Whether follow-ups need no mention here."""
        thread = await self._channel(message)
        if not isinstance(thread, discord.Thread):
            return False
        if thread.id not in self._own_threads:
            own = thread.owner_id == self.me_id or await self._history.own_place(thread.id)
            _keep(self._own_threads, thread.id, own)
        return self._own_threads[thread.id]

    async def _channel(self, message: discord.Message) -> object:
        """Return the channel of *message*; one that is not cached is fetched once."""
        channel = message.channel
        if not isinstance(channel, discord.PartialMessageable) or channel.guild_id is None:
            return channel
        if channel.id not in self._fetched:
            try:
                async with self._pacer.turn(Urgency.FIRST_WORDS):
                    fetched = await self.fetch_channel(channel.id)
            except (discord.DiscordException, *TRANSIENT) as error:
                log.info("Channel %d cannot be fetched: %s", channel.id, type(error).__name__)
                return channel
            _keep(self._fetched, channel.id, fetched)
        return self._fetched[channel.id]

    async def _take(self, message: discord.Message) -> None:
        """Store the question and see it answered."""
        question = scrubbed(addressing.readable_text(message, self.me_id))
        quoted = scrubbed(await self._quoted(message))
        asked = bool(question or quoted)
        channel = await self._channel(message)
        threaded = asked and thread_possible(message, channel, self.me_id)
        exchange = Exchange(
            message_id=message.id,
            conversation=await self._conversation(message),
            place_id=message.id if threaded else message.channel.id,
            author_id=message.author.id,
            author=addressing.speaker(message.author),
            question=question,
            quoted=quoted,
        )
        find_place = partial(self._open_place if threaded else self._stay, message, exchange)
        shown = partial(self._record_part, exchange)
        reply = DiscordReply(message.id, find_place, shown, self._pacer)
        hint = None if asked else await self._hint(message)
        if not asked and hint is None:
            return
        try:
            new = await self._history.receive(exchange)
        except HistoryFailed as error:
            log.warning("Question %d cannot be stored: %s", message.id, error)
            await self._assistant.refuse(exchange, reply, self._say.memory_failed)
            return
        if new and asked:
            await self._assistant.answer(exchange, reply)
        elif new and hint is not None:
            await self._assistant.refuse(exchange, reply, hint)

    async def _hint(self, message: discord.Message) -> str | None:
        """Return what to say to a message without text, if anything.

        In the bot's own threads people show each other pictures, too. Without the intent their
        words cannot be told from those; then it is said once in a thread.
        """
        if addressing.guild_id_of(message) is None:
            return self._say.hint_in_place
        if addressing.mentions_me(message, self.me_id):
            return self._say.hint
        if not self._message_content and await self._history.first_hint(message.channel.id):
            return self._say.hint_without_content
        return None

    async def _conversation(self, message: discord.Message) -> Conversation:
        thread = await self._channel(message)
        parent_id = thread.parent_id if isinstance(thread, discord.Thread) else None
        return Conversation(message.channel.id, parent_id, addressing.guild_id_of(message))

    async def _quoted(self, message: discord.Message) -> str:
        """Return somebody else's message that *message* replies to, ready for the model."""
        target = await self._replied_to(message)
        if target is None or target.author.id == self.me_id:
            return ""
        text = addressing.readable_text(target)
        return quote(addressing.speaker(target.author), text) if text else ""

    async def _fetched_message(
        self, message: discord.Message, message_id: int
    ) -> discord.Message | None:
        try:
            async with self._pacer.turn(Urgency.FIRST_WORDS), asyncio.timeout(QUOTE_SECONDS):
                return await message.channel.fetch_message(message_id)
        except (discord.DiscordException, *TRANSIENT):
            return None

    async def _open_place(
        self, message: discord.Message, exchange: Exchange, held: AsyncExitStack
    ) -> Destination:
        """Make the thread for the answer; where that fails, wait for the turn in the channel."""
        name = thread_name(exchange.question or exchange.quoted.partition("\n")[2])
        thread = await open_thread(message, name, self._pacer)
        if thread is not None:
            _keep(self._own_threads, thread.id, value=True)
        try:
            if thread is None:
                await self._history.answer_in(exchange.message_id, message.channel.id)
            else:
                await self._history.remember_place(thread.id, thread.parent_id, own=True)
        except HistoryFailed as error:
            log.warning("The place of answer %d is not recorded: %s", exchange.message_id, error)
        if thread is not None:
            return Destination(thread)
        with suppress(PlaceBusy):  # Better side by side with others than not at all.
            await held.enter_async_context(self._assistant.turn(message.channel.id))
        return in_place(message)

    async def _stay(
        self, message: discord.Message, _exchange: Exchange, _held: AsyncExitStack
    ) -> Destination:
        return in_place(message)

    async def _record_part(self, exchange: Exchange, part_id: int) -> None:
        try:
            await self._history.add_part(exchange.message_id, part_id)
        except HistoryFailed as error:
            log.warning("A part of answer %d is not recorded: %s", exchange.message_id, error)


def _keep(cache: OrderedDict[int, T], thread_id: int, value: T) -> None:
    cache[thread_id] = value
    if len(cache) > KNOWN_THREADS:
        cache.popitem(last=False)
