"""Replace discord.py's rate limit buckets by ones that are used to their limit, never beyond it.

A bucket is what Discord counts requests in, by route and channel or guild: so many in a window of
time. Each response says how many are left and when the window ends. Known upstream as
Rapptz/discord.py#10287, a rewrite of the rate limits that is still open.
"""

import asyncio
from typing import Final

import aiohttp
import discord
from discord.http import Ratelimit

UNKNOWN_SECONDS: Final = 30.0  # discord.py waits as long for the first response of a bucket


class StrictBucket(Ratelimit):
    """A bucket that gives what it has, and refuses only if it stays empty for too long.

    discord.py 2.7 has two faults here (decision 007). It refuses to use a bucket that refills later
    than max_ratelimit_timeout, even if requests are left. If many requests wait, each one that
    wakes takes the bucket for full, and the first response overwrites the count of those in flight.
    """

    def update(self, response: aiohttp.ClientResponse, *, use_clock: bool = False) -> None:
        """Learn from a response, which does not count the requests that are still in flight."""
        taken = self.limit - self.remaining
        before = (self.limit, self.remaining, self.expires)
        try:
            super().update(response, use_clock=use_clock)
            int(self.reset_after)  # raises for infinity and NaN
        except (LookupError, ValueError, OverflowError):
            self.limit, self.remaining, self.expires = before
        else:
            self.remaining = min(self.remaining, self.limit - taken)

    async def acquire(self) -> None:
        """Take one request; raises RateLimited if none will be left for too long."""
        self._last_request = self._loop.time()
        while not self._has_one():
            seconds = UNKNOWN_SECONDS  # until there is a response
            if self.expires is not None:
                seconds = max(0.0, self.expires - self._loop.time())
            if self._max_ratelimit_timeout is not None and seconds > self._max_ratelimit_timeout:
                raise discord.RateLimited(seconds)
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._pending_requests.append(waiter)
            try:
                await asyncio.wait([waiter], timeout=seconds)
            finally:
                waiter.cancel()
        self.remaining -= 1
        self.outgoing += 1

    async def __aexit__(self, *_details: object) -> None:
        self.outgoing -= 1
        if self.expires is None:  # No response: the request may not have been counted.
            self.reset()  # type: ignore[no-untyped-call]
        self._wake(len(self._pending_requests))  # Each one that wakes checks again.

    def _has_one(self) -> bool:
        if self.is_expired():
            self.reset()  # type: ignore[no-untyped-call]
        return self.remaining > 0


def guard_buckets(client: discord.Client) -> None:
    """Let requests that began before their bucket's name was known share the bucket with the rest.

    discord.py learns the name of a route's bucket from the first response in any channel. For each
    channel in which requests wait by then, it makes a second bucket, as full as the first.
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
