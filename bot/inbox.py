"""The durable inbox: a message for the bot is stored before anything else is done about it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import discord

from bot import addressing
from bot.assistant import Assistant
from bot.attachments import PASTED, Attachments
from bot.chain import Chain
from bot.channels import Channels
from bot.conversation import Brought, Conversation, Exchange, Files, State, scrubbed
from bot.discord_reply import Destination, DiscordReply
from bot.embedded import attachments_of
from bot.errors import HistoryFailed, PlaceBusy, ReplyDelayed
from bot.forwards import Forwards
from bot.history import History
from bot.languages import Languages
from bot.limits import PersonLimits, Verdict
from bot.pacing import Pacer
from bot.parts import Part
from bot.placing import Asked, in_place, open_thread, thread_name, thread_possible
from bot.ports import LookUp
from bot.prompt import without_program_lines
from bot.sentences import Sentences

log = logging.getLogger(__name__)

UNSTORED: Final = 10_000  # messages that are kept in mind while the database takes none
FindPlace = Callable[[AsyncExitStack], Coroutine[None, None, Destination]]


@dataclass(frozen=True, slots=True)
class Question:
    """A stored message that is for the bot; *refusal* says what it is told in place of an answer.

    *unresolved* is the message that it replies to, where Discord did not send that along.
    """

    message: discord.Message
    exchange: Exchange
    refusal: tuple[State, str] | None = None
    unresolved: int | None = None
    has_files: bool = False

    @property
    def asks(self) -> bool:
        """Whether there is anything to answer, as far as is known."""
        return self.exchange.asks or bool(self.unresolved or self.has_files)


@dataclass(frozen=True, slots=True)
class _Quoted:
    """What a question replies to, ready for the model; "" where there is nothing to quote."""

    text: str = ""
    message_id: int | None = None
    author_id: int | None = None


class Inbox:
    """Takes messages in and sees them answered.

    *message_content*: whether all can be read; *most_parts*: messages that one reply may take.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        channels: Channels,
        pacer: Pacer,
        *,
        attachments: Attachments,
        limits: PersonLimits,
        languages: Languages,
        message_content: bool,
        most_parts: int,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._channels = channels
        self._pacer = pacer
        self._attachments = attachments
        self._limits = limits
        self._languages = languages
        self._message_content = message_content
        self._most_parts = most_parts
        self._chain = Chain(channels, history)
        self._forwards = Forwards()
        self._unstored: OrderedDict[int, None] = OrderedDict()
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

    async def is_for_me(self, message: discord.Message, me_id: int) -> bool:
        """Whether *message* asks the bot."""
        is_direct = addressing.guild_id_of(message) is None
        if is_direct or addressing.mentions_me(message, me_id):
            return True
        if await self._replies_to_me(message, me_id):
            return True
        own = await self._channels.is_own_thread(message)
        wanted = own and not addressing.mentions_only_others(message, me_id)
        if not wanted:
            self._forwards.note(message)
        return wanted

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
            reply = self.reply_to(question.exchange, partial(self._stay, question.message))
            return await self._assistant.refuse(question.exchange, reply, *question.refusal)
        exchange = question.exchange
        done = await self._assistant.answer(
            exchange,
            self._fresh_reply(question.message, exchange),
            look_up=self.looking_up(question.message, me_id),
        )
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
            await self._history.exhaust(message_id, 1)
            for part_id in self._unrecorded.get(message_id, ()):
                await self._history.add_part(message_id, part_id)
            self._unrecorded.pop(message_id, None)
            self._unanswered.pop(message_id, None)
        return bool(waiting)

    async def answer_late(self, message: Asked, stored: Exchange, me_id: int) -> bool:
        """See a question answered that waits since before, with *message* as it stands now."""
        exchange = stored
        if isinstance(message, discord.Message):
            question = await self._read(message, me_id)
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
                await self._history.settle(exchange)
        return await self._assistant.go_on(
            exchange,
            self._fresh_reply(message, exchange),
            look_up=self.looking_up(message, me_id),
        )

    async def refuse_late(self, message: Asked, exchange: Exchange) -> bool:
        """Say that a question is too old to be answered now; False where that is to be said later.

        That stands where it was asked.
        """
        exchange = replace(exchange, place_id=exchange.conversation.channel_id)
        await self._history.answer_in(exchange.message_id, exchange.place_id)
        reply = self.reply_to(exchange, partial(self._stay, message))
        return await self._assistant.refuse(
            exchange, reply, State.FAILED, self._say(exchange).too_late
        )

    def looking_up(self, message: Asked, me_id: int) -> LookUp:
        """Return what looks up, when its turn comes, what the question *message* brings."""
        about = self._about(message) if isinstance(message, discord.Message) else None
        return partial(self._brought, message, about, me_id)

    def looking_up_again(self, me_id: int) -> LookUp:
        """Return what does so for a question that was answered; what its files say is stored."""
        return partial(self._brought_again, me_id)

    def reply_to(self, exchange: Exchange, find_place: FindPlace) -> DiscordReply:
        """Return the reply to *exchange*, whose parts are recorded as they come and go."""
        return DiscordReply(
            exchange.message_id,
            find_place,
            shown=partial(self._record_part, exchange),
            gone=partial(self._record_gone, exchange),
            reopen=self._channels.reopen,
            pacer=self._pacer,
            say=self._say(exchange),
            most_parts=self._most_parts,
        )

    def reply_over(self, exchange: Exchange, part_ids: Iterable[int]) -> DiscordReply:
        """Return a reply to *exchange* in the place of these messages, which show one already."""
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        parts = tuple(Part(part_id, None) for part_id in part_ids)
        return self.reply_to(exchange, partial(_known, Destination(channel, None, parts)))

    async def open_place(
        self, message: Asked, exchange: Exchange, held: AsyncExitStack
    ) -> Destination:
        """Make the thread for the answer; where that fails, wait for the turn in the channel."""
        name = thread_name(self._topic(message, exchange))
        thread = await open_thread(message, name, self._pacer)
        try:
            if thread is None:
                await self._history.answer_in(exchange.message_id, message.channel.id)
            else:
                self._channels.remember_thread(thread.id, own=True)
                guild_id = exchange.conversation.guild_id
                await self._history.places.remember_thread(thread.id, thread.parent_id, guild_id)
        except HistoryFailed as error:
            log.warning("The place of answer %d is not recorded: %s", exchange.message_id, error)
        if thread is not None:
            return Destination(thread)
        with suppress(PlaceBusy):  # Better side by side with others than not at all.
            await held.enter_async_context(self._assistant.turn(message.channel.id))
        return in_place(message)

    async def _store(
        self, message: discord.Message, me_id: int, *, can_wait: bool
    ) -> Question | None:
        if message.id in self._unstored:
            return None
        question = await self._read(message, me_id)
        if not question.asks:
            hint = await self._hint(message, me_id)
            if hint is None:
                return None
            question = _refused(question, State.ANSWERED, hint)
        try:
            if not await self._history.receive(question.exchange):
                return None
        except HistoryFailed as error:
            log.warning("Question %d cannot be stored: %s", message.id, error)
            if can_wait:
                raise
            self._unstored[message.id] = None
            if len(self._unstored) > UNSTORED:
                self._unstored.popitem(last=False)
        else:
            log.debug("In the inbox: question %d", message.id)
        return await self._judged(question)

    def _topic(self, message: Asked, exchange: Exchange) -> str:
        """Return what the thread of an answer may be named after."""
        beside = exchange.quoted or exchange.embedded
        words = exchange.question or without_program_lines(beside)
        files = self._attachments.of(message) if isinstance(message, discord.Message) else []
        name = files[0].filename if files else ""
        return words or (self._say(exchange).pasted if name == PASTED else name)

    def _say(self, exchange: Exchange) -> Sentences:
        return self._languages.of_guild(exchange.conversation.guild_id)

    def _about(self, message: discord.Message) -> discord.Message | None:
        """Return what *message* replies to, or the forward that it was sent with."""
        return addressing.replied_to(message) or self._forwards.before(message)

    async def _brought(
        self, message: Asked, about: discord.Message | None, me_id: int, exchange: Exchange
    ) -> Brought:
        if not isinstance(message, discord.Message):  # It may not be read any more.
            return Brought()
        files = Files()
        if not exchange.files:
            others = about is not None and about.author.id != me_id
            quoted = attachments_of(about) if about is not None and others else []
            say = self._say(exchange)
            files = await self._attachments.read(attachments_of(message), quoted, say)
            if about is None and exchange.quoted_id is not None:  # They are found by their ids.
                files = replace(files, pictures=None)
        return Brought(files, await self._chain.above(message, me_id, exchange.conversation))

    async def _brought_again(self, me_id: int, exchange: Exchange) -> Brought:
        return Brought(above=await self._chain.above_again(exchange, me_id))

    def _fresh_reply(self, message: Asked, exchange: Exchange) -> DiscordReply:
        if exchange.opens_thread:
            return self.reply_to(exchange, partial(self.open_place, message, exchange))
        return self.reply_to(exchange, partial(self._stay, message))

    async def _stay(self, message: Asked, _held: AsyncExitStack) -> Destination:
        return in_place(message)

    async def _replies_to_me(self, message: discord.Message, me_id: int) -> bool:
        reference = message.reference
        if message.type is not discord.MessageType.reply:  # A forward refers, too.
            return False
        if reference is None or reference.message_id is None:
            return False
        target = addressing.replied_to(message)
        if target is None:
            try:
                if await self._history.question_of(reference.message_id) is not None:
                    return True
            except HistoryFailed as error:
                log.warning("Whether %d is a part cannot be read: %s", reference.message_id, error)
            target = await self._resolve(message)
        return target is not None and target.author.id == me_id

    async def _resolve(self, message: discord.Message) -> discord.Message | None:
        """Return the message that *message* replies to; fetched, where Discord left it out."""
        reference = message.reference
        if reference is None or message.type is not discord.MessageType.reply:
            return None
        if reference.resolved is None and reference.message_id is not None:
            reference.resolved = await self._channels.message(message.channel, reference.message_id)
        return addressing.replied_to(message)

    async def _read(self, message: discord.Message, me_id: int) -> Question:
        """Return what *message* asks, as far as is known without asking Discord."""
        guild_id = addressing.guild_id_of(message)
        question = scrubbed(addressing.readable_text(message, me_id))
        embedded = scrubbed(addressing.embedded(message, me_id))
        quoted = _quoted(self._about(message), me_id)
        unresolved = _unresolved(message)
        channel = self._channels.known(message)
        has_files = bool(self._attachments.of(message))
        asked = bool(question or embedded or quoted.text or unresolved or has_files)
        threaded = asked and thread_possible(message, channel, me_id)
        exchange = Exchange(
            message_id=message.id,
            conversation=Conversation(message.channel.id, await self._parent(message), guild_id),
            place_id=message.id if threaded else message.channel.id,
            author_id=message.author.id,
            author=addressing.speaker(message.author),
            question=question,
            embedded=embedded,
            quoted=quoted.text,
            quoted_id=quoted.message_id,
            quoted_author_id=quoted.author_id,
        )
        return Question(message, exchange, unresolved=unresolved, has_files=has_files)

    async def _parent(self, message: discord.Message) -> int | None:
        try:
            return await self._channels.parent_id_of(message)
        except HistoryFailed as error:
            log.warning("The place of %d cannot be read: %s", message.id, error)
            return None

    async def _judged(self, question: Question) -> Question | None:
        """Return *question* unless its author asks too much; the first of those gets a notice."""
        message, exchange = question.message, question.exchange
        verdict = self._limits.judge(message.author.id, message.created_at.timestamp())
        if verdict is Verdict.ADMITTED:
            return question
        log.info("Question %d is one too many of its author's", message.id)
        try:
            if verdict is Verdict.IGNORED:
                await self._history.turn_away(exchange.message_id)
            else:  # What it is told stands where it was asked.
                await self._history.answer_in(message.id, message.channel.id)
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", message.id, error)
        if verdict is Verdict.IGNORED:
            return None
        limit = self._limits.questions_per_minute
        return _refused(question, State.FAILED, self._say(exchange).person_busy.format(limit=limit))

    async def _settled(self, question: Question, me_id: int) -> Question:
        """Look up what Discord did not send along, and store it."""
        message, before = question.message, question.exchange
        if self._channels.known(message) is not None and question.unresolved is None:
            return question
        channel = await self._channels.of(message)
        exchange = before
        if isinstance(channel, discord.Thread):
            conversation = replace(before.conversation, parent_id=channel.parent_id)
            exchange = replace(exchange, conversation=conversation)
        if question.unresolved is not None:
            quoted = _quoted(await self._resolve(message), me_id)
            exchange = replace(
                exchange,
                quoted=quoted.text,
                quoted_id=quoted.message_id,
                quoted_author_id=quoted.author_id,
            )
        settled = replace(question, exchange=exchange, unresolved=None)
        if not settled.asks and question.refusal is None:
            question = _refused(question, State.ANSWERED, self._say(exchange).hint)
        threaded = question.refusal is None and thread_possible(message, channel, me_id)
        place_id = message.id if threaded else message.channel.id
        exchange = replace(exchange, place_id=place_id)
        if exchange != before:
            try:
                await self._history.settle(exchange)
            except HistoryFailed as error:
                log.warning("What belongs to %d is not stored: %s", message.id, error)
        return replace(question, exchange=exchange)

    async def _hint(self, message: discord.Message, me_id: int) -> str | None:
        """Return what to say to a message without text, if anything.

        In the bot's own threads people show each other pictures, too. Without the intent their
        words cannot be told from those; then it is said once in a thread.
        """
        guild_id = addressing.guild_id_of(message)
        say = self._languages.of_guild(guild_id)
        if guild_id is None:
            return self._assistant.nothing_read(say)
        if addressing.mentions_me(message, me_id):
            return say.hint
        if self._message_content:
            return None
        try:
            first = await self._history.places.first_hint(message.channel.id)
        except HistoryFailed as error:
            log.warning("Whether a hint was given cannot be read: %s", error)
            return None
        return say.hint_without_content if first else None

    async def _record_part(self, exchange: Exchange, part_id: int) -> None:
        try:
            await self._history.add_part(exchange.message_id, part_id)
        except HistoryFailed as error:
            if len(self._unrecorded) < UNSTORED:
                self._unrecorded.setdefault(exchange.message_id, []).append(part_id)
            log.warning("A part of answer %d is not recorded: %s", exchange.message_id, error)

    async def _record_gone(self, exchange: Exchange, part_id: int) -> None:
        unrecorded = self._unrecorded.get(exchange.message_id, [])
        if part_id in unrecorded:
            unrecorded.remove(part_id)
            return
        try:
            await self._history.drop_part(part_id)
        except HistoryFailed as error:
            raise ReplyDelayed(f"that part {part_id} goes cannot be recorded: {error}") from error


async def _known(place: Destination, _held: AsyncExitStack) -> Destination:
    return place


def _refused(question: Question, state: State, sentence: str) -> Question:
    """Return *question* with a refusal, which is said where it was asked."""
    exchange = replace(question.exchange, place_id=question.exchange.conversation.channel_id)
    return replace(question, exchange=exchange, refusal=(state, sentence))


def _quoted(target: discord.Message | None, me_id: int) -> _Quoted:
    """Return what a question replies to."""
    if target is not None and target.author.id == me_id:
        return _Quoted(message_id=target.id)
    text = scrubbed(addressing.quotation(target, me_id)) if target is not None else ""
    if target is None or not text:
        return _Quoted()
    return _Quoted(text, target.id, target.author.id)


def _unresolved(message: discord.Message) -> int | None:
    reference = message.reference
    if reference is None or message.type is not discord.MessageType.reply:
        return None
    return reference.message_id if reference.resolved is None else None
