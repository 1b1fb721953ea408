"""Find out what people wrote while the bot was away, wherever something newer can be."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

import discord

from bot.conversation.snowflakes import seconds_of
from bot.inbox import addressing
from bot.inbox.channels import Channels, channels_of, last_id, readable
from bot.recovery.guilds import Guilds, ToRead
from bot.recovery.watermark import Gap
from bot.storage.exchanges import History
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
AT_ONCE: Final = 4  # lists that are read side by side: polite, and no single one holds up the rest
IsWanted = Callable[[discord.Message, Gap], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one list held, and which lists are to be read after it."""

    messages: list[discord.Message] = field(default_factory=list)
    further: list["_List"] = field(default_factory=list)


_List = Callable[[], Awaitable[_Found]]


class Absence:
    """Asks Discord what was written after a message id: each list once, a few at a time."""

    def __init__(
        self,
        client: discord.Client,
        history: History,
        channels: Channels,
        guilds: Guilds,
        pacer: Pacer,
    ) -> None:
        self._client = client
        self._history = history
        self._channels = channels
        self._guilds = guilds
        self._pacer = pacer

    async def search(
        self, after_id: int, *, oldest_id: int, edits_seconds: float, is_wanted: IsWanted
    ) -> "Search":
        """Return the search for what is wanted of what people wrote after *after_id*.

        In guilds that were not there the last time it may be older, but not than *oldest_id*; so
        may be, by *edits_seconds*, what an edit made a question.
        """
        guilds = await self._guilds.to_read(
            after_id, oldest_id=oldest_id, edits_seconds=edits_seconds
        )
        search = Search(self._pacer, is_wanted, guilds)
        await self._look_into_guilds(search, guilds.there)
        if self._guilds.access.allows(None):
            gap = Gap.behind(after_id, oldest_id=oldest_id, edits_seconds=edits_seconds)
            for channel_id in await self._history.places.direct_places():
                search.look_into(self._channels.at(channel_id, None), gap)
        return search

    async def _look_into_guilds(self, search: "Search", gaps: dict[int, Gap]) -> None:
        places = self._history.places
        with_places = await places.guilds_with_places()
        for guild in self._client.guilds:
            gap = gaps.get(guild.id)
            if gap is None:
                continue
            known = set(await places.places_of(guild.id)) if guild.id in with_places else set[int]()
            for channel in channels_of(guild):
                if _may_hold_news(channel, gap, known) and readable(channel):
                    search.look_into(channel, gap)
        with_threads = set[discord.Guild]()
        for channel_id in await places.channels_with_threads():
            channel = self._client.get_channel(channel_id)
            if isinstance(channel, discord.TextChannel) and channel.guild.id in gaps:
                with_threads.add(channel.guild)
                if readable(channel):
                    search.look_for_archived(channel, gaps[channel.guild.id])
        for guild in with_threads:
            search.look_for_active(guild, gaps[guild.id])


class Search:
    """What is wanted of what stands in some places; *whole*: whether all could be read.

    *guilds* are those that were looked into, and those that were not there.
    """

    def __init__(self, pacer: Pacer, is_wanted: IsWanted, guilds: ToRead) -> None:
        self.guilds = guilds
        self.whole = True
        self._pacer = pacer
        self._is_wanted = is_wanted
        self._limit = ConcurrencyLimit(AT_ONCE)
        self._lists: list[_List] = []
        self._looked_into = set[int]()
        self._members = dict[tuple[int, int], discord.Member | None]()
        self._names_known = True

    def look_into(self, channel: Any, gap: Gap) -> None:
        """Read what is missing of *channel*, unless that is done already."""
        self._lists += self._lists_of([channel], gap)

    def look_for_archived(self, channel: discord.TextChannel, gap: Gap) -> None:
        """Look into the threads of *channel* that were archived meanwhile."""
        self._lists.append(partial(self._archived, channel, gap, None))

    def look_for_active(self, guild: discord.Guild, gap: Gap) -> None:
        """Look into the threads of *guild*: READY may have left some out."""
        self._lists.append(partial(self._active, guild, gap))

    async def rounds(self) -> AsyncGenerator[list[discord.Message], None]:
        """Return what is found, oldest first, in rounds; nothing older follows in the same place.

        A list that takes long, and what stands behind a hundred messages, is in a later round.
        """
        lists, self._lists = self._lists, []
        done, pending = set[asyncio.Task[_Found]](), set[asyncio.Task[_Found]]()
        try:
            while lists or pending:
                pending |= {asyncio.create_task(self._read(one)) for one in lists}
                done, pending = await asyncio.wait(pending, timeout=SLOW_SECONDS)
                found = [task.result() for task in done]
                lists = [one for each in found for one in each.further]
                messages = [message for each in found for message in each.messages]
                yield sorted(messages, key=lambda message: message.id)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*done, *pending, return_exceptions=True)

    async def _read(self, read: _List) -> _Found:
        """Return what a list holds. What may not be read is nothing."""
        async with self._limit.slot():
            try:
                return await read()
            except discord.DiscordException as error:
                log.info("What was missed cannot be listed: %s", type(error).__name__)
            except GARBLED as error:
                log.warning("What was missed makes no sense: %s", type(error).__name__)
            except DiscordUnavailable as error:
                log.info("What was missed is listed later: %s", error)
                self.whole = False
        return _Found()

    async def _messages(self, channel: Any, gap: Gap, after_id: int) -> _Found:
        page = await self._call(partial(messages_after, channel, after_id))
        found = _Found()
        for message in filter(addressing.from_a_person, page):
            if await self._is_wanted(message, gap):
                await self._name_author(message)
                found.messages.append(message)
        if len(page) == MESSAGES:
            found.further.append(partial(self._messages, channel, gap, page[-1].id))
        return found

    async def _archived(
        self, channel: discord.TextChannel, gap: Gap, before: datetime | None
    ) -> _Found:
        page: list[discord.Thread] = await self._call(partial(archived_threads, channel, before))
        began_seconds = seconds_of(gap.edited_after_id)
        since = [one for one in page if one.archive_timestamp.timestamp() >= began_seconds]
        found = _Found(further=self._lists_of_threads(since, gap))
        if len(since) == THREADS:
            archived = partial(self._archived, channel, gap, page[-1].archive_timestamp)
            found.further.append(archived)
        return found

    async def _active(self, guild: discord.Guild, gap: Gap) -> _Found:
        threads: list[discord.Thread] = await self._call(guild.active_threads)
        return _Found(further=self._lists_of_threads(threads, gap))

    def _lists_of_threads(self, threads: Iterable[discord.Thread], gap: Gap) -> list[_List]:
        return self._lists_of([one for one in threads if last_id(one) > gap.edited_after_id], gap)

    def _lists_of(self, channels: Iterable[Any], gap: Gap) -> list[_List]:
        new = [one for one in channels if one.id not in self._looked_into]
        self._looked_into |= {one.id for one in new}
        return [partial(self._messages, one, gap, gap.edited_after_id) for one in new]

    async def _name_author(self, message: discord.Message) -> None:
        """Put in the author's name in the guild, which lists leave out."""
        if message.guild is None or isinstance(message.author, discord.Member):
            return
        key = (message.guild.id, message.author.id)
        if key not in self._members:
            self._members[key] = await self._member(message.guild, message.author.id)
        message.author = self._members[key] or message.author

    async def _member(self, guild: discord.Guild, person_id: int) -> discord.Member | None:
        """Return a member, unless Discord is slow to say: names are worth no wait."""
        if not self._names_known:
            return None
        try:
            async with asyncio.timeout(NAME_SECONDS):
                member: discord.Member = await self._call(partial(guild.fetch_member, person_id))
        except discord.DiscordException as error:
            log.info("The name of %d: %s", person_id, type(error).__name__)
            return None
        except (DiscordUnavailable, TimeoutError) as error:
            log.info("Names are not looked up any more: %s", type(error).__name__)
            self._names_known = False
            return None
        return member

    async def _call(self, request: Any) -> Any:
        return await call(request, self._pacer, Priority.EDIT)


def _may_hold_news(channel: Any, gap: Gap, known: set[int]) -> bool:
    """Whether something that is missing may stand in *channel*.

    Without a last message it is empty, unless the bot knows better.
    """
    if channel.last_message_id is None:
        return channel.id in known
    return last_id(channel) > gap.edited_after_id
