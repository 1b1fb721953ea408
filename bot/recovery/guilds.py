"""The guilds that the bot is in: since when, and which of them are still to be looked into."""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Final

import discord

from bot.errors import HistoryFailed
from bot.inbox.access import Access
from bot.inbox.channels import channels_of, last_id
from bot.recovery.watermark import Gap
from bot.storage.exchanges import History

log = logging.getLogger(__name__)

UNSEEN: Final = "unseen"
AGAIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ToRead:
    """What is missing in each guild that is *there*; of the others, up to where all was heard."""

    there: dict[int, Gap]
    unseen: dict[int, int]


class Guilds:
    """Remembers guilds beyond a connection."""

    def __init__(self, client: discord.Client, history: History, access: Access) -> None:
        self._client = client
        self._history = history
        self.access = access
        self._known = set[int]()
        self._to_record: dict[int, int] = {}
        self._noted = asyncio.Event()
        self._recording = asyncio.Lock()
        self._unseen: dict[int, int] | None = None
        self._written: dict[int, int] = {}
        self._loading = asyncio.Lock()
        self._lost_meanwhile: set[int] = set()

    async def load(self) -> None:
        """Take up which guilds are known."""
        self._known = {*await self._history.places.guilds()}

    async def meet(self, newest_possible: int) -> None:
        """Record which guilds are new, where nothing older is for the bot."""
        await self.load()
        for guild in self._client.guilds:
            self.see(guild, newest_possible)
        await self._record()

    def see(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot is in a guild; most are known."""
        if guild.id not in self._known:
            self.join(guild, newest_possible)

    def join(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot came to a guild, where what stands there by now is not for it."""
        newest = max((last_id(channel) for channel in channels_of(guild)), default=0)
        self._to_record[guild.id] = newest or newest_possible
        self._noted.set()

    async def keep_recorded(self) -> None:
        """Record what is noted, for ever: at the first start of all that is one write for all."""
        while True:
            await self._noted.wait()
            try:
                await self._record()
            except HistoryFailed as error:
                log.warning("%d servers are not recorded: %s", len(self._to_record), error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _record(self) -> None:
        async with self._recording:
            since = dict(self._to_record)
            if since:
                await self._history.places.join_guilds(since)
            self._noted.clear()
            self._known |= since.keys()
            for guild_id in since:
                del self._to_record[guild_id]
            if self._to_record:
                self._noted.set()

    async def absent(self) -> set[int]:
        """Return the known guilds that Discord does not tell of."""
        return {*await self._history.places.guilds()} - {one.id for one in self._client.guilds}

    async def lost(self, guild_id: int, after_id: int) -> None:
        """Note that nothing is heard of a guild any more, and what was the last that was."""
        self._lost_meanwhile.add(guild_id)
        unseen = await self._unseen_guilds()
        await self._set_unseen({guild_id: after_id} | unseen)

    def waits_for(self, guild_id: int) -> bool:
        """Whether a guild was not there yet when what was missed was read."""
        return guild_id in (self._unseen or {})

    async def to_read(self, after_id: int, *, oldest_id: int, edits_seconds: float) -> ToRead:
        """Return what is missing in the guilds where all was heard up to *after_id*.

        In those that were not there the last time it is more, but nothing before *oldest_id*.
        """
        self._lost_meanwhile.clear()
        unseen = await self._unseen_guilds()
        since = await self._history.places.guilds()
        away = self._unavailable()
        read = ToRead({}, {})
        for guild in self._client.guilds:
            if not self.access.allows(guild.id) or guild.id not in since:
                continue
            heard_id = min(after_id, unseen.get(guild.id, after_id))
            oldest_here = max(oldest_id, since[guild.id])
            gap = Gap.behind(heard_id, oldest_id=oldest_here, edits_seconds=edits_seconds)
            if guild.id in away:
                read.unseen[guild.id] = gap.after_id
            else:
                read.there[guild.id] = gap
        return read

    async def were_read(self, read: ToRead) -> None:
        """Note that what was missed in the guilds that were there is stored."""
        still_unseen = self._unavailable() | self._lost_meanwhile
        waiting = {
            guild_id: after_id
            for guild_id, after_id in (await self._unseen_guilds()).items()
            if guild_id not in read.there or guild_id in still_unseen
        }
        await self._set_unseen(waiting | read.unseen)

    def any_back(self, read: ToRead) -> bool:
        """Whether a guild that was not there while the others were read is there now."""
        missed = read.unseen.keys() | self._lost_meanwhile
        return any(one.id in missed and not one.unavailable for one in self._client.guilds)

    def _unavailable(self) -> set[int]:
        return {one.id for one in self._client.guilds if one.unavailable}

    async def _unseen_guilds(self) -> dict[int, int]:
        """Return the guilds that were not there when the others were read, as `ToRead` does."""
        async with self._loading:
            if self._unseen is None:
                try:
                    stored = json.loads(await self._history.facts.get(UNSEEN) or "{}")
                    self._unseen = {int(guild_id): int(after) for guild_id, after in stored.items()}
                except (ValueError, TypeError, AttributeError):  # Somebody wrote it by hand.
                    self._unseen = {}
                self._written = self._unseen
        return self._unseen

    async def _set_unseen(self, unseen: dict[int, int]) -> None:
        self._unseen = unseen
        if unseen != self._written:
            await self._history.facts.set(UNSEEN, json.dumps(unseen))
            self._written = unseen
