"""Compare the memory with Discord after an absence: what was edited, deleted, or is gone."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import discord

from bot.changes import Changes, is_edit
from bot.channels import Channels
from bot.discord_calls import (
    MISSING_ACCESS,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_MESSAGE,
    DiscordUnavailable,
    call,
)
from bot.few import Few
from bot.guilds import Guilds
from bot.history import History
from bot.listing import MESSAGES, THREADS, archived_threads, messages_after
from bot.pacing import Pacer, Urgency

log = logging.getLogger(__name__)

AT_ONCE: Final = 4  # places that are compared side by side
LIST_PAGES: Final = 50  # of one channel's archived threads
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

    async def compare(self, since_id: int | None) -> bool:
        """Take over what was deleted meanwhile, and edits of what was asked since *since_id*.

        Whether all of it could be compared. Without *since_id* only places are. Raises
        HistoryFailed.
        """
        self._whole = True
        few = Few(AT_ONCE)
        await few.each([partial(self._miss_guild, one) for one in await self._guilds.absent()])
        there = [guild for guild in self._client.guilds if not guild.unavailable]
        await few.each([partial(self._miss_channels, guild) for guild in there])
        if since_id is not None:
            await few.each(await self._comparisons_since(since_id))
        return self._whole

    async def _miss_guild(self, guild_id: int) -> None:
        """Forget what was said in a guild that READY leaves out, if the bot left it."""
        fetch = partial(self._client.fetch_guild, guild_id)
        if await self._refusal(fetch) in {UNKNOWN_GUILD, MISSING_ACCESS}:
            await self._changes.guild_gone(guild_id)

    async def _miss_channels(self, guild: discord.Guild) -> None:
        """Forget what was said in channels and threads that were deleted meanwhile."""
        for channel_id in await self._history.places.channels_of(guild.id):
            if guild.get_channel_or_thread(channel_id) is None:
                await self._forget_gone([channel_id])
        for channel_id, known in (await self._history.places.threads_of(guild.id)).items():
            missing = {one for one in known if guild.get_thread(one) is None}
            if missing and guild.get_channel(channel_id) is None:
                await self._forget_gone([channel_id])
            elif missing:
                await self._miss_threads(guild.get_channel(channel_id), missing)

    async def _miss_threads(self, channel: Any, thread_ids: set[int]) -> None:
        """Forget what was said in these threads of *channel*, unless they are archived."""
        missing, before, read_whole = set(thread_ids), None, True
        if isinstance(channel, discord.TextChannel | discord.ForumChannel):
            read_whole = False
            for _ in range(LIST_PAGES):
                try:
                    page = await self._call(partial(archived_threads, channel, before))
                except (discord.DiscordException, DiscordUnavailable) as error:
                    log.info("Threads cannot be listed: %s", type(error).__name__)
                    self._note_failure(error)
                    return
                missing -= {thread.id for thread in page}
                read_whole = len(page) < THREADS
                if not missing or read_whole:
                    break
                before = page[-1].archive_timestamp
        newest = sorted(missing, reverse=True)
        await self._forget_gone(newest if read_whole else newest[:FETCHES])

    async def _forget_gone(self, place_ids: Iterable[int]) -> None:
        """Forget what was said in those of these places, of one channel, that Discord knows not."""
        for place_id in place_ids:
            code = await self._refusal(partial(self._client.fetch_channel, place_id))
            if code == UNKNOWN_CHANNEL:
                await self._changes.place_gone(place_id)
            elif code is not None:  # Discord counts what it refuses; the next is refused likewise.
                break

    async def _comparisons_since(self, since_id: int) -> list[Any]:
        asked: dict[tuple[int, int | None], list[int]] = defaultdict(list)
        for message_id, channel_id, guild_id in await self._history.recent_questions(since_id):
            asked[channel_id, guild_id].append(message_id)
        return [partial(self._compare_place, *place, ids) for place, ids in asked.items()]

    async def _compare_place(
        self, channel_id: int, guild_id: int | None, message_ids: list[int]
    ) -> None:
        """Take over edits and deletions of what was asked in a place."""
        try:
            await self._compare_questions(self._channels.at(channel_id, guild_id), message_ids)
        except (discord.DiscordException, DiscordUnavailable) as error:
            if getattr(error, "code", 0) == UNKNOWN_CHANNEL:
                await self._changes.place_gone(channel_id)
            self._note_failure(error)
            log.info("Channel %d cannot be compared: %s", channel_id, type(error).__name__)

    async def _compare_questions(self, channel: Any, message_ids: list[int]) -> None:
        waiting = list(message_ids)
        while waiting:
            page = await self._call(partial(messages_after, channel, waiting[0] - 1))
            standing = {message.id: message for message in page}
            covered = page[-1].id if len(page) == MESSAGES else waiting[-1]
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
            self._whole = False

    async def _call(self, request: Any) -> Any:
        return await call(request, self._pacer, Urgency.TYPING)
