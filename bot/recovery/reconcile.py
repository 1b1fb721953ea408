"""Compare the memory with Discord after an absence: what was edited, deleted, or is gone."""

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import discord

from bot.inbox.channels import Channels, readable
from bot.inbox.edits import Changes, is_edit
from bot.recovery.guilds import Guilds
from bot.storage.exchanges import History
from bot.transport.calls import (
    GARBLED,
    MESSAGES,
    MISSING_ACCESS,
    THREADS,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_MESSAGE,
    DiscordUnavailable,
    archived_threads,
    call,
    messages_after,
)
from bot.transport.concurrency import ConcurrencyLimit
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)

AT_ONCE: Final = 4  # places that are compared side by side
LIST_PAGES: Final = 50  # of one channel's archived threads
REFUSALS: Final = 3  # in one guild, in one comparison
FETCHES: Final = 100  # of threads that no list names, where not all lists could be read


class Comparison:
    """Takes over what people changed meanwhile. Nothing is forgotten unless Discord says so."""

    def __init__(
        self,
        client: discord.Client,
        history: History,
        channels: Channels,
        guilds: Guilds,
        changes: Changes,
        pacer: Pacer,
    ) -> None:
        self._client = client
        self._history = history
        self._channels = channels
        self._guilds = guilds
        self._changes = changes
        self._pacer = pacer
        self._whole = True
        self._refused = Counter[int | None]()

    async def compare(self, since_id: int | None) -> bool:
        """Take over what was deleted meanwhile, and edits of what was asked since *since_id*.

        Whether all of it could be compared. Without *since_id* only places are. Raises
        HistoryFailed.
        """
        self._whole = True
        self._refused.clear()
        acts = [partial(self._miss_guild, one) for one in await self._guilds.absent()]
        known = await self._history.places.guilds_with_places()
        there = [one for one in self._client.guilds if one.id in known and not one.unavailable]
        acts += [partial(self._miss_channels, guild) for guild in there]
        if since_id is not None:
            acts += await self._comparisons_since(since_id)
        await ConcurrencyLimit(AT_ONCE).run_all([partial(self._tried, act) for act in acts])
        return self._whole

    async def _tried(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do *act*; what Discord garbles there keeps no other from being done."""
        try:
            await act()
        except GARBLED as error:
            log.warning("Something cannot be compared: %s", type(error).__name__)

    async def _miss_guild(self, guild_id: int) -> None:
        """Forget what was said in a guild that READY leaves out, if the bot left it."""
        fetch = partial(self._client.fetch_guild, guild_id)
        if await self._refusal(fetch) in {UNKNOWN_GUILD, MISSING_ACCESS}:
            await self._changes.guild_gone(guild_id)

    async def _miss_channels(self, guild: discord.Guild) -> None:
        """Forget what was said in channels and threads that were deleted meanwhile."""
        for channel_id in await self._history.places.channels_of(guild.id):
            if guild.get_channel_or_thread(channel_id) is None:
                await self._forget_gone([channel_id], guild.id)
        threads = [*(await self._history.places.threads_of(guild.id)).items()]
        # In any order: behind a list that Discord does not send, the next waits for another time.
        for channel_id, known in random.sample(threads, len(threads)):
            missing = {one for one in known if guild.get_thread(one) is None}
            if missing and guild.get_channel(channel_id) is None:
                await self._forget_gone([channel_id], guild.id)
            elif missing and not await self._miss_threads(
                guild.get_channel(channel_id), missing, guild.id
            ):
                return

    async def _miss_threads(self, channel: Any, thread_ids: set[int], guild_id: int) -> bool:
        """Forget what was said in these threads of *channel*, unless they are archived.

        False where Discord does not answer.
        """
        if not (self._may_ask(guild_id) and readable(channel)):
            return True
        missing, before, read_whole = set(thread_ids), None, True
        if isinstance(channel, discord.TextChannel | discord.ForumChannel):
            read_whole = False
            for _ in range(LIST_PAGES):
                try:
                    page = await self._call(partial(archived_threads, channel, before))
                except (discord.DiscordException, DiscordUnavailable) as error:
                    log.info("Threads cannot be listed: %s", type(error).__name__)
                    self._note_failure(error, guild_id)
                    return not isinstance(error, DiscordUnavailable)
                missing -= {thread.id for thread in page}
                read_whole = len(page) < THREADS
                if not missing or read_whole:
                    break
                before = page[-1].archive_timestamp
        newest = sorted(missing, reverse=True)
        await self._forget_gone(newest if read_whole else newest[:FETCHES], guild_id)
        return True

    async def _forget_gone(self, place_ids: Sequence[int], guild_id: int) -> None:
        """Forget what was said in those of these places that Discord does not know.

        In any order: behind those that it refuses to tell of, others get their turn another time.
        """
        for place_id in random.sample(place_ids, len(place_ids)):
            if not self._may_ask(guild_id):
                return
            fetch = partial(self._client.fetch_channel, place_id)
            if await self._refusal(fetch, guild_id) == UNKNOWN_CHANNEL:
                await self._changes.place_gone(place_id)

    def _may_ask(self, guild_id: int | None) -> bool:
        """Whether to ask of one more place in a guild: Discord counts what it refuses."""
        return guild_id is None or self._refused[guild_id] < REFUSALS

    async def _comparisons_since(self, since_id: int) -> list[Any]:
        """Return a comparison for each guild, and for each direct message."""
        asked: dict[tuple[int, int | None], list[int]] = defaultdict(list)
        for message_id, channel_id, guild_id in await self._history.recent_questions(since_id):
            asked[channel_id, guild_id].append(message_id)
        places = defaultdict(list)
        for (channel_id, guild_id), message_ids in asked.items():
            places[guild_id or channel_id].append((channel_id, guild_id, message_ids))
        return [partial(self._compare_places, one) for one in places.values()]

    async def _compare_places(self, places: list[tuple[int, int | None, list[int]]]) -> None:
        """Take over edits and deletions of what was asked in these places."""
        for channel_id, guild_id, message_ids in places:
            channel = self._channels.at(channel_id, guild_id)
            if not (self._may_ask(guild_id) and readable(channel)):
                continue
            try:
                await self._compare_questions(channel, guild_id, message_ids)
            except (discord.DiscordException, DiscordUnavailable) as error:
                if getattr(error, "code", 0) == UNKNOWN_CHANNEL:
                    await self._changes.place_gone(channel_id)
                self._note_failure(error, guild_id)
                log.info("Channel %d cannot be compared: %s", channel_id, type(error).__name__)

    async def _compare_questions(
        self, channel: Any, guild_id: int | None, message_ids: list[int]
    ) -> None:
        waiting = list(message_ids)
        while waiting and self._may_ask(guild_id):
            page = await self._call(partial(messages_after, channel, waiting[0] - 1))
            standing = {message.id: message for message in page}
            covered = page[-1].id if len(page) == MESSAGES else waiting[-1]
            for message_id in [one for one in waiting if one <= max(covered, waiting[0])]:
                waiting.remove(message_id)
                message = standing.get(message_id)
                if message is not None:
                    await self._take_over(message)
                elif self._may_ask(guild_id):
                    await self._forget_if_gone(channel, guild_id, message_id)

    async def _take_over(self, message: discord.Message) -> None:
        assert self._client.user is not None
        try:
            if is_edit(message):
                await self._changes.edited(message, self._client.user.id)
        except GARBLED as error:
            log.warning("Message %d cannot be read: %s", message.id, type(error).__name__)

    async def _forget_if_gone(self, channel: Any, guild_id: int | None, message_id: int) -> None:
        """Forget a question that a list left out, once Discord says that it is gone."""
        fetch = partial(channel.fetch_message, message_id)
        if await self._refusal(fetch, guild_id) == UNKNOWN_MESSAGE:
            await self._changes.deleted([message_id])

    async def _refusal(self, request: Any, guild_id: int | None = None) -> int | None:
        """Return the error code with which Discord refuses *request*, None where it does not."""
        try:
            await self._call(request)
        except (discord.DiscordException, DiscordUnavailable) as error:
            self._note_failure(error, guild_id)
            if isinstance(error, discord.HTTPException):
                return error.code
            log.info("Whether something is gone is not known: %s", type(error).__name__)
        return None

    def _note_failure(self, error: Exception, guild_id: int | None) -> None:
        """Note that not all could be compared, if that may be better later, or that it may not."""
        if isinstance(error, DiscordUnavailable):
            self._whole = False
        elif isinstance(error, discord.Forbidden):
            self._refused[guild_id] += 1

    async def _call(self, request: Any) -> Any:
        return await call(request, self._pacer, Priority.EDIT)
