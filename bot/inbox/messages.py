"""The durable inbox: a message for the bot is stored before anything else is done about it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import replace
from typing import Final

import discord

from bot.assistant.assistant import Assistant
from bot.bounded import BoundedDict
from bot.conversation.exchange import Exchange, State
from bot.errors import HistoryFailed, PlaceBusy, ReplyDelayed
from bot.i18n.languages import Languages
from bot.i18n.sentences import Sentences
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.inbox.questions import Question, Questions, refused
from bot.inbox.threads import Asked, in_place, open_thread, thread_name
from bot.inbox.user_limits import PersonLimits, Verdict
from bot.replies.destination import Destination
from bot.replies.discord_reply import DiscordReply
from bot.replies.parts import Part
from bot.storage.exchanges import History
from bot.transport.pacer import Pacer

log = logging.getLogger(__name__)

UNSTORED: Final = 10_000  # messages that are kept in mind while the database takes none


class Inbox:
    """Takes messages in and sees them answered.

    *message_content*: whether all can be read; *max_parts*: messages that one reply may take.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        channels: Channels,
        pacer: Pacer,
        *,
        limits: PersonLimits,
        languages: Languages,
        message_content: bool,
        max_parts: int,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._channels = channels
        self._pacer = pacer
        self._limits = limits
        self._languages = languages
        self._message_content = message_content
        self._max_parts = max_parts
        self._unstored = BoundedDict[int, None](UNSTORED)
        self._unanswered: dict[int, Exchange] = {}
        self._unrecorded: dict[int, list[int]] = {}
        self._held: dict[int, asyncio.Event] = {}

    @contextmanager
    def holding(self, message_id: int, *, is_stored: bool = False) -> Iterator[bool]:
        """Keep others from handling a message within the block; False where another one does."""
        if message_id in self._held:
            yield False
            return
        stored = self._held[message_id] = asyncio.Event()
        if is_stored:
            stored.set()
        try:
            yield True
        finally:
            stored.set()
            del self._held[message_id]

    def is_held(self, message_id: int) -> bool:
        """Whether somebody is handling this message."""
        return message_id in self._held

    def is_arriving(self, message_id: int) -> bool:
        """Whether a message that is being handled is not stored yet."""
        return message_id in self._held and not self._held[message_id].is_set()

    async def stored(self, message_id: int) -> None:
        """Wait until a message that is being handled is stored, if it is to be.

        An edit or a deletion may come while the message is on its way into the database.
        """
        if message_id in self._held:
            await self._held[message_id].wait()

    async def store(
        self, message: discord.Message, me_id: int, *, can_wait: bool = False
    ) -> Question | None:
        """Store *message*, which is for the bot and held; None when nothing is to be done.

        One that *can_wait* is not answered without being stored: raises HistoryFailed.
        """
        try:
            return await self._store(message, me_id, can_wait=can_wait)
        finally:
            self._held[message.id].set()

    async def answer(self, question: Question, me_id: int) -> bool:
        """See a stored question answered; False where that is to be gone on with later."""
        question = await self._settled(question, me_id)
        if question.refusal is not None:
            reply = self.reply_to(question.exchange, nullcontext(in_place(question.message)))
            delivery = await self._assistant.refuse(question.exchange, reply, *question.refusal)
            return delivery.done
        exchange = question.exchange
        delivery = await self._assistant.answer(
            exchange,
            self._fresh_reply(question.message, exchange),
            load_context=self._questions.context_loader(question.message, me_id),
        )
        done = delivery.done
        if not done and exchange.message_id in self._unstored and len(self._unanswered) < UNSTORED:
            self._unanswered[exchange.message_id] = exchange
        else:
            self._unrecorded.pop(exchange.message_id, None)
        return done

    async def store_unanswered(self) -> bool:
        """Store what could be neither stored nor answered when it came; whether there was any.

        Raises HistoryFailed.
        """
        waiting = dict(self._unanswered)
        for message_id, exchange in waiting.items():
            await self._history.receive(exchange)
            await self._history.raise_attempts(message_id, 1)
            for part_id in self._unrecorded.get(message_id, ()):
                await self._history.add_part(message_id, part_id)
            self._unrecorded.pop(message_id, None)
            self._unanswered.pop(message_id, None)
        return bool(waiting)

    async def answer_late(self, message: Asked, stored: Exchange, me_id: int) -> bool:
        """See a question answered that waits since before, with *message* as it stands now."""
        exchange = stored
        if isinstance(message, discord.Message):
            question = await self._questions.read(message, me_id)
            read = question.exchange
            # What it says of a forward is known only while that is new.
            unknown = question.unresolved is not None or message.reference is None
            quoting = stored if unknown else read
            exchange = replace(
                stored,
                conversation=read.conversation,
                place_id=read.place_id,
                quoted=quoting.quoted,
                quoted_id=quoting.quoted_id,
                quoted_author_id=quoting.quoted_author_id,
            )
            if exchange != stored:
                await self._history.store_resolved(exchange)
        delivery = await self._assistant.go_on(
            exchange,
            self._fresh_reply(message, exchange),
            load_context=self._questions.context_loader(message, me_id),
        )
        return delivery.done

    async def refuse_late(self, message: Asked, exchange: Exchange) -> bool:
        """Say that a question is too old to be answered now; False where that is to be said later.

        That stands where it was asked.
        """
        exchange = replace(exchange, place_id=exchange.conversation.channel_id)
        await self._history.set_place(exchange.message_id, exchange.place_id)
        reply = self.reply_to(exchange, nullcontext(in_place(message)))
        delivery = await self._assistant.refuse(
            exchange, reply, State.FAILED, self._strings_for(exchange).too_late
        )
        return delivery.done

    def reply_to(
        self,
        exchange: Exchange,
        place: AbstractAsyncContextManager[Destination],
        nonce_id: int | None = None,
    ) -> DiscordReply:
        """Return the reply to *exchange*, whose parts are recorded as they come and go."""
        return DiscordReply(
            PartRecord(exchange.message_id, self._history, self._unrecorded),
            place,
            reopen=self._channels.reopen,
            pacer=self._pacer,
            strings=self._strings_for(exchange),
            max_parts=self._max_parts,
            nonce_id=nonce_id,
        )

    def reply_over(
        self, exchange: Exchange, part_ids: Iterable[int], nonce_id: int | None = None
    ) -> DiscordReply:
        """Return a reply to *exchange* in the place of these messages, which show one already."""
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        parts = tuple(Part(part_id, None) for part_id in part_ids)
        place = Destination(channel, None, parts)
        return self.reply_to(exchange, nullcontext(place), nonce_id)

    @asynccontextmanager
    async def open_place(self, message: Asked, exchange: Exchange) -> AsyncIterator[Destination]:
        """Make the thread for the answer; if that fails, have the turn in the channel meanwhile."""
        name = thread_name(self._questions.topic(message, exchange))
        thread = await open_thread(message, name, self._pacer)
        try:
            if thread is None:
                await self._history.set_place(exchange.message_id, message.channel.id)
            else:
                self._channels.remember_thread(thread.id, own=True)
                guild_id = exchange.conversation.guild_id
                await self._history.places.remember_thread(thread.id, thread.parent_id, guild_id)
        except HistoryFailed as error:
            log.warning("The place of answer %d is not recorded: %s", exchange.message_id, error)
        if thread is not None:
            yield Destination(thread)
            return
        async with AsyncExitStack() as turn:
            with suppress(PlaceBusy):  # Better side by side with others than not at all.
                await turn.enter_async_context(self._assistant.turn(message.channel.id))
            yield in_place(message)

    async def _store(
        self, message: discord.Message, me_id: int, *, can_wait: bool
    ) -> Question | None:
        if message.id in self._unstored:
            return None
        question = await self._questions.read(message, me_id)
        if not question.asks:
            hint = await self._hint(message, me_id)
            if hint is None:
                return None
            question = refused(question, State.ANSWERED, hint)
        try:
            if not await self._history.receive(question.exchange):
                return None
        except HistoryFailed as error:
            log.warning("Question %d cannot be stored: %s", message.id, error)
            if can_wait:
                raise
            self._unstored[message.id] = None
        else:
            log.debug("In the inbox: question %d", message.id)
        return await self._judged(question)

    def _strings_for(self, exchange: Exchange) -> Sentences:
        return self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)

    def _fresh_reply(self, message: Asked, exchange: Exchange) -> DiscordReply:
        if exchange.opens_thread:
            return self.reply_to(exchange, self.open_place(message, exchange))
        return self.reply_to(exchange, nullcontext(in_place(message)))

    async def _judged(self, question: Question) -> Question | None:
        """Return *question* unless its author asks too much; the first of those gets a notice."""
        message, exchange = question.message, question.exchange
        verdict = self._limits.judge(message.author.id, message.created_at.timestamp())
        if verdict is Verdict.ADMITTED:
            return question
        log.info("Question %d is one too many of its author's", message.id)
        try:
            if verdict is Verdict.IGNORED:
                await self._history.erasure.reject(exchange.message_id)
            else:  # What it is told stands where it was asked.
                await self._history.set_place(message.id, message.channel.id)
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", message.id, error)
        if verdict is Verdict.IGNORED:
            return None
        limit = self._limits.questions_per_minute
        return refused(
            question, State.FAILED, self._strings_for(exchange).rate_limited.format(limit=limit)
        )

    async def _settled(self, question: Question, me_id: int) -> Question:
        """Return *question* with what Discord did not send along, which is stored."""
        completed = await self._questions.completed(question, me_id)
        if completed.exchange != question.exchange:
            try:
                await self._history.store_resolved(completed.exchange)
            except HistoryFailed as error:
                message_id = question.exchange.message_id
                log.warning("What belongs to %d is not stored: %s", message_id, error)
        return completed

    async def _hint(self, message: discord.Message, me_id: int) -> str | None:
        """Return what to say to a message without text, if anything.

        In the bot's own threads people show each other pictures, too. Without the intent their
        words cannot be told from those; then it is said once in a thread.
        """
        guild_id = addressing.guild_id_of(message)
        strings = self._languages.of_guild(guild_id)
        if guild_id is None:
            return self._assistant.nothing_read(strings)
        if addressing.mentions_me(message, me_id):
            return strings.hint_no_question
        if self._message_content:
            return None
        try:
            first = await self._history.places.claim_first_hint(message.channel.id)
        except HistoryFailed as error:
            log.warning("Whether a hint was given cannot be read: %s", error)
            return None
        return strings.hint_needs_mention if first else None


class PartRecord:
    """Records the parts of one reply in *history*, or in *unrecorded* while that fails."""

    def __init__(
        self, exchange_id: int, history: History, unrecorded: dict[int, list[int]]
    ) -> None:
        self.exchange_id = exchange_id
        self._history = history
        self._unrecorded = unrecorded

    async def add(self, message_id: int) -> None:
        """Record a message that was posted."""
        try:
            await self._history.add_part(self.exchange_id, message_id)
        except HistoryFailed as error:
            if len(self._unrecorded) < UNSTORED:
                self._unrecorded.setdefault(self.exchange_id, []).append(message_id)
            log.warning("A part of answer %d is not recorded: %s", self.exchange_id, error)

    async def remove(self, message_id: int) -> None:
        """Record that a message is about to be deleted; raises ReplyDelayed if that fails."""
        unrecorded = self._unrecorded.get(self.exchange_id, [])
        if message_id in unrecorded:
            unrecorded.remove(message_id)
            return
        try:
            await self._history.remove_part(message_id)
        except HistoryFailed as error:
            raise ReplyDelayed(
                f"the deletion of part {message_id} cannot be recorded: {error}"
            ) from error
