"""The guilds that the bot is in: since when, and which of them are still to be looked into."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import discord

from bot.discord_calls import TRIPPED
from bot.heard import Gap
from bot.history import History

UNSEEN: Final = "unseen"


@dataclass(frozen=True, slots=True)
class ToRead:
    """What is missing in each guild that is *there*; of the others, up to where all was heard."""

    there: dict[int, Gap]
    unseen: dict[int, int]


class Guilds:
    """Remembers guilds beyond a connection. *works_in*: where the operator lets the bot work."""

    def __init__(
        self, client: discord.Client, history: History, *, works_in: Callable[[int | None], bool]
    ) -> None:
        self._client = client
        self._history = history
        self.works_in = works_in
        self._met: set[int] | None = None
        self._unseen: dict[int, int] | None = None
        self._written: dict[int, int] = {}
        self._loading = asyncio.Lock()
        self._lost_meanwhile: set[int] = set()

    async def meet(self, newest_possible: int) -> None:
        """Note which guilds are new, where nothing older is for the bot."""
        known = {*await self._history.places.guilds()}
        new = [guild for guild in self._client.guilds if guild.id not in known]
        if new:
            await self._join(new, newest_possible)
        self._met = known | {guild.id for guild in new}

    async def join(self, guild: discord.Guild, newest_possible: int) -> None:
        """Note that the bot is in a guild, where what stands there by now is not for it."""
        await self._join([guild], newest_possible)

    async def see(self, guild: discord.Guild, newest_possible: int) -> None:
        """Do the same with a guild that is there by now, unless it was or will be met."""
        if self._met is not None and guild.id not in self._met:
            await self._join([guild], newest_possible)
            self._met.add(guild.id)

    async def _join(self, guilds: Iterable[discord.Guild], newest_possible: int) -> None:
        await self._history.places.join_guilds(
            {
                guild.id: max((last_id(channel) for channel in channels_of(guild)), default=0)
                or newest_possible
                for guild in guilds
            }
        )

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
            if not self.works_in(guild.id) or guild.id not in since:
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
                    stored = json.loads(await self._history.notes.fact(UNSEEN) or "{}")
                    self._unseen = {int(guild_id): int(after) for guild_id, after in stored.items()}
                except (ValueError, TypeError, AttributeError):  # Somebody wrote it by hand.
                    self._unseen = {}
                self._written = self._unseen
        return self._unseen

    async def _set_unseen(self, unseen: dict[int, int]) -> None:
        self._unseen = unseen
        if unseen != self._written:
            await self._history.notes.set_fact(UNSEEN, json.dumps(unseen))
            self._written = unseen


def channels_of(guild: discord.Guild) -> Iterator[Any]:
    """Return the channels and threads of *guild* in which people can write to the bot."""
    # Not guild.text_channels and the like: they sort by what may be garbled.
    for channel in guild.channels:
        if isinstance(channel, discord.TextChannel | discord.VoiceChannel | discord.StageChannel):
            yield channel
    yield from guild.threads


def last_id(channel: Any) -> int:
    """Return the id of the last message that Discord told of, 0 without one."""
    return channel.last_message_id or 0


def readable(channel: Any) -> bool:
    """Whether the bot may read *channel*, as far as is known; where nothing is, trying tells."""
    if isinstance(channel, discord.PartialMessageable):
        return True
    try:
        allowed = channel.permissions_for(channel.guild.me)
    except TRIPPED:  # Discord has not sent it, or garbled.
        return True
    return bool(allowed.view_channel and allowed.read_message_history)
