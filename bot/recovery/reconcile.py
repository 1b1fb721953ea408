"""Apply the edits and deletions that people made during an absence."""

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import discord

from bot.inbox.channels import Channels, can_read
from bot.inbox.edits import Edits, is_edit
from bot.recovery.catch_up import CatchUpPeriod
from bot.shards import ONLY_SHARD, Shard
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
    is_gone,
    messages_after,
)
from bot.transport.concurrency import ConcurrencyLimit
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)

MAX_PLACES: Final = 4  # compared at the same time
MAX_THREAD_PAGES: Final = 50  # of the archived threads of one channel
MAX_REFUSALS: Final = 3  # in one guild and run: Discord limits refused requests, too
MAX_FETCHES: Final = 100  # of threads that are in no list, if not all lists could be read

Place = tuple[int, int | None]  # a channel and its guild


class Reconciliation:
    """Compares stored exchanges with Discord. Forgets only what Discord says is deleted."""

    def __init__(
        self,
        client: discord.Client,
        history: History,
        channels: Channels,
        edits: Edits,
        pacer: Pacer,
        period: CatchUpPeriod,
        shard: Shard = ONLY_SHARD,
    ) -> None:
        self._client = client
        self._history = history
        self._channels = channels
        self._edits = edits
        self._pacer = pacer
        self._period = period
        self._shard = shard
        self._complete = True
        self._refusals = Counter[int | None]()

    async def run(self) -> bool:
        """Apply deletions of places, and changes of questions of the catch-up period.

        Returns whether all could be compared. Raises HistoryFailed.
        """
        self._complete = True
        self._refusals.clear()
        present = {guild.id: guild for guild in self._client.guilds}
        absent = {*await self._history.places.guilds()} - present.keys()
        tasks = [
            (guild_id, partial(self._check_guild, guild_id))
            for guild_id in absent
            if self._shard.owns(guild_id)
        ]
        known = await self._history.places.guilds_with_places()
        tasks += [
            (guild.id, partial(self._check_places, guild))
            for guild in present.values()
            if guild.id in known and not guild.unavailable
        ]
        if self._period.hours:
            tasks += await self._question_checks(self._period.oldest_missed_id())
        await ConcurrencyLimit(MAX_PLACES).run_all([partial(self._try, *task) for task in tasks])
        return self._complete

    async def _try(self, owner_id: int, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the *task* of a guild or channel; skip it if Discord's answer is malformed."""
        try:
            await task()
        except GARBLED as error:
            log.warning("Skip malformed guild or channel %d: %s", owner_id, type(error).__name__)

    async def _check_guild(self, guild_id: int) -> None:
        """Forget what was asked in a guild that READY left out, if the bot is no longer in it."""
        refusal = await self._refusal(self._client.fetch_guild, guild_id)
        if is_gone(refusal, UNKNOWN_GUILD) or (
            refusal is not None
            and refusal.code == MISSING_ACCESS
            and await self._is_unlisted(guild_id)
        ):
            await self._edits.forget_guild(guild_id)

    async def _is_unlisted(self, guild_id: int) -> bool:
        """Whether Discord's list of the bot's guilds lacks this one.

        Discord refuses access to a guild that the bot left, but to others as well at times.
        """

        async def listed() -> list[int]:
            after = discord.Object(guild_id - 1)
            guilds = self._client.fetch_guilds(limit=1, after=after, with_counts=False)
            return [guild.id async for guild in guilds]

        try:
            return guild_id not in await self._call(listed, None)
        except (discord.DiscordException, DiscordUnavailable) as error:
            log.info("Cannot list the guilds from %d on: %s", guild_id, type(error).__name__)
            return False

    async def _check_places(self, guild: discord.Guild) -> None:
        """Forget what was asked in channels and threads that were deleted during the absence."""
        threads: dict[int, set[int]] = defaultdict(set)
        for place_id, channel_id in (await self._history.places.in_guild(guild.id)).items():
            if guild.get_channel_or_thread(place_id) is None:
                if channel_id is None:
                    await self._forget_deleted([place_id], guild.id)
                else:
                    threads[channel_id].add(place_id)
        # In random order: if Discord does not send a list, the next run begins with another one.
        for channel_id in random.sample([*threads], len(threads)):
            channel = guild.get_channel(channel_id)
            if channel is None:
                await self._forget_deleted([channel_id], guild.id)
            elif self._may_ask(guild.id) and can_read(channel):
                try:
                    await self._check_threads(channel, threads[channel_id])
                except (discord.DiscordException, DiscordUnavailable) as error:
                    log.info(
                        "Cannot list threads of channel %d: %s", channel_id, type(error).__name__
                    )
                    if isinstance(error, DiscordUnavailable):
                        return

    async def _check_threads(self, channel: Any, thread_ids: set[int]) -> None:
        """Forget the questions of these threads of *channel*, unless they are archived."""
        missing, complete = thread_ids, True
        if isinstance(channel, discord.TextChannel | discord.ForumChannel):
            missing, complete = await self._without_archived(channel, missing)
        newest = sorted(missing, reverse=True)
        await self._forget_deleted(newest if complete else newest[:MAX_FETCHES], channel.guild.id)

    async def _without_archived(
        self, channel: discord.TextChannel | discord.ForumChannel, thread_ids: set[int]
    ) -> tuple[set[int], bool]:
        """Return which of these threads are not archived, and whether all pages were read."""
        missing, before = thread_ids, None
        for _ in range(MAX_THREAD_PAGES):
            page = await self._call(partial(archived_threads, channel, before), channel.guild.id)
            missing = missing - {thread.id for thread in page}
            complete = len(page) < THREADS
            if complete or not missing:
                return missing, complete
            before = page[-1].archive_timestamp
        return missing, False

    async def _forget_deleted(self, place_ids: Sequence[int], guild_id: int) -> None:
        """Forget what was asked in those of these places that Discord says are deleted.

        In random order, so that places after too many refusals get their turn in another run.
        """
        for place_id in random.sample(place_ids, len(place_ids)):
            if not self._may_ask(guild_id):
                return
            refusal = await self._refusal(self._client.fetch_channel, place_id, guild_id)
            if is_gone(refusal, UNKNOWN_CHANNEL):
                await self._edits.forget_place(place_id)

    def _may_ask(self, guild_id: int | None) -> bool:
        """Whether another request in this guild is acceptable."""
        return guild_id is None or self._refusals[guild_id] < MAX_REFUSALS

    async def _question_checks(self, since_id: int) -> list[Any]:
        """Return a task for each guild and each direct message with questions since *since_id*."""
        asked: dict[int, dict[Place, list[int]]] = defaultdict(lambda: defaultdict(list))
        recent = await self._history.recent_questions(since_id, self._shard)
        for message_id, channel_id, guild_id in recent:
            asked[guild_id or channel_id][channel_id, guild_id].append(message_id)
        return [
            (owner_id, partial(self._check_questions, places)) for owner_id, places in asked.items()
        ]

    async def _check_questions(self, places: dict[Place, list[int]]) -> None:
        for (channel_id, guild_id), message_ids in places.items():
            channel = self._channels.at(channel_id, guild_id)
            if not (self._may_ask(guild_id) and can_read(channel)):
                continue
            try:
                await self._check_questions_in(channel, guild_id, message_ids)
            except (discord.DiscordException, DiscordUnavailable) as error:
                if is_gone(error, UNKNOWN_CHANNEL):
                    await self._edits.forget_place(channel_id)
                log.info("Cannot compare channel %d: %s", channel_id, type(error).__name__)

    async def _check_questions_in(
        self, channel: Any, guild_id: int | None, message_ids: list[int]
    ) -> None:
        unchecked = list(message_ids)
        while unchecked and self._may_ask(guild_id):
            request = partial(messages_after, channel, unchecked[0] - 1)
            page = await self._call(request, guild_id, channel)
            existing = {message.id: message for message in page}
            covered_id = page[-1].id if len(page) == MESSAGES else unchecked[-1]
            covered_id = max(covered_id, unchecked[0])
            for message_id in [one for one in unchecked if one <= covered_id]:
                unchecked.remove(message_id)
                if message_id in existing:
                    await self._apply_edit(existing[message_id])
                elif self._may_ask(guild_id):
                    refusal = await self._refusal(
                        channel.fetch_message, message_id, guild_id, channel
                    )
                    if is_gone(refusal, UNKNOWN_MESSAGE):
                        await self._edits.forget_messages([message_id])

    async def _apply_edit(self, message: discord.Message) -> None:
        try:
            if is_edit(message):
                await self._edits.apply_edit(message)
        except GARBLED as error:
            log.warning("Skip malformed message %d: %s", message.id, type(error).__name__)

    async def _refusal(
        self, fetch: Any, target_id: int, guild_id: int | None = None, channel: Any = None
    ) -> discord.HTTPException | None:
        """Return the error if Discord refuses to *fetch* the target, None otherwise."""
        try:
            await self._call(partial(fetch, target_id), guild_id, channel)
        except discord.HTTPException as error:
            return error
        except (discord.DiscordException, DiscordUnavailable) as error:
            log.info(
                "Cannot check whether guild, channel or message %d is deleted: %s",
                target_id,
                type(error).__name__,
            )
        return None

    async def _call(self, request: Any, guild_id: int | None, channel: Any = None) -> Any:
        """Make a request in a guild, and note if it is refused or the run is not complete."""
        place = self._client.get_guild(guild_id or 0) if channel is None else channel
        try:
            return await call(request, self._pacer, Priority.EDIT, place)
        except DiscordUnavailable:
            self._complete = False
            raise
        except discord.Forbidden:
            self._refusals[guild_id] += 1
            raise
