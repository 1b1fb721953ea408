"""Find the starter message of a thread, which the first question there is about.

That is Discord's name for the first message of a forum post, or for the message of a channel that
somebody started a thread from. It has the same id as its thread.
"""

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

FETCH_SECONDS: Final = 3.0  # The answer waits for the starter message.
MAX_THREADS: Final = 1000  # of each kind that is remembered


class StarterMessages:
    """Fetches starter messages, but not those of the bot's own threads, which are questions.

    A thread may have no starter message, or it was deleted: *_missing* has the ids of such threads.
    *_asked_with* has the question, by thread, for which the starter message is being fetched.
    """

    def __init__(self, channels: Channels, history: History) -> None:
        self._channels = channels
        self._history = history
        self._missing = BoundedDict[int, None](MAX_THREADS)
        self._asked_with = BoundedDict[int, int](MAX_THREADS)

    async def is_new_to(self, exchange: Exchange, channel: object) -> bool:
        """Whether *channel* is a thread with a starter message that its conversation has not seen.

        An earlier question showed it if that quotes the starter message, and is open or answered.
        A starter message that was deleted, forgotten or reset is never new. Makes no request.
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
            if await self._history.has_seen_starter_message(
                exchange.conversation, exchange.message_id
            ):
                return False
            before = self._asked_with.get(thread_id, exchange.message_id)
            return before == exchange.message_id or not await self._history.is_open(before)
        except HistoryFailed as error:
            log.warning("Cannot read whether thread %d has a question: %s", thread_id, error)
            return False

    async def fetch_for(self, exchange: Exchange) -> discord.Message | None:
        """Fetch the starter message for a question; None if there is none, or Discord is too slow.

        A question that comes meanwhile in the same thread does not fetch it again.
        """
        thread_id = exchange.conversation.channel_id
        self._asked_with[thread_id] = exchange.message_id
        starter = await self.fetched(exchange.conversation)
        if starter is None:
            self._asked_with.pop(thread_id, None)
        return starter

    async def fetched(self, conversation: Conversation) -> discord.Message | None:
        """Fetch the starter message of a thread; None if there is none, or Discord is too slow."""
        thread_id, places = conversation.channel_id, self._places_of(conversation)
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                for channel in places:
                    starter = await self._message(channel, thread_id)
                    if starter is not None:
                        return starter
        except (discord.DiscordException, ReplyDelayed, TimeoutError) as error:
            log.info(
                "Cannot fetch the starter message of thread %d: %s", thread_id, type(error).__name__
            )
            return None
        if places:
            self._missing[thread_id] = None
        return None

    async def _message(self, channel: Any, message_id: int) -> discord.Message | None:
        """Return a message, None if it does not exist; raises DiscordException or ReplyDelayed."""
        try:
            request = partial(channel.fetch_message, message_id)
            starter: discord.Message = await self._channels.call(request)
        except discord.NotFound:
            return None
        return starter

    def _places_of(self, conversation: Conversation) -> list[Any]:
        """Return the channels in which the starter message may be."""
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
