"""Look up the replies above the message that a question replies to."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final

import discord

from bot.conversation.exchange import (
    Conversation,
    Exchange,
    FromInteraction,
    ReplyContext,
    scrubbed,
)
from bot.errors import HistoryFailed
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

ABOVE: Final = 4  # messages above the one that the question replies to
CHAIN_SECONDS: Final = 3.0  # for all of them: an answer is worth more than what it is about


class Chain:
    """Follows replies upwards, to an answer of the bot or to what it was asked."""

    def __init__(self, channels: Channels, history: History) -> None:
        self._channels = channels
        self._history = history

    async def above(
        self, question: discord.Message, me_id: int, place: Conversation
    ) -> ReplyContext:
        """Return what *question*, asked in *place*, is about besides what it quotes.

        What cannot be had in time is left out; nothing is raised.
        """
        found = list[str]()
        return await self._in_time(question.id, self._climb(question, me_id, place, found), found)

    async def above_again(self, exchange: Exchange, me_id: int) -> ReplyContext:
        """Return the same for a stored question. Discord is asked only where it quotes somebody."""
        found = list[str]()
        climb = self._climb_again(exchange, me_id, found)
        return await self._in_time(exchange.message_id, climb, found)

    async def _in_time(
        self, question_id: int, climb: Coroutine[None, None, Exchange | None], found: list[str]
    ) -> ReplyContext:
        answer = None
        try:
            async with asyncio.timeout(CHAIN_SECONDS):
                answer = await climb
        except TimeoutError:
            log.info("What stands above %d comes too late", question_id)
        except HistoryFailed as error:
            log.warning("What stands above %d cannot be told: %s", question_id, error)
        return ReplyContext(tuple(reversed(found[1:])), answer)

    async def _climb(
        self, question: discord.Message, me_id: int, place: Conversation, found: list[str]
    ) -> Exchange | None:
        """Put what *question* replies to into *found*, and what that replies to, and so on.

        Return the exchange whose reply is at the end of it, if there is one.
        """
        message, was_asked = question, False
        while (above_id := _replied_id(message)) is not None:
            answer = await self._history.shown_in(above_id, place)
            if answer is not None or was_asked or len(found) > ABOVE:
                return answer
            above = await self._replied_to(message, above_id)
            quotation = scrubbed(addressing.quotation(above, me_id)) if above is not None else ""
            if above is None or not quotation:
                break
            # What stands above a question was told with it.
            was_asked = await self._history.was_received(above.id)
            if was_asked and found:
                break
            found.append(quotation)
            message = above
        return None

    async def _climb_again(
        self, exchange: Exchange, me_id: int, found: list[str]
    ) -> Exchange | None:
        """Do the same for a question whose message is not at hand."""
        if exchange.quoted_id is None or isinstance(exchange.origin, FromInteraction):
            return None
        place = exchange.conversation
        answer = await self._history.shown_in(exchange.quoted_id, place)
        if answer is not None or not exchange.quoted:
            return answer
        channel = self._channels.at(place.channel_id, place.guild_id)
        question = await self._channels.message(channel, exchange.message_id)
        return await self._climb(question, me_id, place, found) if question is not None else None

    async def _replied_to(self, message: discord.Message, above_id: int) -> discord.Message | None:
        """Return what *message* replies to; Discord sends one along, no more."""
        if message.reference is not None and message.reference.resolved is None:
            return await self._channels.message(message.channel, above_id)
        return addressing.replied_to(message)


def _replied_id(message: discord.Message) -> int | None:
    """Return which message of its channel *message* replies to."""
    reference = message.reference
    if reference is None or message.type is not discord.MessageType.reply:
        return None
    return reference.message_id if reference.channel_id == message.channel.id else None
