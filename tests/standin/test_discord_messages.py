"""Messages over REST."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.sandbox.driver import ControlError
from tests.standin.wire import code_at

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api

SUPPRESS_EMBEDS = 4
EMBED_LINKS, ATTACH_FILES = 1 << 14, 1 << 15
BUTTON = {"type": 2, "style": 1, "label": "Go on", "custom_id": "go"}


async def test_content_is_stripped_and_counted_in_code_points(api: Api) -> None:
    assert (await api.send("general", "  hi \n")).body["content"] == "hi"
    assert (await api.send("general", "🌊" * 2000)).status == 200
    refused = await api.send("general", "x" * 2001)
    assert (refused.status, refused.code) == (400, 50035)
    assert code_at(refused.body, "content") == "BASE_TYPE_MAX_LENGTH"


async def test_message_can_be_backdated_if_it_is_the_first(api: Api, people: Driver) -> None:
    old = await people.say("general", "Mina", "hi", ago_seconds=7200)
    new = await people.say("general", "Mina", "and now")
    assert (int(new["id"]) - int(old["id"])) >> 22 == pytest.approx(7_200_000, abs=60_000)
    place = f"/channels/{api.channels['general']}/messages"
    found = (await api.request("GET", f"{place}?after={old['id']}")).body
    assert [one["content"] for one in found] == ["and now"]
    with pytest.raises(ControlError):
        await people.say("general", "Mina", "too late", ago_seconds=7200)


@pytest.mark.parametrize("text", ["", "  \n "])
async def test_empty_message_is_refused(api: Api, text: str) -> None:
    assert (await api.send("general", text)).code == 50006


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"content": 5}, ("content",)),
        ({"nonce": "n" * 26}, ("nonce",)),
        ({"flags": 1 << 5}, ("flags",)),
        ({"flags": 64}, ("flags",)),
        ({"embeds": [{"description": "x" * 4097}]}, ("embeds", "0", "description")),
        ({"embeds": [{"description": "x" * 3001}] * 2}, ("embeds",)),
        ({"allowed_mentions": {"parse": ["all"]}}, ("allowed_mentions", "parse", "0")),
        ({"allowed_mentions": {"parse": ["users"], "users": ["1"]}}, ("allowed_mentions",)),
        ({"message_reference": {}}, ("message_reference", "message_id")),
        ({"message_reference": {"message_id": "1"}}, ("message_reference",)),
        ({"components": [{"type": 10, "content": "text"}]}, ("components", "0", "type")),
        (
            {"components": [{"type": 1, "components": [BUTTON | {"label": "x" * 81}]}]},
            ("components", "0", "components", "0", "label"),
        ),
        ({"components": [{"type": 1, "components": [BUTTON, BUTTON]}]}, ("components",)),
    ],
)
async def test_message_error_names_the_invalid_field(
    api: Api, body: dict[str, Any], path: tuple[str, ...]
) -> None:
    place = f"/channels/{api.channels['general']}/messages"
    refused = await api.request("POST", place, {"content": "hello"} | body)
    assert (refused.status, refused.code) == (400, 50035)
    assert code_at(refused.body, *path)


async def test_body_with_invalid_json_is_refused(api: Api) -> None:
    place = f"/channels/{api.channels['general']}/messages"
    answer = await api.request("POST", place, data="{")
    assert (answer.status, answer.code) == (400, 50109)


async def test_reused_nonce_returns_the_first_message(api: Api, people: Driver) -> None:
    first = await api.send("general", "once", nonce="n", enforce_nonce=True)
    again = await api.send("general", "twice", nonce="n", enforce_nonce=True)
    assert again.body["id"] == first.body["id"]
    assert again.body["content"] == "once"
    assert len(await people.messages("general")) == 1
    await api.send("general", "without asking for it", nonce="n")
    assert len(await people.messages("general")) == 2


async def test_nonce_expires_after_its_window(api: Api, people: Driver) -> None:
    await api.send("general", "once", nonce="n", enforce_nonce=True)
    await people.settings(nonce_window_seconds=0)
    await asyncio.sleep(0.01)  # Two messages within one millisecond would have the same time.
    await api.send("general", "twice", nonce="n", enforce_nonce=True)
    assert len(await people.messages("general")) == 2


async def test_reply_contains_its_target_and_pings_the_author(api: Api, people: Driver) -> None:
    question = await people.say("general", "Jun", "hm?")
    reference = {"message_id": question["id"]}
    answer = await api.send("general", "yes", message_reference=reference)
    assert answer.body["type"] == 19
    assert answer.body["referenced_message"]["id"] == question["id"]
    assert answer.body["message_reference"]["channel_id"] == api.channels["general"]
    [_, shown] = await people.messages("general")
    assert shown["pings"] == [people.user_id("Jun")]


async def test_reply_to_a_deleted_message_can_become_a_message(api: Api, people: Driver) -> None:
    question = await people.say("general", "Jun", "hm?")
    await people.delete("general", question["id"])
    reference = {"message_id": question["id"], "fail_if_not_exists": False}
    answer = await api.send("general", "yes", message_reference=reference)
    assert answer.body["type"] == 0
    assert "message_reference" not in answer.body


@pytest.mark.parametrize(
    ("allowed", "pings"),
    [
        (None, ["Jun", "everyone"]),
        ({"parse": []}, []),
        ({"parse": ["users"]}, ["Jun"]),
        ({"parse": ["everyone"]}, ["everyone"]),
        ({"users": []}, []),
    ],
)
async def test_allowed_mentions_decide_the_pings(
    api: Api, people: Driver, allowed: Any, pings: list[str]
) -> None:
    await people.permit("ChatBot", ["VIEW_CHANNEL", "SEND_MESSAGES", "MENTION_EVERYONE"])
    jun = people.user_id("Jun")
    more = {} if allowed is None else {"allowed_mentions": allowed}
    answer = await api.send("general", f"<@{jun}> @everyone `<@{people.user_id('Sora')}>`", **more)
    shown = await people.message("general", answer.body["id"])
    assert shown["pings"] == [jun if name == "Jun" else name for name in pings]


async def test_edit_without_allowed_mentions_pings(api: Api, people: Driver) -> None:
    quiet: dict[str, Any] = {"parse": []}
    text = f"<@{people.user_id('Jun')}>"
    message = (await api.send("general", text, allowed_mentions=quiet)).body
    path = f"/channels/{api.channels['general']}/messages/{message['id']}"
    await api.request("PATCH", path, {"content": text, "allowed_mentions": quiet})
    assert (await people.message("general", message["id"]))["pings"] == []
    await api.request("PATCH", path, {"content": text})
    assert (await people.message("general", message["id"]))["pings"] == [people.user_id("Jun")]


async def test_everyone_mention_needs_a_permission(api: Api, people: Driver) -> None:
    answer = await api.send("general", "@everyone")
    assert answer.body["mention_everyone"] is False
    assert (await people.message("general", answer.body["id"]))["pings"] == []


async def test_link_gets_an_embed_unless_suppressed(api: Api, people: Driver) -> None:
    text = "[see](https://example.org/a) <https://example.org/b> `https://example.org/c`"
    await api.send("general", text, flags=SUPPRESS_EMBEDS)
    message = (await api.send("general", text)).body
    seen = await people.wait_for_message(lambda item: bool(item["embeds"]))
    assert seen["id"] == message["id"]
    assert [embed["url"] for embed in seen["embeds"]] == ["https://example.org/a"]
    assert seen["edited_timestamp"] is None


async def test_known_embed_is_in_the_created_message(api: Api, people: Driver) -> None:
    await people.know_previews({"https://example.org/a": {"title": "A", "description": "Page"}})
    known = (await api.send("general", "https://example.org/a")).body
    assert [one["title"] for one in known["embeds"]] == ["A"]
    other = (await api.send("general", "https://example.org/a https://example.org/b")).body
    assert other["embeds"] == []
    seen = await people.wait_for_message(
        lambda item: bool(item["id"] == other["id"] and item["embeds"])
    )
    assert [one["title"] for one in seen["embeds"]] == ["A", "https://example.org/b"]


async def test_forward_contains_a_snapshot_of_its_message(api: Api, people: Driver) -> None:
    embed = {"type": "rich", "title": "Alert"}
    source = await people.say("random", "OtherBot", "Look", embeds=[embed])
    forward = await people.forward("general", "Jun", source)
    await people.edit("random", source["id"], "Look again")
    path = f"/channels/{api.channels['general']}/messages/{forward['id']}"
    seen = (await api.request("GET", path)).body
    assert (seen["type"], seen["content"], seen["flags"]) == (0, "", 1 << 14)
    assert "referenced_message" not in seen
    assert seen["message_reference"] == {
        "type": 1,
        "channel_id": api.channels["random"],
        "guild_id": api.guild,
        "message_id": source["id"],
    }
    [snapshot] = seen["message_snapshots"]
    assert (snapshot["message"]["content"], snapshot["message"]["embeds"]) == ("Look", [embed])
    assert "author" not in snapshot["message"]
    again = await people.forward("random", "Mina", seen)
    assert again["message_snapshots"] == seen["message_snapshots"]


CARDS = 1 << 15


async def test_card_of_another_bot_has_components_alone(api: Api, people: Driver) -> None:
    card = [{"type": 17, "components": [{"type": 10, "content": "Title"}]}]
    said = await people.say("general", "OtherBot", "", components=card, flags=CARDS)
    path = f"/channels/{api.channels['general']}/messages/{said['id']}"
    seen = (await api.request("GET", path)).body
    assert (seen["content"], seen["flags"]) == ("", CARDS)
    assert seen["components"][0]["components"][0]["content"] == "Title"
    forward = await people.forward("general", "Jun", said)
    assert forward["message_snapshots"][0]["message"]["components"] == seen["components"]
    for wrong in ({"embeds": [{"title": "x"}]}, {"components": [{"type": 2}]}):
        with pytest.raises(ControlError):
            await people.say(
                "general", "OtherBot", "", **({"components": card} | wrong), flags=CARDS
            )
    with pytest.raises(ControlError):
        await people.say("general", "OtherBot", "words", components=card, flags=CARDS)


async def test_people_post_polls_and_stickers(api: Api, people: Driver) -> None:
    poll = {"question": "Lunch?", "answers": ["Soup", {"text": "Rice", "emoji": "🍚"}]}
    asked = await people.say("general", "Jun", "", poll=poll)
    assert asked["poll"]["question"] == {"text": "Lunch?"}
    assert [one["answer_id"] for one in asked["poll"]["answers"]] == [1, 2]
    closed = await people.edit("general", asked["id"], "", votes={"2": 3})
    assert closed["poll"]["results"] == {
        "is_finalized": True,
        "answer_counts": [{"id": 2, "count": 3, "me_voted": False}],
    }
    assert closed["edited_timestamp"] is None
    waved = await people.say("general", "Jun", "", stickers=["Wave"])
    path = f"/channels/{api.channels['general']}/messages/{waved['id']}"
    [sticker] = (await api.request("GET", path)).body["sticker_items"]
    assert sticker["name"] == "Wave"


async def test_forward_must_have_no_content_and_a_visible_source(people: Driver) -> None:
    source = await people.say("random", "Mina", "secret")
    spec = {"channel_id": source["channel_id"], "message_id": source["id"]}
    with pytest.raises(ControlError, match="no content"):
        await people.say("general", "Jun", "Look!", forward=spec)
    deny = {"target": "everyone", "deny": ["VIEW_CHANNEL"]}
    await people.edit_channel("random", overwrites=[deny])
    with pytest.raises(ControlError, match="cannot see"):
        await people.forward("general", "Jun", source)


async def test_edit_that_clears_the_flag_enables_embeds(api: Api, people: Driver) -> None:
    message = (await api.send("general", "https://example.org", flags=SUPPRESS_EMBEDS)).body
    assert message["flags"] == SUPPRESS_EMBEDS
    path = f"/channels/{api.channels['general']}/messages/{message['id']}"
    edited = (await api.request("PATCH", path, {"content": "https://example.org"})).body
    assert edited["flags"] == SUPPRESS_EMBEDS
    await api.request("PATCH", path, {"content": "https://example.org", "flags": 0})
    seen = await people.wait_for_message(lambda item: bool(item["embeds"]))
    assert seen["flags"] == 0


async def test_message_history_is_paged_newest_first(api: Api, people: Driver) -> None:
    ids = [(await people.say("general", "Jun", str(n)))["id"] for n in range(5)]
    place = f"/channels/{api.channels['general']}/messages"

    async def page(query: str) -> list[int]:
        answer = await api.request("GET", f"{place}?{query}")
        return [ids.index(item["id"]) for item in answer.body]

    assert await page("limit=2") == [4, 3]
    assert await page(f"limit=2&before={ids[2]}") == [1, 0]
    assert await page(f"limit=2&after={ids[0]}") == [2, 1]
    assert await page(f"limit=3&around={ids[2]}") == [3, 2, 1]
    assert (await api.request("GET", f"{place}?limit=101")).code == 50035


async def test_bot_can_edit_only_its_own_messages(api: Api, people: Driver) -> None:
    theirs = await people.say("general", "Jun", "mine")
    path = f"/channels/{api.channels['general']}/messages/{theirs['id']}"
    assert (await api.request("PATCH", path, {"content": "yours"})).code == 50005
    assert (await api.request("DELETE", path)).code == 50013
    own = (await api.send("general")).body
    assert (await api.request("DELETE", path.replace(theirs["id"], own["id"]))).status == 204
    assert (await api.request("GET", path.replace(theirs["id"], own["id"]))).code == 10008


async def test_uploaded_file_is_attached_and_served_by_the_cdn(api: Api, people: Driver) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", '{"content": "", "attachments": [{"id": 0}]}')
    form.add_field("files[0]", b"data", filename="a.txt", content_type="text/plain")
    place = f"/channels/{api.channels['general']}/messages"
    message = (await api.request("POST", place, data=form)).body
    [attachment] = message["attachments"]
    assert (attachment["filename"], attachment["size"]) == ("a.txt", 4)
    assert await api.fetch(attachment["url"]) == b"data"
    [request] = await people.requests(method="POST")
    assert request["files"][0]["size"] == 4


async def test_attachment_size_can_be_false(api: Api, people: Driver) -> None:
    files = [{"filename": "a.txt", "content": "long text", "size": 1}]
    message = await people.say("general", "Jun", "", attachments=files)
    [attachment] = message["attachments"]
    assert attachment["size"] == 1
    assert await api.fetch(attachment["url"]) == b"long text"


@pytest.mark.parametrize(
    ("denied", "body", "code"),
    [
        ("VIEW_CHANNEL", {}, 50001),
        ("SEND_MESSAGES", {}, 50013),
        ("EMBED_LINKS", {"embeds": [{"title": "t"}]}, 50013),
    ],
)
async def test_denied_permission_refuses_a_message(
    api: Api, people: Driver, denied: str, body: dict[str, Any], code: int
) -> None:
    """An overwrite of the channel denies a permission that the role of the bot grants."""
    overwrite = {"target": "ChatBot", "deny": [denied]}
    await people.edit_channel("general", overwrites=[overwrite])
    answer = await api.send("general", **body)
    assert (answer.status, answer.code) == (403, code)
    assert (await api.send("random", **body)).status == 200


async def test_reply_needs_read_message_history(api: Api, people: Driver) -> None:
    question = await people.say("general", "Jun", "hm?")
    overwrite = {"target": "ChatBot", "deny": ["READ_MESSAGE_HISTORY"]}
    await people.edit_channel("general", overwrites=[overwrite])
    reference = {"message_id": question["id"]}
    assert (await api.send("general", message_reference=reference)).code == 160002
    place = f"/channels/{api.channels['general']}/messages"
    assert (await api.request("GET", place)).body == []


async def test_message_in_forum_or_closed_direct_message_is_refused(
    api: Api, people: Driver
) -> None:
    assert (await api.send("help")).code == 50008
    await people.edit_user("Sora", accepts_dms=False)
    assert (await api.send(await people.dm("Sora"))).code == 50007


async def test_unknown_ids_and_tokens_are_refused(api: Api, people: Driver) -> None:
    assert (await api.send("1")).code == 10003
    assert (await api.request("GET", "/channels/abc")).code == 50035
    wrong = await api.request("GET", "/users/@me", token="wrong")
    assert (wrong.status, wrong.body) == (401, {"message": "401: Unauthorized", "code": 0})
    assert (await people.look())["invalid_requests"] == 1


async def test_content_type_is_exactly_application_json(api: Api) -> None:
    answer = await api.request("GET", "/users/@me")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Via"]


async def test_history_is_blank_without_the_intent_with_exceptions(
    api: Api, people: Driver
) -> None:
    await people.settings(portal={"message_content": False})
    await people.say("general", "Jun", "secret")
    await people.forward("general", "Mina", await people.ask("general", "Jun", "open"))
    await api.send("general", "own")
    place = f"/channels/{api.channels['general']}/messages"
    [_, forward, *_] = (await api.request("GET", place)).body
    assert forward["message_snapshots"][0]["message"]["content"] == ""
    contents = [item["content"] for item in (await api.request("GET", place)).body]
    assert contents == ["own", "", f"{people.bot_mention} open", ""]


async def test_role_ping_needs_a_permission(api: Api, people: Driver) -> None:
    role = people.world["guilds"][0]["roles"]["Admins"]
    answer = await api.send("general", f"<@&{role}>")
    assert answer.body["mention_roles"] == [role]
    assert (await people.message("general", answer.body["id"]))["pings"] == []
    theirs = await people.say("general", "Mina", f"<@&{role}>")
    assert theirs["pings"] == [role]


async def test_reaction_can_be_added_and_removed(api: Api, people: Driver) -> None:
    await people.settings(buckets={"reaction": {"limit": 9}})
    message = (await api.send("general")).body
    path = f"/channels/{api.channels['general']}/messages/{message['id']}"
    assert (await api.request("PUT", f"{path}/reactions/👍/@me")).status == 204
    [reaction] = (await api.request("GET", path)).body["reactions"]
    assert (reaction["emoji"]["name"], reaction["count"], reaction["me"]) == ("👍", 1, True)
    assert (await api.request("DELETE", f"{path}/reactions/👍/@me")).status == 204
    assert "reactions" not in (await api.request("GET", path)).body


async def test_bulk_deletion_needs_a_permission_and_two_messages(api: Api, people: Driver) -> None:
    await people.settings(buckets={"bulk_delete": {"limit": 9}})
    ids = [(await people.say("general", "Jun", str(n)))["id"] for n in range(2)]
    path = f"/channels/{api.channels['general']}/messages/bulk-delete"
    assert (await api.request("POST", path, {"messages": ids})).code == 50013
    await people.permit("ChatBot", ["VIEW_CHANNEL", "MANAGE_MESSAGES"])
    assert (await api.request("POST", path, {"messages": ids[:1]})).code == 50016
    assert (await api.request("POST", path, {"messages": ids})).status == 204
    assert await people.messages("general") == []


async def test_file_over_the_size_limit_is_refused(api: Api) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files[0]", io.BytesIO(b"x" * (10 * 1024 * 1024 + 1)), filename="a.bin")
    place = f"/channels/{api.channels['general']}/messages"
    assert (await api.request("POST", place, data=form)).status == 413


async def test_message_in_a_voice_channel_needs_connect(api: Api, people: Driver) -> None:
    assert (await api.send("Lounge")).status == 200
    overwrite = {"target": "ChatBot", "deny": ["CONNECT"]}
    await people.edit_channel("Lounge", overwrites=[overwrite])
    lounge = api.channels["Lounge"]
    for refused in (
        await api.send("Lounge"),
        await api.request("GET", f"/channels/{lounge}/messages"),
        await api.request("POST", f"/channels/{lounge}/typing"),
    ):
        assert (refused.status, refused.code) == (403, 50001)
    assert (await api.request("GET", f"/channels/{lounge}")).status == 200
