"""Buckets against a server that counts requests: never beyond its limit, and never stuck."""

import asyncio
import random
from types import SimpleNamespace
from typing import cast

import aiohttp
import discord
import pytest
from discord.http import Ratelimit

from bot.transport.rate_limit_buckets import StrictBucket, guard_buckets

LONGEST_SECONDS = 30.0
SOON_SECONDS = 20.0  # less than a request waits for the first response of a bucket


class Server:
    """Counts requests in windows, each of which begins with a request, as Discord does."""

    def __init__(self, limit: int, window_seconds: float) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self.refused = 0
        self._loop = asyncio.get_running_loop()
        self._used = 0
        self._over_at = 0.0

    def take(self) -> dict[str, str]:
        """Count a request; return the headers of its response."""
        now = self._loop.time()
        if now >= self._over_at:
            self._used, self._over_at = 0, now + self.window_seconds
        self._used += 1
        self.refused += self._used > self.limit
        return bucket_headers(self.limit, max(0, self.limit - self._used), self._over_at - now)


def bucket_headers(limit: object, remaining: object, reset_after: object) -> dict[str, str]:
    """Return the headers of a response about its bucket."""
    return {
        "X-Ratelimit-Limit": str(limit),
        "X-Ratelimit-Remaining": str(remaining),
        "X-Ratelimit-Reset-After": str(reset_after),
    }


def learn(bucket: StrictBucket, headers: dict[str, str]) -> None:
    """Update *bucket* with a response that has these headers."""
    bucket.update(cast("aiohttp.ClientResponse", SimpleNamespace(headers=headers)))


async def request(bucket: StrictBucket, server: Server, way: random.Random) -> None:
    """Send a request with a random latency, so that responses overtake one another."""
    async with bucket:
        await asyncio.sleep(way.uniform(0.0, 0.01))
        headers = server.take()
        await asyncio.sleep(way.uniform(0.0, 0.01))
        learn(bucket, headers)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("seed", range(4))
async def test_concurrent_requests_use_the_bucket_to_its_limit_and_no_further(
    limit: int, seed: int
) -> None:
    way = random.Random(seed)
    bucket, server = StrictBucket(LONGEST_SECONDS), Server(limit, window_seconds=0.1)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(4 * limit + 1):
            group.create_task(request(bucket, server, way))
            await asyncio.sleep(way.uniform(0.0, 0.02))
    assert server.refused == 0


async def test_a_bucket_that_refills_late_is_used_to_its_limit() -> None:
    bucket, server = StrictBucket(LONGEST_SECONDS), Server(5, window_seconds=300.0)
    sent = [request(bucket, server, random.Random(one)) for one in range(20)]
    async with asyncio.timeout(30):
        results = await asyncio.gather(*sent, return_exceptions=True)
    assert results.count(None) == 5
    assert sum(isinstance(one, discord.RateLimited) for one in results) == 15
    assert server.refused == 0


async def test_a_failed_first_request_releases_the_next_one() -> None:
    bucket = StrictBucket(LONGEST_SECONDS)

    async def fails() -> None:
        async with bucket:
            await asyncio.sleep(0.01)
            raise ConnectionError

    async with asyncio.timeout(SOON_SECONDS):
        results = await asyncio.gather(*(fails() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(one, ConnectionError) for one in results)


async def test_a_cancelled_waiter_uses_no_request() -> None:
    bucket, server = StrictBucket(LONGEST_SECONDS), Server(1, window_seconds=0.05)
    way = random.Random(1)
    waiting = [asyncio.create_task(request(bucket, server, way)) for _ in range(6)]
    await asyncio.sleep(0.01)
    for one in waiting[1:5]:
        one.cancel()
    async with asyncio.timeout(SOON_SECONDS):
        await asyncio.gather(waiting[0], waiting[5])
    assert server.refused == 0


@pytest.mark.parametrize(
    "headers",
    [
        bucket_headers("many", 0, 1),
        bucket_headers(5, "few", 1),
        bucket_headers(5, 0, "soon"),
        bucket_headers(5, 0, "nan"),
        bucket_headers(5, 0, "inf"),
        bucket_headers(5, 0, ""),
        {},
    ],
    ids=str,
)
async def test_a_response_without_valid_headers_leaves_requests_one_at_a_time(
    headers: dict[str, str],
) -> None:
    bucket = StrictBucket(LONGEST_SECONDS)
    under_way = most = 0

    async def send() -> None:
        nonlocal under_way, most
        async with bucket:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            learn(bucket, headers)
            under_way -= 1

    async with asyncio.timeout(SOON_SECONDS):
        await asyncio.gather(*(send() for _ in range(5)))
    assert most == 1


@pytest.fixture
async def client() -> discord.Client:
    return discord.Client(intents=discord.Intents.none())


async def test_requests_before_and_after_the_name_is_known_share_a_bucket(
    client: discord.Client,
) -> None:
    guard_buckets(client)
    route = "POST /channels/{channel_id}/messages"
    first = client.http.get_ratelimit(f"{route}:1")
    second = client.http.get_ratelimit(f"{route}:2")
    # as discord.py notes the name with the answer to the first
    client.http._bucket_hashes[route] = "abc"
    client.http._buckets["abc:1"] = first
    shared: list[Ratelimit] = [client.http.get_ratelimit(f"abc:{one}") for one in (1, 2, 3)]
    assert shared[:2] == [first, second]
    assert shared[2] not in (first, second)
