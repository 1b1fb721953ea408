"""Read from Discord's REST API: no changes, and a request again only if Discord asks to wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, Self

import aiohttp

from bot.backoff import retry_after

REQUEST_SECONDS: Final = 10.0
MAX_WAITS: Final = 2  # of one request
LONGEST_WAIT_SECONDS: Final = 3.0
AT_ONCE: Final = 5  # Discord: 50 requests a second, which the running bot needs, too
USER_AGENT: Final = "DiscordBot (discord-chat-bot, doctor)"  # Discord requires this shape.
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
RATE_LIMITED: Final = 429


class Problem(NamedTuple):
    """Why a request failed: in words, and by Discord's status and code, 0 if it did not answer.

    *wait_seconds* is how long it asks to wait.
    """

    text: str
    status: int = 0
    code: int = 0
    wait_seconds: float = 0.0


class DiscordApi:
    """Reads what *token* may see. *clock_skew* is how far this machine's clock is ahead."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.clock_skew: float | None = None
        self._session = session
        self._url = url
        self._slots = asyncio.Semaphore(AT_ONCE)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: str) -> AsyncIterator[Self]:
        """Open the connections; leaving the block closes them."""
        headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            yield cls(session, url)

    async def get(self, path: str, **query: str | int) -> Any:
        """Return the JSON at *path*, or the Problem with it.

        Discord lets a bot read a list of servers once a second, so a short wait is no problem.
        """
        for _ in range(MAX_WAITS):
            answer = await self._get(path, query)
            is_limited = isinstance(answer, Problem) and answer.status == RATE_LIMITED
            if not is_limited or answer.wait_seconds > LONGEST_WAIT_SECONDS:
                return answer
            await asyncio.sleep(answer.wait_seconds)
        return await self._get(path, query)

    async def _get(self, path: str, query: Mapping[str, str | int]) -> Any:
        try:
            async with (
                self._slots,
                self._session.get(
                    f"{self._url}{path}", params=query, allow_redirects=False
                ) as response,
            ):
                self._read_clock(response.headers.get("Date", ""))
                if response.status == RATE_LIMITED:
                    seconds = retry_after(response.headers)
                    text = f"Discord limits the rate of requests; it asks to wait {seconds:.0f} s"
                    return Problem(text, response.status, wait_seconds=seconds)
                body = await response.json(content_type=None)
                if response.ok and isinstance(body, dict | list):
                    return body
                code = body.get("code", 0) if isinstance(body, dict) else 0
                return Problem(f"status {response.status}, code {code}", response.status, code)
        except TimeoutError:
            return Problem(f"no answer within {REQUEST_SECONDS:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Problem(_words(error))
        except ValueError:  # no JSON, as from a proxy
            return Problem(f"status {response.status}, and no JSON", response.status)

    def _read_clock(self, date: str) -> None:
        """Compare the clocks. The header Date has whole seconds."""
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        self.clock_skew = time.time() - theirs


def _words(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    strerror = getattr(cause, "strerror", None)
    return str(strerror) if strerror else type(error).__name__
