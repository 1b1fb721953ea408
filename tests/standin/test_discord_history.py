"""Existing messages: replies, edits, deletions, reactions and files."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.standin.wire import code_at

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Answer, Api, Socket

SUPPRESS_EMBEDS = 1 << 2
EPOCH_MS = 1420070400000
FORTNIGHT_MS = 14 * 86400 * 1000


def place(api: Api, channel: str, *parts: str) -> str:
    return "/".join(["/channels", api.channels.get(channel, channel), "messages", *parts])


async def upload(api: Api, *names: str, method: str = "POST", path: str, payload: str) -> Answer:
    form = aiohttp.FormData()
    for index, name in enumerate(names):
        form.add_field(f"files[{index}]", name.encode(), filename=name)
    form.add_field("payload_json", payload, content_type="application/json")
    return await api.request(method, path, data=form)


async def test_nonce_matches_only_within_its_window(api: Api, people: Driver) -> None:
    await people.settings(nonce_window_seconds=0.05)
    first = await api.send("general", "once", nonce="n", enforce_nonce=True)
    await asyncio.sleep(0.06)
    await people.say("general", "Jun", "later")
    second = await api.send("general", "twice", nonce="n", enforce_nonce=True)
    assert second.body["id"] != first.body["id"]


async def test_reply_to_a_message_in_another_channel_is_refused(api: Api, people: Driver) -> None:
    source = await people.say("random", "Jun", "hi")
    reference = {"message_id": source["id"], "channel_id": source["channel_id"]}
    answer = await api.send("general", message_reference=reference)
    assert code_at(answer.body, "message_reference") == "REPLIES_CANNOT_REFERENCE_OTHER_CHANNEL"
    assert (await api.send("random", message_reference=reference)).body["type"] == 19


async def test_reply_to_a_system_message_is_refused(api: Api, people: Driver) -> None:
    await people.start_thread("general", "Jun", "A talk")
    [announcement] = await people.messages("general")
    answer = await api.send("general", message_reference={"message_id": announcement["id"]})
    assert code_at(answer.body, "message_reference") == "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE"


async def test_moderator_can_edit_only_flags_of_others_messages(api: Api, people: Driver) -> None:
    message = await people.say("general", "Jun", "see https://example.org")
    path = place(api, "general", message["id"])
    assert (await api.request("PATCH", path, {"flags": SUPPRESS_EMBEDS})).code == 50005
    await people.permit("ChatBot", ["MANAGE_MESSAGES"])
    changed = await api.request("PATCH", path, {"flags": SUPPRESS_EMBEDS})
    assert changed.body["flags"] & SUPPRESS_EMBEDS
    assert (await api.request("PATCH", path, {"content": "x"})).code == 50005


@pytest.mark.parametrize(
    ("name", "filename", "title"),
    [
        ("notes_1.txt", "notes_1.txt", None),
        ("hello (world).png", "hello_world.png", "hello (world)"),
        ("전시부스 참가사 안내.pdf", r"[0-9a-f]{16}\.pdf", "전시부스 참가사 안내"),
        ("이름만", r"[0-9a-f]{16}", "이름만"),
    ],
)
async def test_file_name_is_replaced_and_kept_as_title(
    people: Driver, name: str, filename: str, title: str | None
) -> None:
    """Discord has only safe characters in `filename`."""
    file = {"filename": name, "content": "x"}
    [attachment] = (await people.say("general", "Jun", "", attachments=[file]))["attachments"]
    assert re.fullmatch(filename, attachment["filename"])
    assert attachment.get("title") == title


async def test_edit_keeps_named_attachments_and_adds_new_ones(api: Api) -> None:
    made = await upload(api, "a.txt", "b.txt", path=place(api, "general"), payload="{}")
    assert [item["filename"] for item in made.body["attachments"]] == ["a.txt", "b.txt"]
    path = place(api, "general", made.body["id"])
    untouched = await api.request("PATCH", path, {"content": "Files"})
    assert len(untouched.body["attachments"]) == 2
    kept = made.body["attachments"][1]["id"]
    payload = f'{{"attachments": [{{"id": "{kept}"}}]}}'
    edited = await upload(api, "c.txt", method="PATCH", path=path, payload=payload)
    assert [item["filename"] for item in edited.body["attachments"]] == ["b.txt", "c.txt"]
    cleared = await api.request("PATCH", path, {"attachments": []})
    assert cleared.body["attachments"] == []
    assert (await api.request("PATCH", path, {"content": ""})).code == 50006


async def test_upload_with_invalid_json_payload_is_refused(api: Api) -> None:
    answer = await upload(api, "a.txt", path=place(api, "general"), payload="{")
    assert (answer.status, answer.code) == (400, 50109)


async def test_bot_cannot_delete_messages_of_others(api: Api, people: Driver) -> None:
    dm = await people.dm("Jun")
    theirs = await people.say(dm, "Jun", "hi")
    assert (await api.request("DELETE", place(api, dm, theirs["id"]))).code == 50003
    other = await people.say("general", "Jun", "hi")
    assert (await api.request("DELETE", place(api, "general", other["id"]))).code == 50013
    thread = await people.start_thread("general", "Jun", "A talk", message_id=other["id"])
    [starter] = await people.messages(thread["id"])
    assert (await api.request("DELETE", place(api, thread["id"], starter["id"]))).code == 50021


async def test_bulk_deletion_sends_one_event(api: Api, people: Driver, socket: Socket) -> None:
    await socket.identify()
    await people.permit("ChatBot", ["MANAGE_MESSAGES"])
    ids = [(await people.say("general", "Jun", text))["id"] for text in ("a", "b")]
    path = place(api, "general", "bulk-delete")
    assert (await api.request("POST", path, {"messages": ids})).status == 204
    deleted = (await socket.event("MESSAGE_DELETE_BULK"))["d"]
    assert sorted(deleted["ids"]) == sorted(ids)
    assert await people.messages("general") == []


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        (None, 50035),
        (["Jun", "Mina"], 50035),
        (["1"], 50016),
        ([str((int(time.time() * 1000) - EPOCH_MS - FORTNIGHT_MS - 1000) << 22)] * 2, 50034),
    ],
)
async def test_invalid_bulk_deletion_is_refused(
    api: Api, people: Driver, ids: Any, code: int
) -> None:
    """Two to a hundred messages of the last two weeks."""
    await people.permit("ChatBot", ["MANAGE_MESSAGES"])
    path = place(api, "general", "bulk-delete")
    assert (await api.request("POST", path, {"messages": ids})).code == code


async def test_bulk_deletion_in_a_direct_message_is_refused(api: Api, people: Driver) -> None:
    path = place(api, await people.dm("Jun"), "bulk-delete")
    assert (await api.request("POST", path, {"messages": ["1", "2"]})).code == 50003


async def test_repeated_reaction_requests_send_one_event(
    api: Api, people: Driver, socket: Socket
) -> None:
    await socket.identify()
    await people.settings(buckets={"reaction": {"limit": 9}})
    dm = await people.dm("Jun")
    message = await people.say(dm, "Jun", "hi")
    path = place(api, dm, message["id"], "reactions", "🌊", "@me")
    for method in ("PUT", "PUT", "DELETE", "DELETE"):
        assert (await api.request(method, path)).status == 204
    added = (await socket.event("MESSAGE_REACTION_ADD"))["d"]
    assert added["emoji"] == {"id": None, "name": "🌊"}
    assert "guild_id" not in added
    assert (await socket.op(0))["t"] == "MESSAGE_REACTION_REMOVE"
    await socket.nothing(0.03)
    assert "reactions" not in (await people.message(dm, message["id"]))


async def test_bots_reaction_does_not_affect_other_reactions(
    api: Api, people: Driver, discord_state: State
) -> None:
    await people.settings(buckets={"reaction": {"limit": 9}})
    message = await people.say("general", "Jun", "hi")
    channel = discord_state.world.channels[int(api.channels["general"])]
    jun = int(people.user_id("Jun"))
    reactions = channel.messages[int(message["id"])].reactions
    reactions.update({chr(0x1F600 + number): [jun] for number in range(20)})

    async def react(method: str, emoji: str) -> Answer:
        path = place(api, "general", message["id"], "reactions", emoji, "@me")
        return await api.request(method, path)

    assert (await react("PUT", "🌊")).code == 30010
    assert (await react("PUT", "\U0001f600")).status == 204
    assert (await react("DELETE", "\U0001f600")).status == 204
    assert reactions["\U0001f600"] == [jun]


async def test_unknown_message_is_not_found(api: Api) -> None:
    for method, body in (("GET", None), ("PATCH", {"content": "x"}), ("DELETE", None)):
        answer = await api.request(method, place(api, "general", "1"), body)
        assert (answer.status, answer.code) == (404, 10008)


async def test_cdn_serves_redirects_and_misses_files(api: Api, people: Driver) -> None:
    target = await people.say(
        "general", "Jun", "", attachments=[{"filename": "a.bin", "content_base64": "AAE="}]
    )
    url = target["attachments"][0]["url"]
    assert await api.fetch(url) == b"\x00\x01"
    moved = await people.say(
        "general", "Jun", "", attachments=[{"filename": "b.txt", "redirect_to": url}]
    )
    assert await api.fetch(moved["attachments"][0]["url"]) == b"\x00\x01"
    elsewhere = await people.say("general", "Jun", "", attachments=[{"url": "http://x.invalid/"}])
    assert elsewhere["attachments"][0]["url"] == "http://x.invalid/"
    missing = await api.fetch(f"{people.cdn_url}/1/1/a.txt")
    assert missing == b"This content is no longer available."


async def test_images_have_dimensions_and_can_be_removed(api: Api, people: Driver) -> None:
    files = [
        {"filename": "a.png", "content_base64": "AAE=", "width": 3, "height": 2, "zeros": 4},
        {"filename": "b.txt", "content": "b"},
    ]
    message = await people.say("general", "Jun", "Look", attachments=files)
    picture, text = message["attachments"]
    assert (picture["width"], picture["height"], picture["size"]) == (3, 2, 6)
    assert "width" not in text
    assert await api.fetch(picture["url"]) == b"\x00\x01\0\0\0\0"
    edited = await people.edit("general", message["id"], "Look", attachments=[text["id"]])
    assert [one["filename"] for one in edited["attachments"]] == ["b.txt"]
    assert await api.fetch(picture["url"]) == b"This content is no longer available."
    assert await api.fetch(text["url"]) == b"b"
