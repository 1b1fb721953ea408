"""Decide whether a question is answered, gets a notice instead, or is ignored."""

import logging

import discord

from bot.assistant.assistant import Assistant
from bot.conversation.exchange import Exchange, State
from bot.errors import HistoryFailed
from bot.i18n.languages import Languages
from bot.inbox import addressing
from bot.inbox.questions import Question, with_refusal
from bot.inbox.user_limits import UserRateLimit, Verdict
from bot.storage.exchanges import History

log = logging.getLogger(__name__)


class Admission:
    """Judges questions before they are stored.

    *message_content*: whether the bot can read messages that do not mention it.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        client: discord.Client,
        limit: UserRateLimit,
        languages: Languages,
        *,
        message_content: bool,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._client = client
        self._limit = limit
        self._languages = languages
        self._message_content = message_content

    async def judge(self, question: Question) -> Question | None:
        """Return *question*, with a refusal if it is not answered; None if it is ignored."""
        if not question.asks:
            hint = await self._hint(question.message)
            if hint is None:
                return None
            question = with_refusal(question, State.ANSWERED, hint)
        message = question.message
        verdict = self._limit.judge(message.author.id, message.id)
        if verdict is Verdict.ADMITTED:
            return question
        log.info("Rate-limited question %d", message.id)
        if verdict is Verdict.IGNORED:
            await self._reject(question.exchange)
            return None
        strings = self._languages.of_guild(question.exchange.conversation.guild_id)
        limit = self._limit.questions_per_minute
        return with_refusal(question, State.FAILED, strings.rate_limited.format(limit=limit))

    async def _reject(self, exchange: Exchange) -> None:
        """Record that a question is ignored, so that backfill does not find it."""
        try:
            await self._history.reject(exchange)
        except HistoryFailed as error:
            log.warning("Cannot record question %d: %s", exchange.message_id, error)

    async def _hint(self, message: discord.Message) -> str | None:
        """Return the notice for a message without text, None if it gets none.

        People share images in the bot's own threads as well. Without the intent, a message with
        text looks the same as such an image, so a thread gets the notice once.
        """
        guild_id = addressing.guild_id_of(message)
        strings = self._languages.of_guild(guild_id)
        if guild_id is None:
            return self._assistant.nothing_read(strings)
        if addressing.mentions_me(message, addressing.own_id(self._client)):
            return strings.hint_no_question
        if self._message_content:
            return None
        try:
            first = await self._history.places.claim_first_hint(message.channel.id)
        except HistoryFailed as error:
            log.warning("Cannot read whether %d got a hint: %s", message.channel.id, error)
            return None
        return strings.hint_needs_mention if first else None
