"""What a message asks: whether the bot is meant, what it says, replies to and brings along."""

import logging
from dataclasses import dataclass, replace
from functools import partial

import discord

from bot.assistant.ports import ContextLoader
from bot.attachments.reader import PASTED, Attachments, attachments_of
from bot.conversation.exchange import (
    Conversation,
    Exchange,
    Files,
    QuestionContext,
    State,
    scrubbed,
)
from bot.conversation.prompt_markup import without_program_lines
from bot.errors import HistoryFailed
from bot.i18n.languages import Languages
from bot.i18n.sentences import Sentences
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.inbox.embeds import RecentForwards
from bot.inbox.reply_chain import Chain
from bot.inbox.threads import Asked, thread_possible
from bot.storage.exchanges import History

log = logging.getLogger(__name__)


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


class Questions:
    """Reads messages as questions to the bot."""

    def __init__(
        self,
        history: History,
        channels: Channels,
        *,
        attachments: Attachments,
        languages: Languages,
    ) -> None:
        self._history = history
        self._channels = channels
        self._attachments = attachments
        self._languages = languages
        self._chain = Chain(channels, history)
        self._forwards = RecentForwards()

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

    async def read(self, message: discord.Message, me_id: int) -> Question:
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

    async def completed(self, question: Question, me_id: int) -> Question:
        """Return *question* with what Discord did not send along looked up."""
        message = question.message
        if self._channels.known(message) is not None and question.unresolved is None:
            return question
        channel = await self._channels.of(message)
        exchange = question.exchange
        if isinstance(channel, discord.Thread):
            conversation = replace(exchange.conversation, parent_id=channel.parent_id)
            exchange = replace(exchange, conversation=conversation)
        if question.unresolved is not None:
            quoted = _quoted(await self._resolve(message), me_id)
            exchange = replace(
                exchange,
                quoted=quoted.text,
                quoted_id=quoted.message_id,
                quoted_author_id=quoted.author_id,
            )
        completed = replace(question, exchange=exchange, unresolved=None)
        if not completed.asks and question.refusal is None:
            completed = refused(
                completed, State.ANSWERED, self._strings_for(exchange).hint_no_question
            )
        threaded = completed.refusal is None and thread_possible(message, channel, me_id)
        place_id = message.id if threaded else message.channel.id
        return replace(completed, exchange=replace(exchange, place_id=place_id))

    def topic(self, message: Asked, exchange: Exchange) -> str:
        """Return what the thread of an answer may be named after."""
        beside = exchange.quoted or exchange.embedded
        words = exchange.question or without_program_lines(beside)
        files = self._attachments.of(message) if isinstance(message, discord.Message) else []
        name = files[0].filename if files else ""
        return words or (self._strings_for(exchange).pasted_question if name == PASTED else name)

    def context_loader(self, message: Asked, me_id: int) -> ContextLoader:
        """Return what looks up, when its turn comes, what the question *message* brings."""
        about = self._about(message) if isinstance(message, discord.Message) else None
        return partial(self._load_context, message, about, me_id)

    def context_reloader(self, me_id: int) -> ContextLoader:
        """Return what does so for a question that was answered; what its files say is stored."""
        return partial(self._reload_context, me_id)

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

    async def _parent(self, message: discord.Message) -> int | None:
        try:
            return await self._channels.parent_id_of(message)
        except HistoryFailed as error:
            log.warning("The place of %d cannot be read: %s", message.id, error)
            return None

    def _about(self, message: discord.Message) -> discord.Message | None:
        """Return what *message* replies to, or the forward that it was sent with."""
        return addressing.replied_to(message) or self._forwards.sent_with(message)

    async def _load_context(
        self, message: Asked, about: discord.Message | None, me_id: int, exchange: Exchange
    ) -> QuestionContext:
        if not isinstance(message, discord.Message):  # It may not be read any more.
            return QuestionContext()
        files = Files()
        if not exchange.files:
            others = about is not None and about.author.id != me_id
            quoted = attachments_of(about) if about is not None and others else []
            strings = self._strings_for(exchange)
            files = await self._attachments.read(attachments_of(message), quoted, strings)
            if about is None and exchange.quoted_id is not None:  # They are found by their ids.
                files = replace(files, pictures=None)
        return QuestionContext(
            files, await self._chain.above(message, me_id, exchange.conversation)
        )

    async def _reload_context(self, me_id: int, exchange: Exchange) -> QuestionContext:
        return QuestionContext(reply_context=await self._chain.above_again(exchange, me_id))

    def _strings_for(self, exchange: Exchange) -> Sentences:
        return self._languages.of_guild(exchange.conversation.guild_id)


def refused(question: Question, state: State, sentence: str) -> Question:
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
