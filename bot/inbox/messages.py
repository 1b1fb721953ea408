"""The durable inbox: a question is stored before anything else is done about it."""

import discord

from bot.assistant.assistant import Assistant, Delivery
from bot.conversation.exchange import State
from bot.inbox import addressing
from bot.inbox.admission import Admission
from bot.inbox.claims import Claims
from bot.inbox.gate import Gate
from bot.inbox.questions import Question, Questions, with_refusal
from bot.inbox.reply_factory import ReplyFactory
from bot.inbox.threads import in_place
from bot.inbox.unsaved import Unsaved
from bot.storage.exchanges import History


class Inbox:
    """Stores the questions among messages, and answers them."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        claims: Claims,
        admission: Admission,
        replies: ReplyFactory,
        unsaved: Unsaved,
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._claims = claims
        self._admission = admission
        self._replies = replies
        self._unsaved = unsaved

    async def handle(self, message: discord.Message) -> None:
        """Store *message* if it is for the bot, and answer it; during a shutdown only store it."""
        with self._claims.claim(message.id, (message.channel.id, 0)) as claim:
            if claim is None or not await self._questions.is_for_me(message):
                return
            question = await self.screen(message)
            if question is None or not await self._unsaved.receive(question.exchange):
                return
            queue_key = question.exchange.queue_key
            claim.mark_open(queue_key)
            if await self._claims.wait_for_older(queue_key) and (await self._answer(question)).done:
                claim.open = False

    async def is_new(self, message: discord.Message) -> bool:
        """Whether *message* is new, for the bot, and by somebody who may use it.

        Raises HistoryFailed, or DiscordUnavailable if it is not known who may use the bot.
        """
        if await self._history.was_received(message.id):
            return False
        is_for_me = await self._questions.is_for_me(message)
        return is_for_me and await self._gate.admits_missed(message)

    async def store_missed(self, message: discord.Message) -> bool:
        """Store a question for recovery to answer; return if it was new. Raises HistoryFailed."""
        with self._claims.claim(message.id, (message.channel.id, 0)) as claim:
            question = await self.screen(message) if claim is not None else None
            if question is None or not await self._history.receive(question.exchange):
                return False
            if question.refusal is not None:
                state, notice = question.refusal
                await self._history.complete(question.exchange, state, [notice])
            return True

    async def screen(self, message: discord.Message) -> Question | None:
        """Return what *message* asks, with a refusal if it is refused; None if it is ignored.

        A message of a person who may not use the bot is ignored: nothing is stored or shown.
        """
        if message.id in self._unsaved or not await self._gate.admits(message):
            return None
        question = await self._questions.read(message)
        # A spoken reply has only the words of the message that it replies to.
        if addressing.is_voice_message(message) or not question.asks:
            hint = await self._hint(question)
            if hint is None:
                return None
            question = with_refusal(question, State.ANSWERED, hint)
        guild_id = question.exchange.conversation.guild_id
        refusal = await self._admission.refusal(message.author.id, guild_id, message.id)
        if refusal is None:
            return question
        if refusal.noticed:
            notice = refusal.error.explain(self._questions.strings_for(question.exchange))
            return with_refusal(question, State.FAILED, notice)
        await self._unsaved.reject(question.exchange)
        return None

    async def _hint(self, question: Question) -> str | None:
        """Return the notice for a message without text, None if it gets none."""
        if addressing.is_voice_message(question.message):
            return self._questions.strings_for(question.exchange).hint_voice
        if question.exchange.conversation.guild_id is None:
            return self._assistant.hint_nothing_readable(
                self._questions.strings_for(question.exchange)
            )
        return await self._questions.hint_in_guild(question)

    async def _answer(self, question: Question) -> Delivery:
        question = await self._questions.resolve(question)
        exchange, message = question.exchange, question.message
        if question.refusal is not None:
            reply = self._replies.at(exchange, in_place(message))
            return await self._assistant.refuse(exchange, reply, *question.refusal)
        delivery = await self._assistant.answer(
            exchange,
            self._replies.new(exchange, message),
            load_context=self._questions.context_loader(message, question.subject),
        )
        if delivery.done:
            self._unsaved.drop_parts(exchange.message_id)
        else:
            self._unsaved.keep(exchange)
        return delivery
