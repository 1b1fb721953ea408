"""Users, DMs, guilds, channels and threads over REST, and the permissions for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bot.sandbox.driver import ControlError
from tests.standin.wire import code_at

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Answer, Api, Socket

NOBODY = "4"


async def thread_of(api: Api, people: Driver, **form: Any) -> Answer:
    """Let the bot create a thread without a message in #general."""
    path = f"/channels/{api.channels['general']}/threads"
    return await api.request("POST", path, {"name": "Alone"} | form)


async def test_unknown_user_is_not_found(api: Api, people: Driver) -> None:
    jun = await api.request("GET", f"/users/{people.user_id('Jun')}")
    assert (jun.body["username"], jun.body["global_name"]) == ("jun", "Jun")
    unknown = await api.request("GET", f"/users/{NOBODY}")
    assert (unknown.status, unknown.code) == (404, 10013)


async def test_bot_can_open_a_direct_message_only_with_people(api: Api, people: Driver) -> None:
    async def opened(form: Any) -> Answer:
        return await api.request("POST", "/users/@me/channels", form)

    first = await opened({"recipient_id": people.user_id("Jun")})
    assert (first.status, first.body["type"]) == (200, 1)
    assert (await opened({"recipient_id": people.user_id("Jun")})).body["id"] == first.body["id"]
    assert code_at((await opened(None)).body, "recipient_id") == "BASE_TYPE_REQUIRED"
    assert (await opened({"recipient_id": NOBODY})).code == 10013
    assert (await opened({"recipient_id": people.user_id("OtherBot")})).code == 50007


async def test_unknown_member_and_unknown_user_have_different_codes(
    api: Api, people: Driver
) -> None:
    members = f"/guilds/{api.guild}/members"
    await people.create_user("Stranger", guilds=[])
    stranger = (await people.look())["users"]["Stranger"]
    assert (await api.request("GET", f"{members}/{people.user_id('Jun')}")).status == 200
    assert (await api.request("GET", f"{members}/{stranger}")).code == 10007
    assert (await api.request("GET", f"{members}/{NOBODY}")).code == 10013


async def test_bot_has_no_access_to_a_guild_it_left(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    left = await api.request("DELETE", f"/users/@me/guilds/{api.guild}")
    assert left.status == 204
    gone = (await socket.event("GUILD_DELETE"))["d"]
    assert gone == {"id": api.guild}  # without "unavailable", as it is not an outage
    assert (await api.request("GET", "/users/@me/guilds")).body == []
    assert (await api.request("GET", f"/guilds/{api.guild}")).code == 50001
    assert (await api.request("GET", f"/guilds/{NOBODY}")).code == 10004
    assert (await api.send("general")).code == 50001


async def test_editing_a_channel_needs_manage_channels(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    path = f"/channels/{api.channels['general']}"
    assert (await api.request("PATCH", path, {"topic": "Talk"})).code == 50013
    assert (await api.request("DELETE", path)).code == 50013
    await people.permit("ChatBot", ["MANAGE_CHANNELS"])
    changed = await api.request("PATCH", path, {"topic": "Talk", "name": "talk"})
    assert (changed.body["topic"], changed.body["name"]) == ("Talk", "talk")
    assert (await socket.event("CHANNEL_UPDATE"))["d"]["topic"] == "Talk"
    deleted = await api.request("DELETE", path)
    assert (deleted.status, deleted.body["name"]) == (200, "talk")
    assert (await socket.event("CHANNEL_DELETE"))["d"]["name"] == "talk"
    assert (await api.request("GET", path)).code == 10003


async def test_deleting_a_direct_message_only_closes_it(api: Api, people: Driver) -> None:
    dm = await people.dm("Jun")
    assert (await api.request("DELETE", f"/channels/{dm}")).status == 200
    assert (await api.send(dm)).status == 200


async def test_manage_threads_allows_locking_and_deleting_threads(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    thread = (await people.start_thread("general", "Jun", "A talk"))["id"]
    path = f"/channels/{thread}"
    assert (await api.request("PATCH", path, {"name": "x"})).code == 50013
    await people.permit("ChatBot", ["MANAGE_THREADS"])
    locked = await api.request("PATCH", path, {"locked": True, "rate_limit_per_user": 5})
    assert locked.body["thread_metadata"]["locked"] is True
    assert locked.body["rate_limit_per_user"] == 5
    assert (await api.request("DELETE", path)).status == 200
    assert (await socket.event("THREAD_DELETE"))["d"]["id"] == thread
    assert (await api.request("GET", path)).code == 10003


async def test_auto_archive_duration_is_validated(api: Api, people: Driver) -> None:
    wrong = await thread_of(api, people, type=11, auto_archive_duration=61)
    assert code_at(wrong.body, "auto_archive_duration") == "BASE_TYPE_CHOICES"
    made = (await thread_of(api, people, type=11, auto_archive_duration=60)).body
    assert made["thread_metadata"]["auto_archive_duration"] == 60
    later = await api.request("PATCH", f"/channels/{made['id']}", {"auto_archive_duration": 4320})
    assert later.body["thread_metadata"]["auto_archive_duration"] == 4320


async def test_thread_without_a_message_is_private_by_default(api: Api, people: Driver) -> None:
    """API v10: `type` defaults to 12; a private thread needs a permission of its own."""
    public = await thread_of(api, people, type=11)
    assert (public.status, public.body["type"]) == (201, 11)
    assert [message["type"] for message in await people.messages("general")] == [18]
    assert (await thread_of(api, people)).code == 50013
    await people.permit("ChatBot", ["CREATE_PRIVATE_THREADS"])
    private = await thread_of(api, people)
    assert (private.status, private.body["type"]) == (201, 12)
    assert len(await people.messages("general")) == 1


async def test_forum_accepts_posts_but_no_messages(api: Api, people: Driver) -> None:
    forum = f"/channels/{api.channels['help']}"
    post = {"name": "Help!", "message": {"content": "It is broken"}}
    made = await api.request("POST", f"{forum}/threads", post)
    assert made.status == 201
    assert made.body["message"]["id"] == made.body["id"]
    assert (await api.request("POST", f"{forum}/threads", {"name": "Help!"})).code == 50006
    assert (await api.send("help")).code == 50008
    assert (await api.request("GET", f"{forum}/messages")).code == 50008


async def test_bot_can_join_and_leave_a_thread(api: Api, people: Driver, socket: Socket) -> None:
    await socket.identify()
    thread = (await people.start_thread("general", "Jun", "A talk"))["id"]
    me = f"/channels/{thread}/thread-members/@me"
    assert (await api.request("PUT", me)).status == 204
    joined = (await socket.event("THREAD_MEMBERS_UPDATE"))["d"]
    assert [member["user_id"] for member in joined["added_members"]] == [people.bot_id]
    assert (await api.request("PUT", me)).status == 204
    assert (await api.request("DELETE", me)).status == 204
    left = (await socket.event("THREAD_MEMBERS_UPDATE"))["d"]
    assert (left["removed_member_ids"], left["member_count"]) == ([people.bot_id], 1)
    assert (await api.request("DELETE", me)).status == 204
    await people.edit_channel(thread, archived=True)
    assert (await api.request("PUT", me)).code == 50083
    general = f"/channels/{api.channels['general']}/thread-members/@me"
    assert (await api.request("PUT", general)).code == 50024


async def test_thread_from_a_system_message_is_refused(api: Api, people: Driver) -> None:
    await thread_of(api, people, type=11)
    [announcement] = await people.messages("general")
    path = f"/channels/{api.channels['general']}/messages/{announcement['id']}/threads"
    answer = await api.request("POST", path, {"name": "x"})
    assert (answer.status, answer.code) == (403, 50021)


async def test_a_member_in_time_out_only_views_and_reads(
    api: Api, people: Driver, socket: Socket
) -> None:
    """Discord sends the bot its own time-out even without the members intent."""
    await socket.identify()
    sent = (await api.send("general")).body["id"]
    await people.time_out("ChatBot", 60)
    event = (await socket.event("GUILD_MEMBER_UPDATE"))["d"]
    assert event["user"]["id"] == people.bot_id
    assert event["communication_disabled_until"] is not None
    general = f"/channels/{api.channels['general']}/messages"
    assert (await api.send("general")).code == 50013
    assert (await api.request("GET", f"{general}/{sent}")).status == 200
    await people.time_out("ChatBot", 0)
    assert (await socket.event("GUILD_MEMBER_UPDATE"))["d"]["communication_disabled_until"] is None
    assert (await api.send("general")).status == 200
    await people.time_out("Jun", 60)
    with pytest.raises(ControlError, match="may not send"):
        await people.say("general", "Jun", "Hello?")


async def test_a_blocked_request_has_the_code_of_a_deleted_message(
    api: Api, people: Driver
) -> None:
    sent = (await api.send("general")).body["id"]
    await people.fault("block", method="GET", path=r"/messages/\d+$")
    path = f"/channels/{api.channels['general']}/messages/{sent}"
    blocked = await api.request("GET", path)
    assert (blocked.status, blocked.code) == (403, 10008)
    assert (await api.request("GET", path)).status == 200


async def test_thread_in_a_voice_channel_is_refused(api: Api) -> None:
    path = f"/channels/{api.channels['Lounge']}/threads"
    assert (await api.request("POST", path, {"name": "x", "type": 11})).code == 50024


async def test_archived_threads_are_listed_newest_first(api: Api, people: Driver) -> None:
    posts = [
        (await people.start_thread("help", "Jun", name, content="?"))["id"] for name in ("a", "b")
    ]
    for post in posts:
        await people.edit_channel(post, archived=True)
    path = f"/channels/{api.channels['help']}/threads/archived/public"
    listed = (await api.request("GET", path)).body
    assert [item["id"] for item in listed["threads"]] == posts[::-1]
    before = listed["threads"][0]["thread_metadata"]["archive_timestamp"]
    older = (await api.request("GET", path, params={"before": before})).body
    assert [item["id"] for item in older["threads"]] == posts[:1]
