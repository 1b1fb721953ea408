"""Shards: which connection hears what, how many IDENTIFYs pass, which numbers are refused."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.standin.wire import ALL_INTENTS, Api, Bot, Socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.driver import Driver

ASK = {
    "name": "ask",
    "description": "Ask",
    "contexts": [0, 1, 2],
    "integration_types": [0, 1],
    "options": [{"type": 3, "name": "text", "description": "What", "required": True}],
}


@asynccontextmanager
async def shards(people: Driver, total: int) -> AsyncIterator[list[Socket]]:
    """Yield a connection for each shard, all identified."""
    async with AsyncExitStack() as stack:
        sockets = []
        for shard in range(total):
            socket = Socket(people.gateway_url, people.token)
            sockets.append(await stack.enter_async_context(socket))
            await socket.identify(shard=[shard, total])
        yield sockets


async def hearers(people: Driver, sockets: list[Socket], event: str) -> list[int]:
    """Return the shards that received *event* before an event that all receive."""
    await people.gateway("dispatch", t="MARK", d={})
    heard = []
    for shard, socket in enumerate(sockets):
        await socket.event("MARK")
        if any(frame.get("t") == event for frame in socket.frames):
            heard.append(shard)
    return heard


async def test_gateway_bot_recommends_shards_and_names_the_concurrency(
    people: Driver, api: Api
) -> None:
    await people.settings(shards=4, max_concurrency=2)
    answer = (await api.request("GET", "/gateway/bot")).body
    assert answer["shards"] == 4
    assert answer["session_start_limit"]["max_concurrency"] == 2


@pytest.mark.parametrize("shard", [0, 1, 2])
async def test_guild_belongs_to_one_shard(people: Driver, shard: int) -> None:
    """Discord: (guild_id >> 22) % num_shards."""
    guild = await people.create_guild("Owned", shard=[shard, 3])
    assert (int(guild["id"]) >> 22) % 3 == shard
    async with shards(people, 3) as sockets:
        await people.say(guild["channels"]["general"], "Jun", "hello")
        assert await hearers(people, sockets, "MESSAGE_CREATE") == [shard]


async def test_direct_message_goes_to_the_first_shard(people: Driver) -> None:
    async with shards(people, 3) as sockets:
        await people.say(await people.dm("Jun"), "Jun", "hello")
        assert await hearers(people, sockets, "MESSAGE_CREATE") == [0]


@pytest.mark.parametrize(("knob", "shard"), [(0, 0), (1, 1), (5, 2), (-1, 2)])
async def test_command_in_a_foreign_guild_goes_to_the_chosen_shard(
    people: Driver, api: Api, knob: int, shard: int
) -> None:
    await people.settings(foreign_shard=knob)
    guild = await people.create_guild("Elsewhere", with_bot=False, shard=[2, 3])
    await people.edit_user("Jun", installed_bot=True)
    async with shards(people, 3) as sockets:
        assert (await Bot(api, sockets[0], people).register(ASK)).status == 200
        await people.command(guild["channels"]["general"], "Jun", "ask", {"text": "hi"})
        assert await hearers(people, sockets, "INTERACTION_CREATE") == [shard]


@pytest.mark.parametrize("shard", [0, 1])
async def test_command_in_a_guild_of_the_bot_goes_to_the_shard_of_the_guild(
    people: Driver, api: Api, shard: int
) -> None:
    await people.settings(foreign_shard=1 - shard)
    guild = await people.create_guild("Owned", shard=[shard, 2])
    await people.edit_user("Jun", installed_bot=True)
    async with shards(people, 2) as sockets:
        assert (await Bot(api, sockets[0], people).register(ASK)).status == 200
        await people.command(guild["channels"]["general"], "Jun", "ask", {"text": "hi"})
        assert await hearers(people, sockets, "INTERACTION_CREATE") == [shard]


@pytest.mark.parametrize(
    ("concurrency", "admitted"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (16, [0, 1, 2, 3])]
)
async def test_one_identify_passes_for_each_rate_limit_key(
    people: Driver, concurrency: int, admitted: list[int]
) -> None:
    """Discord: rate_limit_key = shard_id % max_concurrency, one every 5 s; op 9 above that."""
    await people.settings(identify_interval_seconds=5, max_concurrency=concurrency)
    passed = []
    async with AsyncExitStack() as stack:
        for shard in range(4):
            socket = await stack.enter_async_context(Socket(people.gateway_url, people.token))
            await socket.send_identify(ALL_INTENTS, shard=[shard, 4])
            frame: Any = None
            while frame is None or frame["op"] not in {0, 9}:
                frame = await socket.receive()
            if frame["op"] == 0:
                passed.append(shard)
    assert passed == admitted


async def test_rate_limit_key_is_free_again_after_the_interval(people: Driver) -> None:
    await people.settings(identify_interval_seconds=0.2)
    async with shards(people, 1):
        await asyncio.sleep(0.25)
        async with Socket(people.gateway_url, people.token) as second:
            await second.identify(shard=[1, 2])


@pytest.mark.parametrize(("total", "refused"), [(1, True), (2, False)])
async def test_too_many_guilds_for_a_shard_close_with_4011(
    people: Driver, socket: Socket, total: int, refused: bool
) -> None:
    for shard in range(2):
        await people.create_guild("Owned", shard=[shard, 2])
    await people.settings(guilds_per_shard=2)
    await socket.send_identify(shard=[0, total])
    if refused:
        assert await socket.close_code() == 4011
        assert not (await people.gateway_state())["sessions"]
    else:
        await socket.event("READY")


async def test_wrong_number_of_shards_closes_with_4010(people: Driver, socket: Socket) -> None:
    """Discord: bots in more than 150,000 guilds may use only multiples of a number."""
    await people.settings(shard_multiple=16)
    await socket.send_identify(shard=[0, 24])
    assert await socket.close_code() == 4010


async def test_global_limit_counts_the_requests_of_all_shards(people: Driver) -> None:
    """Discord: 50 requests a second for the whole bot, however many shards it has."""
    await people.settings(global_limit=4)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Api(people)) for _ in range(3)]
        asked = [client.request("GET", "/users/@me") for client in clients for _ in range(2)]
        statuses = [answer.status for answer in await asyncio.gather(*asked)]
    assert sorted(statuses) == [200] * 4 + [429] * 2


async def test_journal_and_state_name_the_shard(people: Driver) -> None:
    async with shards(people, 2):
        state = await people.gateway_state()
        assert sorted(session["shard"] for session in state["sessions"]) == [[0, 2], [1, 2]]
    for kind in ("gateway_identify", "gateway_ready"):
        entries = await people.events(types=[kind])
        assert [entry["data"]["shard"] for entry in entries] == [[0, 2], [1, 2]]


async def test_fault_of_the_gateway_strikes_one_shard(people: Driver) -> None:
    async with shards(people, 2) as sockets:
        await people.gateway("close", code=4000, shard=1)
        assert await sockets[1].close_code() == 4000
        assert await hearers(people, sockets[:1], "RESUMED") == []
