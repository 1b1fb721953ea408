"""The guilds of a shard: when the bot joined each, and which are still to be searched."""

import asyncio
import json
import logging
from typing import Final, NamedTuple

import discord

from bot.access import AccessLists
from bot.errors import HistoryFailed
from bot.inbox.channels import channels_of
from bot.live import Live
from bot.recovery.watermark import MissedRange
from bot.shards import ONLY_SHARD, Shard
from bot.storage.facts import Facts
from bot.storage.places import Places

log = logging.getLogger(__name__)

UNSEARCHED_FACT: Final = "unseen"
GUILD_RETRY_SECONDS: Final = 30.0  # A new guild is rare, and the next start finds it again.


class GuildRanges(NamedTuple):
    """The missed range of each *available* guild, the last processed id of each other one."""

    available: dict[int, MissedRange]
    unavailable: dict[int, int]


class Guilds:
    """Remembers the guilds of the bot across connections."""

    def __init__(
        self,
        client: discord.Client,
        places: Places,
        facts: Facts,
        access: Live[AccessLists],
        shard: Shard = ONLY_SHARD,
    ) -> None:
        self._client = client
        self._places = places
        self._facts = facts
        self._access = access
        self._shard = shard
        self._unsearched_name = shard.fact(UNSEARCHED_FACT)
        self._known = set[int]()
        self._to_record: dict[int, int] = {}
        self._noted = asyncio.Event()
        self._unsearched: dict[int, int] | None = None
        self._written: dict[int, int] = {}
        self._loading = asyncio.Lock()
        self._unavailable_meanwhile: set[int] = set()

    async def load(self) -> None:
        """Read which guilds are known; raises HistoryFailed."""
        self._known = {*await self._places.guilds()}

    async def meet(self, newest_possible: int) -> None:
        """Record the guilds that are new; older messages there are not for the bot."""
        await self.load()
        for guild in self._client.guilds:
            self.see(guild, newest_possible)
        await self._record()

    def see(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot is in a guild, which may be new."""
        if guild.id not in self._known:
            self.join(guild, newest_possible)

    def join(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot joined a guild: the messages that are there by now are not for it."""
        newest = max((channel.last_message_id or 0 for channel in channels_of(guild)), default=0)
        self._to_record[guild.id] = newest or newest_possible
        self._noted.set()

    async def keep_recorded(self) -> None:
        """Record new guilds, for ever; the first start records them together."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            try:
                await self._record()
            except HistoryFailed as error:
                log.warning("Cannot record %d guilds: %s", len(self._to_record), error)
                await asyncio.sleep(GUILD_RETRY_SECONDS)
                self._noted.set()

    async def _record(self) -> None:
        since = dict(self._to_record)
        if since:
            await self._places.add_guilds(since)
        self._known |= since.keys()
        for guild_id in since:  # Another task may have recorded it, too.
            self._to_record.pop(guild_id, None)

    async def mark_unavailable(self, guild_id: int, after_id: int) -> None:
        """Note that a guild became unavailable after the message *after_id* was processed."""
        self._unavailable_meanwhile.add(guild_id)
        unsearched = await self._load_unsearched()
        await self._set_unsearched({guild_id: after_id} | unsearched)

    def is_unsearched(self, guild_id: int) -> bool:
        """Whether a guild was unavailable when the others were searched."""
        return guild_id in (self._unsearched or {})

    def serves(self, guild_id: int | None) -> bool:
        """Whether anybody may use the bot in a guild, or in direct messages if it is None.

        False if another shard gets its events.
        """
        return self._shard.owns(guild_id) and self._access.value.serves_guild(guild_id)

    async def missed(self, after_id: int, *, oldest_id: int) -> GuildRanges:
        """Return what each guild missed after *after_id*.

        In those that were unavailable last time, that begins earlier, but not before *oldest_id*.
        """
        self._unavailable_meanwhile.clear()
        unsearched = await self._load_unsearched()
        since = await self._places.guilds()
        unavailable = self._unavailable()
        ranges = GuildRanges({}, {})
        for guild in self._client.guilds:
            if not self.serves(guild.id) or guild.id not in since:
                continue
            missed = MissedRange.after(
                min(after_id, unsearched.get(guild.id, after_id)),
                oldest_id=max(oldest_id, since[guild.id]),
            )
            if guild.id in unavailable:
                ranges.unavailable[guild.id] = missed.after_id
            else:
                ranges.available[guild.id] = missed
        return ranges

    async def mark_searched(self, ranges: GuildRanges) -> None:
        """Note that what was missed in the available guilds is stored."""
        still_unsearched = self._unavailable() | self._unavailable_meanwhile
        waiting = {
            guild_id: after_id
            for guild_id, after_id in (await self._load_unsearched()).items()
            if guild_id not in ranges.available or guild_id in still_unsearched
        }
        await self._set_unsearched(waiting | ranges.unavailable)

    def any_returned(self, ranges: GuildRanges) -> bool:
        """Whether a guild that was unavailable during the search is available now."""
        missed = ranges.unavailable.keys() | self._unavailable_meanwhile
        return any(one.id in missed and not one.unavailable for one in self._client.guilds)

    def _unavailable(self) -> set[int]:
        return {guild.id for guild in self._client.guilds if guild.unavailable}

    async def _load_unsearched(self) -> dict[int, int]:
        """Return the guilds that were unavailable at the last search, as in `GuildRanges`."""
        async with self._loading:
            if self._unsearched is None:
                try:
                    stored = json.loads(await self._facts.get(self._unsearched_name) or "{}")
                    self._unsearched = {int(guild_id): int(id_) for guild_id, id_ in stored.items()}
                except (ValueError, TypeError, AttributeError):  # Somebody wrote it by hand.
                    self._unsearched = {}
                self._written = self._unsearched
        return self._unsearched

    async def _set_unsearched(self, unsearched: dict[int, int]) -> None:
        self._unsearched = unsearched
        if unsearched != self._written:
            await self._facts.set(self._unsearched_name, json.dumps(unsearched))
            self._written = unsearched
