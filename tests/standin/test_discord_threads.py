"""Threads over REST and on the gateway, as Discord makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api, Socket

HAS_THREAD = 1 << 5


async def start(api: Api, people: Driver, channel: str = "general") -> Any:
    question = await people.ask(channel, "Jun", "hm?")
    path = f"/channels/{api.channels[channel]}/messages/{question['id']}/threads"
    return await api.request("POST", path, {"name": "An answer"})


async def test_a_thread_of_a_message_has_its_id_and_points_at_it(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = (await start(api, people)).body
    created = (await socket.event("THREAD_CREATE"))["d"]
    assert created["newly_created"] is True
    assert created["id"] == thread["id"]
    source = (await socket.event("MESSAGE_UPDATE"))["d"]
    assert source["id"] == thread["id"]
    assert source["flags"] & HAS_THREAD
    assert source["thread"]["id"] == thread["id"]
    assert source["edited_timestamp"] is None
    first = (await socket.event("MESSAGE_CREATE"))["d"]
    assert (first["type"], first["channel_id"]) == (21, thread["id"])
    assert first["referenced_message"]["id"] == thread["id"]
    assert thread["owner_id"] == people.bot_id
    assert "member" in thread


@pytest.mark.parametrize(("channel", "kind"), [("general", 11), ("news", 10)])
async def test_the_kind_of_thread(api: Api, people: Driver, channel: str, kind: int) -> None:
    answer = await start(api, people, channel)
    assert (answer.status, answer.body["type"]) == (201, kind)


async def test_a_second_thread_of_a_message_is_refused(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body
    path = f"/channels/{thread['parent_id']}/messages/{thread['id']}/threads"
    assert (await api.request("POST", path, {"name": "Again"})).code == 160004


async def test_where_no_thread_can_be_made(api: Api, people: Driver) -> None:
    assert (await start(api, people, "Lounge")).code == 50024
    dm = await people.dm("Jun")
    question = await people.say(dm, "Jun", "hm?")
    path = f"/channels/{dm}/messages/{question['id']}/threads"
    assert (await api.request("POST", path, {"name": "x"})).code == 50024
    await people.settings(max_active_threads=0)
    assert (await start(api, people)).code == 160006
    overwrite = {"target": "ChatBot", "deny": ["CREATE_PUBLIC_THREADS"]}
    await people.edit_channel("general", overwrites=[overwrite])
    assert (await start(api, people)).code == 50013


@pytest.mark.parametrize("name", ["", "x" * 101, None])
async def test_a_thread_needs_a_name_of_up_to_100_characters(
    api: Api, people: Driver, name: str | None
) -> None:
    question = await people.ask("general", "Jun", "hm?")
    path = f"/channels/{api.channels['general']}/messages/{question['id']}/threads"
    assert (await api.request("POST", path, {"name": name})).code == 50035


async def test_speaking_in_an_archived_thread_opens_it_editing_does_not(
    api: Api, people: Driver
) -> None:
    thread = (await start(api, people)).body["id"]
    message = (await api.send(thread)).body["id"]
    await people.edit_channel(thread, archived=True)
    path = f"/channels/{thread}/messages/{message}"
    assert (await api.request("PATCH", path, {"content": "x"})).code == 50083
    assert (await api.request("DELETE", path)).code == 50083
    assert (await api.send(thread)).status == 200
    assert (await api.request("PATCH", path, {"content": "x"})).status == 200


async def test_a_locked_thread_takes_no_messages(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    await people.edit_channel(thread, locked=True, archived=True)
    assert (await api.send(thread)).code == 160005


async def test_speaking_in_a_thread_needs_a_permission_of_its_own(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    overwrite = {"target": "ChatBot", "deny": ["SEND_MESSAGES_IN_THREADS"]}
    await people.edit_channel("general", overwrites=[overwrite])
    assert (await api.send(thread)).code == 50013
    assert (await api.send("general")).status == 200


async def test_an_archived_thread_is_listed_as_such(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    active = f"/guilds/{api.guild}/threads/active"
    archived = f"/channels/{api.channels['general']}/threads/archived/public"
    assert [t["id"] for t in (await api.request("GET", active)).body["threads"]] == [thread]
    await people.edit_channel(thread, archived=True)
    assert (await api.request("GET", active)).body["threads"] == []
    assert [t["id"] for t in (await api.request("GET", archived)).body["threads"]] == [thread]


async def test_a_deleted_channel_takes_its_threads_along(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = (await start(api, people)).body["id"]
    await people.delete_channel("general")
    assert (await socket.event("CHANNEL_DELETE"))["d"]["id"] == api.channels["general"]
    assert (await api.send(thread)).code == 10003


async def test_a_persons_thread_without_a_message_is_announced(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = await people.start_thread("general", "Jun", "A talk")
    message = (await socket.event("MESSAGE_CREATE"))["d"]
    assert (message["type"], message["content"]) == (18, "A talk")
    assert message["message_reference"]["channel_id"] == thread["id"]


async def test_a_forum_posts_first_message_has_the_threads_id(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = await people.start_thread("help", "Jun", "Help!", content="It is broken")
    message = (await socket.event("MESSAGE_CREATE"))["d"]
    assert message["id"] == message["channel_id"] == thread["id"]
    assert message["type"] == 0


async def test_a_deleted_thread_leaves_its_message(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = (await start(api, people)).body
    await people.delete_channel(thread["id"])
    assert (await socket.event("THREAD_DELETE"))["d"]["id"] == thread["id"]
    [source] = await people.messages("general")
    assert source["id"] == thread["id"]
    assert "thread" not in source


async def test_what_the_bot_may_change_in_its_own_thread(api: Api, people: Driver) -> None:
    """The owner may rename and archive; locking is for moderators."""
    await people.settings(buckets={"channel_edit": {"limit": 9}})
    thread = (await start(api, people)).body["id"]
    path = f"/channels/{thread}"
    assert (await api.request("PATCH", path, {"name": "Better"})).body["name"] == "Better"
    assert (await api.request("PATCH", path, {"locked": True})).code == 50013
    archived = await api.request("PATCH", path, {"archived": True})
    assert archived.body["thread_metadata"]["archived"] is True
    assert (await api.request("PATCH", path, {"name": "Again"})).code == 50083
    assert (await api.request("PATCH", path, {"archived": False})).status == 200
    assert (await api.request("DELETE", path)).code == 50013


async def test_a_private_thread_is_seen_by_its_members_only(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = await people.start_thread("general", "Jun", "Whispers", type=12)
    await people.say(thread["id"], "Jun", "secret")
    assert (await api.send(thread["id"])).code == 50001
    await people.say("general", "Jun", "open")
    assert (await socket.event("MESSAGE_CREATE"))["d"]["content"] == "open"
