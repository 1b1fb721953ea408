"""Fetch attachments from Discord's CDN, and from nowhere else."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp
import discord
import yarl

from bot.transport.concurrency import ConcurrencyLimit

log = logging.getLogger(__name__)

CDN: Final = frozenset(
    map(yarl.URL, ("https://cdn.discordapp.com", "https://media.discordapp.net"))
)
FETCH_SECONDS: Final = 20.0  # decision 011
MAX_FETCHES: Final = 4  # files in memory; decision 011


class AttachmentFetcher:
    """Fetches attachments; a stand-in serves them at the origin of *api_url*."""

    def __init__(self, api_url: str) -> None:
        self._origins = CDN | {yarl.URL(api_url).origin()}
        self._limit = ConcurrencyLimit(MAX_FETCHES)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; nothing can be fetched afterwards."""
        if self._session is not None:
            await self._session.close()

    async def fetch(
        self, attachment: discord.Attachment, max_bytes: Callable[[bytearray], int]
    ) -> bytes | None:
        """Return a file, None if it cannot be fetched.

        Reading stops once the file is longer than *max_bytes* of its beginning.
        """
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._limit.slot():
                return await self._fetched(yarl.URL(attachment.url), max_bytes)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.info("Cannot fetch attachment %d: %s", attachment.id, type(error).__name__)
            return None

    async def _fetched(self, url: yarl.URL, max_bytes: Callable[[bytearray], int]) -> bytes:
        if url.origin() not in self._origins:
            raise ValueError("not an address of Discord's CDN")
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        data = bytearray()
        async with self._session.get(url, allow_redirects=False, raise_for_status=True) as response:
            if response.status != 200:
                raise ValueError("redirected")
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > max_bytes(data):
                    break
        return bytes(data)
