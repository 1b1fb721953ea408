"""Discord's lists, a page at a time: what stands in a channel, which threads are archived."""

from datetime import datetime
from typing import Any, Final

import discord

MESSAGES: Final = 100  # Discord: in one page
THREADS: Final = 100


async def messages_after(channel: Any, after_id: int) -> list[discord.Message]:
    """Return the next page of what stands in *channel*, oldest first; the last one is not full."""
    after = discord.Object(after_id)
    return [one async for one in channel.history(limit=MESSAGES, after=after, oldest_first=True)]


async def archived_threads(
    channel: discord.TextChannel | discord.ForumChannel, before: datetime | None = None
) -> list[discord.Thread]:
    """Return the threads that were archived last, or last before a time, newest first."""
    return [thread async for thread in channel.archived_threads(limit=THREADS, before=before)]
