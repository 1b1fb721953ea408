"""Find the message that opened a thread of people, which their first question there is about."""

import asyncio
import logging
from functools import partial
from typing import Any, Final

import discord

from bot.bounded import BoundedDict
from bot.conversation.exchange import Conversation, Exchange, FromMessage
from bot.errors import HistoryFailed, ReplyDelayed
from bot.inbox.channels import Channels, can_read
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

OPENING_SECONDS: Final = 3.0  # An answer waits for it.
MAX_THREADS: Final = 1000  # of each kind that is remembered


class Openings:
    """The messages that opened threads: a post of a forum, or the message of a channel.

    Such a message has the id of its thread. A thread of the bot's own was opened by a question.
    """

    def __init__(self, channels: Channels, history: History) -> None:
        self._channels = channels
        self._history = history
        self._missing = BoundedDict[int, None](MAX_THREADS)
        self._asked_with = BoundedDict[int, int](MAX_THREADS)

    async def is_new_to(self, exchange: Exchange, channel: object) -> bool:
        """Whether *channel* is a thread with an opening that its conversation has not seen.

        It has if an earlier question quotes the opening, and is open or was answered. What was
        deleted, forgotten or reset stays out. Makes no request.
        """
        thread_id = exchange.conversation.channel_id
        if (
            not isinstance(exchange.origin, FromMessage)
            or not isinstance(channel, discord.Thread)
            or channel.is_private()
            or channel.owner_id == self._channels.me_id
            or thread_id == exchange.message_id
            or thread_id in self._missing
        ):
            return False
        try:
            if await self._history.places.is_own_thread(thread_id):
                return False
            if await self._history.knows_opening(exchange.conversation, exchange.message_id):
                return False
            before = self._asked_with.get(thread_id, exchange.message_id)
            return before == exchange.message_id or not await self._history.is_open(before)
        except HistoryFailed as error:
            log.warning("Cannot read whether thread %d has a question: %s", thread_id, error)
            return False

    async def bring_to(self, exchange: Exchange) -> discord.Message | None:
        """Fetch the opening for a question, None if it cannot be had in time.

        Another question there that comes meanwhile does not fetch it as well.
        """
        thread_id = exchange.conversation.channel_id
        self._asked_with[thread_id] = exchange.message_id
        opening = await self.fetched(exchange.conversation)
        if opening is None:
            self._asked_with.pop(thread_id, None)
        return opening

    async def fetched(self, conversation: Conversation) -> discord.Message | None:
        """Return the message that opened the thread of *conversation*, None if it cannot be had."""
        thread_id, places = conversation.channel_id, self._places_of(conversation)
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                for channel in places:
                    opening = await self._message(channel, thread_id)
                    if opening is not None:
                        return opening
        except (discord.DiscordException, ReplyDelayed, TimeoutError) as error:
            log.info("Cannot fetch the opening of thread %d: %s", thread_id, type(error).__name__)
            return None
        if places:
            self._missing[thread_id] = None
        return None

    async def _message(self, channel: Any, message_id: int) -> discord.Message | None:
        """Return a message, None if it does not exist; raises DiscordException or ReplyDelayed."""
        try:
            request = partial(channel.fetch_message, message_id)
            opening: discord.Message = await self._channels.call(request)
        except discord.NotFound:
            return None
        return opening

    def _places_of(self, conversation: Conversation) -> list[Any]:
        """Return the channels in which the opening may be."""
        guild_id, parent_id = conversation.guild_id, conversation.parent_id
        thread = self._channels.at(conversation.channel_id, guild_id)
        parent = self._channels.at(parent_id, guild_id) if parent_id is not None else None
        if isinstance(parent, discord.ForumChannel):
            places = [thread]
        elif isinstance(parent, discord.TextChannel):
            places = [parent]
        else:  # discord.py does not know the parent.
            places = [thread] if parent is None else [thread, parent]
        return [place for place in places if can_read(place)]
