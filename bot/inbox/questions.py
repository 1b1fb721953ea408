"""Read messages as questions: is one for the bot, what does it ask, and what is it about."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import discord

from bot.assistant.ports import ContextLoader
from bot.attachments.names import name_of
from bot.attachments.reader import PASTED, Attachments, attachments_of
from bot.conversation.exchange import (
    Conversation,
    Exchange,
    Files,
    QuestionContext,
    ReplyContext,
    State,
)
from bot.conversation.images import PendingImage
from bot.conversation.prompt_markup import IMAGE_LINE, STICKER_LINE, without_program_lines
from bot.errors import HistoryFailed
from bot.i18n.languages import Languages
from bot.i18n.sentences import Sentences
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.inbox.embeds import RecentForwards
from bot.inbox.reply_chain import ReplyChain
from bot.inbox.starter_messages import StarterMessages
from bot.inbox.threads import QuestionMessage, thread_possible
from bot.storage.exchanges import History

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class Question:
    """A message that is for the bot, as an exchange.

    *refusal* is the state and the notice with which it ends if it is not answered. *subject* is the
    message that it is about. *unresolved* means that this has to be fetched: the event left out the
    message that it replies to, or it is the first question in a thread with a starter message.
    """

    message: discord.Message
    exchange: Exchange
    refusal: tuple[State, str] | None = None
    subject: discord.Message | None = None
    unresolved: bool = False
    has_files: bool = False

    @property
    def asks(self) -> bool:
        """Whether there is anything to answer, as far as is known. A sticker alone asks nothing."""
        embedded = STICKER_LINE.sub("", self.exchange.embedded)
        asks = replace(self.exchange, embedded=embedded).asks
        return asks or self.unresolved or self.has_files


class Questions:
    """Reads messages as questions. *message_content*: it can also read those without a mention."""

    def __init__(
        self,
        history: History,
        channels: Channels,
        *,
        attachments: Attachments,
        languages: Languages,
        message_content: bool,
    ) -> None:
        self._history = history
        self._channels = channels
        self._attachments = attachments
        self._languages = languages
        self._message_content = message_content
        self._chain = ReplyChain(channels, history)
        self._starter_messages = StarterMessages(channels, history)
        self._forwards = RecentForwards()

    async def is_for_me(self, message: discord.Message) -> bool:
        """Whether *message* is for the bot.

        It is if it is a direct message, mentions the bot, replies to it, or is in a thread of the
        bot's own and does not only mention others.
        """
        me_id = self._channels.me_id
        is_direct = addressing.guild_id_of(message) is None
        if is_direct or addressing.mentions_me(message, me_id):
            return True
        # A forward or a picture may come before its comment, and only the comment be for the bot.
        # It is noted first, since the comment may come while the database is read.
        before = self._forwards.note(message)
        if await self._replies_to_me(message) or (
            not addressing.mentions_only_others(message, me_id)
            and await self._channels.is_own_thread(message)
        ):
            self._forwards.take_back(message, before)
            return True
        return False

    async def read(self, message: discord.Message) -> Question:
        """Return what *message* asks, as far as that is known without a request to Discord."""
        me_id, channel = self._channels.me_id, self._channels.known(message)
        parent_id = await self._channels.parent_id_of(message)
        guild_id = addressing.guild_id_of(message)
        exchange = Exchange(
            message_id=message.id,
            conversation=Conversation(message.channel.id, parent_id, guild_id),
            place_id=message.channel.id,
            author_id=message.author.id,
            author=addressing.speaker(message.author),
            question=addressing.readable_text(message, me_id),
            embedded=addressing.embedded(message, me_id),
        )
        subject = self._subject_of(message)
        exchange = _quoting(exchange, subject, me_id)
        unresolved = addressing.unresolved_id(message) is not None
        question = Question(
            message,
            exchange,
            subject=subject,
            unresolved=unresolved or await self._begins(exchange, channel),
            has_files=bool(self._attachments.of(message)),
        )
        return self._placed(question, channel)

    async def read_again(self, stored: Exchange, message: discord.Message) -> Exchange:
        """Return a *stored* question with the place and the quote that *message* has by now."""
        question = await self.read(message)
        read = question.exchange
        # What was sent just before a question is known only for a short time.
        keeps_quote = addressing.unresolved_id(message) is not None or message.reference is None
        source = stored if keeps_quote else read
        again = replace(
            stored,
            conversation=read.conversation,
            place_id=read.place_id,
            quoted=source.quoted,
            quoted_id=source.quoted_id,
            quoted_author_id=source.quoted_author_id,
        )
        if await self._begins(again, self._channels.known(message)):
            return _quoting(
                again, await self._starter_messages.fetch_for(again), self._channels.me_id
            )
        return again

    async def resolve(self, question: Question) -> Question:
        """Return *question* with what its event left out, fetched from Discord and stored.

        If it asks nothing after all, it has a refusal.
        """
        message = question.message
        if self._channels.known(message) is not None and not question.unresolved:
            return question
        channel = await self._channels.of(message)
        exchange, subject = question.exchange, question.subject
        if isinstance(channel, discord.Thread):
            conversation = replace(exchange.conversation, parent_id=channel.parent_id)
            exchange = replace(exchange, conversation=conversation)
        if subject is None:
            subject = await self._channels.replied_to(message)
            is_asked = question.refusal is None
            if subject is None and is_asked and await self._begins(exchange, channel):
                subject = await self._starter_messages.fetch_for(exchange)
            exchange = _quoting(exchange, subject, self._channels.me_id)
        resolved = replace(question, exchange=exchange, subject=subject, unresolved=False)
        if resolved.asks or resolved.refusal is not None:
            resolved = self._placed(resolved, channel)
        else:
            hint = self.strings_for(exchange).hint_no_question
            resolved = with_refusal(resolved, State.ANSWERED, hint)
        if resolved.exchange != question.exchange:
            try:
                await self._history.store_resolved(resolved.exchange)
            except HistoryFailed as error:
                log.warning("Cannot store what question %d refers to: %s", message.id, error)
        return resolved

    async def hint_in_guild(self, question: Question) -> str | None:
        """Return the notice for a message without text in a guild, None if it gets none.

        People share images in the bot's own threads as well. Without the intent, a message with
        text looks the same as such an image, so a thread gets the notice once.
        """
        message, strings = question.message, self.strings_for(question.exchange)
        if addressing.mentions_me(message, self._channels.me_id):
            return strings.hint_no_question
        if self._message_content:
            return None
        try:
            first = await self._history.places.claim_first_hint(message.channel.id)
        except HistoryFailed as error:
            log.warning("Cannot read whether thread %d got a hint: %s", message.channel.id, error)
            return None
        return strings.hint_needs_mention if first else None

    def thread_title_source(self, message: QuestionMessage, exchange: Exchange) -> str:
        """Return the text from which `thread_name` makes the name of an answer's thread."""
        context = exchange.quoted or exchange.embedded
        words = exchange.question or without_program_lines(context)
        files = self._attachments.of(message) if isinstance(message, discord.Message) else []
        name = name_of(files[0]) if files else ""
        return words or (self.strings_for(exchange).pasted_question if name == PASTED else name)

    def context_loader(
        self, message: QuestionMessage, subject: discord.Message | None = None
    ) -> ContextLoader:
        """Return what loads the files of *message* and the replies above it when it is answered.

        *subject* is the message that it is about, if that is known.
        """
        if subject is None and isinstance(message, discord.Message):
            subject = self._subject_of(message)
        return partial(self._load_context, message, subject)

    async def reload_context(self, exchange: Exchange) -> QuestionContext:
        """Load the context of a question that was answered before; its files are stored."""
        context = await self._chain.above_again(exchange)
        asked_in = exchange.conversation
        channel = self._channels.at(asked_in.channel_id, asked_in.guild_id)
        return QuestionContext(
            reply_context=await self._below_starter_message(exchange, channel, context)
        )

    async def past_images(self, exchange: Exchange) -> Sequence[PendingImage]:
        """Return the images of an earlier question that still exist, those that it quotes first.

        Their messages are fetched again, because the addresses of files expire.
        """
        conversation, images = exchange.conversation, list[PendingImage]()
        stored = ((exchange.quoted_id, exchange.quoted), (exchange.message_id, exchange.files))
        for message_id, text in stored:
            names = set(IMAGE_LINE.findall(text))
            if message_id is None or not names:
                continue
            if _quotes_starter_message(exchange) and message_id == exchange.quoted_id:
                message = await self._starter_messages.fetched(conversation)
            else:
                channel = self._channels.at(conversation.channel_id, conversation.guild_id)
                message = await self._channels.message(channel, message_id)
            attached = attachments_of(message) if message is not None else []
            named = (one for one in attached if name_of(one) in names)
            images += map(self._attachments.pending_image, named)
        return images

    async def load_files(
        self, files: Sequence[discord.Attachment], exchange: Exchange
    ) -> QuestionContext:
        """Load the context of a command's question: the *files* of the message it asks about.

        After a restart they are not known; what was read of them until then is stored.
        """
        if exchange.files or not files:
            return QuestionContext()
        return QuestionContext(await self._attachments.read((), files, self.strings_for(exchange)))

    def strings_for(self, exchange: Exchange) -> Sentences:
        """Return the sentences in the language of those who see the answer."""
        return self._languages.of_answer(exchange.conversation.guild_id, exchange.private_locale)

    async def _replies_to_me(self, message: discord.Message) -> bool:
        reference = addressing.reply_reference(message)
        if reference is None or reference.message_id is None:
            return False
        target = addressing.replied_to(message)
        if target is None:
            try:
                if await self._history.question_of(reference.message_id) is not None:
                    return True
            except HistoryFailed as error:
                log.warning("Cannot read what message %d is: %s", reference.message_id, error)
            target = await self._channels.replied_to(message)
        return target is not None and target.author.id == self._channels.me_id

    def _placed(self, question: Question, channel: object) -> Question:
        """Return *question* with the place of its answer: a new thread if one can be made."""
        message = question.message
        threaded = (
            question.asks
            and question.refusal is None
            and thread_possible(message, channel, self._channels.me_id)
        )
        place_id = message.id if threaded else message.channel.id
        return replace(question, exchange=replace(question.exchange, place_id=place_id))

    async def _begins(self, exchange: Exchange, channel: object) -> bool:
        """Whether a question is the first one about the starter message of its thread."""
        return exchange.quoted_id is None and await self._starter_messages.is_new_to(
            exchange, channel
        )

    async def _below_starter_message(
        self, exchange: Exchange, channel: object, context: ReplyContext
    ) -> ReplyContext:
        """Return the *context* of a reply, below the starter message of its thread if that is new.

        It is not stored, so the first question that replies to nothing quotes it once more.
        """
        if (
            exchange.quoted_id is None
            or context.answer is not None
            or _quotes_starter_message(exchange)
            or not await self._starter_messages.is_new_to(exchange, channel)
        ):
            return context
        starter = await self._starter_messages.fetched(exchange.conversation)
        text = addressing.quotation(starter, self._channels.me_id) if starter is not None else ""
        if not text or text in context.quotations:
            return context
        return replace(context, quotations=(text, *context.quotations))

    def _subject_of(self, message: discord.Message) -> discord.Message | None:
        """Return the message that *message* replies to, or the one it comments on."""
        return addressing.replied_to(message) or self._forwards.sent_with(message)

    async def _load_context(
        self, message: QuestionMessage, subject: discord.Message | None, exchange: Exchange
    ) -> QuestionContext:
        if not isinstance(message, discord.Message):  # The bot may not read it any more.
            return QuestionContext()
        if subject is None and _quotes_starter_message(exchange):
            subject = await self._starter_messages.fetched(exchange.conversation)
        files = Files()
        if not exchange.files:
            by_others = subject is not None and subject.author.id != self._channels.me_id
            quoted = attachments_of(subject) if subject is not None and by_others else []
            strings = self.strings_for(exchange)
            files = await self._attachments.read(attachments_of(message), quoted, strings)
            if subject is None and exchange.quoted_id is not None:  # Images are found by their ids.
                files = replace(files, images=None)
        context = await self._chain.above(message, exchange.conversation)
        channel = self._channels.known(message)
        return QuestionContext(files, await self._below_starter_message(exchange, channel, context))


def with_refusal(question: Question, state: State, sentence: str) -> Question:
    """Return *question* with a refusal, which is shown in the channel of the question."""
    exchange = replace(question.exchange, place_id=question.exchange.conversation.channel_id)
    return replace(question, exchange=exchange, refusal=(state, sentence))


def _quotes_starter_message(exchange: Exchange) -> bool:
    """Whether a question quotes the starter message of its thread, which has the thread's id."""
    return exchange.quoted_id == exchange.conversation.channel_id


def _quoting(exchange: Exchange, target: discord.Message | None, me_id: int) -> Exchange:
    """Return *exchange*, which quotes nothing yet, with the quotation of what it replies to."""
    if target is None:
        return exchange
    text = addressing.quotation(target, me_id)
    is_mine = target.author.id == me_id
    return replace(
        exchange,
        quoted=text,
        quoted_id=target.id if text or is_mine else None,
        quoted_author_id=target.author.id if text else None,
    )
