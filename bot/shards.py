"""Shards: Discord divides a bot's guilds among its connections by the id of the guild."""

from typing import Final, NamedTuple

TOTAL_FACT: Final = "shards"  # how many there were in the last run; a bot that had one stores none
TIMESTAMP_SHIFT: Final = 22  # Discord: the bits of an id below its timestamp


class Shard(NamedTuple):
    """One of *total* connections to Discord."""

    id: int
    total: int

    @property
    def is_first(self) -> bool:
        """Whether it gets the direct messages, and does the work that is done once for the bot."""
        return self.id == 0

    def owns(self, guild_id: int | None) -> bool:
        """Whether this shard gets the events of a guild, or of direct messages if it is None."""
        if guild_id is None:
            return self.is_first
        return (guild_id >> TIMESTAMP_SHIFT) % self.total == self.id

    def fact(self, name: str) -> str:
        """Return the name under which this shard stores its fact *name*.

        A bot with one shard uses the names from before there were shards.
        """
        return name if self.total == 1 else f"{name} {self.id}/{self.total}"

    @property
    def suffix(self) -> str:
        """The shard as log lines name it, "" if there are no others."""
        return "" if self.total == 1 else f" (shard {self.id})"


ONLY_SHARD: Final = Shard(0, 1)


def shards_of(total: int) -> tuple[Shard, ...]:
    """Return all shards of a bot."""
    return tuple(Shard(number, total) for number in range(total))
