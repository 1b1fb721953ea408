"""Discord's rate limits as its answers tell them: a bucket is used up, and never beyond that."""

import asyncio
from typing import Final

import aiohttp
import discord
from discord.http import Ratelimit

UNKNOWN_SECONDS: Final = 30.0  # as discord.py waits for the first answer about a bucket


class FullBucket(Ratelimit):
    """A bucket that is used up, and never more than that; refuses only when it is empty for long.

    One that refills later than max_ratelimit_timeout discord.py 2.7 refuses to use at all, however
    much is left: of the threads made from one channel's messages, whose bucket lasts minutes, it
    lets one through. And where many wait, it lets them in again before it has refilled: each of
    them that wakes takes it for full, and the first answer for what was not counted yet.
    """

    def update(self, response: aiohttp.ClientResponse, *, use_clock: bool = False) -> None:
        """Learn from an answer, which does not know of what is still on its way."""
        taken = self.limit - self.remaining
        before = (self.limit, self.remaining, self.expires)
        try:
            super().update(response, use_clock=use_clock)
            int(self.reset_after)  # neither infinite nor no number
        except (LookupError, ValueError, OverflowError):
            self.limit, self.remaining, self.expires = before
        else:
            self.remaining = min(self.remaining, self.limit - taken)

    async def acquire(self) -> None:
        """Take one request; raises RateLimited where none is left for too long."""
        self._last_request = self._loop.time()
        while not self._has_one():
            seconds = self._refill_seconds()
            if self._max_ratelimit_timeout is not None and seconds > self._max_ratelimit_timeout:
                raise discord.RateLimited(seconds)
            turn: asyncio.Future[None] = self._loop.create_future()
            self._pending_requests.append(turn)
            try:
                await asyncio.wait([turn], timeout=seconds)
            finally:
                turn.cancel()
        self.remaining -= 1
        self.outgoing += 1

    async def __aexit__(self, *_details: object) -> None:
        self.outgoing -= 1
        if self.expires is None:  # No answer told of this request: it may not have been counted.
            self.reset()  # type: ignore[no-untyped-call]
        self._wake(len(self._pending_requests))  # Who is woken looks again.

    def _has_one(self) -> bool:
        if self.is_expired():
            self.reset()  # type: ignore[no-untyped-call]
        return self.remaining > 0

    def _refill_seconds(self) -> float:
        if self.expires is None:  # Nothing is known before the first answer.
            return UNKNOWN_SECONDS
        return max(0.0, self.expires - self._loop.time())


def guard_buckets(client: discord.Client) -> None:
    """Let requests of *client* that began before a bucket's name was known share it with the rest.

    discord.py learns the name of a route's bucket from the first answer, in whatever channel, and
    makes a second bucket, as full as the first, for each channel in which others wait by then.
    """
    http = client.http
    get_ratelimit = http.get_ratelimit

    def get_shared(key: str) -> Ratelimit:
        if key not in http._buckets:
            name, _, major = key.partition(":")
            for route, known in http._bucket_hashes.items():
                unnamed = http._buckets.get(f"{route}:{major}")
                if known == name and unnamed is not None:
                    http._buckets[key] = unnamed
        return get_ratelimit(key)

    http.get_ratelimit = get_shared  # type: ignore[method-assign]
