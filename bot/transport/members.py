"""Read the roles of a guild's members."""

import discord


def role_ids(person: object) -> frozenset[int] | None:
    """Return the ids of the roles of *person*, None if they are known only as a user.

    discord.py's own list leaves out roles of a guild that it has not cached.
    """
    return frozenset(person._roles) if isinstance(person, discord.Member) else None
