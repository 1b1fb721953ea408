"""Threads over REST and on the gateway."""

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


async def test_thread_has_the_id_of_its_message(api: Api, people: Driver, socket: Socket) -> None:
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
async def test_thread_type_depends_on_its_channel(
    api: Api, people: Driver, channel: str, kind: int
) -> None:
    answer = await start(api, people, channel)
    assert (answer.status, answer.body["type"]) == (201, kind)


async def test_second_thread_of_a_message_is_refused(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body
    path = f"/channels/{thread['parent_id']}/messages/{thread['id']}/threads"
    assert (await api.request("POST", path, {"name": "Again"})).code == 160004


async def test_thread_creation_is_refused_with_its_code(api: Api, people: Driver) -> None:
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
async def test_thread_name_needs_1_to_100_characters(
    api: Api, people: Driver, name: str | None
) -> None:
    question = await people.ask("general", "Jun", "hm?")
    path = f"/channels/{api.channels['general']}/messages/{question['id']}/threads"
    assert (await api.request("POST", path, {"name": name})).code == 50035


async def test_message_unarchives_a_thread_but_an_edit_does_not(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    message = (await api.send(thread)).body["id"]
    await people.edit_channel(thread, archived=True)
    path = f"/channels/{thread}/messages/{message}"
    assert (await api.request("PATCH", path, {"content": "x"})).code == 50083
    assert (await api.send(thread)).status == 200
    assert (await api.request("PATCH", path, {"content": "x"})).status == 200


async def test_message_in_a_locked_thread_is_refused(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    await people.edit_channel(thread, locked=True, archived=True)
    assert (await api.send(thread)).code == 160005


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"archived": True}, 204),
        ({"locked": True}, 204),
        ({"archived": True, "locked": True}, 403),
    ],
)
async def test_messages_of_an_archived_thread_can_be_deleted_unless_it_is_locked(
    api: Api, people: Driver, state: dict[str, bool], status: int
) -> None:
    thread = (await start(api, people)).body["id"]
    message = (await api.send(thread)).body["id"]
    await people.edit_channel(thread, **state)
    path = f"/channels/{thread}/messages/{message}"
    assert (await api.request("DELETE", path)).status == status


async def opened(api: Api, people: Driver, owner: str, *, locked: bool = False) -> int:
    """Return the status with which the bot opens an archived thread of *owner*."""
    thread = (await people.start_thread("general", owner, "Talk"))["id"]
    await people.edit_channel(thread, archived=True, locked=locked)
    return (await api.request("PATCH", f"/channels/{thread}", {"archived": False})).status


async def test_the_documents_contradict_each_other_about_who_opens_a_thread(
    api: Api, people: Driver
) -> None:
    """Settings choose which of them the stand-in follows."""
    await people.settings(buckets={"channel_edit": {"limit": 9}})
    assert await opened(api, people, "Jun") == 200
    assert await opened(api, people, "ChatBot", locked=True) == 403
    await people.settings(only_members_open_threads=True, owners_open_locked_threads=True)
    assert await opened(api, people, "Jun") == 403
    assert await opened(api, people, "ChatBot") == 200
    assert await opened(api, people, "ChatBot", locked=True) == 200
    assert await opened(api, people, "Jun", locked=True) == 403


async def test_message_in_a_thread_needs_its_own_permission(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    overwrite = {"target": "ChatBot", "deny": ["SEND_MESSAGES_IN_THREADS"]}
    await people.edit_channel("general", overwrites=[overwrite])
    assert (await api.send(thread)).code == 50013
    assert (await api.send("general")).status == 200


async def test_archived_thread_moves_to_the_archived_list(api: Api, people: Driver) -> None:
    thread = (await start(api, people)).body["id"]
    active = f"/guilds/{api.guild}/threads/active"
    archived = f"/channels/{api.channels['general']}/threads/archived/public"
    assert [t["id"] for t in (await api.request("GET", active)).body["threads"]] == [thread]
    await people.edit_channel(thread, archived=True)
    assert (await api.request("GET", active)).body["threads"] == []
    assert [t["id"] for t in (await api.request("GET", archived)).body["threads"]] == [thread]


async def test_deleting_a_channel_deletes_its_threads(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = (await start(api, people)).body["id"]
    await people.delete_channel("general")
    assert (await socket.event("CHANNEL_DELETE"))["d"]["id"] == api.channels["general"]
    assert (await api.send(thread)).code == 10003


async def test_thread_without_a_message_is_announced(people: Driver, socket: Socket) -> None:
    await socket.identify()
    thread = await people.start_thread("general", "Jun", "A talk")
    message = (await socket.event("MESSAGE_CREATE"))["d"]
    assert (message["type"], message["content"]) == (18, "A talk")
    assert message["message_reference"]["channel_id"] == thread["id"]


async def test_first_message_of_a_forum_post_has_the_threads_id(
    people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = await people.start_thread("help", "Jun", "Help!", content="It is broken")
    message = (await socket.event("MESSAGE_CREATE"))["d"]
    assert message["id"] == message["channel_id"] == thread["id"]
    assert message["type"] == 0


async def test_deleting_a_thread_keeps_its_message(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = (await start(api, people)).body
    await people.delete_channel(thread["id"])
    assert (await socket.event("THREAD_DELETE"))["d"]["id"] == thread["id"]
    [source] = await people.messages("general")
    assert source["id"] == thread["id"]
    assert "thread" not in source


async def test_owner_can_rename_and_archive_a_thread_but_not_lock_it(
    api: Api, people: Driver
) -> None:
    """Locking and deleting need a moderator."""
    await people.settings(buckets={"channel_edit": {"limit": 9}})
    thread = (await start(api, people)).body["id"]
    path = f"/channels/{thread}"
    assert (await api.request("PATCH", path, {"name": "Better"})).body["name"] == "Better"
    assert (await api.request("PATCH", path, {"locked": True})).code == 50013
    assert (await api.request("PATCH", path, {"rate_limit_per_user": 5})).code == 50013
    message = (await api.send(thread)).body["id"]
    archived = await api.request("PATCH", path, {"archived": True})
    assert archived.body["thread_metadata"]["archived"] is True
    assert (await api.request("PATCH", path, {"name": "Again"})).code == 50083
    reaction = f"{path}/messages/{message}/reactions/👍/@me"
    assert (await api.request("PUT", reaction)).code == 50083
    assert (await api.request("PATCH", path, {"archived": False})).status == 200
    assert (await api.request("DELETE", path)).code == 50013


async def test_private_thread_is_visible_only_to_its_members(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = await people.start_thread("general", "Jun", "Whispers", type=12)
    await people.say(thread["id"], "Jun", "secret")
    assert (await api.send(thread["id"])).code == 50001
    await people.say("general", "Jun", "open")
    assert (await socket.event("MESSAGE_CREATE"))["d"]["content"] == "open"
