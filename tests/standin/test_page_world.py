"""What the page shows for each entry of the stand-in's journal."""

from typing import Any

import pytest

from bot.sandbox.layout import Layout
from bot.sandbox.page.feed import Feed
from bot.sandbox.page.world import World

Json = dict[str, Any]
BOT, MINA, JUN = "11", "12", "13"
OVERVIEW: Json = {
    "bot": {"id": BOT},
    "users": {"ChatBot": BOT, "Mina": MINA, "Jun": JUN},
    "guilds": [{"id": "10", "name": "Sandbox", "roles": {"Admins": "14"}}],
}
GENERAL: Json = {"id": "20", "type": 0, "name": "general"}
THREAD: Json = {"id": "30", "type": 11, "name": "a thread", "parent_id": "20"}


@pytest.fixture
def world() -> World:
    return World(OVERVIEW, [GENERAL, {"id": "21", "type": 15, "name": "help"}])


def message(text: str = "hello", author: str = MINA, **more: Any) -> Json:
    return {
        "id": "30",
        "channel_id": "20",
        "type": 0,
        "author": {"id": author, "username": "someone", "bot": author == BOT},
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "content": text,
        "flags": 0,
        "pings": [],
        "ephemeral": False,
        "attachments": [],
        "components": [],
    } | more


def put(world: World, **more: Any) -> Json:
    [change] = world.apply("message_create", {"message": message(**more)})
    assert change["kind"] == "message"
    return dict(change["message"])


def test_message_is_escaped_and_shows_names(world: World) -> None:
    shown = put(world, text=f"<@{JUN}> <b>", edited_timestamp="2026-01-01T00:00:01+00:00")
    assert (shown["author_name"], shown["edited"], shown["by_bot"]) == ("Mina", True, False)
    assert shown["html"].strip() == '<p><span class="mention">@Jun</span> &lt;b&gt;</p>'
    assert world.snapshot()["messages"] == [shown]


def test_edit_replaces_the_message(world: World) -> None:
    put(world, text="one")
    world.apply("message_update", {"reason": "edit", "message": message("two")})
    assert [one["text"] for one in world.snapshot()["messages"]] == ["two"]


def test_deletions_remove_messages(world: World) -> None:
    put(world)
    gone = world.apply("message_delete", {"channel_id": "20", "id": "30"})
    assert gone == [{"kind": "messages_gone", "channel_id": "20", "ids": ["30"]}]
    put(world)
    world.apply("message_delete_bulk", {"channel_id": "20", "ids": ["30", "99"]})
    assert world.snapshot()["messages"] == []


def test_ephemeral_message_names_its_reader(world: World) -> None:
    asked = {"user": {"id": JUN}, "name": "reset"}
    shown = put(world, author=BOT, type=20, ephemeral=True, interaction_metadata=asked)
    assert (shown["only_for"], shown["used"]) == (JUN, "Jun used /reset")
    assert not put(world)["only_for"]


def test_thread_starts_with_its_source_message(world: World) -> None:
    source = message("the question")
    shown = put(world, text="", type=21, author=BOT, referenced_message=source)
    assert (shown["author_name"], shown["text"], shown["starts_thread"]) == (
        "Mina",
        "the question",
        True,
    )


def test_reply_shows_the_text_it_replies_to(world: World) -> None:
    source = message(f"<@{BOT}>  hi\nthere")
    reply = {"type": 19, "message_reference": {}, "referenced_message": source}
    assert put(world, **reply)["replies_to"]["text"] == "@ChatBot hi there"
    gone = put(world, **(reply | {"referenced_message": None}))
    assert gone["replies_to"]["text"] == "Original message was deleted."


def test_only_raster_images_are_shown_as_images(world: World) -> None:
    files = [
        {"id": "1", "filename": "a.png", "size": 1, "content_type": "image/png"},
        {"id": "2", "filename": "a.svg", "size": 1, "content_type": "image/svg+xml"},
        {"id": "3", "filename": "a", "size": 1},
    ]
    shown = put(world, attachments=files)["attachments"]
    assert [(one["path"], one["image"]) for one in shown] == [
        ("files/20/1", True),
        ("files/20/2", False),
        ("files/20/3", False),
    ]


def test_system_message_is_shown_as_a_notice(world: World) -> None:
    assert put(world, type=18, text="a thread")["notice"] == "Mina started a thread: a thread"
    assert world.apply("message_create", {"message": message(type=999)}) == []


def test_thread_changes_update_the_channel_list(world: World) -> None:
    world.apply("thread_create", {"thread": THREAD})
    state = {"thread_metadata": {"archived": True, "locked": False}}
    [change] = world.apply("thread_update", {"thread": THREAD | state})
    assert (change["channel"]["kind"], change["channel"]["archived"]) == ("thread", True)
    assert world.place_name("30") == "a thread"
    gone = world.apply("channel_delete", {"channel": GENERAL})
    assert gone == [{"kind": "channels_gone", "ids": ["20", "30"]}]
    assert world.place_name("30") == "a deleted channel"


def test_direct_message_belongs_to_its_person(world: World) -> None:
    dm = {"id": "40", "type": 1, "recipients": [{"id": JUN}]}
    [change] = world.apply("channel_create", {"channel": dm})
    assert (change["channel"]["person_id"], change["channel"]["name"]) == (JUN, "ChatBot")
    assert world.place_name("40") == "@Jun"


def test_is_admin_is_true_only_for_the_admin(world: World) -> None:
    assert [world.is_admin(one) for one in (MINA, JUN, BOT, "99")] == [True, False, False, False]


def test_other_journal_entries_change_nothing(world: World) -> None:
    assert world.apply("cdn_request", {"path": "/"}) == []


async def test_new_watcher_starts_with_a_snapshot(world: World) -> None:
    feed = Feed(world.snapshot)
    feed.send(world.apply("message_create", {"message": message("before")}))
    with feed.watched() as queue:
        feed.send(world.apply("message_update", {"message": message("after")}))
        first, second = queue.get_nowait(), queue.get_nowait()
        assert first is not None
        assert second is not None
        assert (first["kind"], first["messages"][0]["text"]) == ("snapshot", "before")
        assert second["message"]["text"] == "after"
        feed.end()
        assert queue.get_nowait() is None


def test_channel_of_another_server_names_it() -> None:
    """Each server has a #general; the shard of a server comes from its id."""
    other = {"id": str(5 << 22), "name": "Harbour", "roles": {}}
    overview = OVERVIEW | {"guilds": [*OVERVIEW["guilds"], other]}
    channels = [GENERAL | {"guild_id": "10"}, GENERAL | {"id": "21", "guild_id": other["id"]}]
    world = World(overview, channels, Layout(shards=4).shard_of)
    assert world.place_name("20") == "#general"
    assert world.place_name("21") == "#general of Harbour"
    assert [one["shard"] for one in world.snapshot()["guilds"]] == [0, 1]
