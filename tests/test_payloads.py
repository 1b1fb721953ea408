"""What passes for a message or an interaction, and what does not."""

import copy
from typing import Any

import pytest

from bot.payloads import is_interaction, is_message, is_message_update, is_snowflake

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
INTERACTION: dict[str, Any] = {
    "id": "1",
    "application_id": "2",
    "token": "a.b",
    "type": 2,
    "channel_id": "7",
    "data": {"name": "system", "options": [{"name": "prompt", "type": 3, "value": "x"}]},
}


def test_what_discord_sends_passes() -> None:
    assert is_message(MESSAGE)
    assert is_message(LEAST)
    assert is_message(MESSAGE | {"referenced_message": None, "guild_id": None})
    assert is_message_update({"id": "1", "channel_id": "2", "guild_id": "3", "embeds": []})
    assert is_interaction(INTERACTION)
    assert is_interaction(INTERACTION | {"data": {"custom_id": "button", "component_type": 2}})


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
def test_one_field_of_nonsense_spoils_a_message(way: tuple[Any, ...], value: Any) -> None:
    assert not is_message(changed(MESSAGE, way, value))
    assert not is_message_update(changed(MESSAGE, way, value))


@pytest.mark.parametrize("name", LEAST)
def test_a_message_lacks_none_of_these(name: str) -> None:
    assert not is_message({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("token",), None),
        (("type",), None),
        (("data",), []),
        (("data", "name"), []),
        (("data", "options"), {}),
        (("data", "options", 0, "name"), ["x"]),
    ],
)
def test_one_field_of_nonsense_spoils_an_interaction(way: tuple[Any, ...], value: Any) -> None:
    assert not is_interaction(changed(INTERACTION, way, value))


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_what_is_no_object_is_nothing(data: Any) -> None:
    assert not any(check(data) for check in (is_message, is_message_update, is_interaction))


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
