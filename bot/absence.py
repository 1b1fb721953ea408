"""Find out what happened while the bot was away: what was asked, edited, deleted."""

import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
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
# Of one place at a time: Discord lets 5 be read in 5 s, and who takes the last one waits for that.
PAGES: Final = 4
LIST_PAGES: Final = 50  # of one channel's archived threads
THREADS: Final = 100  # Discord: archived threads in one list
UNSEEN: Final = "unseen"
IsWanted = Callable[[discord.Message], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in which something newer than *after_id* may stand."""

    channel: Any
    after_id: int


@dataclass(frozen=True, slots=True)
class Missed:
    """What is wanted of what people wrote, oldest first; *whole*: whether all could be read.

    *left* are the places in which there is more to read, behind that. *read* are the guilds that
    were looked into, *unseen* those that are not there yet, each with the message id after which to
    read then.
    """

    messages: list[discord.Message]
    whole: bool
    left: list[_Place]
    read: frozenset[int]
    unseen: dict[int, int]


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
        self._unseen: dict[int, int] | None = None
        self._compared_whole = True

    async def meet_guilds(self, newest_possible: int) -> None:
        """Note which guilds are new, where nothing older is for the bot, and which are gone."""
        known = await self._history.places.guilds()
        present = {guild.id: guild for guild in self._client.guilds}
        for guild_id in present.keys() - known.keys():
            await self.join(present[guild_id], newest_possible)
        for guild_id in known.keys() - present.keys():
            fetch = partial(self._client.fetch_guild, guild_id)
            if await self._refusal(fetch) in {UNKNOWN_GUILD, MISSING_ACCESS}:
                await self._changes.guild_gone(guild_id)

    async def compare(self, since_id: int | None) -> bool:
        """Take over what was deleted meanwhile, and edits of what was asked since *since_id*.

        Whether all of it could be compared. Without *since_id* only places are.
        """
        self._compared_whole = True
        await self._miss_channels()
        if since_id is not None:
            await self._reconcile(since_id)
        return self._compared_whole

    async def _miss_channels(self) -> None:
        """Forget what was said in channels and threads that were deleted meanwhile."""
        for guild in self._client.guilds:
            if guild.unavailable:
                continue
            for channel_id in await self._history.places.channels_of(guild.id):
                if guild.get_channel_or_thread(channel_id) is None:
                    await self._forget_gone([channel_id])
            for channel_id, known in (await self._history.places.threads_of(guild.id)).items():
                missing = {one for one in known if guild.get_thread(one) is None}
                if missing and guild.get_channel(channel_id) is None:
                    await self._forget_gone([channel_id])
                elif missing:
                    await self._miss_threads(guild.get_channel(channel_id), missing)

    async def join(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot is in a guild, where what stands there by now is not for it."""
        newest = max((_last_id(channel) for channel in _channels_of(guild)), default=0)
        await self._history.places.join_guild(guild.id, newest or newest_possible)

    def waits_for(self, guild_id: int) -> bool:
        """Whether a guild was not there yet when what was missed was read."""
        return guild_id in (self._unseen or {})

    async def lost(self, guild_id: int, after_id: int) -> None:
        """Note that nothing is heard of a guild any more, and what was the last that was."""
        unseen = await self._unseen_guilds()
        await self._set_unseen({guild_id: after_id} | unseen)

    async def taken(self, missed: Missed) -> bool:
        """Note that what was missed is stored; whether a guild that *missed* left out is back."""
        if missed.whole:
            away = {one.id for one in self._client.guilds if one.unavailable}
            waiting = {
                guild_id: after_id
                for guild_id, after_id in (await self._unseen_guilds()).items()
                if guild_id not in missed.read or guild_id in away
            }
            await self._set_unseen(waiting | missed.unseen)
        return any(not one.unavailable for one in self._client.guilds if one.id in missed.unseen)

    async def missed(self, after_id: int, *, oldest_id: int, is_wanted: IsWanted) -> Missed:
        """Return what people wrote after *after_id*, wherever the bot can read.

        In guilds that were not there the last time it may be older, but not than *oldest_id*.
        """
        after_id = max(after_id, oldest_id)
        after = await self._after(after_id, oldest_id)
        away = {one.id for one in self._client.guilds if one.unavailable}
        unseen = {one: after.pop(one) for one in after.keys() & away}
        guilds = await self._places_in_guilds(after)
        threads, whole = await self._other_threads(after)
        direct = await self._direct_messages(after_id)
        places = {place.channel.id: place for place in (*guilds, *threads, *direct)}
        start = Missed([], whole, list(places.values()), frozenset(after), unseen)
        return await self.further(start, is_wanted)

    async def further(self, missed: Missed, is_wanted: IsWanted) -> Missed:
        """Return what stands next in the places that *missed* left.

        A place that saw thousands of messages does not hold up what was asked in the others.
        """
        found: dict[int, discord.Message] = {}
        left = []
        whole = missed.whole
        for place in missed.left:
            try:
                page_end = await self._read(place, is_wanted, found)
            except DiscordUnavailable as error:
                log.info("Channel %d is read later: %s", place.channel.id, error)
                whole = False
            else:
                left += [_Place(place.channel, page_end)] if page_end is not None else []
        messages = [message for _, message in sorted(found.items())]
        return replace(missed, messages=messages, whole=whole, left=left)

    async def _reconcile(self, since_id: int) -> None:
        """Take over edits and deletions of what was asked since *since_id*."""
        asked: dict[tuple[int, int | None], list[int]] = defaultdict(list)
        for message_id, channel_id, guild_id in await self._history.recent_questions(since_id):
            asked[channel_id, guild_id].append(message_id)
        for (channel_id, guild_id), message_ids in asked.items():
            channel = self._channels.at(channel_id, guild_id)
            try:
                await self._reconcile_in(channel, message_ids)
            except (discord.DiscordException, DiscordUnavailable) as error:
                if getattr(error, "code", 0) == UNKNOWN_CHANNEL:
                    await self._changes.place_gone(channel_id)
                self._note_failure(error)
                log.info("Channel %d cannot be compared: %s", channel_id, type(error).__name__)

    async def as_written_live(self, message: discord.Message) -> discord.Message:
        """Return *message* with its author's name in the guild, which lists leave out."""
        if message.guild is not None and not isinstance(message.author, discord.Member):
            request = partial(message.guild.fetch_member, message.author.id)
            try:
                message.author = await self._call(request)
            except (discord.DiscordException, DiscordUnavailable) as error:
                log.info("The author of %d: %s", message.id, type(error).__name__)
        return message

    async def _after(self, after_id: int, oldest_id: int) -> dict[int, int]:
        """Return the guilds to look into, each with the message id after which to read."""
        unseen = await self._unseen_guilds()
        since = await self._history.places.guilds()
        return {
            guild.id: max(min(after_id, unseen.get(guild.id, after_id)), oldest_id, since[guild.id])
            for guild in self._client.guilds
            if self._works_in(guild.id) and guild.id in since
        }

    async def _unseen_guilds(self) -> dict[int, int]:
        """Return the guilds that were not there when what was missed was read, as `Missed` does."""
        if self._unseen is None:
            try:
                stored = json.loads(await self._history.notes.fact(UNSEEN) or "{}")
                self._unseen = {int(guild_id): int(after) for guild_id, after in stored.items()}
            except (ValueError, TypeError, AttributeError):  # Somebody wrote it by hand.
                self._unseen = {}
        return self._unseen

    async def _set_unseen(self, unseen: dict[int, int]) -> None:
        if unseen != await self._unseen_guilds():
            self._unseen = unseen
            await self._history.notes.set_fact(UNSEEN, json.dumps(unseen))

    async def _places_in_guilds(self, after: dict[int, int]) -> list[_Place]:
        places = []
        for guild in self._client.guilds:
            if guild.id not in after:
                continue
            from_id = after[guild.id]
            known = set(await self._history.places.places_in(guild_id=guild.id))
            places += [
                _Place(channel, from_id)
                for channel in _channels_of(guild)
                if _may_hold_news(channel, from_id, known) and _readable(channel)
            ]
        return places

    async def _other_threads(self, after: dict[int, int]) -> tuple[list[_Place], bool]:
        """Return the threads in channels with own ones that READY may have left out.

        Those that were archived since, above all. And whether all could be asked for.
        """
        places: list[_Place] = []
        guilds: set[discord.Guild] = set()
        requests: list[tuple[int, Any]] = []
        for channel_id in await self._history.places.channels_with_threads():
            channel = self._client.get_channel(channel_id)
            if not isinstance(channel, discord.TextChannel) or not _readable(channel):
                continue
            if channel.guild.id in after:
                from_id = after[channel.guild.id]
                guilds.add(channel.guild)
                requests.append((from_id, partial(_archived_since, channel, from_id)))
        requests += [(after[one.id], one.active_threads) for one in guilds]
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

    async def _read(
        self, place: _Place, is_wanted: IsWanted, found: dict[int, discord.Message]
    ) -> int | None:
        """Put into *found* what people wrote in a place; return up to where, None at its end.

        What may not be read is nothing.
        """
        after_id = place.after_id
        for _ in range(PAGES):
            try:
                page = await self._page(place.channel, after_id)
            except discord.DiscordException as error:
                log.info("Channel %d cannot be read: %s", place.channel.id, type(error).__name__)
                return None
            for message in filter(addressing.from_a_person, page):
                if await is_wanted(message):
                    found[message.id] = message
            if len(page) < PAGE:
                return None
            after_id = page[-1].id
        return after_id

    async def _reconcile_in(self, channel: Any, message_ids: list[int]) -> None:
        waiting = list(message_ids)
        while waiting:
            page = await self._page(channel, waiting[0] - 1)
            standing = {message.id: message for message in page}
            covered = page[-1].id if len(page) == PAGE else waiting[-1]
            for message_id in [one for one in waiting if one <= max(covered, waiting[0])]:
                waiting.remove(message_id)
                message = standing.get(message_id)
                if message is None:
                    await self._forget_if_gone(channel, message_id)
                elif is_edit(message):
                    assert self._client.user is not None
                    await self._changes.edited(message, self._client.user.id)

    async def _forget_if_gone(self, channel: Any, message_id: int) -> None:
        """Forget a question that a list left out, once Discord says that it is gone."""
        fetch = partial(channel.fetch_message, message_id)
        if await self._refusal(fetch) == UNKNOWN_MESSAGE:
            await self._changes.deleted([message_id])

    async def _miss_threads(self, channel: Any, thread_ids: set[int]) -> None:
        """Forget what was said in these threads of *channel*, unless they are archived."""
        missing, before = set(thread_ids), None
        if isinstance(channel, discord.TextChannel | discord.ForumChannel):
            for _ in range(LIST_PAGES):
                try:
                    page = await self._call(partial(_archived, channel, before))
                except (discord.DiscordException, DiscordUnavailable) as error:
                    log.info("Threads cannot be listed: %s", type(error).__name__)
                    self._note_failure(error)
                    return
                missing -= {thread.id for thread in page}
                if not missing or len(page) < THREADS:
                    break
                before = page[-1].archive_timestamp
        await self._forget_gone(sorted(missing))

    async def _forget_gone(self, place_ids: Iterable[int]) -> None:
        """Forget what was said in those of these places, of one channel, that Discord knows not."""
        for place_id in place_ids:
            code = await self._refusal(partial(self._client.fetch_channel, place_id))
            if code == UNKNOWN_CHANNEL:
                await self._changes.place_gone(place_id)
            elif code is not None:  # Discord counts what it refuses; the next is refused likewise.
                break

    async def _refusal(self, request: Any) -> int | None:
        """Return the error code with which Discord refuses *request*, None where it does not."""
        try:
            await self._call(request)
        except discord.HTTPException as error:
            return error.code
        except (discord.DiscordException, DiscordUnavailable) as error:
            log.info("Whether something is gone is not known: %s", type(error).__name__)
            self._note_failure(error)
        return None

    def _note_failure(self, error: Exception) -> None:
        """Note that not all could be compared, if that may be better later."""
        if isinstance(error, DiscordUnavailable):
            self._compared_whole = False

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


async def _archived(
    channel: discord.TextChannel | discord.ForumChannel, before: datetime | None = None
) -> list[discord.Thread]:
    """Return the threads that were archived last, or last before a time, newest first."""
    return [thread async for thread in channel.archived_threads(limit=THREADS, before=before)]


async def _archived_since(channel: discord.TextChannel, from_id: int) -> list[discord.Thread]:
    since_seconds = seconds_of(from_id)
    return [
        thread
        for thread in await _archived(channel)
        if thread.archive_timestamp.timestamp() >= since_seconds
    ]
