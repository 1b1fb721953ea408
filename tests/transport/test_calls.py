"""A call to Discord: how failures are raised, and how they slow the pacer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import discord
import pytest

from bot.transport import calls
from bot.transport.calls import CALL_SECONDS, DiscordUnavailable, call, messages_after
from bot.transport.pacer import Pacer, Priority
from tests.doubles import run_virtually

JSON = {"Content-Type": "application/json", "Via": "1.1 google"}
PAGE = {"Content-Type": "text/html"}


class Response:
    """The attributes that discord.py's HTTPException reads."""

    reason = "x"

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers


def refusal(status: int, headers: dict[str, str]) -> discord.HTTPException:
    return discord.HTTPException(Response(status, headers), "refused")


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    async def request() -> None:
        raise error

    return request


async def outcome(error: Exception, pacer: Pacer | None = None) -> Exception:
    """Return what `call` raises for a request that raises *error*."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # The caller looks at it.
        await call(failing(error), pacer or Pacer(), Priority.RESPONSE)
    return caught.value


async def test_the_result_of_a_request_is_returned() -> None:
    async def request() -> str:
        return "created"

    assert await call(request, Pacer(), Priority.RESPONSE) == "created"


@pytest.mark.parametrize(
    "error",
    [
        discord.DiscordServerError(Response(503, JSON), "unavailable"),
        aiohttp.ClientConnectionError(),
        OSError(),
        TimeoutError(),
        discord.RateLimited(40.0),
        refusal(403, PAGE),
        refusal(429, JSON),
        KeyError("id"),
        discord.ClientException("values that contradict each other"),
    ],
    ids=repr,
)
async def test_a_temporary_failure_becomes_unavailable(error: Exception) -> None:
    """So does a page from something in between, and a response that cannot be parsed."""
    raised = await outcome(error)
    assert isinstance(raised, DiscordUnavailable)
    assert raised.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        refusal(403, JSON),
        refusal(404, JSON),
        refusal(413, PAGE),  # A proxy refuses a large file for good, too.
        discord.InvalidData("an unknown kind of channel"),
    ],
    ids=repr,
)
async def test_a_refusal_by_discord_is_raised_unchanged(error: Exception) -> None:
    assert await outcome(error) is error


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (discord.RateLimited(40.0), 40.0),
        (refusal(429, JSON | {"Retry-After": "12"}), 12.0),
        (refusal(429, PAGE | {"Retry-After": "0"}), 5.0),
        (refusal(429, PAGE | {"Retry-After": "9999"}), 300.0),
        (refusal(429, PAGE), 5.0),
        (refusal(429, PAGE | {"Retry-After": "soon"}), 5.0),
    ],
    ids=repr,
)
async def test_a_rate_limit_has_its_retry_after(error: Exception, seconds: float) -> None:
    raised = await outcome(error)
    assert isinstance(raised, DiscordUnavailable)
    assert raised.retry_after == seconds


@pytest.mark.parametrize(("headers", "blocked"), [(JSON, 0.0), (PAGE, 30.0)])
def test_only_a_rate_limit_of_cloudflare_blocks_all_calls(
    headers: dict[str, str], blocked: float
) -> None:
    async def request() -> None:
        pass

    async def scene() -> float:
        loop = asyncio.get_running_loop()
        pacer = Pacer(loop.time)
        await outcome(refusal(429, headers | {"Retry-After": "30"}), pacer)
        began = loop.time()
        await call(request, pacer, Priority.FINAL)
        return loop.time() - began

    assert run_virtually(scene()) == pytest.approx(blocked)


def test_a_call_without_a_response_ends_at_its_deadline() -> None:
    async def scene() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(DiscordUnavailable, match="TimeoutError"):
            await call(asyncio.Event().wait, Pacer(loop.time), Priority.RESPONSE)
        return loop.time()

    assert run_virtually(scene()) == pytest.approx(CALL_SECONDS)


async def test_a_page_of_messages_begins_after_an_id() -> None:
    class Channel:
        async def history(self, **options: Any) -> AsyncIterator[str]:
            assert options.pop("after").id == 7
            assert options == {"limit": calls.MESSAGES, "oldest_first": True}
            for message in ("8", "9"):
                yield message

    assert await messages_after(Channel(), 7) == ["8", "9"]
