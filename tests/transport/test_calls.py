"""A call to Discord: how failures are raised, and how they slow the pacer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import discord
import pytest

from bot.transport import calls
from bot.transport.calls import (
    CALL_SECONDS,
    DIRECT_REFUSAL_SECONDS,
    MISSING_ACCESS,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    DiscordUnavailable,
    call,
    is_gone,
    messages_after,
)
from bot.transport.pacer import Pacer, Priority
from tests.doubles import run_virtually
from tests.world import GUILD, World

JSON = {"Content-Type": "application/json", "Via": "1.1 google"}
PAGE = {"Content-Type": "text/html"}


class Response:
    """The attributes that discord.py's HTTPException reads."""

    reason = "x"

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers


def refusal(status: int, headers: dict[str, str], code: int = 50035) -> discord.HTTPException:
    body = {"message": "No.", "code": code} if headers is JSON else "<html>"
    return discord.HTTPException(Response(status, headers), body)


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    async def request() -> None:
        raise error

    return request


async def outcome(error: Exception, pacer: Pacer | None = None, place: Any = None) -> Exception:
    """Return what `call` raises for a request about *place* that raises *error*."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # The caller looks at it.
        await call(failing(error), pacer or Pacer(), Priority.RESPONSE, place)
    return caught.value


async def nothing() -> None:
    pass


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
        refusal(404, JSON, 0),  # no such route, though there is one
        refusal(404, PAGE),
        refusal(408, JSON),
        refusal(409, JSON),
        refusal(423, JSON),
        refusal(403, JSON, 40333),  # blocked by Cloudflare, in Discord's own form
        refusal(400, JSON, 130000),
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
        refusal(400, JSON),
        refusal(403, JSON, 10008),  # a block: nothing is deleted
        refusal(403, JSON, 50001),
        refusal(403, JSON, 50013),
        refusal(404, JSON, 10008),
        refusal(404, JSON, 10015),
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


@pytest.mark.parametrize(
    ("status", "code", "gone"),
    [
        (404, UNKNOWN_MESSAGE, True),
        (404, UNKNOWN_CHANNEL, False),
        (404, 0, False),
        (403, UNKNOWN_MESSAGE, False),
        (400, UNKNOWN_MESSAGE, False),
        (423, UNKNOWN_MESSAGE, False),
    ],
)
def test_only_status_404_says_that_something_is_deleted(status: int, code: int, gone: bool) -> None:
    error = refusal(status, JSON, code)
    assert is_gone(error, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK) == gone
    assert is_gone(error) == (status == 404 and code != 0), "without codes, any of them counts"
    assert not is_gone(refusal(404, PAGE))
    assert not is_gone(None)
    assert not is_gone(TimeoutError())


def test_missing_access_to_direct_messages_is_believed_if_it_lasts() -> None:
    """Discord says so at random for hours after an outage; permissions do not exist there."""
    missing = refusal(403, JSON, MISSING_ACCESS)

    async def scene() -> list[type[Exception]]:
        place = World().client.get_partial_messageable(5)
        pacer = Pacer(asyncio.get_running_loop().time)
        first = type(await outcome(missing, pacer, place))
        await asyncio.sleep(DIRECT_REFUSAL_SECONDS - 1)
        before = type(await outcome(missing, pacer, place))
        await asyncio.sleep(1)
        lasting = type(await outcome(missing, pacer, place))
        await call(nothing, pacer, Priority.RESPONSE, place)
        again = type(await outcome(missing, pacer, place))
        await asyncio.sleep(DIRECT_REFUSAL_SECONDS + 1)
        much_later = type(await outcome(missing, pacer, place))
        return [first, before, lasting, again, much_later]

    passing = DiscordUnavailable
    assert run_virtually(scene()) == [passing, passing, discord.HTTPException, passing, passing]


@pytest.mark.parametrize("code", [10003, 10008])
async def test_nothing_is_deleted_in_a_guild_that_is_unavailable(code: int) -> None:
    world = World()
    error = refusal(404, JSON, code)
    assert await outcome(error, place=world.channel) is error
    world.guild.unavailable = True
    thread = world.client.get_partial_messageable(7, guild_id=GUILD)
    for place in (world.guild, world.channel, thread):
        assert isinstance(await outcome(error, place=place), DiscordUnavailable)


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
