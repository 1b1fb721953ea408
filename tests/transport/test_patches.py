"""The changes of discord.py: malformed events and responses, the global rate limit."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest
from discord.webhook.async_ import AsyncWebhookAdapter

from bot.sandbox.discord.server import serving
from bot.sandbox.discord.state import State
from bot.sandbox.driver import Driver
from bot.transport import patches
from bot.transport.pacer import Pacer, Priority
from bot.transport.patches import RateLimitTrace, ReopeningEvent
from tests.doubles import PATIENCE_SECONDS, run_virtually
from tests.world import World


def test_the_global_rate_limit_gate_opens_by_itself() -> None:
    async def scene() -> None:
        gate = ReopeningEvent(lambda: 5.0)
        gate.set()
        gate.clear()
        assert not gate.is_set()
        await asyncio.wait_for(gate.wait(), 6)
        gate.clear()
        await asyncio.sleep(3)
        gate.clear()
        await asyncio.sleep(3)
        assert not gate.is_set(), "the later closing counts"
        gate.set()
        await asyncio.sleep(6)
        assert gate.is_set()

    run_virtually(scene())


async def give_up_at_the_limit(client: discord.Client, people: Driver) -> None:
    """Look for somebody, and give up when the global limit has closed the gate."""
    looking = asyncio.create_task(client.fetch_user(int(people.user_id("Mina"))))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while client.http._global_over.is_set():  # noqa: ASYNC110  # a gate tells who waits for it to open
            await asyncio.sleep(0.01)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_a_request_cancelled_during_a_global_limit_does_not_block_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patches, "GLOBAL_LIMIT_SECONDS", 1.0)
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        async with discord.Client(intents=discord.Intents.none()) as client:
            await client.login(people.token)
            patches.guard_global_limit(client)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=20, **everywhere)
            await give_up_at_the_limit(client, people)
            user = await asyncio.wait_for(client.fetch_user(int(people.user_id("Mina"))), 15)
            assert user.name


async def test_the_gate_opens_after_retry_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        trace = RateLimitTrace(Pacer())
        intents = discord.Intents.none()
        async with discord.Client(intents=intents, http_trace=trace) as client:
            await client.login(people.token)
            patches.guard_global_limit(client)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=1, **everywhere)
            await give_up_at_the_limit(client, people)
            user = await asyncio.wait_for(client.fetch_user(int(people.user_id("Mina"))), 15)
            assert user.name
            assert trace.global_limit_seconds() == patches.GLOBAL_LIMIT_SECONDS, "told once"


async def test_a_long_global_limit_blocks_the_pacer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        pacer, intents = Pacer(), discord.Intents.none()
        async with discord.Client(
            intents=intents, max_ratelimit_timeout=30, http_trace=RateLimitTrace(pacer)
        ) as client:
            await client.login(people.token)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=40, **everywhere)
            with pytest.raises(discord.RateLimited):
                await client.fetch_user(int(people.user_id("Mina")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), pacer.slot(Priority.FINAL):
                raise AssertionError("a call went while Discord takes none")


async def test_the_global_limit_of_one_shard_holds_the_calls_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Discord's limit is for the whole bot, and whoever goes on is banned in the end."""
    async with serving(State()) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        pacer, intents = Pacer(), discord.Intents.none()
        async with discord.Client(intents=intents, http_trace=RateLimitTrace(pacer)) as client:
            await client.login(people.token)
            everywhere: dict[str, Any] = {"global": True}
            await people.fault("rate_limit", path="/users/", retry_after=2, **everywhere)
            call = asyncio.create_task(client.fetch_user(int(people.user_id("Mina"))))
            await until_hit(people)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5), pacer.slot(Priority.FINAL):
                    raise AssertionError("a call went while Discord takes none")
            async with asyncio.timeout(15), pacer.slot(Priority.FINAL):
                await call


async def until_hit(people: Driver) -> None:
    """Return once a request has met the fault, and its response has arrived."""
    async with asyncio.timeout(15):
        while not any(fault["hits"] for fault in await people.faults()):  # noqa: ASYNC110  # asks a process
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)


class Connection:
    """The part of discord.py's connection that has the parsers."""

    def __init__(self, parse: Callable[[Any], None]) -> None:
        self.parsers = {"MESSAGE_CREATE": parse, "READY": parse, "TYPING_START": parse}


def guarded_parsers(parse: Callable[[Any], None]) -> dict[str, Callable[[Any], None]]:
    connection = Connection(parse)
    patches.guard_parsers(cast("discord.Client", SimpleNamespace(_connection=connection)))
    return connection.parsers


def test_a_malformed_event_is_skipped_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    parsed: list[object] = []
    parsers = guarded_parsers(parsed.append)
    parsers["MESSAGE_CREATE"]({"id": "no id"})
    parsers["TYPING_START"]({"anything": "else"})
    assert parsed == [{"anything": "else"}]
    assert caplog.messages == ["Skip malformed MESSAGE_CREATE event: MalformedEvent"]


def test_an_event_that_discord_py_cannot_parse_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_data: object) -> None:
        raise KeyError("secret")

    guarded_parsers(fail)["TYPING_START"]({})
    assert caplog.messages == ["Skip malformed TYPING_START event: KeyError"]


def test_ready_is_not_guarded() -> None:
    """A connection without its data is of no use."""

    def fail(_data: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        guarded_parsers(fail)["READY"]({})


@pytest.mark.parametrize("several", [False, True])
async def test_the_embeds_in_a_response_are_corrected(several: bool) -> None:
    message = {"id": "1", "channel_id": "2", "embeds": [{"title": "T", "color": "no colour"}]}

    async def request(_route: object, **_options: object) -> object:
        return [message, {"id": "3"}] if several else message

    http = SimpleNamespace(request=request)
    patches.guard_responses(cast("discord.Client", SimpleNamespace(http=http)))
    corrected = message | {"embeds": [{"title": "T"}]}
    expected = [corrected, {"id": "3"}] if several else corrected
    assert await http.request("route") == expected


@pytest.mark.parametrize("steps", range(5))
async def test_closing_ends_the_wait_for_guilds_even_if_one_arrives(
    world: World, steps: int
) -> None:
    """`asyncio.wait_for` of Python 3.11 ignores a cancellation if its result is there."""
    state, dispatched = world.state, list[str]()
    state.dispatch = lambda event, *_: dispatched.append(event)
    state._ready_state = asyncio.Queue()
    state._ready_task = waiting = asyncio.create_task(state._delay_ready())
    await asyncio.sleep(0)
    state._ready_state.put_nowait(world.guild)
    for _ in range(steps):
        await asyncio.sleep(0)
    await patches.close(world.client)
    assert waiting.done()
    assert "ready" not in dispatched


@pytest.mark.parametrize(
    ("statuses", "attempts", "answered"),
    [([409, 423], 3, True), ([423] * 3, 3, False), ([400], 1, False)],
)
async def test_a_response_to_an_interaction_is_retried_after_a_transient_refusal(
    monkeypatch: pytest.MonkeyPatch, statuses: list[int], attempts: int, answered: bool
) -> None:
    """As long as Discord still takes it, and not for ever."""
    tried = list[tuple[object, ...]]()

    async def respond(_self: object, *ids: object, **_body: object) -> str:
        tried.append(ids)
        if len(tried) <= len(statuses):
            response: Any = SimpleNamespace(status=statuses[len(tried) - 1], reason="")
            raise discord.HTTPException(response, {"code": 0, "message": "No."})
        return "taken"

    monkeypatch.setattr(AsyncWebhookAdapter, "create_interaction_response", respond)
    monkeypatch.setattr(patches, "RESPONSE_RETRY_SECONDS", (0.0, 0.0))
    adapter: Any = patches.ResponseAdapter()  # type: ignore[no-untyped-call]
    with nullcontext() if answered else pytest.raises(discord.HTTPException):
        assert await adapter.create_interaction_response(5, "token") == "taken"
    assert tried == [(5, "token")] * attempts
