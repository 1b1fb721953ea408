"""Find out what happened while the bot was away: what was asked, edited, deleted."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import discord

from bot import addressing
from bot.changes import Changes, is_edit
from bot.channels import Channels
from bot.discord_calls import (
    MISSING_ACCESS,
    TRIPPED,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_MESSAGE,
    DiscordUnavailable,
    call,
)
from bot.heard import seconds_of
from bot.history import History
from bot.pacing import Pacer, Urgency

log = logging.getLogger(__name__)

PAGE: Final = 100  # Discord: messages in one list
PAGES: Final = 50  # of one place; a place with more has moved on
THREADS: Final = 100  # archived ones of one channel


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in which something newer than *after_id* may stand."""

    channel: Any
    after_id: int


@dataclass(frozen=True, slots=True)
class Missed:
    """What people wrote meanwhile, oldest first; *whole* says whether all of it could be read."""

    messages: list[discord.Message]
    whole: bool


class Absence:
    """Asks Discord, one place after the other, only where something newer can be."""

    def __init__(
        self,
        client: discord.Client,
        history: History,
        channels: Channels,
        changes: Changes,
        pacer: Pacer,
        *,
        works_in: Callable[[int | None], bool],
    ) -> None:
        self._client = client
        self._history = history
        self._channels = channels
        self._changes = changes
        self._pacer = pacer
        self._works_in = works_in
        self._unseen: dict[int, int] = {}

    async def meet_guilds(self, newest_possible: int) -> None:
        """Note which guilds are new, where nothing older is for the bot, and which are gone."""
        known = await self._history.places.guilds()
        present = {guild.id: guild for guild in self._client.guilds}
        for guild_id in present.keys() - known.keys():
            await self.join(present[guild_id], newest_possible)
        for guild_id in known.keys() - present.keys():
            fetch = partial(self._client.fetch_guild, guild_id)
            if await self._is_refused(fetch, UNKNOWN_GUILD, MISSING_ACCESS):
                await self._changes.guild_gone(guild_id)

    async def miss_channels(self) -> None:
        """Forget what was said in channels that were deleted meanwhile."""
        for guild in self._client.guilds:
            if guild.unavailable:
                continue
            for channel_id in await self._history.places.channels_of(guild.id):
                if guild.get_channel_or_thread(channel_id) is None:
                    fetch = partial(self._client.fetch_channel, channel_id)
                    if await self._is_refused(fetch, UNKNOWN_CHANNEL):
                        await self._changes.place_gone(channel_id)

    async def join(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot is in a guild, where what stands there by now is not for it."""
        newest = max((_last_id(channel) for channel in _channels_of(guild)), default=0)
        await self._history.places.join_guild(guild.id, newest or newest_possible)

    def waits_for(self, guild_id: int) -> bool:
        """Whether a guild was not there yet when what was missed was read."""
        return guild_id in self._unseen

    async def missed(self, after_id: int) -> Missed:
        """Return what people wrote after *after_id*, oldest first, wherever the bot can read."""
        found: dict[int, discord.Message] = {}
        whole = True
        guilds = await self._places_in_guilds(after_id)
        threads, whole = await self._other_threads(after_id)
        direct = await self._direct_messages(after_id)
        for place in {place.channel.id: place for place in (*guilds, *threads, *direct)}.values():
            try:
                messages = await self._messages_in(place)
            except DiscordUnavailable as error:
                log.info("Channel %d is read later: %s", place.channel.id, error)
                whole = False
                continue
            for message in messages:
                if addressing.from_a_person(message):
                    found[message.id] = message
        return Missed([message for _, message in sorted(found.items())], whole)

    async def reconcile(self, since_id: int) -> bool:
        """Take over edits and deletions of what was asked since *since_id*.

        Whether something is now to be deleted at Discord, too.
        """
        asked: dict[tuple[int, int | None], list[int]] = defaultdict(list)
        for message_id, channel_id, guild_id in await self._history.recent_questions(since_id):
            asked[channel_id, guild_id].append(message_id)
        forgotten = False
        for (channel_id, guild_id), message_ids in asked.items():
            channel = self._channels.at(channel_id, guild_id)
            try:
                forgotten |= await self._reconcile_in(channel, message_ids)
            except (discord.DiscordException, DiscordUnavailable) as error:
                if getattr(error, "code", 0) == UNKNOWN_CHANNEL:
                    await self._changes.place_gone(channel_id)
                log.info("Channel %d cannot be compared: %s", channel_id, type(error).__name__)
        return forgotten

    async def as_written_live(self, message: discord.Message) -> discord.Message:
        """Return *message* with its author's name in the guild, which lists leave out."""
        if message.guild is not None and not isinstance(message.author, discord.Member):
            request = partial(message.guild.fetch_member, message.author.id)
            try:
                message.author = await self._call(request)
            except (discord.DiscordException, DiscordUnavailable) as error:
                log.info("The author of %d: %s", message.id, type(error).__name__)
        return message

    async def _places_in_guilds(self, after_id: int) -> list[_Place]:
        since = await self._history.places.guilds()
        places = []
        for guild in self._client.guilds:
            if not self._works_in(guild.id) or guild.id not in since:
                continue
            from_id = max(min(after_id, self._unseen.pop(guild.id, after_id)), since[guild.id])
            if guild.unavailable:
                self._unseen[guild.id] = from_id
                continue
            known = set(await self._history.places.places_in(guild_id=guild.id))
            places += [
                _Place(channel, from_id)
                for channel in _channels_of(guild)
                if _may_hold_news(channel, from_id, known) and _readable(channel)
            ]
        return places

    async def _other_threads(self, after_id: int) -> tuple[list[_Place], bool]:
        """Return the threads in channels with own ones that READY may have left out.

        Those that were archived since, above all. And whether all could be asked for.
        """
        places: list[_Place] = []
        since = await self._history.places.guilds()
        guilds: set[discord.Guild] = set()
        requests: list[tuple[int, Any]] = []
        for channel_id in await self._history.places.channels_with_threads():
            channel = self._client.get_channel(channel_id)
            if not isinstance(channel, discord.TextChannel) or not _readable(channel):
                continue
            if self._works_in(channel.guild.id) and channel.guild.id in since:
                from_id = max(after_id, since[channel.guild.id])
                guilds.add(channel.guild)
                requests.append((from_id, partial(_archived, channel, from_id)))
        requests += [(max(after_id, since[one.id]), one.active_threads) for one in guilds]
        whole = True
        for from_id, request in requests:
            try:
                threads = await self._call(request)
            except discord.DiscordException as error:
                log.info("Threads cannot be listed: %s", type(error).__name__)
            except DiscordUnavailable as error:
                log.info("Threads are listed later: %s", error)
                whole = False
            else:
                places += [_Place(one, from_id) for one in threads if _last_id(one) > from_id]
        return places, whole

    async def _direct_messages(self, after_id: int) -> list[_Place]:
        if not self._works_in(None):
            return []
        return [
            _Place(self._channels.at(channel_id, None), after_id)
            for channel_id in await self._history.places.direct_places()
        ]

    async def _messages_in(self, place: _Place) -> list[discord.Message]:
        """Return what stands in a place, nothing where that may not be read."""
        messages: list[discord.Message] = []
        after_id = place.after_id
        for _ in range(PAGES):
            try:
                page = await self._page(place.channel, after_id)
            except discord.DiscordException as error:
                log.info("Channel %d cannot be read: %s", place.channel.id, type(error).__name__)
                break
            messages += page
            if len(page) < PAGE:
                break
            after_id = page[-1].id
        else:
            log.warning("More was written in %d than is caught up on", place.channel.id)
        return messages

    async def _reconcile_in(self, channel: Any, message_ids: list[int]) -> bool:
        forgotten = False
        waiting = list(message_ids)
        while waiting:
            page = await self._page(channel, waiting[0] - 1)
            standing = {message.id: message for message in page}
            covered = page[-1].id if len(page) == PAGE else waiting[-1]
            for message_id in [one for one in waiting if one <= max(covered, waiting[0])]:
                waiting.remove(message_id)
                message = standing.get(message_id)
                if message is None:
                    forgotten |= await self._forget_if_gone(channel, message_id)
                elif is_edit(message):
                    assert self._client.user is not None
                    await self._changes.edited(message, self._client.user.id)
        return forgotten

    async def _forget_if_gone(self, channel: Any, message_id: int) -> bool:
        """Forget a question that a list left out, once Discord says that it is gone."""
        fetch = partial(channel.fetch_message, message_id)
        if await self._is_refused(fetch, UNKNOWN_MESSAGE):
            return await self._changes.deleted([message_id])
        return False

    async def _is_refused(self, request: Any, *codes: int) -> bool:
        """Whether Discord answers *request* with one of these error codes."""
        try:
            await self._call(request)
        except discord.HTTPException as error:
            return error.code in codes
        except (discord.DiscordException, DiscordUnavailable) as error:
            log.info("Whether something is gone is not known: %s", type(error).__name__)
        return False

    async def _page(self, channel: Any, after_id: int) -> list[discord.Message]:
        page: list[discord.Message] = await self._call(partial(_page, channel, after_id))
        return page

    async def _call(self, request: Any) -> Any:
        return await call(request, self._pacer, Urgency.TYPING)


def _channels_of(guild: discord.Guild) -> Iterator[Any]:
    # Not guild.text_channels and the like: they sort by what may be garbled.
    for channel in guild.channels:
        if isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel):
            yield channel
    yield from guild.threads


def _last_id(channel: Any) -> int:
    return channel.last_message_id or 0


def _may_hold_news(channel: Any, from_id: int, known: set[int]) -> bool:
    """Whether something newer than *from_id* may stand in *channel*.

    Without a last message it is empty, unless the bot knows better.
    """
    if channel.last_message_id is None:
        return channel.id in known
    return bool(channel.last_message_id > from_id)


def _readable(channel: Any) -> bool:
    try:
        allowed = channel.permissions_for(channel.guild.me)
    except TRIPPED:  # Discord has not sent it, or garbled; trying tells.
        return True
    return bool(allowed.view_channel and allowed.read_message_history)


async def _page(channel: Any, after_id: int) -> list[discord.Message]:
    after = discord.Object(after_id)
    return [one async for one in channel.history(limit=PAGE, after=after, oldest_first=True)]


async def _archived(channel: discord.TextChannel, from_id: int) -> list[discord.Thread]:
    threads = []
    async for thread in channel.archived_threads(limit=THREADS):
        if thread.archive_timestamp.timestamp() < seconds_of(from_id):
            break
        threads.append(thread)
    return threads
