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
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
TOO_MANY_REQUESTS: Final = 429
TOO_LARGE: Final = 413  # counts as Discord's answer even if a proxy gives it
# Discord: error codes. They mean a deletion with status 404 only: see `is_gone`.
UNKNOWN_CHANNEL: Final = 10003
UNKNOWN_GUILD: Final = 10004
UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_WEBHOOK: Final = 10015
UNKNOWN_INTERACTION: Final = 10062
INVALID_TOKEN: Final = 50027
# Discord: codes that say that the token of an interaction is of no use any more
TOKEN_ENDED: Final = frozenset({UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, INVALID_TOKEN})
UNKNOWN: Final = range(10001, 11000)  # Discord: codes of what it does not know
FLAGGED_AS_SPAM: Final = 20026  # Discord: the bot is flagged by the anti-spam system
# Discord: also the answer in direct messages after an outage, for some hours and at random
MISSING_ACCESS: Final = 50001
# Transient refusals. HTTP: request timeout, conflict, locked for a moment, too early
TRANSIENT_STATUSES: Final = frozenset({408, 409, 423, 425})
# Discord: sending or a feature is switched off for now, blocked by Cloudflare, overloaded
TRANSIENT_CODES: Final = frozenset({40004, 40006, 40333, 130000})
# An error 50001 in direct messages is final if it lasts so long.
DIRECT_REFUSAL_SECONDS: Final = 3600.0
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


async def call(
    request: Callable[[], Awaitable[T]], pacer: Pacer, priority: Priority, place: Any = None
) -> T:
    """Make *request* when *pacer* has a slot for it and return its result.

    *place* is the channel or guild that the request is about, on which it depends whether a refusal
    is transient. Raises discord.HTTPException if Discord refuses the request for good,
    discord.InvalidData if discord.py does not know the kind of channel, and DiscordUnavailable if
    the request fails.
    """
    async with pacer.slot(priority):
        try:
            async with asyncio.timeout(CALL_SECONDS):
                result = await request()
        except FAILURES as error:
            raise DiscordUnavailable(type(error).__name__) from error
        except discord.RateLimited as error:
            raise DiscordUnavailable(type(error).__name__, error.retry_after) from error
        except discord.HTTPException as error:
            transient = _transient(error, place, pacer)
            if transient is None:
                raise
            raise transient from error
        except discord.InvalidData:
            raise
        except GARBLED as error:
            raise DiscordUnavailable(f"garbled answer: {type(error).__name__}") from error
    if is_direct(place):
        pacer.direct_refusals.pop(place.id, None)
    return result


def is_gone(error: BaseException | None, *codes: int) -> bool:
    """Whether *error* says that something is deleted: Discord's status 404 with one of *codes*.

    Without *codes*, any code counts. With another status the codes mean something else: 403 with
    UNKNOWN_MESSAGE is a block of Discord's abuse protection. A 404 without a code says that there
    is no such route.
    """
    if not isinstance(error, discord.HTTPException) or error.status != NOT_FOUND:
        return False
    return error.code in codes if codes else error.code != 0


def is_block(error: discord.HTTPException) -> bool:
    """Whether Discord's abuse protection blocks the request, whatever it is about."""
    if error.code == FLAGGED_AS_SPAM:
        return True
    return error.status == FORBIDDEN and error.code in UNKNOWN


def is_transient(error: discord.HTTPException, place: Any = None) -> bool:
    """Whether the same request about *place* may succeed later although Discord refused it.

    During an outage of a guild, Discord may not know what is in it.
    """
    if error.status in TRANSIENT_STATUSES or error.code in TRANSIENT_CODES:
        return True
    if error.status == NOT_FOUND:
        guild = place if isinstance(place, discord.Guild) else getattr(place, "guild", None)
        return error.code == 0 or (guild is not None and guild.unavailable)
    return error.code == MISSING_ACCESS and is_direct(place)


def is_direct(channel: Any) -> bool:
    """Whether *channel* is one of direct messages, where the bot needs no permissions."""
    if isinstance(channel, discord.PartialMessageable):
        return channel.guild_id is None
    return isinstance(channel, discord.DMChannel)


def _transient(error: discord.HTTPException, place: Any, pacer: Pacer) -> DiscordUnavailable | None:
    """Return what to raise for a transient refusal, None for a final one.

    Blocks all calls of *pacer* if Cloudflare refuses them.
    """
    if error.status == TOO_MANY_REQUESTS:
        least, most = CLOUDFLARE_SECONDS
        seconds = min(max(least, retry_after(error.response.headers)), most)
        if _is_from_discord(error):  # discord.py has retried it several times.
            return DiscordUnavailable("rate limited repeatedly", seconds)
        pacer.block(seconds)
        return DiscordUnavailable("refused by Cloudflare", seconds)
    if _is_page(error) and error.status != TOO_LARGE:
        return DiscordUnavailable(f"a page with status {error.status}")
    if is_transient(error, place) and not _is_lasting(error, place, pacer):
        return DiscordUnavailable(f"status {error.status}, code {error.code}")
    return None


def _is_lasting(error: discord.HTTPException, place: Any, pacer: Pacer) -> bool:
    """Whether Discord has refused access to direct messages for so long that it is final."""
    if error.code != MISSING_ACCESS or not is_direct(place):
        return False
    now = asyncio.get_running_loop().time()
    first, last = pacer.direct_refusals.get(place.id, (now, now))
    if now - last > DIRECT_REFUSAL_SECONDS:  # longer than between two tries: a new refusal
        first = now
    pacer.direct_refusals[place.id] = (first, now)
    return now - first >= DIRECT_REFUSAL_SECONDS


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
