"""Fetch the replies above the message that a question replies to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import discord

from bot.conversation.exchange import Conversation, Exchange, FromInteraction, ReplyContext
from bot.errors import HistoryFailed
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

MAX_ABOVE: Final = 4  # messages above the one that the question replies to
CHAIN_SECONDS: Final = 3.0  # for all of them: a quick answer is worth more than a complete chain


class ReplyChain:
    """Follows replies upwards, to an answer of the bot or to a question that was asked."""

    def __init__(self, channels: Channels, history: History) -> None:
        self._channels = channels
        self._history = history

    async def above(self, question: discord.Message, conversation: Conversation) -> ReplyContext:
        """Return what *question*, asked in *conversation*, is about besides what it quotes.

        What does not come in time is left out; nothing is raised.
        """
        return await self._in_time(question.id, partial(self._climb, question, conversation))

    async def above_again(self, exchange: Exchange) -> ReplyContext:
        """Return the same for a stored question; asks Discord only if it quotes somebody."""
        return await self._in_time(exchange.message_id, partial(self._climb_again, exchange))

    async def _in_time(
        self, question_id: int, climb: Callable[[list[str]], Awaitable[Exchange | None]]
    ) -> ReplyContext:
        answer, found = None, list[str]()
        try:
            async with asyncio.timeout(CHAIN_SECONDS):
                answer = await climb(found)
        except TimeoutError:
            log.info("Timed out fetching the reply chain of question %d", question_id)
        except HistoryFailed as error:
            log.warning("Cannot read the reply chain of question %d: %s", question_id, error)
        return ReplyContext(tuple(reversed(found[1:])), answer)

    async def _climb(
        self, question: discord.Message, conversation: Conversation, found: list[str]
    ) -> Exchange | None:
        """Add to *found* the message that *question* replies to, the one above that, and so on.

        Return the exchange whose reply ends the chain, if there is one.
        """
        message, was_asked = question, False
        while (above_id := _replied_id(message)) is not None:
            answer = await self._history.shown_in(above_id, conversation)
            if answer is not None or was_asked or len(found) > MAX_ABOVE:
                return answer
            above = await self._channels.replied_to(message)
            if above is None:
                break
            quotation = addressing.quotation(above, self._channels.me_id)
            if not quotation:
                break
            # If this was a question, its own prompt already had the replies above it.
            was_asked = await self._history.was_received(above.id)
            if was_asked and found:
                break
            found.append(quotation)
            message = above
        return None

    async def _climb_again(self, exchange: Exchange, found: list[str]) -> Exchange | None:
        if exchange.quoted_id is None or isinstance(exchange.origin, FromInteraction):
            return None
        conversation = exchange.conversation
        answer = await self._history.shown_in(exchange.quoted_id, conversation)
        if answer is not None or not exchange.quoted:
            return answer
        channel = self._channels.at(conversation.channel_id, conversation.guild_id)
        question = await self._channels.message(channel, exchange.message_id)
        return await self._climb(question, conversation, found) if question is not None else None


def _replied_id(message: discord.Message) -> int | None:
    """Return the id of the message of the same channel that *message* replies to."""
    reference = addressing.reply_reference(message)
    if reference is None or reference.channel_id != message.channel.id:
        return None
    return reference.message_id
