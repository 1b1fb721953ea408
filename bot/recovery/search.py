"""Find the messages that people wrote during an absence, in every place that may have some."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Final

import discord

from bot.conversation.snowflakes import seconds_of
from bot.inbox import addressing
from bot.inbox.channels import Channels, can_read, channels_of
from bot.recovery.guilds import GuildRanges, Guilds
from bot.recovery.watermark import MissedRange
from bot.storage.places import Places
from bot.transport.calls import (
    GARBLED,
    MESSAGES,
    THREADS,
    DiscordUnavailable,
    archived_threads,
    call,
    messages_after,
)
from bot.transport.concurrency import SLOW_SECONDS, ConcurrencyLimit
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)

NAME_SECONDS: Final = 3.0  # for a person's name in the guild, which lists leave out
MAX_LISTS: Final = 4  # read at the same time: few, but one slow list does not block the rest
IsWanted = Callable[[discord.Message, MissedRange], Awaitable[bool]]


class SearchPlanner:
    """Chooses the lists that a search reads: only those that may have something newer."""

    def __init__(
        self,
        client: discord.Client,
        places: Places,
        channels: Channels,
        guilds: Guilds,
        pacer: Pacer,
    ) -> None:
        self._client = client
        self._places = places
        self._channels = channels
        self._guilds = guilds
        self._pacer = pacer

    async def plan(self, after_id: int, *, oldest_id: int, is_wanted: IsWanted) -> "Search":
        """Return a search for the wanted messages after *after_id*, and edited older ones.

        A guild that was unavailable last time is searched from the last id processed there, but not
        from before *oldest_id*.
        """
        ranges = await self._guilds.missed(after_id, oldest_id=oldest_id)
        search = Search(self._pacer, is_wanted, ranges)
        await self._add_guilds(search, ranges.available)
        if self._guilds.serves(None):
            missed = MissedRange.after(after_id, oldest_id=oldest_id)
            for channel_id in await self._places.direct_messages():
                search.add_channel(self._channels.at(channel_id, None), missed)
        return search

    async def _add_guilds(self, search: "Search", ranges: dict[int, MissedRange]) -> None:
        with_places = await self._places.guilds_with_places()
        for guild in self._client.guilds:
            missed = ranges.get(guild.id)
            if missed is None:
                continue
            has_places = guild.id in with_places
            known = {*(await self._places.in_guild(guild.id) if has_places else ())}
            for channel in channels_of(guild):
                if _may_have_missed(channel, missed, known) and can_read(channel):
                    search.add_channel(channel, missed)
        with_threads = set[discord.Guild]()
        for channel_id in await self._places.channels_with_threads():
            channel = self._client.get_channel(channel_id)
            if isinstance(channel, discord.TextChannel) and channel.guild.id in ranges:
                with_threads.add(channel.guild)
                if can_read(channel):
                    search.add_archived_threads(channel, ranges[channel.guild.id])
        for guild in with_threads:
            search.add_active_threads(guild, ranges[guild.id])


class Search:
    """Reads lists of messages and threads, each once. *complete*: whether all could be read.

    *ranges* says which guilds are searched and which were unavailable.
    """

    def __init__(self, pacer: Pacer, is_wanted: IsWanted, ranges: GuildRanges) -> None:
        self.ranges = ranges
        self.complete = True
        self._call = partial(call, pacer=pacer, priority=Priority.EDIT)
        self._is_wanted = is_wanted
        self._limit = ConcurrencyLimit(MAX_LISTS)
        self._lists: list[tuple[int, Callable[[], Awaitable[None]]]] = []  # by channel or guild
        self._found: list[discord.Message] = []
        self._added = set[int]()
        self._members = dict[tuple[int, int], discord.Member | None]()
        self._names_available = True

    def add_channel(self, channel: Any, missed: MissedRange) -> None:
        """Search *channel*, unless it has been added before."""
        if channel.id not in self._added:
            self._added.add(channel.id)
            read = partial(self._messages, channel, missed, missed.edited_after_id)
            self._lists.append((channel.id, read))

    def add_archived_threads(self, channel: discord.TextChannel, missed: MissedRange) -> None:
        """Search the threads of *channel* that were archived during the absence."""
        self._lists.append((channel.id, partial(self._archived, channel, missed, None)))

    def add_active_threads(self, guild: discord.Guild, missed: MissedRange) -> None:
        """Search the active threads of *guild*: READY may have left some out."""
        self._lists.append((guild.id, partial(self._active, guild, missed)))

    async def rounds(self) -> AsyncGenerator[list[discord.Message], None]:
        """Yield the messages in rounds, oldest first in each round and in each place.

        A slow list, or a page behind the first hundred messages, comes in a later round.
        """
        done, pending = set[asyncio.Task[None]](), set[asyncio.Task[None]]()
        try:
            while self._lists or pending:
                pending |= {asyncio.create_task(self._read(*one)) for one in self._lists}
                self._lists.clear()
                done, pending = await asyncio.wait(pending, timeout=SLOW_SECONDS)
                for task in done:
                    task.result()
                found, self._found = self._found, []
                yield sorted(found, key=lambda message: message.id)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*done, *pending, return_exceptions=True)

    async def _read(self, owner_id: int, read: Callable[[], Awaitable[None]]) -> None:
        """Read a list of a channel or guild, unless Discord refuses it or it makes no sense."""
        async with self._limit.slot():
            try:
                await read()
            except discord.DiscordException as error:
                log.info(
                    "Skip a list of missed messages of channel or guild %d: %s",
                    owner_id,
                    type(error).__name__,
                )
            except GARBLED as error:
                log.warning(
                    "Skip a malformed list of missed messages of channel or guild %d: %s",
                    owner_id,
                    type(error).__name__,
                )
            except DiscordUnavailable as error:
                log.info(
                    "Postpone a list of missed messages of channel or guild %d: %s", owner_id, error
                )
                self.complete = False

    async def _messages(self, channel: Any, missed: MissedRange, after_id: int) -> None:
        page = await self._call(partial(messages_after, channel, after_id), place=channel)
        found = []
        for message in filter(addressing.from_a_person, page):
            if await self._is_wanted(message, missed):
                await self._name_author(message)
                found.append(message)
        self._found += found
        if len(page) == MESSAGES:
            self._lists.append((channel.id, partial(self._messages, channel, missed, page[-1].id)))

    async def _archived(
        self, channel: discord.TextChannel, missed: MissedRange, before: datetime | None
    ) -> None:
        page: list[discord.Thread] = await self._call(
            partial(archived_threads, channel, before), place=channel
        )
        began_seconds = seconds_of(missed.edited_after_id)
        recent = [
            thread for thread in page if thread.archive_timestamp.timestamp() >= began_seconds
        ]
        self._add_threads(recent, missed)
        if len(recent) == THREADS:
            before = page[-1].archive_timestamp
            self._lists.append((channel.id, partial(self._archived, channel, missed, before)))

    async def _active(self, guild: discord.Guild, missed: MissedRange) -> None:
        self._add_threads(await self._call(guild.active_threads, place=guild), missed)

    def _add_threads(self, threads: Iterable[discord.Thread], missed: MissedRange) -> None:
        for thread in threads:
            if (thread.last_message_id or 0) > missed.edited_after_id:
                self.add_channel(thread, missed)

    async def _name_author(self, message: discord.Message) -> None:
        """Set the author's name in the guild, which lists leave out."""
        if message.guild is None or isinstance(message.author, discord.Member):
            return
        key = (message.guild.id, message.author.id)
        if key not in self._members:
            self._members[key] = await self._member(message.guild, message.author.id)
        message.author = self._members[key] or message.author

    async def _member(self, guild: discord.Guild, person_id: int) -> discord.Member | None:
        """Return a member, None if Discord was ever slow: a name is not worth another wait."""
        if not self._names_available:
            return None
        try:
            async with asyncio.timeout(NAME_SECONDS):
                member: discord.Member = await self._call(partial(guild.fetch_member, person_id))
        except discord.DiscordException as error:
            log.info("Cannot fetch member %d: %s", person_id, type(error).__name__)
            return None
        except (DiscordUnavailable, TimeoutError) as error:
            log.info("Stop fetching members at member %d: %s", person_id, type(error).__name__)
            self._names_available = False
            return None
        return member


def _may_have_missed(channel: Any, missed: MissedRange, known: set[int]) -> bool:
    """Whether *channel* may have a missed message.

    Without a last message it is empty, unless it is among the *known* places.
    """
    if channel.last_message_id is None:
        return channel.id in known
    return (channel.last_message_id or 0) > missed.edited_after_id
