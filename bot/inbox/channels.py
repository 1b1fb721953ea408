"""Look up channels and messages: what discord.py has not cached is fetched once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

import discord

from bot.bounded import BoundedDict
from bot.errors import HistoryFailed, ReplyDelayed, ReplyLost
from bot.inbox import addressing
from bot.replies.destination import lost_because
from bot.storage.places import Places
from bot.transport.calls import DiscordUnavailable, call
from bot.transport.pacer import Pacer, Priority
from bot.transport.permissions import TO_READ, missing

log = logging.getLogger(__name__)

CHANNEL_FETCH_SECONDS: Final = 3.0  # An answer waits for it.
MAX_KNOWN: Final = 10_000  # fetched channels, and own threads; older ones are fetched again
T = TypeVar("T")


class Channels:
    """The channels of messages. *own_threads*: whether a known thread is the bot's own."""

    def __init__(self, client: discord.Client, places: Places, pacer: Pacer) -> None:
        self._client = client
        self._places = places
        self._pacer = pacer
        self.own_threads = BoundedDict[int, bool](MAX_KNOWN)
        self._fetched = BoundedDict[int, Any](MAX_KNOWN)

    @property
    def me_id(self) -> int:
        """The id of the bot's user, which is known once the client has logged in."""
        return addressing.own_id(self._client)

    def known(self, message: discord.Message) -> Any:
        """Return the channel of *message*, None if it is not known yet."""
        channel = message.channel
        if not isinstance(channel, discord.PartialMessageable) or channel.guild_id is None:
            return channel
        return self._fetched.get(channel.id)

    async def of(self, message: discord.Message) -> Any:
        """Return the channel of *message*, fetched once; if that fails, the partial channel."""
        known = self.known(message)
        if known is not None:
            return known
        channel = message.channel
        try:
            async with asyncio.timeout(CHANNEL_FETCH_SECONDS):
                fetched = await self.fetched(channel.id)
        except (discord.DiscordException, DiscordUnavailable, TimeoutError) as error:
            log.info("Cannot fetch channel %d: %s", channel.id, type(error).__name__)
            return channel
        self._fetched[channel.id] = fetched
        return fetched

    async def parent_id_of(self, message: discord.Message) -> int | None:
        """Return the channel above the thread of *message*, if it is known without a request."""
        channel = self.known(message)
        if isinstance(channel, discord.Thread):
            return channel.parent_id
        if channel is not None:
            return None
        try:
            return await self._places.parent_of(message.channel.id)
        except HistoryFailed as error:
            log.warning("Cannot read the channel above thread %d: %s", message.channel.id, error)
            return None

    async def is_own_thread(self, message: discord.Message) -> bool:
        """Whether *message* is in a thread of the bot, where follow-ups need no mention."""
        if addressing.guild_id_of(message) is None:
            return False
        place_id = message.channel.id
        if place_id not in self.own_threads:
            channel = self.known(message)
            if channel is not None and not isinstance(channel, discord.Thread):
                return False
            try:
                own = await self._places.is_own_thread(place_id)
            except HistoryFailed as error:
                log.warning("Cannot read the owner of thread %d: %s", place_id, error)
                own = False
            if not own:
                thread = await self.of(message)
                if not isinstance(thread, discord.Thread):  # Perhaps it can be fetched later.
                    return False
                own = thread.owner_id == self.me_id
            self.own_threads[place_id] = own
        return self.own_threads[place_id]

    async def message(self, channel: Any, message_id: int) -> discord.Message | None:
        """Return a message of *channel*, None if it cannot be fetched."""
        try:
            async with asyncio.timeout(CHANNEL_FETCH_SECONDS):
                request = partial(channel.fetch_message, message_id)
                fetched: discord.Message = await call(
                    request, self._pacer, Priority.RESPONSE, channel
                )
        except (discord.DiscordException, DiscordUnavailable, TimeoutError):
            return None
        return fetched

    async def replied_to(self, message: discord.Message) -> discord.Message | None:
        """Return the message that *message* replies to; fetch it if the event left it out."""
        unresolved_id = addressing.unresolved_id(message)
        if unresolved_id is not None and message.reference is not None:
            message.reference.resolved = await self.message(message.channel, unresolved_id)
        return addressing.replied_to(message)

    async def fetched(self, channel_id: int) -> Any:
        """Fetch a channel from Discord; raises HTTPException or DiscordUnavailable."""
        request = partial(self._client.fetch_channel, channel_id)
        return await call(request, self._pacer, Priority.RESPONSE)

    async def find(self, channel_id: int) -> Any:
        """Return a channel, fetched once; raises DiscordException or DiscordUnavailable."""
        known = self._client.get_channel(channel_id) or self._fetched.get(channel_id)
        if known is None:
            known = self._fetched[channel_id] = await self.fetched(channel_id)
        return known

    async def member(self, guild_id: int, person_id: int) -> discord.Member | None:
        """Fetch a member of a guild, None if the bot is not in it.

        Raises DiscordException or DiscordUnavailable.
        """
        guild = self._client.get_guild(guild_id)
        if guild is None:
            return None
        request = partial(guild.fetch_member, person_id)
        return await call(request, self._pacer, Priority.EDIT, guild)

    async def thread(self, thread_id: int) -> Any:
        """Return a thread; raises HTTPException or DiscordUnavailable."""
        return self._client.get_channel(thread_id) or await self.fetched(thread_id)

    async def rename_own_thread(self, thread_id: int, name: str) -> None:
        """Rename a thread that the bot made, if Discord lets it."""
        try:
            thread = await self.thread(thread_id)
            if isinstance(thread, discord.Thread) and thread.owner_id == self.me_id:
                request = partial(thread.edit, name=name)
                await call(request, self._pacer, Priority.RESPONSE, thread)
        except (discord.DiscordException, DiscordUnavailable) as error:
            log.info("Cannot rename thread %d: %s", thread_id, type(error).__name__)

    async def reopen(self, thread_id: int) -> None:
        """Open an archived thread again; raises HTTPException, DiscordUnavailable or ReplyLost.

        A thread that a moderator locked stays closed, although Discord would let the bot open its
        own thread, and any thread if it may manage threads.
        """
        # The cached thread may be from before it was archived, or locked as well.
        thread = await self.fetched(thread_id)
        if thread.locked:
            raise ReplyLost("a moderator locked the thread")
        if not thread.archived:
            return  # Somebody has opened it meanwhile.
        try:
            await call(lambda: thread.edit(archived=False), self._pacer, Priority.RESPONSE)
        except discord.HTTPException as error:  # None of them is about the text of a reply.
            raise lost_because(error, thread) from error

    async def call(self, request: Callable[[], Awaitable[T]], channel: Any = None) -> T:
        """Make a request that a reply in *channel* needs; raises HTTPException or ReplyDelayed."""
        try:
            return await call(request, self._pacer, Priority.RESPONSE, channel)
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error

    def at(self, channel_id: int, guild_id: int | None) -> Any:
        """Return the channel with this id, a partial one if it is not cached."""
        return self._client.get_channel(channel_id) or self._client.get_partial_messageable(
            channel_id, guild_id=guild_id
        )


def channels_of(guild: discord.Guild) -> Iterator[Any]:
    """Return the channels and threads of *guild* in which people can write to the bot."""
    # Not guild.text_channels: it sorts by positions, which may be malformed.
    for channel in guild.channels:
        if isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel):
            yield channel
    yield from guild.threads


def can_read(channel: Any) -> bool:
    """Whether the bot may read *channel*; True if that is not known."""
    return not missing(channel, TO_READ)
