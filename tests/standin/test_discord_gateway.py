"""The gateway's protocol, frame by frame."""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientError

from tests.standin.wire import ALL_INTENTS, MESSAGE_CONTENT, Socket

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api

GUILDS_ONLY = 1


async def test_connection_starts_with_hello_ready_and_guild_create(
    people: Driver, socket: Socket
) -> None:
    assert (await socket.receive())["d"]["heartbeat_interval"] == 41250
    ready = await socket.identify()
    assert ready["user"]["id"] == people.bot_id
    assert ready["resume_gateway_url"] == people.gateway_url
    assert [guild["unavailable"] for guild in ready["guilds"]] == [True]
    guild = (await socket.event("GUILD_CREATE"))["d"]
    assert {channel["name"] for channel in guild["channels"]} >= {"general", "Lounge", "help"}
    assert [member["user"]["id"] for member in guild["members"]] == [people.bot_id]
    assert guild["member_count"] == 5


async def test_heartbeat_is_acknowledged_before_and_after_identify(socket: Socket) -> None:
    await socket.send(1, None)
    await socket.op(11)
    await socket.identify()
    await socket.send(1, 1)
    await socket.op(11)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(2, {"token": "wrong", "properties": {}, "intents": 1})], 4004),
        ([(6, {"token": "wrong", "session_id": "x", "seq": 1})], 4004),
        ([(2, "identify")], 4002),
        ([(3, {"status": "online"})], 4003),
        ([(99, None)], 4001),
        ([(1, "one")], 4007),
    ],
)
async def test_invalid_frame_closes_with_its_code(
    socket: Socket, frames: list[tuple[int, Any]], code: int
) -> None:
    for op, data in frames:
        await socket.send(op, data)
    assert await socket.close_code() == code


@pytest.mark.parametrize("text", ["{", '"text"', '{"op": "two"}'])
async def test_invalid_payload_closes_with_4002(socket: Socket, text: str) -> None:
    await socket.socket.send_str(text)
    assert await socket.close_code() == 4002


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ({"intents": 1 << 40}, 4013),
        ({"intents": "all"}, 4013),
        ({"intents": 1 << 1}, 4014),
        ({"shard": [1, 1]}, 4010),
    ],
)
async def test_invalid_identify_closes_with_its_code(
    socket: Socket, identity: dict[str, Any], code: int
) -> None:
    await socket.send_identify(**identity)
    assert await socket.close_code() == code


async def test_message_content_intent_needs_the_portal_setting(
    people: Driver, socket: Socket
) -> None:
    await people.settings(portal={"message_content": False})
    await socket.send_identify(ALL_INTENTS)
    assert await socket.close_code() == 4014


async def test_identifying_twice_closes_with_4005(socket: Socket) -> None:
    await socket.identify()
    await socket.send_identify()
    assert await socket.close_code() == 4005


async def test_sessions_may_be_held_back_while_heartbeats_are_acknowledged(
    people: Driver, socket: Socket
) -> None:
    """Discord does so in an outage; then it gives the sessions."""
    await people.gateway("hold_sessions")
    await socket.send_identify()
    await socket.send(1, None)
    await socket.op(11)
    assert not (await people.gateway_state())["connected"]
    await people.clear_faults()
    ready = (await socket.event("READY"))["d"]
    await socket.send(1, None)
    await socket.op(11)
    async with Socket(people.gateway_url, people.token) as second:
        await people.gateway("hold_sessions", seconds=0.3)
        began = time.monotonic()
        await second.send(6, {"token": people.token, "session_id": ready["session_id"], "seq": 1})
        await second.event("RESUMED")
        assert time.monotonic() - began >= 0.3


async def test_identifying_twice_during_the_wait_closes_with_4005(
    people: Driver, socket: Socket
) -> None:
    await people.gateway("hold_sessions")
    await socket.send_identify()
    await socket.send_identify()
    assert await socket.close_code() == 4005


async def test_identify_too_soon_is_an_invalid_session(people: Driver, socket: Socket) -> None:
    await people.settings(identify_interval_seconds=5)
    await socket.identify()
    async with Socket(people.gateway_url, people.token) as second:
        await second.send_identify()
        assert (await second.op(9))["d"] is False


async def test_too_many_identifies_reset_the_token(
    people: Driver, api: Api, socket: Socket
) -> None:
    await people.settings(identify_limit=0)
    await socket.send_identify()
    assert await socket.close_code() == 4004
    assert (await api.request("GET", "/users/@me")).status == 401


async def test_no_heartbeat_for_two_intervals_closes_with_4009(people: Driver) -> None:
    await people.settings(heartbeat_interval_seconds=0.05)
    async with Socket(people.gateway_url, people.token) as socket:
        assert await socket.close_code() == 4009


async def test_events_are_filtered_by_intents(people: Driver, socket: Socket) -> None:
    await socket.identify(GUILDS_ONLY)
    await people.say("general", "Jun", "not for you")
    await people.type_in("general", "Jun")
    await people.create_channel("new")
    assert await socket.events(2) == ["GUILD_CREATE", "CHANNEL_CREATE"]


async def test_events_of_a_hidden_channel_are_not_sent(people: Driver, socket: Socket) -> None:
    overwrite = {"target": "everyone", "deny": ["VIEW_CHANNEL"]}
    await people.edit_channel("general", overwrites=[overwrite])
    await people.edit_guild("Sandbox", bot_permissions=0)
    await socket.identify()
    await people.say("general", "Mina", "secret")
    await people.say("random", "Mina", "open")
    assert (await socket.event("MESSAGE_CREATE"))["d"]["content"] == "open"


async def test_content_is_blank_without_the_intent_with_exceptions(
    people: Driver, api: Api, socket: Socket
) -> None:
    await socket.identify(ALL_INTENTS & ~MESSAGE_CONTENT)
    own = (await api.send("general", "own")).body
    await people.say("general", "Jun", "secret", attachments=[{"filename": "a.txt"}])
    await people.ask("general", "Jun", "hm")
    await people.say("general", "Jun", "ping", reply_to=own["id"])
    await people.say("general", "Jun", "no ping", reply_to=own["id"], ping_reply=False)
    await people.say(await people.dm("Jun"), "Jun", "direct")
    seen = [(await socket.event("MESSAGE_CREATE"))["d"] for _ in range(6)]
    contents = [message["content"] for message in seen]
    assert contents == ["own", "", f"{people.bot_mention} hm", "ping", "", "direct"]
    assert seen[1]["attachments"] == []
    assert seen[4]["referenced_message"]["content"] == "own"


async def test_only_guild_messages_contain_the_member(people: Driver, socket: Socket) -> None:
    await socket.identify()
    await people.say("general", "Jun", "hi")
    message = (await socket.event("MESSAGE_CREATE"))["d"]
    assert "user" not in message["member"]
    assert message["guild_id"]
    await people.say(await people.dm("Jun"), "Jun", "hi")
    message = (await socket.event("MESSAGE_CREATE"))["d"]
    assert "member" not in message
    assert "guild_id" not in message


async def test_message_event_contains_the_nonce(api: Api, socket: Socket) -> None:
    await socket.identify()
    await api.send("general", nonce="n-1")
    assert (await socket.event("MESSAGE_CREATE"))["d"]["nonce"] == "n-1"


async def test_resume_replays_missed_events(people: Driver) -> None:
    async with Socket(people.gateway_url, people.token) as first:
        ready = await first.identify()
        seq = (await first.event("GUILD_CREATE"))["s"]
        await people.gateway("close", code=4000)
        assert await first.close_code() == 4000
    await people.say("general", "Jun", "while you were away")
    async with Socket(people.gateway_url, people.token) as second:
        await second.send(6, {"token": people.token, "session_id": ready["session_id"], "seq": seq})
        assert (await second.event("MESSAGE_CREATE"))["d"]["content"] == "while you were away"
        await second.event("RESUMED")
    assert (await people.gateway_state())["resumes"] == 1


@pytest.mark.parametrize("how", ["unknown", "expired", "closed by the client", "forgotten"])
async def test_resume_of_an_ended_session_is_invalid(people: Driver, how: str) -> None:
    async with Socket(people.gateway_url, people.token) as first:
        session = (await first.identify())["session_id"]
        if how in {"expired", "forgotten"}:
            await people.gateway("close", code=4000, forget_session=how == "forgotten")
            await first.close_code()
    if how == "expired":
        await people.settings(session_lifetime_seconds=0)
    if how == "unknown":
        session = "unknown"
    async with Socket(people.gateway_url, people.token) as second:
        await second.send(6, {"token": people.token, "session_id": session, "seq": 1})
        assert (await second.op(9))["d"] is False


async def test_zlib_stream_compresses_every_frame(people: Driver) -> None:
    query = "?v=10&encoding=json&compress=zlib-stream"
    async with Socket(people.gateway_url, people.token, query=query) as socket:
        await socket.identify()
        await people.say("general", "Jun", "안녕")
        assert (await socket.event("MESSAGE_CREATE"))["d"]["content"] == "안녕"
        assert socket.binary_frames == len(socket.frames)


@pytest.mark.parametrize("resumable", [True, False])
async def test_gateway_fault_sends_invalid_session(
    people: Driver, socket: Socket, resumable: bool
) -> None:
    await socket.identify()
    await people.gateway("invalid_session", resumable=resumable)
    assert (await socket.op(9))["d"] is resumable


async def test_gateway_fault_sends_reconnect(people: Driver, socket: Socket) -> None:
    await socket.identify()
    await people.gateway("reconnect")
    await socket.op(7)


async def test_silence_fault_delays_acks_and_events(people: Driver, socket: Socket) -> None:
    await socket.identify()
    await socket.event("GUILD_CREATE")
    began = time.monotonic()
    await people.gateway("silence", seconds=1.0)
    await socket.send(1, None)
    await people.say("general", "Jun", "hi")
    await socket.nothing(0.1)
    await socket.event("MESSAGE_CREATE")
    assert time.monotonic() - began >= 1.0


async def test_gateway_faults_duplicate_swallow_and_reorder_events(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    await socket.event("GUILD_CREATE")

    async def hear(count: int) -> list[str]:
        return [(await socket.event("MESSAGE_CREATE"))["d"]["content"] for _ in range(count)]

    await people.gateway("duplicate", event="MESSAGE_CREATE")
    await people.say("general", "Jun", "twice")
    assert await hear(2) == ["twice", "twice"]
    await people.gateway("swallow", event="MESSAGE_CREATE")
    await people.say("general", "Jun", "never")
    await people.gateway("reorder", count=2)
    await people.say("general", "Jun", "one")
    await people.say("general", "Jun", "two")
    assert await hear(2) == ["two", "one"]
    numbers = [frame["s"] for frame in socket.frames if frame.get("s")]
    assert numbers == sorted(set(numbers))


async def test_gateway_faults_send_raw_frames_and_malformed_events(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    await people.gateway("dispatch", t="MESSAGE_CREATE", d={"id": None})
    assert (await socket.event("MESSAGE_CREATE"))["d"] == {"id": None}
    await people.gateway("raw", text="not json")
    with pytest.raises(ValueError, match="Expecting value"):
        await socket.receive()


async def test_refuse_fault_refuses_connections_until_cleared(people: Driver) -> None:
    await people.gateway("refuse", seconds=60)
    with pytest.raises(ClientError):
        async with Socket(people.gateway_url, people.token):
            pass
    await people.clear_faults()
    async with Socket(people.gateway_url, people.token) as socket:
        await socket.identify()


async def test_guild_join_leave_and_outage_send_events(people: Driver, socket: Socket) -> None:
    await socket.identify()
    await socket.event("GUILD_CREATE")
    await people.create_guild("Second")
    assert (await socket.event("GUILD_CREATE"))["d"]["name"] == "Second"
    await people.edit_guild("Second", available=False)
    assert (await socket.event("GUILD_DELETE"))["d"]["unavailable"] is True
    await people.say("Second/general", "Mina", "nobody is told")
    async with Socket(people.gateway_url, people.token) as other:
        await other.identify()
        assert (await other.event("GUILD_CREATE"))["d"]["name"] != "Second"
        await people.edit_guild("Second", available=True)
        assert (await other.event("GUILD_CREATE"))["d"]["name"] == "Second"
    await socket.event("GUILD_CREATE")
    await people.kick("ChatBot", "Second")
    assert "unavailable" not in (await socket.event("GUILD_DELETE"))["d"]
    await people.say("Second/general", "Mina", "not for you")
    await people.say("general", "Mina", "for you")
    assert (await socket.event("MESSAGE_CREATE"))["d"]["content"] == "for you"


async def test_single_and_bulk_deletions_send_different_events(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    ids = [(await people.say("general", "Jun", str(n)))["id"] for n in range(3)]
    await people.delete("general", ids[0])
    assert (await socket.event("MESSAGE_DELETE"))["d"]["id"] == ids[0]
    await people.bulk_delete("general", ids[1:])
    assert (await socket.event("MESSAGE_DELETE_BULK"))["d"]["ids"] == ids[1:]


async def test_event_delay_setting_delays_events(people: Driver, socket: Socket) -> None:
    await socket.identify()
    await socket.event("GUILD_CREATE")
    await people.settings(event_delay_seconds=0.2)
    began = time.monotonic()
    await people.say("general", "Jun", "late")
    await socket.event("MESSAGE_CREATE")
    assert time.monotonic() - began >= 0.2


async def test_waiting_for_events_ends_when_one_happens(people: Driver) -> None:
    after = await people.last_event()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(
            people.events(after=after, types=["typing"], timeout_seconds=30)
        )
        group.create_task(people.type_in("general", "Jun"))
    [event] = watching.result()
    assert event["data"]["user_id"] == people.user_id("Jun")


async def test_request_guild_members_returns_a_chunk(people: Driver, socket: Socket) -> None:
    await socket.identify()
    guild = people.world["guilds"][0]["id"]
    ids = [people.user_id("Jun"), "1"]
    await socket.send(8, {"guild_id": guild, "user_ids": ids, "limit": 0, "nonce": "n"})
    chunk = (await socket.event("GUILD_MEMBERS_CHUNK"))["d"]
    assert [member["user"]["id"] for member in chunk["members"]] == ids[:1]
    assert (chunk["not_found"], chunk["nonce"]) == (["1"], "n")


async def test_presence_is_recorded(people: Driver, socket: Socket) -> None:
    await socket.identify()
    await socket.send(3, {"status": "idle", "activities": [], "since": None, "afk": False})
    await socket.send(1, 1)
    await socket.op(11)
    assert (await people.gateway_state())["presence"]["status"] == "idle"


async def test_over_120_frames_a_minute_close_with_4008(socket: Socket) -> None:
    await socket.identify()
    for _ in range(121):
        await socket.send(1, None)
    assert await socket.close_code() == 4008


async def test_silence_fault_can_delay_hello(people: Driver) -> None:
    await people.gateway("silence", seconds=60, new_connections=True)
    async with Socket(people.gateway_url, people.token) as socket:
        await socket.nothing(0.1)
        await people.clear_faults()
        await socket.op(10)


async def test_deaf_fault_omits_heartbeat_acks_but_sends_events(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    await people.gateway("deaf", seconds=60)
    await socket.send(1, None)
    await people.say("general", "Jun", "hi")
    await socket.event("MESSAGE_CREATE")
    assert [frame["op"] for frame in socket.frames].count(11) == 0
    await people.clear_faults()
    await socket.send(1, None)
    await socket.op(11)


async def test_refuse_resume_fault_closes_with_its_code(people: Driver) -> None:
    await people.gateway("refuse_resume", code=4007)
    resume = {"token": people.token, "session_id": "any", "seq": 1}
    async with Socket(people.gateway_url, people.token) as socket:
        await socket.send(6, resume)
        assert await socket.close_code() == 4007
    async with Socket(people.gateway_url, people.token) as socket:
        await socket.send(6, resume)
        await socket.op(9)


@pytest.mark.parametrize("interval", [0, -1, "soon", None])
async def test_hello_fault_sends_an_invalid_interval(people: Driver, interval: Any) -> None:
    await people.gateway("hello", interval=interval)
    for expected in (interval, 41250):
        async with Socket(people.gateway_url, people.token) as socket:
            assert (await socket.op(10))["d"]["heartbeat_interval"] == expected


async def test_ready_fault_changes_the_payload(people: Driver, socket: Socket) -> None:
    await people.gateway("ready", changes={"guilds": None}, drop=["user"])
    ready = await socket.identify()
    assert ready["guilds"] is None
    assert "user" not in ready


@pytest.mark.parametrize("plain", [True, False])
async def test_raw_fault_sends_invalid_bytes(people: Driver, plain: bool) -> None:
    query = "?v=10&encoding=json&compress=zlib-stream"
    async with Socket(people.gateway_url, people.token, query=query) as socket:
        await socket.identify()
        await socket.event("GUILD_CREATE")
        await people.gateway("raw", hex="ff00ff", plain=plain)
        with pytest.raises(zlib.error if plain else UnicodeDecodeError):
            await socket.receive()
