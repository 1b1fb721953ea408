"""Make one call to Discord: in its turn, with a deadline, its failures told apart."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import aiohttp
import discord

from bot.errors import BotError
from bot.transport.pacer import Pacer, Priority

CALL_SECONDS: Final = 45.0  # discord.py may wait up to 30 s for a bucket within one call.
TOO_MANY_REQUESTS: Final = 429
TOO_LARGE: Final = 413  # also if a proxy says so
# Discord: error codes
UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_GUILD: Final = 10004
UNKNOWN_MESSAGE: Final = 10008
MISSING_ACCESS: Final = 50001
BAN_SECONDS: Final = (5.0, 300.0)  # the least and the most that Cloudflare's own 429 is waited for
MESSAGES: Final = 100  # Discord: in one page
THREADS: Final = 100
T = TypeVar("T")

FAILURES: Final = (discord.DiscordServerError, aiohttp.ClientError, OSError, TimeoutError)
# What discord.py trips over when a good answer's body is not what it should be: a proxy's page.
# Its own ClientException is for data that makes no sense together.
TRIPPED: Final = (TypeError, LookupError, ValueError, AttributeError, discord.ClientException)


class DiscordUnavailable(BotError):
    """Discord does not answer now, or nothing that can be read; it may in *retry_after* seconds."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after


async def call(
    request: Callable[[], Awaitable[T]],
    pacer: Pacer,
    priority: Priority,
    *,
    deadline_seconds: float = CALL_SECONDS,
) -> T:
    """Return what *request* returns, made when *pacer* lets it go.

    Raises discord.HTTPException where Discord refuses it, discord.InvalidData where discord.py
    knows no such thing, DiscordUnavailable where it fails.
    """
    async with pacer.slot(priority):
        try:
            async with asyncio.timeout(deadline_seconds):
                return await request()
        except FAILURES as error:
            raise DiscordUnavailable(type(error).__name__) from error
        except discord.RateLimited as error:
            raise DiscordUnavailable(type(error).__name__, error.retry_after) from error
        except discord.HTTPException as error:
            if error.status != TOO_MANY_REQUESTS:
                if _is_page(error) and error.status != TOO_LARGE:
                    raise DiscordUnavailable(f"a page with status {error.status}") from error
                raise
            seconds = _told_seconds(error)
            if _is_own(error):  # discord.py has waited for it, again and again.
                raise DiscordUnavailable("limited again and again", seconds) from error
            pacer.block(seconds)
            raise DiscordUnavailable("refused by Cloudflare", seconds) from error
        except discord.InvalidData:  # A kind of channel that discord.py does not know.
            raise
        except TRIPPED as error:
            raise DiscordUnavailable(f"garbled answer: {type(error).__name__}") from error


async def messages_after(channel: Any, after_id: int) -> list[discord.Message]:
    """Return the next page of what stands in *channel*, oldest first; the last one is not full."""
    after = discord.Object(after_id)
    return [one async for one in channel.history(limit=MESSAGES, after=after, oldest_first=True)]


async def archived_threads(
    channel: discord.TextChannel | discord.ForumChannel, before: datetime | None = None
) -> list[discord.Thread]:
    """Return the threads that were archived last, or last before a time, newest first."""
    return [thread async for thread in channel.archived_threads(limit=THREADS, before=before)]


def _is_page(error: discord.HTTPException) -> bool:
    """Whether a refusal is none of Discord's, which says in JSON why: it may be over soon."""
    return not error.response.headers.get("Content-Type", "").startswith("application/json")


def _is_own(error: discord.HTTPException) -> bool:
    """Whether a 429 is Discord's, for one route; Cloudflare's is for all calls."""
    response = error.response
    return "Via" in response.headers and response.headers.get("Content-Type") == "application/json"


def _told_seconds(error: discord.HTTPException) -> float:
    least, most = BAN_SECONDS
    try:
        return min(max(least, float(error.response.headers["Retry-After"])), most)
    except (LookupError, ValueError):
        return least
