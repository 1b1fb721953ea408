"""People join, leave, write and type; the bot gets the events that Discord sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bot.sandbox.driver import ControlError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api, Socket

GUILDS, MEMBERS = 1 << 0, 1 << 1


async def refused(status: int, action: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(ControlError) as refusal:
        await action
    assert refusal.value.status == status


async def test_unknown_names_and_ids_get_404(people: Driver) -> None:
    await refused(404, people.say("general", "Nobody", "hi"))
    await refused(404, people.say("nowhere", "Jun", "hi"))
    await refused(404, people.kick("Jun", guild="Nowhere"))
    await refused(404, people.message("general", "1"))
    await refused(404, people.interaction("1"))


async def test_events_can_be_filtered_by_channel(people: Driver) -> None:
    message = await people.say("general", "Jun", "hi")
    dm = await people.dm("Mina")
    await people.say(dm, "Mina", "hello")
    here = await people.events(about=message["channel_id"])
    assert [event["data"]["message"]["content"] for event in here] == ["hi"]
    seen = await people.wait_for_message(lambda _: True, channel=dm)
    assert seen["content"] == "hello"


async def test_kick_removes_a_member_and_sends_an_event(
    api: Api, people: Driver, socket: Socket
) -> None:
    await people.settings(portal={"members": True})
    await socket.identify(GUILDS | MEMBERS)
    await people.kick("Jun")
    gone = (await socket.event("GUILD_MEMBER_REMOVE"))["d"]
    assert gone["user"]["id"] == people.user_id("Jun")
    path = f"/guilds/{api.guild}/members/{people.user_id('Jun')}"
    assert (await api.request("GET", path)).code == 10007
    await refused(409, people.say("general", "Jun", "hi"))
    await people.kick("Jun")
    await people.invite("Jun")
    assert (await people.say("general", "Jun", "hi"))["content"] == "hi"


async def test_bot_can_be_kicked_and_invited_again(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    await people.kick("ChatBot")
    assert (await socket.event("GUILD_DELETE"))["d"] == {"id": api.guild}
    assert (await api.send("general")).code == 50001
    await people.invite("ChatBot")
    assert (await socket.event("GUILD_CREATE"))["d"]["id"] == api.guild
    await people.invite("ChatBot")
    assert (await api.send("general")).status == 200


async def test_role_permissions_and_overwrites_control_writing(api: Api, people: Driver) -> None:
    """An overwrite of the channel wins over the permissions of roles."""
    view_only = 1 << 10
    await people.edit_guild("Sandbox", everyone_permissions=view_only)
    await refused(409, people.say("general", "Jun", "hi"))
    assert (await api.send("general")).status == 200
    await people.edit_guild("Sandbox", bot_permissions=0)
    assert (await api.send("general")).code == 50013
    opened = {"target": "everyone", "allow": ["SEND_MESSAGES"]}
    await people.edit_channel("general", overwrites=[opened])
    assert (await people.say("general", "Jun", "hi"))["content"] == "hi"
    assert (await api.send("general")).status == 200


async def test_typing_event_contains_the_member_only_in_guilds(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    await people.type_in("general", "Jun")
    event = (await socket.event("TYPING_START"))["d"]
    assert event["member"]["user"]["id"] == event["user_id"] == people.user_id("Jun")
    dm = await people.dm("Jun")
    await people.type_in(dm, "Jun")
    event = (await socket.event("TYPING_START"))["d"]
    assert event["channel_id"] == dm
    assert "member" not in event
    assert "guild_id" not in event


async def test_only_moderators_can_write_in_a_locked_thread(people: Driver) -> None:
    thread = (await people.start_thread("general", "Jun", "A talk"))["id"]
    await people.edit_channel(thread, locked=True)
    await refused(409, people.say(thread, "Jun", "hi"))
    assert (await people.say(thread, "Mina", "hi"))["content"] == "hi"


async def test_deletion_in_direct_message_or_thread_sends_an_event(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    dm = await people.dm("Jun")
    message = await people.say(dm, "Jun", "hi")
    await people.delete(dm, message["id"])
    gone = (await socket.event("MESSAGE_DELETE"))["d"]
    assert gone == {"id": message["id"], "channel_id": dm}
    thread = (await people.start_thread("general", "Jun", "A talk"))["id"]
    message = await people.say(thread, "Jun", "hi")
    await people.delete(thread, message["id"])
    [after] = await people.threads("general")
    assert (after["message_count"], after["total_message_sent"]) == (0, 1)


async def test_typed_mention_resolves_only_existing_people(people: Driver) -> None:
    typed = await people.say("general", "Jun", "@Sora and @Nobody", as_typed=True)
    assert typed["content"] == f"<@{people.user_id('Sora')}> and @Nobody"
    assert [user["id"] for user in typed["mentions"]] == [people.user_id("Sora")]


async def test_person_can_refuse_direct_messages(api: Api, people: Driver) -> None:
    dm = await people.dm("Jun")
    await people.edit_user("Jun", accepts_dms=False)
    assert (await api.send(dm)).code == 50007
    await people.edit_user("Jun", accepts_dms=True)
    assert (await api.send(dm)).status == 200
