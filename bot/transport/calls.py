"""Call Discord's REST API: paced, with a deadline, temporary failures as one exception."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import aiohttp
import discord

from bot.backoff import retry_after
from bot.errors import BotError
from bot.transport.pacer import Pacer, Priority

CALL_SECONDS: Final = 45.0  # discord.py may wait up to 30 s for a bucket within one call.
TOO_MANY_REQUESTS: Final = 429
TOO_LARGE: Final = 413  # counts as Discord's answer even if a proxy gives it
# Discord: error codes
UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_GUILD: Final = 10004
UNKNOWN_MESSAGE: Final = 10008
MISSING_ACCESS: Final = 50001
# The shortest and the longest wait after a 429 of Cloudflare, whatever it asks for.
CLOUDFLARE_SECONDS: Final = (5.0, 300.0)
MESSAGES: Final = 100  # Discord: messages in one page
THREADS: Final = 100  # Discord: threads in one page
T = TypeVar("T")

FAILURES: Final = (discord.DiscordServerError, aiohttp.ClientError, OSError, TimeoutError)
# What discord.py raises if the body of a successful response is not what it expects, for example a
# proxy's page. Its own ClientException is for values that contradict each other.
GARBLED: Final = (TypeError, LookupError, ValueError, AttributeError, discord.ClientException)


class DiscordUnavailable(BotError):
    """Discord does not respond now, or not readably; it may after *retry_after* seconds."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after


async def call(request: Callable[[], Awaitable[T]], pacer: Pacer, priority: Priority) -> T:
    """Make *request* when *pacer* has a slot for it and return its result.

    Raises discord.HTTPException if Discord refuses the request, discord.InvalidData if discord.py
    does not know the kind of channel, and DiscordUnavailable if the request fails.
    """
    async with pacer.slot(priority):
        try:
            async with asyncio.timeout(CALL_SECONDS):
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
            least, most = CLOUDFLARE_SECONDS
            seconds = min(max(least, retry_after(error.response.headers)), most)
            if _is_from_discord(error):  # discord.py has retried it several times.
                raise DiscordUnavailable("rate limited repeatedly", seconds) from error
            pacer.block(seconds)
            raise DiscordUnavailable("refused by Cloudflare", seconds) from error
        except discord.InvalidData:
            raise
        except GARBLED as error:
            raise DiscordUnavailable(f"garbled answer: {type(error).__name__}") from error


async def messages_after(channel: Any, after_id: int) -> list[discord.Message]:
    """Return the next page of messages in *channel*, oldest first; the last one is not full."""
    after = discord.Object(after_id)
    history = channel.history(limit=MESSAGES, after=after, oldest_first=True)
    return [message async for message in history]


async def archived_threads(
    channel: discord.TextChannel | discord.ForumChannel, before: datetime | None
) -> list[discord.Thread]:
    """Return a page of the threads that were archived last, or last before a time, newest first."""
    return [thread async for thread in channel.archived_threads(limit=THREADS, before=before)]


def _is_page(error: discord.HTTPException) -> bool:
    """Whether a refusal came from something in between: Discord gives its reason as JSON."""
    return not error.response.headers.get("Content-Type", "").startswith("application/json")


def _is_from_discord(error: discord.HTTPException) -> bool:
    """Whether a 429 came from Discord, for one route; one of Cloudflare is for all calls."""
    response = error.response
    return "Via" in response.headers and response.headers.get("Content-Type") == "application/json"
