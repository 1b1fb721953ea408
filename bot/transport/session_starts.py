"""Ask Discord how many shards to use and how many IDENTIFYs are left."""

import asyncio
import logging
from typing import Any, Final

import aiohttp
import discord

from bot.transport.identify_budget import USUAL_TOTAL, StartLimit

log = logging.getLogger(__name__)

ASK_SECONDS: Final = 2.0  # Discord has just answered the login; the start waits for this, too.
DAY_SECONDS: Final = 86_400.0  # Discord resets its count each day.
# What discord.py raises, also for an answer in another shape, as from a proxy.
NO_ANSWER: Final = (
    *(discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError),
    *(LookupError, TypeError, ValueError),
)


async def start_limit(client: discord.Client) -> StartLimit | None:
    """Return Discord's count for *client*, which has logged in; None if it is unknown."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            _, _, limit = await client.http.get_bot_gateway()
        return read_limit(limit)
    except NO_ANSWER as error:
        log.info("Cannot read Discord's count of sign-ins: %s", type(error).__name__)
        return None


def read_limit(limit: Any) -> StartLimit:
    """Read Discord's session_start_limit; raises ValueError, TypeError or LookupError."""
    left, reset_seconds = limit["remaining"], limit["reset_after"] / 1000
    # Compares the type, because True is an int too.
    if type(left) is not int or left < 0 or not 0 <= reset_seconds <= DAY_SECONDS:
        raise ValueError("no count")
    return StartLimit(
        left,
        reset_seconds,
        _positive(limit.get("total"), USUAL_TOTAL),
        _positive(limit.get("max_concurrency"), 1),
    )


def _positive(value: Any, otherwise: int) -> int:
    return value if type(value) is int and value > 0 else otherwise
