"""Which payloads pass as a message or an interaction, and how they are corrected."""

import copy
from typing import Any

import pytest

from bot.inbox.addressing import embedded
from bot.transport.payload_checks import (
    corrected_interaction,
    corrected_message,
    is_interaction,
    is_message,
    is_message_update,
    is_snowflake,
)
from tests.world import World

AUTHOR: dict[str, Any] = {
    "id": "42",
    "username": "mina",
    "global_name": None,
    "discriminator": "0",
    "avatar": None,
}
LEAST: dict[str, Any] = {
    "id": "6",
    "channel_id": "7",
    "type": 0,
    "content": "x",
    "author": AUTHOR,
    "mentions": [],
    "mention_roles": [],
}
MESSAGE: dict[str, Any] = {
    "id": "1574970789927583744",
    "channel_id": "7",
    "guild_id": "8",
    "type": 19,
    "content": "",
    "author": AUTHOR,
    "member": {"nick": None, "roles": []},
    "mention_roles": ["9"],
    "mentions": [{**AUTHOR, "member": {"nick": "M."}}],
    "flags": 0,
    "message_reference": {"type": 0, "channel_id": "7", "message_id": "6"},
    "referenced_message": LEAST,
    "something_of_next_year": [1, "2", None],
}
EMBED: dict[str, Any] = {
    "type": "rich",
    "title": "CPU",
    "description": "at 99 %",
    "color": 16711680,
    "timestamp": "2026-11-25T12:00:00+00:00",
    "author": {"name": "Watch", "icon_url": "https://example.org/a.png"},
    "fields": [{"name": "Host", "value": "a", "inline": True}],
    "footer": {"text": "Now"},
    "thumbnail": {"url": "https://example.org/a.png"},
}
READ = {
    "title": "CPU",
    "description": "at 99 %",
    "author": EMBED["author"],
    "fields": EMBED["fields"],
    "footer": EMBED["footer"],
}
ATTACHMENT: dict[str, Any] = {
    "id": "9",
    "filename": "a.txt",
    "size": 3,
    "url": "https://example.org/a.txt",
    "proxy_url": "https://example.org/a.txt",
    "content_type": "text/plain",
    "title": "안내",
}
STICKER: dict[str, Any] = {"id": "3", "name": "Wave", "format_type": 99}
BUTTON: dict[str, Any] = {"type": 2, "style": 5, "label": "Open", "url": "https://example.org"}
GALLERY_ITEM: dict[str, Any] = {"media": {"url": "https://example.org/a.png"}, "description": "A"}
MENU: dict[str, Any] = {"type": 3, "custom_id": "m", "options": [{"label": "A", "value": "a"}]}
CARD: dict[str, Any] = {
    "type": 17,
    "accent_color": 5,
    "components": [
        {"type": 10, "content": "Title"},
        {
            "type": 9,
            "components": [{"type": 10, "content": "Words"}],
            "accessory": {"type": 11, "media": {"url": "https://example.org"}, "description": "D"},
        },
        {"type": 1, "components": [BUTTON]},
        {"type": 1, "components": [MENU]},
        {"type": 12, "items": [GALLERY_ITEM]},
        {"type": 13, "file": {"url": "https://example.org/a"}, "name": "b.txt"},
        {"type": 14},
        {"type": 99, "components": [{"type": 10, "content": "New"}]},
    ],
}
POLL: dict[str, Any] = {
    "question": {"text": "Lunch?"},
    "answers": [
        {"answer_id": 1, "poll_media": {"text": "Soup", "emoji": {"id": None, "name": "🍲"}}},
        {"answer_id": 2, "poll_media": {"text": "Rice"}},
    ],
    "expiry": None,
    "allow_multiselect": False,
    "layout_type": 1,
    "results": {
        "is_finalized": True,
        "answer_counts": [{"id": 2, "count": 3, "me_voted": False}],
    },
}
TOLD_CARD = "⟦card⟧\nTitle\nWords\nD\n[Open](https://example.org)\n- A\nA\nb.txt\nNew"
FORWARDED: dict[str, Any] = {
    "type": 19,
    "content": "Look",
    "mentions": [],
    "mention_roles": [],
    "attachments": [ATTACHMENT],
    "embeds": [EMBED],
    "timestamp": "2026-11-25T12:00:00+00:00",
    "edited_timestamp": None,
    "flags": 0,
    "components": [CARD],
    "sticker_items": [STICKER],
}
NONSENSE: list[Any] = [
    None,
    5,
    "x",
    True,
    [],
    {},
    [None],
    [5],
    ["x"],
    [[]],
    {"message": None},
    [{}],
]
INTERACTION: dict[str, Any] = {
    "id": "1",
    "application_id": "2",
    "token": "a.b",
    "type": 2,
    "channel_id": "7",
    "locale": "ko",
    "channel": {"id": "7", "type": 0},
    "guild_id": "8",
    "member": {"user": AUTHOR, "permissions": "32", "nick": None},
    "data": {"name": "system", "options": [{"name": "prompt", "type": 3, "value": "x"}]},
}
ASK: dict[str, Any] = {
    "name": "ask",
    "options": [
        {"name": "question", "type": 3, "value": "x"},
        {"name": "private", "type": 5, "value": False},
    ],
}
ABOUT: dict[str, Any] = {
    "name": "Ask about this",
    "type": 3,
    "target_id": LEAST["id"],
    "resolved": {"messages": {LEAST["id"]: LEAST}},
}
FIELD: dict[str, Any] = {"type": 4, "custom_id": "field", "value": ""}
FORM: dict[str, Any] = {
    "custom_id": "form",
    "components": [
        {"type": 1, "components": [FIELD]},
        {"type": 18, "component": FIELD},
    ],
}
TYPED: dict[str, Any] = INTERACTION | {
    "type": 4,
    "data": {
        "name": "model",
        "options": [
            {"name": "scope", "type": 3, "value": "server"},
            {"name": "model", "type": 3, "value": "gp", "focused": True},
        ],
    },
}
DIRECT: dict[str, Any] = {
    "user": AUTHOR,
    **{key: value for key, value in INTERACTION.items() if key not in {"guild_id", "member"}},
}


def test_payloads_of_discord_pass() -> None:
    assert is_message(MESSAGE)
    assert is_message(LEAST)
    assert is_message(MESSAGE | {"referenced_message": None, "guild_id": None})
    assert is_message_update({"id": "1", "channel_id": "2", "guild_id": "3", "embeds": []})
    assert is_interaction(INTERACTION)
    button = {"custom_id": "button", "component_type": 2}
    assert is_interaction(INTERACTION | {"type": 3, "data": button})
    assert is_interaction(INTERACTION | {"type": 5, "data": FORM})
    assert is_interaction(DIRECT)
    assert is_interaction(TYPED)
    assert is_interaction(DIRECT | {"type": 4, "data": TYPED["data"]})
    assert is_interaction(changed(TYPED, ("data", "options", 0, "focused"), False))
    older = {"name": "reset", "type": 1, "options": [{"name": "now", "type": 1, "options": []}]}
    assert is_interaction(INTERACTION | {"data": older})
    brought = {"context": 2, "authorizing_integration_owners": {"1": "42"}}
    among_people = DIRECT | brought | {"channel": {"id": "7", "type": 3, "recipients": [AUTHOR]}}
    for data in (ASK, ABOUT):
        assert is_interaction(INTERACTION | {"data": data})
        assert is_interaction(among_people | {"data": data})


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("id",), None),
        (("id",), "12a"),
        (("id",), 10**40),
        (("channel_id",), "٣"),
        (("content",), None),
        (("content",), 5),
        (("type",), "0"),
        (("type",), True),
        (("author",), None),
        (("author", "username"), 3),
        (("author", "global_name"), []),
        (("author", "avatar"), 1),
        (("mention_roles",), None),
        (("mention_roles", 0), "x"),
        (("member", "nick"), {}),
        (("mentions",), None),
        (("mentions", 0), "42"),
        (("mentions", 0, "member"), []),
        (("message_reference", "message_id"), "x"),
        (("referenced_message", "content"), None),
        (("flags",), "many"),
    ],
)
def test_a_message_with_one_invalid_field_fails(way: tuple[Any, ...], value: Any) -> None:
    assert not is_message(changed(MESSAGE, way, value))
    assert not is_message_update(changed(MESSAGE, way, value))


@pytest.mark.parametrize("name", LEAST)
def test_a_message_without_a_required_field_fails(name: str) -> None:
    assert not is_message({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("token",), None),
        (("token",), ""),
        (("token",), "../../channels/1"),
        (("type",), None),
        (("data",), []),
        (("data", "name"), []),
        (("data", "options"), {}),
        (("data", "options", 0, "name"), ["x"]),
        (("data", "options", 0, "value"), 5),
        (("data", "options", 0, "type"), 6),
        (("data", "type"), 99),
        (("locale",), None),
        (("locale",), 5),
        (("channel",), None),
        (("channel", "id"), str(10**19)),
        (("member",), None),
        (("member", "user"), None),
        (("member", "permissions"), "-1"),
        (("member", "permissions"), None),
        (("guild_id",), None),
        (("type",), 4),
        (("type",), 5),
    ],
)
def test_an_interaction_with_one_invalid_field_fails(way: tuple[Any, ...], value: Any) -> None:
    assert not is_interaction(changed(INTERACTION, way, value))


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("data", "options"), []),
        (("data", "options"), None),
        (("data", "options", 1, "focused"), False),
        (("data", "options", 1, "focused"), 1),
        (("data", "options", 1, "focused"), "true"),
        (("data", "options", 1, "value"), 5),
        (("data", "options", 1, "value"), None),
        (("data", "options", 1, "type"), 4),
        (("data", "options", 0, "focused"), True),
        (("data", "options", 0, "focused"), None),
        (("data", "name"), None),
        (("data",), {"name": "model"}),
        (("member",), None),
        (("token",), "../1"),
    ],
)
def test_an_autocomplete_with_one_invalid_field_fails(way: tuple[Any, ...], value: Any) -> None:
    assert not is_interaction(changed(TYPED, way, value))


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("custom_id",), None),
        (("components",), None),
        (("components", 0, "type"), "1"),
        (("components", 0, "components"), FIELD),
        (("components", 0, "components", 0, "value"), None),
        (("components", 1, "component"), [FIELD]),
        (("components", 1, "component", "custom_id"), 1),
    ],
)
def test_a_modal_with_one_invalid_field_fails(way: tuple[Any, ...], value: Any) -> None:
    assert not is_interaction(INTERACTION | {"type": 5, "data": changed(FORM, way, value)})


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("options", 1, "value"), "true"),
        (("options", 1, "value"), 1),
        (("options", 1, "value"), None),
        (("options", 1, "type"), 3),
        (("options", 1, "type"), None),
        (("options", 0, "value"), True),
    ],
)
def test_a_boolean_option_is_true_or_false(way: tuple[Any, ...], value: Any) -> None:
    assert not is_interaction(INTERACTION | {"data": changed(ASK, way, value)})


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("target_id",), None),
        (("target_id",), "7"),
        (("target_id",), ["6"]),
        (("resolved",), None),
        (("resolved",), []),
        (("resolved", "messages"), None),
        (("resolved", "messages"), {}),
        (("resolved", "messages"), [LEAST]),
        (("resolved", "messages", "6"), None),
        (("resolved", "messages", "6"), LEAST | {"id": "8"}),
        (("resolved", "messages", "6"), LEAST | {"content": None}),
        (("resolved", "messages", "6"), LEAST | {"author": {}}),
    ],
)
def test_a_command_on_a_message_contains_the_message(way: tuple[Any, ...], value: Any) -> None:
    assert not is_interaction(INTERACTION | {"data": changed(ABOUT, way, value)})


def test_a_direct_interaction_has_a_user_and_no_member() -> None:
    assert not is_interaction(DIRECT | {"member": INTERACTION["member"]})
    assert not is_interaction({key: value for key, value in DIRECT.items() if key != "user"})


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_a_payload_that_is_not_an_object_fails(data: Any) -> None:
    assert not any(check(data) for check in (is_message, is_message_update, is_interaction))


def test_only_the_used_fields_of_embeds_and_forwards_are_kept() -> None:
    corrected = corrected_message(
        MESSAGE | {"embeds": [EMBED], "message_snapshots": [{"message": FORWARDED}]}
    )
    assert corrected["embeds"] == [READ]
    [snapshot] = corrected["message_snapshots"]
    assert snapshot["message"]["embeds"] == [READ]
    assert snapshot["message"]["attachments"] == [ATTACHMENT]
    assert snapshot["message"]["content"] == "Look"
    assert corrected_message(MESSAGE) == MESSAGE


@pytest.mark.parametrize(
    "way",
    [
        ("embeds",),
        ("attachments",),
        *(("attachments", 0, name) for name in ATTACHMENT),
        ("message_snapshots",),
        ("message_snapshots", 0, "message"),
        *(("embeds", 0, name) for name in EMBED),
        *(("message_snapshots", 0, "message", name) for name in FORWARDED),
        *(("message_snapshots", 0, "message", "attachments", 0, name) for name in ATTACHMENT),
        *(("referenced_message", "embeds", 0, name) for name in EMBED),
        ("components",),
        ("components", 0),
        *(("components", 0, name) for name in CARD),
        *(
            ("components", 0, "components", number, name)
            for number, component in enumerate(CARD["components"])
            for name in component
        ),
        *(("components", 0, "components", 2, "components", 0, name) for name in BUTTON),
        *(("components", 0, "components", 3, "components", 0, name) for name in MENU),
        *(("components", 0, "components", 4, "items", 0, name) for name in GALLERY_ITEM),
        *(("sticker_items", 0, name) for name in STICKER),
        ("poll",),
        *(("poll", name) for name in POLL),
        *(("poll", "question", name) for name in POLL["question"]),
        ("poll", "answers", 0),
        *(("poll", "answers", 0, name) for name in POLL["answers"][0]),
        *(("poll", "answers", 0, "poll_media", name) for name in ("text", "emoji")),
        *(("poll", "results", name) for name in POLL["results"]),
        *(("poll", "results", "answer_counts", 0, name) for name in ("id", "count", "me_voted")),
    ],
)
def test_an_invalid_embed_or_forward_does_not_lose_the_message(way: tuple[Any, ...]) -> None:
    """discord.py parses the message, and its valid fields can be read."""
    message: dict[str, Any] = LEAST | {
        "embeds": [EMBED],
        "attachments": [ATTACHMENT],
        "message_snapshots": [{"message": FORWARDED}],
        "components": [CARD],
        "sticker_items": [STICKER],
        "poll": POLL,
        "message_reference": {"type": 0, "channel_id": "200", "message_id": "6"},
        "referenced_message": LEAST | {"embeds": [EMBED]},
    }
    for value in NONSENSE:
        garbled = changed(message, way, value)
        assert is_message(garbled)
        taken = World().say("x", **corrected_message(garbled))
        embedded(taken)
        assert taken.content == "x"


def test_cards_polls_and_stickers_of_any_kind_are_kept() -> None:
    """discord.py would fail on the poll without end and the sticker of a new format."""
    beside = {"components": [CARD], "poll": POLL, "sticker_items": [STICKER]}
    taken = World().say("", **corrected_message(LEAST | beside))
    poll = "⟦poll, closed⟧\nLunch?\n- 🍲 Soup: 0 votes\n- Rice: 3 votes"
    assert embedded(taken) == f"{TOLD_CARD}\n⟦sticker Wave⟧\n{poll}"
    forward = corrected_message(LEAST | {"message_snapshots": [{"message": FORWARDED}]})
    assert embedded(World().say("", **forward)).endswith(f"{TOLD_CARD}\n⟦sticker Wave⟧")


def test_components_are_read_to_a_bounded_depth() -> None:
    nested: dict[str, Any] = {"type": 10, "content": "deep"}
    for _ in range(500):
        nested = {"type": 17, "components": [nested]}
    assert corrected_message(LEAST | {"components": [nested]})["components"] == []


def test_the_message_that_a_command_is_about_is_corrected() -> None:
    about = changed(ABOUT, ("resolved", "messages", "6"), LEAST | {"poll": POLL})
    corrected = corrected_interaction(INTERACTION | {"data": about})
    assert corrected["data"]["resolved"]["messages"]["6"]["poll"]["expiry"] is not None


def test_optional_fields_of_a_message_are_filled_in() -> None:
    file = {name: value for name, value in ATTACHMENT.items() if name != "proxy_url"}
    taken = World().say("x", **corrected_message(LEAST | {"member": None, "attachments": [file]}))
    [attachment] = taken.attachments
    assert attachment.proxy_url == attachment.url == ATTACHMENT["url"]


def test_ids_may_be_numbers() -> None:
    assert is_snowflake(0)
    assert is_snowflake(2**63 - 1)
    assert not any(map(is_snowflake, [2**63, str(2**63), -1, True, 1.0, "", "-1", None]))


def changed(payload: dict[str, Any], way: tuple[Any, ...], value: Any) -> dict[str, Any]:
    *above, last = way
    whole = copy.deepcopy(payload)
    holder: Any = whole
    for key in above:
        holder = holder[key]
    holder[last] = value
    return whole
