"""Invalid request bodies: error 50035 with each error at its place in the body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.standin.wire import code_at

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api

LINK = 5
BUTTON = {"type": 2, "style": 1, "label": "Go on", "custom_id": "go"}
SELECT = {"type": 3, "custom_id": "pick", "options": []}
FIELD = {"name": "n", "value": "v"}
OPTION = {"type": 3, "name": "text", "description": "Text"}
ASK = {"name": "ask", "description": "Ask"}
MENU = {"name": "Explain", "type": 3}


def row(*components: Any) -> dict[str, Any]:
    return {"components": [{"type": 1, "components": list(components)}]}


def option(**changes: Any) -> dict[str, Any]:
    return ASK | {"options": [OPTION | changes]}


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({"tts": "yes"}, "tts", "BOOLEAN_TYPE_CONVERT"),
        ({"enforce_nonce": 1}, "enforce_nonce", "BOOLEAN_TYPE_CONVERT"),
        ({"flags": "4"}, "flags", "NUMBER_TYPE_COERCE"),
        ({"flags": True}, "flags", "NUMBER_TYPE_COERCE"),
        ({"embeds": {}}, "embeds", "LIST_TYPE_CONVERT"),
        ({"embeds": ["text"]}, "embeds", "LIST_TYPE_CONVERT"),
        ({"embeds": [{"title": "t"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
        ({"embeds": [{"fields": [FIELD] * 26}]}, "embeds 0 fields", "BASE_TYPE_MAX_LENGTH"),
        (
            {"embeds": [{"fields": [{"name": "n"}]}]},
            "embeds 0 fields 0 value",
            "BASE_TYPE_REQUIRED",
        ),
        (
            {"embeds": [{"fields": [FIELD, FIELD | {"name": "n" * 257}]}]},
            "embeds 0 fields 1 name",
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"embeds": [{"fields": [FIELD | {"value": "v" * 1000}] * 7}]},
            "embeds",
            "MAX_EMBED_SIZE_EXCEEDED",
        ),
        ({"allowed_mentions": []}, "allowed_mentions", "DICT_TYPE_CONVERT"),
        (
            {"allowed_mentions": {"users": [str(i) for i in range(101)]}},
            "allowed_mentions users",
            "BASE_TYPE_MAX_LENGTH",
        ),
        (
            {"allowed_mentions": {"roles": ["1", "Jun"]}},
            "allowed_mentions roles 1",
            "NUMBER_TYPE_COERCE",
        ),
        ({"attachments": [{"id": "0"}] * 11}, "attachments", "BASE_TYPE_MAX_LENGTH"),
        ({"nonce": True}, "nonce", "NONCE_TYPE_INVALID"),
        ({"nonce": 1.5}, "nonce", "NONCE_TYPE_INVALID"),
        ({"nonce": 2**63}, "nonce", "NUMBER_TYPE_MAX"),
        ({"message_reference": "1"}, "message_reference", "DICT_TYPE_CONVERT"),
        (
            {"message_reference": {"message_id": True}},
            "message_reference message_id",
            "NUMBER_TYPE_COERCE",
        ),
        (
            {"message_reference": {"message_id": "1", "channel_id": "general"}},
            "message_reference channel_id",
            "NUMBER_TYPE_COERCE",
        ),
        ({"components": {}}, "components", "LIST_TYPE_CONVERT"),
        ({"components": [row(BUTTON)["components"][0]] * 6}, "components", "BASE_TYPE_BAD_LENGTH"),
        (row(), "components 0 components", "BASE_TYPE_BAD_LENGTH"),
        (row(SELECT, BUTTON), "components 0 components", "COMPONENT_LAYOUT_WIDTH_EXCEEDED"),
        (row({"type": 10}), "components 0 components 0 type", "UNION_TYPE_CHOICES"),
        (row(BUTTON | {"style": 7}), "components 0 components 0 style", "BASE_TYPE_CHOICES"),
        (row(BUTTON | {"style": LINK}), "components 0 components 0", "BUTTON_COMPONENT_LINK"),
        (
            row({"type": 2, "style": 1, "label": "Go"}),
            "components 0 components 0 custom_id",
            "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED",
        ),
        (
            row(BUTTON | {"label": ""}),
            "components 0 components 0",
            "BUTTON_COMPONENT_INVALID_LABEL",
        ),
        (row(BUTTON | {"custom_id": "x" * 101}), "components", "BASE_TYPE_BAD_LENGTH"),
    ],
)
async def test_message_error_names_the_invalid_field(
    api: Api, people: Driver, body: dict[str, Any], path: str, code: str
) -> None:
    answer = await api.send("general", **body)
    assert (answer.status, answer.code) == (400, 50035)
    assert code_at(answer.body, *path.split()) == code
    assert await people.messages("general") == []


async def test_all_invalid_fields_are_reported_at_once(api: Api) -> None:
    answer = await api.send("general", "x" * 2001, tts="yes", nonce=[])
    assert set(answer.body["errors"]) == {"content", "tts", "nonce"}


@pytest.mark.parametrize(
    ("command", "path", "code"),
    [
        ("ask", "0", "DICT_TYPE_CONVERT"),
        (ASK | {"type": 5}, "0 type", "BASE_TYPE_CHOICES"),
        ({"description": "Ask"}, "0 name", "BASE_TYPE_REQUIRED"),
        (MENU | {"description": "d"}, "0 description", "APPLICATION_COMMAND_CONTEXT_MENU_FIELD"),
        (
            ASK | {"default_member_permissions": "admin"},
            "0 default_member_permissions",
            "NUMBER_TYPE_COERCE",
        ),
        (ASK | {"options": [OPTION] * 26}, "0 options", "BASE_TYPE_MAX_LENGTH"),
        (option(type=12), "0 options 0 type", "BASE_TYPE_CHOICES"),
        (option(type=1, options=[OPTION | {"type": 2}]), "0 options 0 options 0 type", ""),
        (
            ASK | {"options": [OPTION, OPTION | {"type": 1, "name": "set"}]},
            "0 options",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
        ),
        (
            option(autocomplete=True, choices=[{"name": "a", "value": "a"}]),
            "0 options 0",
            "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES",
        ),
        (
            option(choices=[{"name": str(i), "value": str(i)} for i in range(26)]),
            "0 options 0 choices",
            "BASE_TYPE_MAX_LENGTH",
        ),
        (option(choices=[{"value": "a"}]), "0 options 0 choices 0 name", "BASE_TYPE_BAD_LENGTH"),
        (
            option(choices=[{"name": "a", "value": 1}]),
            "0 options 0 choices 0 value",
            "BASE_TYPE_BAD_LENGTH",
        ),
        (
            ASK
            | {
                "options": [
                    OPTION
                    | {
                        "name": f"o{i}",
                        "choices": [{"name": "n" * 100, "value": str(j)} for j in range(25)],
                    }
                    for i in range(4)
                ]
            },
            "0",
            "APPLICATION_COMMAND_TOO_LARGE",
        ),
    ],
)
async def test_command_error_names_the_invalid_field(
    api: Api, people: Driver, command: Any, path: str, code: str
) -> None:
    route = f"/applications/{people.bot_id}/commands"
    answer = await api.request("PUT", route, [command])
    assert (answer.status, answer.code) == (400, 50035)
    assert code_at(answer.body, *path.split()) == (code or "BASE_TYPE_CHOICES")
    assert await people.commands() == []


@pytest.mark.parametrize(
    ("commands", "path", "code"),
    [
        ({"name": "ask"}, "", "LIST_TYPE_CONVERT"),
        ([ASK, MENU, ASK], "2", "APPLICATION_COMMANDS_DUPLICATE_NAME"),
        ([MENU | {"name": str(i)} for i in range(16)], "", "BASE_TYPE_MAX_LENGTH"),
    ],
)
async def test_invalid_command_list_is_refused(
    api: Api, people: Driver, commands: Any, path: str, code: str
) -> None:
    answer = await api.request("PUT", f"/applications/{people.bot_id}/commands", commands)
    assert answer.code == 50035
    assert code_at(answer.body, *path.split()) == code


async def test_commands_of_different_types_can_share_a_name(api: Api, people: Driver) -> None:
    menus = [{"name": "ask", "type": kind} for kind in (2, 3)]
    answer = await api.request("PUT", f"/applications/{people.bot_id}/commands", [ASK, *menus])
    assert [command["type"] for command in answer.body] == [1, 2, 3]


async def test_list_instead_of_an_object_is_refused(api: Api) -> None:
    answer = await api.request("POST", "/users/@me/channels", [])
    assert answer.code == 50035
    assert code_at(answer.body) == "DICT_TYPE_CONVERT"


@pytest.mark.parametrize(
    ("query", "key", "code"),
    [
        ("limit=many", "limit", "NUMBER_TYPE_COERCE"),
        ("limit=0", "limit", "NUMBER_TYPE_MIN"),
        ("limit=101", "limit", "NUMBER_TYPE_MAX"),
        ("before=yesterday", "before", "NUMBER_TYPE_COERCE"),
    ],
)
async def test_query_error_names_the_invalid_parameter(
    api: Api, query: str, key: str, code: str
) -> None:
    path = f"/channels/{api.channels['general']}/messages?{query}"
    answer = await api.request("GET", path)
    assert answer.code == 50035
    assert code_at(answer.body, key) == code


async def test_id_in_the_path_must_be_a_number(api: Api) -> None:
    answer = await api.request("GET", "/channels/general")
    assert answer.code == 50035
    assert code_at(answer.body, "channel_id") == "NUMBER_TYPE_COERCE"


async def test_the_driver_waits_until_commands_are_registered(api: Api, people: Driver) -> None:
    waiting = asyncio.create_task(people.wait_for_commands())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await api.request("PUT", f"/applications/{people.bot_id}/commands", [ASK])
    assert [command["name"] for command in await waiting] == [ASK["name"]]
    assert len(await people.wait_for_commands()) == 1
