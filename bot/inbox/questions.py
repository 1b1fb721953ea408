"""Read messages as questions: is one for the bot, what does it ask, and what is it about."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

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
from bot.inbox.identity import Identity
from bot.inbox.reply_chain import ReplyChain
from bot.inbox.threads import Asked, thread_possible
from bot.storage.exchanges import History

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class Question:
    """A message that is for the bot, as an exchange.

    *refusal* is the state and the notice with which it ends if it is not answered. *unresolved* is
    the id of the message that it replies to, if the event left that out.
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


class _Quotation(NamedTuple):
    """What a question replies to, as text for the model, which is "" if there is nothing."""

    text: str = ""
    message_id: int | None = None
    author_id: int | None = None


class Questions:
    """Reads messages as questions to the bot."""

    def __init__(
        self,
        history: History,
        channels: Channels,
        identity: Identity,
        *,
        attachments: Attachments,
        languages: Languages,
    ) -> None:
        self._history = history
        self._channels = channels
        self._identity = identity
        self._attachments = attachments
        self._languages = languages
        self._chain = ReplyChain(channels, history, identity)
        self._forwards = RecentForwards()

    async def is_for_me(self, message: discord.Message) -> bool:
        """Whether *message* is for the bot.

        It is if it is a direct message, mentions the bot, replies to it, or is in a thread of the
        bot's own and does not only mention others.
        """
        me_id = self._identity.user_id
        is_direct = addressing.guild_id_of(message) is None
        if is_direct or addressing.mentions_me(message, me_id):
            return True
        if await self._replies_to_me(message):
            return True
        is_own = await self._channels.is_own_thread(message)
        if is_own and not addressing.mentions_only_others(message, me_id):
            return True
        # A forward and its comment are two messages; the comment may be for the bot.
        self._forwards.note(message)
        return False

    async def read(self, message: discord.Message) -> Question:
        """Return what *message* asks, as far as that is known without a request to Discord."""
        me_id = self._identity.user_id
        guild_id = addressing.guild_id_of(message)
        question = scrubbed(addressing.readable_text(message, me_id))
        embedded = scrubbed(addressing.embedded(message, me_id))
        quoted = _quotation_of(self._subject_of(message), me_id)
        unresolved = _unresolved(message)
        channel = self._channels.known(message)
        has_files = bool(self._attachments.of(message))
        asks = bool(question or embedded or quoted.text or unresolved or has_files)
        threaded = asks and thread_possible(message, channel, me_id)
        exchange = Exchange(
            message_id=message.id,
            conversation=Conversation(message.channel.id, await self._parent(message), guild_id),
            place_id=message.id if threaded else message.channel.id,
            author_id=message.author.id,
            author=addressing.speaker(message.author),
            question=question,
            embedded=embedded,
        )
        exchange = _with_quote(exchange, quoted)
        return Question(message, exchange, unresolved=unresolved, has_files=has_files)

    async def read_again(self, stored: Exchange, message: discord.Message) -> Exchange:
        """Return a *stored* question with the place and the quote that *message* has by now."""
        question = await self.read(message)
        read = question.exchange
        # A forward that a question comments on is known only for a short time.
        keeps_quote = question.unresolved is not None or message.reference is None
        source = stored if keeps_quote else read
        return replace(
            stored,
            conversation=read.conversation,
            place_id=read.place_id,
            quoted=source.quoted,
            quoted_id=source.quoted_id,
            quoted_author_id=source.quoted_author_id,
        )

    async def completed(self, question: Question) -> Question:
        """Return *question* with what its event left out, which is fetched from Discord."""
        message = question.message
        if self._channels.known(message) is not None and question.unresolved is None:
            return question
        channel = await self._channels.of(message)
        exchange, me_id = question.exchange, self._identity.user_id
        if isinstance(channel, discord.Thread):
            conversation = replace(exchange.conversation, parent_id=channel.parent_id)
            exchange = replace(exchange, conversation=conversation)
        if question.unresolved is not None:
            exchange = _with_quote(exchange, _quotation_of(await self._resolve(message), me_id))
        completed = replace(question, exchange=exchange, unresolved=None)
        if not completed.asks and question.refusal is None:
            completed = with_refusal(
                completed, State.ANSWERED, self._strings_for(exchange).hint_no_question
            )
        threaded = completed.refusal is None and thread_possible(message, channel, me_id)
        place_id = message.id if threaded else message.channel.id
        return replace(completed, exchange=replace(exchange, place_id=place_id))

    def thread_title_source(self, message: Asked, exchange: Exchange) -> str:
        """Return the text from which `thread_name` makes the name of an answer's thread."""
        context = exchange.quoted or exchange.embedded
        words = exchange.question or without_program_lines(context)
        files = self._attachments.of(message) if isinstance(message, discord.Message) else []
        name = files[0].filename if files else ""
        return words or (self._strings_for(exchange).pasted_question if name == PASTED else name)

    def context_loader(self, message: Asked) -> ContextLoader:
        """Return the loader for the context of *message*: its files and the replies above it.

        It is called when the question reaches the head of its queue.
        """
        subject = self._subject_of(message) if isinstance(message, discord.Message) else None
        return partial(self._load_context, message, subject)

    async def reload_context(self, exchange: Exchange) -> QuestionContext:
        """Load the context of a question that was answered before; its files are stored."""
        return QuestionContext(reply_context=await self._chain.above_again(exchange))

    def file_loader(self, files: Sequence[discord.Attachment]) -> ContextLoader:
        """Return the loader for the *files* of the message that a command asks about.

        After a restart they are not known; what was read of them until then is stored.
        """
        return partial(self._load_files, files)

    async def _replies_to_me(self, message: discord.Message) -> bool:
        reference = message.reference
        if message.type is not discord.MessageType.reply:  # A forward has a reference, too.
            return False
        if reference is None or reference.message_id is None:
            return False
        target = addressing.replied_to(message)
        if target is None:
            try:
                if await self._history.question_of(reference.message_id) is not None:
                    return True
            except HistoryFailed as error:
                log.warning("Cannot read what message %d is: %s", reference.message_id, error)
            target = await self._resolve(message)
        return target is not None and target.author.id == self._identity.user_id

    async def _resolve(self, message: discord.Message) -> discord.Message | None:
        """Return the message that *message* replies to; fetch it if the event left it out."""
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
            log.warning("Cannot read the channel above %d: %s", message.channel.id, error)
            return None

    def _subject_of(self, message: discord.Message) -> discord.Message | None:
        """Return the message that *message* replies to, or the forward that it comments on."""
        return addressing.replied_to(message) or self._forwards.sent_with(message)

    async def _load_context(
        self, message: Asked, subject: discord.Message | None, exchange: Exchange
    ) -> QuestionContext:
        if not isinstance(message, discord.Message):  # The bot may not read it any more.
            return QuestionContext()
        files = Files()
        if not exchange.files:
            by_others = subject is not None and subject.author.id != self._identity.user_id
            quoted = attachments_of(subject) if subject is not None and by_others else []
            strings = self._strings_for(exchange)
            files = await self._attachments.read(attachments_of(message), quoted, strings)
            if subject is None and exchange.quoted_id is not None:  # Images are found by their ids.
                files = replace(files, images=None)
        return QuestionContext(files, await self._chain.above(message, exchange.conversation))

    async def _load_files(
        self, files: Sequence[discord.Attachment], exchange: Exchange
    ) -> QuestionContext:
        if exchange.files or not files:
            return QuestionContext()
        return QuestionContext(await self._attachments.read((), files, self._strings_for(exchange)))

    def _strings_for(self, exchange: Exchange) -> Sentences:
        return self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)


def with_refusal(question: Question, state: State, sentence: str) -> Question:
    """Return *question* with a refusal, which is shown in the channel of the question."""
    exchange = replace(question.exchange, place_id=question.exchange.conversation.channel_id)
    return replace(question, exchange=exchange, refusal=(state, sentence))


def _quotation_of(target: discord.Message | None, me_id: int) -> _Quotation:
    """Return what a question that replies to *target* quotes."""
    if target is not None and target.author.id == me_id:
        return _Quotation(message_id=target.id)
    text = scrubbed(addressing.quotation(target, me_id)) if target is not None else ""
    if target is None or not text:
        return _Quotation()
    return _Quotation(text, target.id, target.author.id)


def _with_quote(exchange: Exchange, quoted: _Quotation) -> Exchange:
    return replace(
        exchange,
        quoted=quoted.text,
        quoted_id=quoted.message_id,
        quoted_author_id=quoted.author_id,
    )


def _unresolved(message: discord.Message) -> int | None:
    reference = message.reference
    if reference is None or message.type is not discord.MessageType.reply:
        return None
    return reference.message_id if reference.resolved is None else None
