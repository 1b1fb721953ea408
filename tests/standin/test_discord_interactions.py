"""Commands and interactions: what people can use, what the bot gets, how it must respond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bot.sandbox.driver import ControlError
from tests.standin.wire import Bot

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api, Socket

MANAGE_GUILD, VIEW_CHANNEL = 1 << 5, 1 << 10
ASK = {
    "name": "ask",
    "description": "Ask",
    "options": [
        {"type": 3, "name": "text", "description": "What", "required": True, "max_length": 10},
        {"type": 6, "name": "who", "description": "Whom"},
        {"type": 11, "name": "file", "description": "File"},
    ],
}
SYSTEM = {
    "name": "system",
    "description": "System prompt",
    "contexts": [0],
    "default_member_permissions": str(MANAGE_GUILD),
    "options": [
        {
            "type": 1,
            "name": "set",
            "description": "Set it",
            "options": [{"type": 3, "name": "text", "description": "Text", "autocomplete": True}],
        }
    ],
}
EXPLAIN = {"name": "Explain this", "type": 3}
BUTTON = {"type": 2, "style": 1, "label": "Go on", "custom_id": "go"}
FORM = {
    "title": "A form",
    "custom_id": "form",
    "components": [
        {
            "type": 18,
            "label": "Text",
            "component": {"type": 4, "custom_id": "text", "style": 2, "max_length": 5},
        }
    ],
}


@pytest.fixture
async def bot(api: Api, socket: Socket, people: Driver) -> Bot:
    await socket.identify()
    made = Bot(api, socket, people)
    assert (await made.register(ASK, SYSTEM, EXPLAIN)).status == 200
    return made


async def test_guild_command_contains_member_channel_and_permissions(
    bot: Bot, people: Driver
) -> None:
    options = {"text": "hi", "who": people.user_id("Sora")}
    number = await people.command("general", "Jun", "ask", options)
    heard = await bot.hear()
    assert heard["id"] == number
    assert heard["type"] == 2
    assert heard["data"]["options"][0] == {"type": 3, "name": "text", "value": "hi"}
    assert people.user_id("Sora") in heard["data"]["resolved"]["users"]
    assert people.user_id("Sora") in heard["data"]["resolved"]["members"]
    assert heard["member"]["user"]["id"] == people.user_id("Jun")
    assert not int(heard["member"]["permissions"]) & MANAGE_GUILD
    assert int(heard["app_permissions"]) & VIEW_CHANNEL
    assert heard["context"] == 0
    assert heard["channel"]["name"] == "general"
    assert "user" not in heard


async def test_direct_message_command_has_a_user_and_no_member(bot: Bot, people: Driver) -> None:
    await people.command(await people.dm("Jun"), "Jun", "ask", {"text": "hi"})
    heard = await bot.hear()
    assert heard["user"]["id"] == people.user_id("Jun")
    assert "member" not in heard
    assert "guild_id" not in heard
    assert heard["context"] == 1


async def test_command_with_a_file_contains_the_attachment(bot: Bot, people: Driver) -> None:
    options = {"text": "hi", "file": {"filename": "a.txt", "content": "data"}}
    await people.command("general", "Jun", "ask", options)
    [attachment] = (await bot.hear())["data"]["resolved"]["attachments"].values()
    assert await bot.api.fetch(attachment["url"]) == b"data"


@pytest.mark.parametrize(
    ("user", "place", "name", "options"),
    [
        ("Jun", "general", "system set", {}),
        ("Mina", "dm", "system set", {}),
        ("Jun", "general", "ask", {}),
        ("Jun", "general", "ask", {"text": 5}),
        ("Jun", "general", "ask", {"text": "more than ten"}),
        ("Jun", "general", "ask", {"text": "hi", "unknown": 1}),
        ("Jun", "general", "nothing", {}),
    ],
)
async def test_client_refuses_invalid_or_forbidden_commands(
    bot: Bot, people: Driver, user: str, place: str, name: str, options: dict[str, Any]
) -> None:
    channel = await people.dm(user) if place == "dm" else place
    with pytest.raises(ControlError) as refusal:
        await people.command(channel, user, name, options)
    assert refusal.value.status == 409


async def test_force_bypasses_default_command_permissions(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "system set", {"text": "x"}, force=True)
    heard = await bot.hear()
    assert heard["data"]["options"][0]["name"] == "set"
    assert heard["data"]["options"][0]["options"][0]["value"] == "x"


async def test_public_response_appears_in_the_channel(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    assert (await bot.answer(4, {"content": "yes"})).status == 204
    seen = await people.wait_for_answer(number)
    assert seen["state"] == "answered"
    assert seen["response"]["content"] == "yes"
    assert 0 < seen["latency_seconds"] < 3
    [message] = await people.messages("general")
    assert message["type"] == 20
    assert message["interaction_metadata"]["user"]["id"] == people.user_id("Jun")
    assert (await bot.answer(4, {"content": "again"})).code == 40060


async def test_ephemeral_response_is_not_in_the_channel(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    answer = await bot.answer(4, {"content": "psst", "flags": 64}, "?with_response=1")
    assert answer.status == 200
    assert answer.body["interaction"]["response_message_ephemeral"] is True
    assert answer.body["resource"]["message"]["content"] == "psst"
    assert await people.messages("general") == []
    assert (await people.interaction(number))["response"]["ephemeral"] is True


async def test_deferred_response_is_filled_by_an_edit(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    await bot.answer(5)
    assert (await people.interaction(number))["state"] == "deferred"
    assert (await bot.hook("PATCH", "/messages/@original", {"content": "done"})).status == 200
    assert (await people.interaction(number))["state"] == "answered"
    assert (await bot.hook("POST", "", {"content": "more"})).status == 200
    contents = [message["content"] for message in await people.messages("general")]
    assert contents == ["done", "more"]
    await bot.hook("DELETE", "/messages/@original")
    assert (await bot.hook("GET", "/messages/@original")).code == 10008


async def test_first_follow_up_fills_the_deferred_response(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    await bot.answer(5)
    await bot.hook("POST", "", {"content": "done"})
    [message] = await people.messages("general")
    assert message["content"] == "done"


async def test_late_response_is_an_unknown_interaction(bot: Bot, people: Driver) -> None:
    await people.settings(interaction_deadline_seconds=0.05)
    number = await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    assert (await people.wait_for_answer(number))["state"] == "failed"
    assert (await bot.answer(4, {"content": "late"})).code == 10062


async def test_interaction_token_expires(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    assert (await bot.hook("POST", "", {"content": "too early"})).code == 10015
    await bot.answer(4, {"content": "yes"})
    await people.settings(interaction_lifetime_seconds=0)
    assert (await bot.hook("POST", "", {"content": "too late"})).code == 50027
    await people.settings(expired_token="unknown_webhook")
    assert (await bot.hook("POST", "", {"content": "too late"})).code == 10015
    channel = f"/channels/{bot.api.channels['general']}/messages"
    [shown] = (await bot.api.request("GET", channel)).body
    edited = await bot.api.request("PATCH", f"{channel}/{shown['id']}", {"content": "still"})
    assert (edited.status, edited.body["content"]) == (200, "still")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (7, {"content": "nothing to update"}),
        (8, {"choices": []}),
        (4, {"content": "x" * 2001}),
        (4, {}),
        (9, FORM | {"title": "x" * 46}),
        (9, FORM | {"components": []}),
    ],
)
async def test_invalid_response_leaves_the_interaction_open(
    bot: Bot, people: Driver, kind: int, data: Any
) -> None:
    await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    assert (await bot.answer(kind, data)).code in {50035, 50006}
    assert (await bot.answer(4, {"content": "yes"})).status == 204


async def test_modal_can_be_opened_submitted_and_answered(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Mina", "system set", {})
    await bot.hear()
    await bot.answer(9, FORM)
    opened = await people.wait_for_answer(number)
    assert opened["state"] == "modal"
    with pytest.raises(ControlError):
        await people.submit_modal(number, {"text": "too long for it"})
    second = await people.submit_modal(number, {"text": "hi"})
    heard = await bot.hear()
    assert heard["type"] == 5
    assert heard["data"]["custom_id"] == "form"
    assert heard["data"]["components"][0]["component"]["value"] == "hi"
    await bot.answer(4, {"content": "set", "flags": 64})
    assert (await people.wait_for_answer(second))["response"]["content"] == "set"


async def test_button_press_can_update_its_message(bot: Bot, people: Driver) -> None:
    components = [{"type": 1, "components": [BUTTON]}]
    message = (await bot.api.send("general", "cut", components=components)).body
    number = await people.press("general", "Jun", message["id"], "go")
    heard = await bot.hear()
    source = (await people.interaction(number))["source"]
    assert source == {"message_id": message["id"], "ephemeral": False}
    assert (heard["type"], heard["data"]["custom_id"]) == (3, "go")
    assert heard["message"]["id"] == message["id"]
    await bot.answer(7, {"content": "whole", "components": []})
    assert (await people.wait_for_answer(number))["state"] == "answered"
    assert (await people.message("general", message["id"]))["content"] == "whole"
    with pytest.raises(ControlError, match="no component"):
        await people.press("general", "Jun", message["id"], "go")


async def test_autocomplete_returns_choices_while_typing(bot: Bot, people: Driver) -> None:
    number = await people.autocomplete("general", "Mina", "system set", "text", "pi")
    heard = await bot.hear()
    assert heard["type"] == 4
    assert heard["data"]["options"][0]["options"][0]["focused"] is True
    choices = [{"name": "pirate", "value": "Speak like a pirate"}]
    await bot.answer(8, {"choices": choices})
    assert (await people.wait_for_answer(number))["response"]["choices"] == choices


async def test_message_command_contains_its_message(bot: Bot, people: Driver) -> None:
    message = await people.say("general", "Jun", "hard words")
    await people.command("general", "Sora", "Explain this", target=message["id"])
    heard = await bot.hear()
    assert heard["data"]["target_id"] == message["id"]
    assert heard["data"]["resolved"]["messages"][message["id"]]["content"] == "hard words"


async def test_command_works_in_a_channel_hidden_from_the_bot(bot: Bot, people: Driver) -> None:
    overwrite = {"target": "ChatBot", "deny": ["VIEW_CHANNEL"]}
    await people.edit_channel("general", overwrites=[overwrite])
    await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    assert (await bot.answer(4, {"content": "yes"})).status == 204


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Ask"},
        {"name": "ask me"},
        {"name": "x" * 33},
        {"description": ""},
        {"description": "x" * 101},
        {"name_localizations": {"kr": "묻기"}},
        {"name_localizations": {"ko": "묻 기"}},
        {"contexts": []},
        {"contexts": [3]},
        {"options": [ASK["options"][1], ASK["options"][0]]},
        {"options": [{"type": 3, "name": "text"}]},
        {"options": [{"type": 3, "name": "t", "description": "d", "max_length": 6001}]},
        {"options": [{"type": 3, "name": "t", "description": "d"}] * 2},
    ],
)
async def test_invalid_command_is_refused(bot: Bot, change: dict[str, Any]) -> None:
    answer = await bot.register(ASK | change)
    assert (answer.status, answer.code) == (400, 50035)
    assert "0" in answer.body["errors"]


@pytest.mark.parametrize(
    ("locale", "called"),
    [("ko", "묻기"), ("en-US", "query"), ("en-GB", "query"), ("es-419", "consulta"), ("fr", None)],
)
async def test_command_names_are_localized_for_each_person(
    bot: Bot, people: Driver, locale: str, called: str | None
) -> None:
    """Discord substitutes a few locales for each other; others show the registered name."""
    names = {"ko": "묻기", "en-GB": "query", "es-ES": "consulta"}
    in_all = {"name_localizations": names, "description_localizations": names}
    choice = {"name": "one", "value": "1", "name_localizations": names}
    option = {"type": 3, "name": "text", "description": "d", "choices": [choice], **in_all}
    await bot.register(ASK | in_all | {"options": [option]})
    await people.edit_user("Jun", locale=locale)
    [offered] = await people.commands("general", "Jun")
    [shown] = offered["options"]
    for one in (offered, shown):
        assert one.get("name_localized") == one.get("description_localized") == called
    assert shown["choices"][0].get("name_localized") == called
    assert "localizations" not in str(offered)
    assert (offered["name"], shown["name"], shown["choices"][0]["name"]) == ("ask", "text", "one")
    await people.command("general", "Jun", "ask", {"text": "1"})
    data = (await bot.hear())["data"]
    assert (data["name"], data["options"][0]["name"]) == ("ask", "text")


async def test_bulk_overwrite_keeps_ids_and_drops_other_commands(bot: Bot, people: Driver) -> None:
    before = {command["name"]: command["id"] for command in await people.commands()}
    await bot.register(ASK)
    assert {c["name"]: c["id"] for c in await people.commands()} == {"ask": before["ask"]}


async def test_command_list_contains_only_permitted_commands(bot: Bot, people: Driver) -> None:
    offered = [command["name"] for command in await people.commands("general", "Jun")]
    assert offered == ["ask", "Explain this"]
    offered = [command["name"] for command in await people.commands("general", "Mina")]
    assert offered == ["ask", "system", "Explain this"]
