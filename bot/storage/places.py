"""Store the channels and threads where people ask, and the guilds that the bot is in."""

from collections.abc import Mapping
from itertools import chain
from typing import Final

from bot.bounded import BoundedDict
from bot.conversation.exchange import Conversation
from bot.storage.database import Database, Store

RECORDED_PLACES: Final = 1000  # are remembered, in 0.3 MB
ADDED_GUILDS: Final = 500  # in a statement; SQLite takes 32766 parameters
# Records a place; writes nothing if the place is known.
UPSERT_PLACE: Final = """
    INSERT INTO places (place_id, parent_id, guild_id, own)
    VALUES (:channel_id, :parent_id, :guild_id, 0)
    ON CONFLICT (place_id) DO UPDATE SET guild_id = excluded.guild_id,
        parent_id = coalesce(excluded.parent_id, places.parent_id)
    WHERE coalesce(places.guild_id, 0) <> coalesce(excluded.guild_id, 0)
        OR places.parent_id IS NULL AND excluded.parent_id IS NOT NULL
"""


class RecordedPlaces:
    """The places that this process recorded last: their questions need not record them again.

    A deletion may happen while a place is being recorded. So `add` takes the number of
    *deletions* from before.
    """

    def __init__(self) -> None:
        self._places = BoundedDict[int, tuple[int | None, int | None]](RECORDED_PLACES)
        self.deletions = 0

    def has(self, place: Conversation) -> bool:
        """Whether a place is recorded as it is now."""
        recorded = (place.parent_id, place.guild_id)
        if self._places.get(place.channel_id) != recorded:
            return False
        self._places[place.channel_id] = recorded  # It was used last.
        return True

    def add(self, place: Conversation, deletions: int) -> None:
        """Note that a place was recorded."""
        if deletions == self.deletions:
            self._places[place.channel_id] = (place.parent_id, place.guild_id)

    def clear(self) -> None:
        """Note that any place may have been deleted, by this process or by another one."""
        self._places.clear()
        self.deletions += 1


class Places(Store):
    """The known places and guilds."""

    def __init__(self, database: Database, recorded: RecordedPlaces) -> None:
        super().__init__(database)
        self.recorded = recorded

    async def change_with(self, statement: str, place: Conversation, **named: object) -> int:
        """Run a statement and record *place* in one transaction; return how many rows it changed.

        A place that this process has recorded already costs no second statement.
        """
        if self.recorded.has(place):
            return await self._database.change(statement, **named)
        deletions = self.recorded.deletions
        changed, _ = await self._database.change_all(statement, UPSERT_PLACE, **named)
        self.recorded.add(place, deletions)
        return changed

    async def add_own_thread(
        self, place_id: int, parent_id: int | None, guild_id: int | None
    ) -> None:
        """Record a thread of the bot's own, in which follow-ups need no mention."""
        await self._database.change(
            "INSERT INTO places (place_id, parent_id, guild_id, own) VALUES (?, ?, ?, 1)"
            " ON CONFLICT (place_id) DO UPDATE SET own = 1",
            place_id,
            parent_id,
            guild_id,
        )

    async def threads_below(self, channel_id: int) -> list[int]:
        """Return the known threads of a channel."""
        return await self._ids("SELECT place_id FROM places WHERE parent_id = ?", channel_id)

    async def in_guild(self, guild_id: int) -> dict[int, int | None]:
        """Return the known places of a guild, each with its channel if it is a thread."""
        sql = "SELECT place_id, parent_id FROM places WHERE guild_id = ? ORDER BY place_id"
        return {row[0]: row[1] for row in await self._database.fetch(sql, guild_id)}

    async def guilds_with_places(self) -> set[int]:
        """Return the guilds in which any place is known."""
        return {*await self._ids("SELECT DISTINCT guild_id FROM places WHERE guild_id IS NOT NULL")}

    async def direct_messages(self) -> list[int]:
        """Return the known direct message channels."""
        return await self._ids(
            "SELECT place_id FROM places WHERE guild_id IS NULL AND parent_id IS NULL AND own = 0"
        )

    async def channels_with_threads(self) -> list[int]:
        """Return the channels in which the bot has threads of its own."""
        return await self._ids(
            "SELECT DISTINCT parent_id FROM places WHERE own <> 0 AND parent_id IS NOT NULL"
        )

    async def parent_of(self, place_id: int) -> int | None:
        """Return the channel of a known thread."""
        rows = await self._database.fetch(
            "SELECT parent_id FROM places WHERE place_id = ?", place_id
        )
        return rows[0][0] if rows else None

    async def guilds(self) -> dict[int, int]:
        """Return the known guilds, each with the newest message id when the bot joined it."""
        rows = await self._database.fetch("SELECT guild_id, since_id FROM guilds")
        return {int(guild_id): int(since_id) for guild_id, since_id in rows}

    async def add_guilds(self, since: Mapping[int, int]) -> None:
        """Record the guilds that the bot is in.

        *since* has for each the newest message id when the bot joined: up to that, messages are not
        for the bot.
        """
        guilds = [*since.items()]
        for start in range(0, len(guilds), ADDED_GUILDS):
            batch = guilds[start : start + ADDED_GUILDS]
            rows = ", ".join(["(?, ?)"] * len(batch))
            await self._database.change(
                f"INSERT INTO guilds (guild_id, since_id) VALUES {rows} ON CONFLICT DO NOTHING",
                *chain.from_iterable(batch),
            )

    async def is_own_thread(self, place_id: int) -> bool:
        """Whether *place_id* is a thread that was recorded as the bot's own."""
        rows = await self._database.fetch("SELECT own FROM places WHERE place_id = ?", place_id)
        return bool(rows and rows[0][0])

    async def claim_first_hint(self, place_id: int) -> bool:
        """Record a hint in a thread of the bot's own; return whether it is the first one there."""
        changed = await self._database.change(
            "INSERT INTO places (place_id, own, hinted) VALUES (?, 1, 1)"
            " ON CONFLICT (place_id) DO UPDATE SET hinted = 1 WHERE places.hinted = 0",
            place_id,
        )
        return changed == 1

    async def _ids(self, sql: str, *parameters: object) -> list[int]:
        return [int(row[0]) for row in await self._database.fetch(sql, *parameters)]
