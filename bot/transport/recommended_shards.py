"""Ask Discord how many shards it recommends, before there is any connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from bot.backoff import Backoff, jittered
from bot.errors import DiscordRefused
from bot.log_events import as_event
from bot.transport.reconnect import TOKEN_REFUSED

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 15.0
USER_AGENT: Final = "DiscordBot (discord-chat-bot, shards)"  # Discord requires this shape.
NO_ANSWER: Final = (
    *(aiohttp.ClientError, OSError, TimeoutError),
    *(LookupError, TypeError, ValueError),  # an answer in another shape, as from a proxy
)
BACKOFF: Final = Backoff(1.0, 60.0)


async def recommended_shards(
    api_url: str, token: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> int:
    """Return the number, as soon as Discord says it; raises DiscordRefused for a wrong token."""
    failures = 0
    while True:
        try:
            return await _ask(api_url, token)
        except NO_ANSWER as error:
            failures += 1
            pause = jittered(BACKOFF.seconds(failures))
            log.warning(
                "Cannot ask Discord how many shards it recommends, next attempt in %.0f s: %s",
                *(pause, type(error).__name__),
                extra=as_event("login_failed", outcome=type(error).__name__, wait_s=pause),
            )
            await sleep(pause)


async def _ask(api_url: str, token: str) -> int:
    """Return the number; raises one of several errors if the answer has none."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
        session.get(f"{api_url}/gateway/bot", headers=headers) as response,
    ):
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise DiscordRefused(TOKEN_REFUSED)
        response.raise_for_status()
        answer: Any = await response.json()
    shards = answer["shards"]
    if type(shards) is not int or shards < 1:  # True is an int, too.
        raise ValueError("no number")
    return shards
