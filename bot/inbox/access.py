"""Where the operator lets the bot work."""

from typing import NamedTuple


class Access(NamedTuple):
    """Allows the guilds with these ids, or all guilds if there are none; and direct messages."""

    guild_ids: frozenset[int]
    direct_messages: bool

    def allows(self, guild_id: int | None) -> bool:
        """Whether the bot may work in this guild, or in direct messages if it is None."""
        if guild_id is None:
            return self.direct_messages
        return not self.guild_ids or guild_id in self.guild_ids
