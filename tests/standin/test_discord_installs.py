"""User installs: where a person can use the bot, and what the bot gets and may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot.sandbox.driver import ControlError
from tests.standin.wire import Bot, code_at

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api, Socket

EPHEMERAL = 1 << 6
GUILD, BOT_DM, PRIVATE = 0, 1, 2
ASK = {
    "name": "ask",
    "description": "Ask",
    "contexts": [GUILD, BOT_DM, PRIVATE],
    "integration_types": [0, 1],
    "options": [
        {"type": 3, "name": "text", "description": "What", "required": True},
        {"type": 5, "name": "private", "description": "For you alone"},
    ],
}
SETTLE = {
    "name": "settle",
    "description": "Settle",
    "contexts": [GUILD, BOT_DM, PRIVATE],
    "integration_types": [0],
}


@pytest.fixture
async def bot(api: Api, socket: Socket, people: Driver) -> Bot:
    await socket.identify()
    made = Bot(api, socket, people)
    assert (await made.register(ASK, SETTLE, {"name": "Explain", "type": 3})).status == 200
    return made


@pytest.fixture
async def elsewhere(people: Driver) -> str:
    """Return a channel of a guild that the bot is not in."""
    guild = await people.create_guild("Elsewhere", with_bot=False)
    await people.invite("Jun", "Elsewhere")
    return str(guild["channels"]["general"])


async def test_guild_install_authorizes_the_interaction(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "ask", {"text": "hi", "private": True})
    heard = await bot.hear()
    guild = people.world["guilds"][0]["id"]
    assert (heard["context"], heard["authorizing_integration_owners"]) == (GUILD, {"0": guild})
    assert heard["data"]["options"][1] == {"type": 5, "name": "private", "value": True}


async def test_guild_and_user_install_both_authorize(bot: Bot, people: Driver) -> None:
    await people.edit_user("Jun", installed_bot=True)
    jun = people.user_id("Jun")
    await people.command("general", "Jun", "ask", {"text": "hi"})
    guild = people.world["guilds"][0]["id"]
    assert (await bot.hear())["authorizing_integration_owners"] == {"0": guild, "1": jun}
    await people.command(await people.dm("Jun"), "Jun", "ask", {"text": "hi"})
    heard = await bot.hear()
    assert (heard["context"], heard["authorizing_integration_owners"]) == (
        BOT_DM,
        {"0": "0", "1": jun},
    )


async def test_user_install_works_in_a_guild_without_the_bot(
    bot: Bot, people: Driver, elsewhere: str
) -> None:
    with pytest.raises(ControlError, match="not installed"):
        await people.command(elsewhere, "Jun", "ask", {"text": "hi"})
    await people.edit_user("Jun", installed_bot=True)
    with pytest.raises(ControlError, match="not installed"):
        await people.command(elsewhere, "Jun", "settle")
    await people.command(elsewhere, "Jun", "ask", {"text": "hi"})
    heard = await bot.hear()
    assert heard["authorizing_integration_owners"] == {"1": people.user_id("Jun")}
    assert heard["member"]["user"]["id"] == people.user_id("Jun")
    assert heard["guild"]["id"] == heard["guild_id"]
    assert int(heard["app_permissions"]) & 1 << 15, "the bot may attach files"
    assert not int(heard["app_permissions"]) & 1 << 10, "but not view the channel"


async def test_user_install_works_in_private_channels(bot: Bot, people: Driver) -> None:
    await people.edit_user("Jun", installed_bot=True)
    for users, kind in ((("Jun", "Sora"), 1), (("Jun", "Sora", "Mina"), 3)):
        place = await people.private_channel(*users)
        with pytest.raises(ControlError, match="not installed"):
            await people.command(place, "Sora", "ask", {"text": "hi"})
        await people.command(place, "Jun", "ask", {"text": "hi"})
        heard = await bot.hear()
        assert (heard["context"], heard["channel"]["type"]) == (PRIVATE, kind)
        assert "guild_id" not in heard
        assert heard["user"]["id"] == people.user_id("Jun")
        await bot.answer(4, {"content": "for all of you"})
        [message] = await people.messages(place)
        assert message["content"] == "for all of you"


@pytest.mark.usefixtures("bot")
async def test_messages_in_private_channels_send_no_events(people: Driver, socket: Socket) -> None:
    await socket.event("GUILD_CREATE")
    place = await people.private_channel("Jun", "Sora")
    await people.say(place, "Jun", "between us")
    await socket.nothing()
    assert await people.dm("Jun") != place


async def test_modal_submit_keeps_the_commands_authorization(
    bot: Bot, people: Driver, elsewhere: str
) -> None:
    await people.edit_user("Jun", installed_bot=True)
    number = await people.command(elsewhere, "Jun", "ask", {"text": "hi"})
    await bot.hear()
    field = {"type": 4, "custom_id": "text", "style": 2}
    form = {"title": "A form", "custom_id": "form"}
    await bot.answer(9, form | {"components": [{"type": 18, "label": "T", "component": field}]})
    await people.wait_for_answer(number)
    await people.submit_modal(number, {"text": "hi"})
    assert (await bot.hear())["authorizing_integration_owners"] == {"1": people.user_id("Jun")}


async def test_user_install_allows_five_follow_ups(
    bot: Bot, people: Driver, elsewhere: str
) -> None:
    await people.edit_user("Jun", installed_bot=True)
    await people.settings(buckets={"webhook": {"limit": 100}})
    await people.command(elsewhere, "Jun", "ask", {"text": "hi"})
    await bot.hear()
    await bot.answer(5)
    await bot.hook("PATCH", "/messages/@original", {"content": "0"})
    answers = [await bot.hook("POST", "", {"content": str(one)}) for one in range(6)]
    assert [one.status for one in answers[:5]] == [200] * 5
    assert answers[5].code == 40094
    assert (await bot.hook("PATCH", "/messages/@original", {"content": "00"})).status == 200


async def test_guild_install_allows_more_than_five_follow_ups(bot: Bot, people: Driver) -> None:
    await people.settings(buckets={"webhook": {"limit": 100}})
    await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    await bot.answer(4, {"content": "0"})
    assert [(await bot.hook("POST", "", {"content": "x"})).status for _ in range(7)] == [200] * 7


async def test_response_is_ephemeral_without_external_apps_permission(
    bot: Bot, people: Driver, elsewhere: str
) -> None:
    await people.edit_guild("Elsewhere", everyone_permissions=1 << 10 | 1 << 11 | 1 << 31)
    await people.edit_user("Jun", installed_bot=True)
    number = await people.command(elsewhere, "Jun", "ask", {"text": "hi"})
    await bot.hear()
    await bot.answer(4, {"content": "yes"})
    assert (await people.wait_for_answer(number))["response"]["ephemeral"]
    assert await people.messages(elsewhere) == []


async def test_edit_of_flags_keeps_a_response_ephemeral(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Jun", "ask", {"text": "hi"})
    await bot.hear()
    deferred = await bot.answer(5, {"flags": EPHEMERAL}, "?with_response=1")
    message = deferred.body["interaction"]["response_message_id"]
    edit = {"content": "https://example.org", "flags": 1 << 2}
    assert (await bot.hook("PATCH", f"/messages/{message}", edit)).status == 200
    answer = (await people.wait_for_answer(number))["response"]
    assert answer["message"]["flags"] == EPHEMERAL | 1 << 2
    read = await bot.hook("GET", "/messages/@original")
    assert (read.body["id"], read.body["content"]) == (message, "https://example.org")


@pytest.mark.parametrize(
    ("portal", "config"),
    [
        ({}, {"0", "1"}),
        ({"user_install": False}, {"0"}),
        ({"guild_install": False}, {"1"}),
    ],
)
async def test_application_names_the_installs_it_supports(
    api: Api, people: Driver, portal: dict[str, bool], config: set[str]
) -> None:
    await people.settings(portal=portal)
    application = (await api.request("GET", "/applications/@me")).body
    assert set(application["integration_types_config"]) == config


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_commands_for_unsupported_installs_are_refused_by_default(
    api: Api, people: Driver, method: str
) -> None:
    await people.settings(portal={"user_install": False})
    route = f"/applications/{people.bot_id}/commands"
    body, path = ([SETTLE, ASK], ["1"]) if method == "PUT" else (ASK, [])
    answer = await api.request(method, route, body)
    assert (answer.status, answer.code) == (400, 50035)
    code = code_at(answer.body, *path, "integration_types", "1")
    assert code == "APPLICATION_COMMAND_INTEGRATION_TYPE_NOT_SUPPORTED"
    assert await people.commands() == []
    await people.settings(refuse_unsupported_installs=False)
    assert (await api.request(method, route, body)).status in {200, 201}


async def test_a_command_supports_by_default_what_the_application_does(
    api: Api, people: Driver
) -> None:
    route = f"/applications/{people.bot_id}/commands"
    plain = {"name": "plain", "description": "Plain"}
    assert (await api.request("POST", route, plain)).body["integration_types"] == [0, 1]
    await people.settings(portal={"user_install": False})
    later = plain | {"name": "later"}
    assert (await api.request("POST", route, later)).body["integration_types"] == [0]


async def test_no_list_of_commands_can_leave_out_the_entry_point(api: Api, people: Driver) -> None:
    route = f"/applications/{people.bot_id}/commands"
    entry = {"name": "launch", "type": 4, "handler": 2}
    assert (await api.request("POST", route, entry)).status == 201
    answer = await api.request("PUT", route, [SETTLE])
    assert (answer.status, answer.code) == (400, 50240)
    assert (await api.request("PUT", route, [SETTLE, entry])).status == 200
