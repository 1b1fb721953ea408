"""What people can do with a bot in the client, and how it can respond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bot.sandbox.driver import ControlError
from tests.standin.wire import Bot, code_at

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api, Socket

EPHEMERAL = 1 << 6
CHOOSE = {
    "name": "choose",
    "description": "Choose",
    "options": [
        {
            "type": 3,
            "name": "tone",
            "description": "Tone",
            "choices": [{"name": "Calm", "value": "calm"}],
        },
        {"type": 4, "name": "count", "description": "n", "min_value": 1, "max_value": 3},
        {"type": 7, "name": "where", "description": "Where"},
        {"type": 8, "name": "role", "description": "Role"},
        {"type": 9, "name": "any", "description": "Anybody"},
        {"type": 3, "name": "typed", "description": "Typed", "autocomplete": True},
    ],
}
SET = {
    "name": "system",
    "description": "System prompt",
    "options": [{"type": 1, "name": "set", "description": "Set it"}],
}
BUTTON = {"type": 2, "style": 1, "label": "Go on", "custom_id": "go"}
TEXT = {"type": 4, "custom_id": "text", "style": 1, "label": "Text"}
FORM = {
    "title": "A form",
    "custom_id": "form",
    "components": [
        {"type": 10, "content": "Read this"},
        {"type": 18, "label": "Text", "component": TEXT | {"label": None}},
        {"type": 18, "label": "More", "component": TEXT | {"custom_id": "more", "label": None}},
    ],
}


def rows(*components: Any) -> list[Any]:
    return [{"type": 1, "components": [component]} for component in components]


def labels(*components: Any) -> list[Any]:
    return [{"type": 18, "label": "Label", "component": component} for component in components]


@pytest.fixture
async def bot(api: Api, socket: Socket, people: Driver) -> Bot:
    await socket.identify()
    made = Bot(api, socket, people)
    menus = [{"name": "Who is this", "type": 2}, {"name": "Explain", "type": 3}]
    assert (await made.register(CHOOSE, SET, *menus)).status == 200
    return made


async def impossible(action: Coroutine[Any, Any, Any], why: str) -> None:
    with pytest.raises(ControlError, match=why) as refusal:
        await action
    assert refusal.value.status == 409


async def pressed(bot: Bot, message: dict[str, Any] | None = None) -> str:
    """Let Jun press a button of the bot; return the id of the message."""
    shown = message or (await bot.api.send("general", "cut", components=rows(BUTTON))).body
    await bot.people.press("general", "Jun", shown["id"], "go")
    await bot.hear()
    return str(shown["id"])


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("choose", {"tone": "loud"}, "not a choice"),
        ("choose", {"count": 0}, "out of range"),
        ("choose", {"count": 4}, "out of range"),
        ("choose", {"count": "2"}, "does not take"),
        ("choose", {"typed": "x" * 6001}, "too short or too long"),
        ("system get", {}, "no subcommand"),
    ],
)
async def test_command_options_must_match_their_definition(
    bot: Bot, people: Driver, name: str, options: dict[str, Any], why: str
) -> None:
    await impossible(people.command("general", "Jun", name, options), why)


async def test_resolved_data_contains_channels_roles_and_users(bot: Bot, people: Driver) -> None:
    """Channels, roles, users and members; in a direct message there are no members."""
    roles = (await people.look())["guilds"][0]["roles"]
    where = bot.api.channels["random"]
    options = {"tone": "calm", "count": 3, "where": where, "role": roles["Admins"]}
    await people.command("general", "Jun", "choose", options | {"any": roles["Admins"]})
    resolved = (await bot.hear())["data"]["resolved"]
    assert resolved["channels"][where]["name"] == "random"
    assert set(resolved["roles"]) == {roles["Admins"]}
    assert "users" not in resolved
    jun = people.user_id("Jun")
    await people.command("general", "Jun", "choose", {"any": jun})
    assert set((await bot.hear())["data"]["resolved"]) == {"users", "members"}
    await people.command(await people.dm("Jun"), "Jun", "choose", {"any": jun})
    assert set((await bot.hear())["data"]["resolved"]) == {"users"}


async def test_user_command_has_a_target_user(bot: Bot, people: Driver) -> None:
    message = await people.say("general", "Sora", "hi")
    await people.command("general", "Jun", "Who is this", target=message["id"])
    data = (await bot.hear())["data"]
    assert data["target_id"] == people.user_id("Sora")
    assert set(data["resolved"]["users"]) == {people.user_id("Sora")}
    await bot.answer(4, {"content": "Sora"})
    assert (await people.messages("general"))[-1]["type"] == 23


async def test_person_cannot_act_in_a_hidden_channel(bot: Bot, people: Driver) -> None:
    message = (await bot.api.send("general", "cut", components=rows(BUTTON))).body
    overwrite = {"target": "Jun", "deny": ["VIEW_CHANNEL"]}
    await people.edit_channel("general", overwrites=[overwrite])
    await impossible(people.command("general", "Jun", "choose"), "cannot see")
    await impossible(people.press("general", "Jun", message["id"], "go"), "cannot see")
    assert await pressed_by(people, "Sora", message["id"])


async def pressed_by(people: Driver, user: str, message: str) -> str:
    return await people.press("general", user, message, "go")


async def test_disabled_button_cannot_be_pressed(bot: Bot, people: Driver) -> None:
    components = rows(BUTTON | {"disabled": True})
    message = (await bot.api.send("general", "cut", components=components)).body
    await impossible(people.press("general", "Jun", message["id"], "go"), "disabled")


async def test_select_menu_sends_the_chosen_values(bot: Bot, people: Driver) -> None:
    select = {
        "type": 3,
        "custom_id": "pick",
        "options": [{"label": "A", "value": "a"}, {"label": "B", "value": "b"}],
    }
    message = (await bot.api.send("general", "pick", components=rows(select))).body
    await people.press("general", "Jun", message["id"], "pick", values=["b"])
    data = (await bot.hear())["data"]
    assert (data["component_type"], data["values"]) == (3, ["b"])


async def test_only_its_reader_can_press_ephemeral_buttons(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Jun", "choose")
    await bot.hear()
    await bot.answer(4, {"content": "psst", "flags": EPHEMERAL, "components": rows(BUTTON)})
    shown = (await people.wait_for_answer(number))["response"]["message"]
    await impossible(people.press("general", "Sora", shown["id"], "go"), "only the one who asked")
    assert await pressed_by(people, "Jun", shown["id"])


async def test_modal_submit_keeps_the_components_of_the_modal(bot: Bot, people: Driver) -> None:
    number = await people.command("general", "Jun", "choose")
    await impossible(people.submit_modal(number, {}), "did not open a modal")
    await bot.hear()
    assert (await bot.answer(9, FORM)).status == 204
    await impossible(people.submit_modal(number, {"text": "a", "none": "b"}), "no inputs")
    await impossible(people.submit_modal(number, {"text": "a"}), "required")
    await people.submit_modal(number, {"text": "a", "more": "b"})
    display, *labels = (await bot.hear())["data"]["components"]
    assert display == {"type": 10, "id": 1}
    assert [(label["type"], label["component"]["value"]) for label in labels] == [
        (18, "a"),
        (18, "b"),
    ]
    await people.submit_modal(number, {"text": "a", "more": "b"}, custom_id="of another version")
    assert (await bot.hear())["data"]["custom_id"] == "of another version"
    assert code_at((await bot.answer(7, {"content": "x"})).body, "type") == "BASE_TYPE_CHOICES"
    assert code_at((await bot.answer(9, FORM)).body, "type") == "BASE_TYPE_CHOICES"
    assert (await bot.answer(4, {"content": "set"})).status == 204


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"custom_id": ""}, "custom_id"),
        ({"components": [BUTTON]}, "components 0 type"),
        (
            {"components": [{"type": 18, "label": "x" * 46, "component": TEXT}]},
            "components 0 label",
        ),
        ({"components": rows(TEXT)}, "components 0 type"),
        ({"components": [{"type": 18, "label": "x"}]}, "components 0 component"),
        ({"components": labels(BUTTON)}, "components 0 component"),
        ({"components": labels(TEXT | {"style": 3})}, "components text style"),
        ({"components": labels(TEXT | {"label": "x" * 46})}, "components text label"),
        ({"components": labels(TEXT | {"max_length": 4001})}, "components text max_length"),
        (
            {"components": labels(TEXT | {"min_length": 3, "max_length": 2})},
            "components text min_length",
        ),
        ({"components": labels(TEXT, TEXT)}, "components"),
    ],
)
async def test_invalid_modal_is_refused(
    bot: Bot, people: Driver, change: dict[str, Any], path: str
) -> None:
    await people.command("general", "Jun", "choose")
    await bot.hear()
    answer = await bot.answer(9, FORM | change)
    assert (answer.status, answer.code) == (400, 50035)
    assert code_at(answer.body, "data", *path.split())


async def test_text_inputs_in_rows_are_accepted_if_they_are_switched_on(
    bot: Bot, people: Driver
) -> None:
    """Discord calls this form deprecated; nobody knows when it ends."""
    await people.settings(refuse_inputs_in_rows=False)
    number = await people.command("general", "Jun", "choose")
    await bot.hear()
    assert (await bot.answer(9, FORM | {"components": rows(TEXT)})).status == 204
    await people.submit_modal(number, {"text": "a"})
    [row] = (await bot.hear())["data"]["components"]
    assert (row["type"], row["components"][0]["value"]) == (1, "a")


async def test_autocomplete_choices_are_validated(bot: Bot, people: Driver) -> None:
    number = await people.autocomplete("general", "Jun", "choose", "typed", "a")
    await bot.hear()
    many = [{"name": str(i), "value": str(i)} for i in range(26)]
    for choices in (None, many):
        answer = await bot.answer(8, {"choices": choices})
        assert code_at(answer.body, "data", "choices") == "BASE_TYPE_MAX_LENGTH"
    for choice, where, code in (
        ("calm", (), "DICT_TYPE_CONVERT"),
        ({"name": "calm"}, ("value",), "BASE_TYPE_REQUIRED"),
        ({"name": "calm", "value": ""}, ("value",), "BASE_TYPE_BAD_LENGTH"),
        ({"name": "calm", "value": "x" * 101}, ("value",), "BASE_TYPE_BAD_LENGTH"),
        ({"name": "x" * 101, "value": "calm"}, ("name",), "BASE_TYPE_BAD_LENGTH"),
    ):
        answer = await bot.answer(8, {"choices": [choice]})
        assert code_at(answer.body, "data", "choices", "0", *where) == code
    nameless = (await bot.answer(8, {"choices": [{"value": 1}]})).body
    assert code_at(nameless, "data", "choices", "0", "name") == "BASE_TYPE_BAD_LENGTH"
    assert (await bot.answer(4, {"content": "x"})).code == 50035
    assert (await bot.answer(8, {"choices": many[:25]}, "?with_response=1")).body == {
        "interaction": {"id": number, "type": 4}
    }


async def test_only_autocomplete_options_can_be_completed(bot: Bot, people: Driver) -> None:
    for option in ("tone", "count", "nothing"):
        with pytest.raises(ControlError, match="not completed"):
            await people.autocomplete("general", "Jun", "choose", option, "a")
    await people.autocomplete("general", "Jun", "choose", "typed", "a")
    assert (await bot.hear())["data"]["options"] == [
        {"type": 3, "name": "typed", "value": "a", "focused": True}
    ]


async def test_deferred_update_lets_the_bot_edit_its_message_later(
    bot: Bot, people: Driver
) -> None:
    message = await pressed(bot)
    assert (await bot.answer(6)).status == 204
    assert (await people.message("general", message))["content"] == "cut"
    edited = await bot.hook("PATCH", "/messages/@original", {"content": "whole"})
    assert edited.body["id"] == message
    assert (await people.message("general", message))["content"] == "whole"


async def test_responses_to_presses_share_the_limit_for_old_messages(
    bot: Bot, people: Driver
) -> None:
    """Discord's documents do not say whether they do, so a setting decides."""
    place = (await people.create_channel("old"))["id"]
    old = await people.say(place, people.bot_id, "cut", ago_seconds=7200, components=rows(BUTTON))
    path = f"/channels/{place}/messages/{old['id']}"
    for _ in range(3):
        assert (await bot.api.request("PATCH", path, {"content": "x"})).status == 200
    await people.press(place, "Jun", old["id"], "go")
    await bot.hear()
    await bot.answer(6)
    assert (await bot.hook("PATCH", "/messages/@original", {"content": "y"})).code == 30046
    await people.settings(limits_old_webhook_edits=False)
    assert (await bot.hook("PATCH", "/messages/@original", {"content": "y"})).status == 200


async def test_message_response_to_a_press_replies_to_its_message(bot: Bot, people: Driver) -> None:
    message = await pressed(bot)
    answer = await bot.answer(4, {"content": "more"}, "?with_response=true")
    resource = answer.body["resource"]
    assert resource["message"]["message_reference"]["message_id"] == message
    assert answer.body["interaction"]["guild_id"] == bot.api.guild
    metadata = resource["message"]["interaction_metadata"]
    assert metadata["interacted_message_id"] == message


async def test_follow_up_can_be_read_edited_and_deleted_by_id(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "choose")
    await bot.hear()
    await bot.answer(4, {"content": "first"})
    made = (await bot.hook("POST", "", {"content": "second"})).body
    path = f"/messages/{made['id']}"
    assert (await bot.hook("GET", path)).body["content"] == "second"
    assert (await bot.hook("PATCH", path, {"content": "2"})).body["content"] == "2"
    stranger = await people.say("general", "Jun", "hi")
    assert (await bot.hook("GET", f"/messages/{stranger['id']}")).code == 10008
    assert (await bot.hook("DELETE", path)).status == 204
    assert (await people.messages("general"))[-1]["content"] == "hi"


async def test_follow_up_after_a_modal_is_not_a_reply(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "choose")
    await bot.hear()
    await bot.answer(9, FORM)
    assert (await bot.hook("GET", "/messages/@original")).code == 10008
    assert "message_reference" not in (await bot.hook("POST", "", {"content": "x"})).body


async def test_the_bot_hears_of_an_ephemeral_response_as_if_it_were_in_no_guild(
    bot: Bot, people: Driver
) -> None:
    await people.command("general", "Jun", "choose")
    await bot.hear()
    await bot.answer(4, {"content": "psst", "flags": EPHEMERAL})
    message = (await bot.socket.event("MESSAGE_CREATE"))["d"]
    assert (message["content"], message["flags"]) == ("psst", EPHEMERAL)
    assert message["channel_id"] == bot.api.channels["general"]
    assert not {"guild_id", "member"} & message.keys()


async def test_deleted_ephemeral_response_cannot_be_read(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "choose")
    await bot.hear()
    await bot.answer(4, {"content": "psst", "flags": EPHEMERAL})
    assert (await bot.hook("DELETE", "/messages/@original")).status == 204
    assert (await bot.hook("GET", "/messages/@original")).code == 10008


async def test_token_works_only_for_its_own_interaction(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "choose")
    first = await bot.hear()
    await bot.answer(4, {"content": "first"})
    await people.command("general", "Jun", "choose")
    second = await bot.hear()
    await bot.answer(4, {"content": "second"})
    bot.heard = first
    assert (await bot.hook("GET", "/messages/@original")).body["content"] == "first"
    bot.heard = first | {"token": second["token"]}
    assert (await bot.answer(4, {"content": "x"})).code == 10062
    bot.heard = {"id": "1", "token": "wrong"}
    assert (await bot.answer(4, {"content": "x"})).code == 10062
    assert (await bot.hook("GET", "/messages/@original")).code == 10015
    strange = await bot.api.request("POST", f"/webhooks/1/{first['token']}", {"content": "x"})
    assert (strange.status, strange.code) == (404, 10015)


async def test_response_in_a_deleted_channel_is_refused(bot: Bot, people: Driver) -> None:
    await people.command("general", "Jun", "choose")
    await bot.hear()
    await people.delete_channel("general")
    assert (await bot.answer(4, {"content": "yes"})).code == 10003


async def test_guild_command_replaces_the_global_one_in_its_guild(bot: Bot, people: Driver) -> None:
    path = f"/applications/{people.bot_id}/guilds/{bot.api.guild}/commands"
    own = {"name": "choose", "description": "Ours"}
    assert (await bot.api.request("POST", path, own)).status == 201
    again = await bot.api.request("POST", path, own)
    assert (again.status, again.body["guild_id"]) == (200, bot.api.guild)
    await people.command("general", "Jun", "choose")
    heard = (await bot.hear())["data"]
    assert (heard["id"], heard["guild_id"]) == (again.body["id"], bot.api.guild)
    await people.command(await people.dm("Jun"), "Jun", "choose")
    assert (await bot.hear())["data"]["id"] != again.body["id"]


async def test_command_can_be_edited_and_deleted_only_in_its_scope(
    bot: Bot, people: Driver
) -> None:
    await people.settings(buckets={"commands": {"limit": 99}})
    path = f"/applications/{people.bot_id}/commands"
    [before, *_] = await people.commands()
    one = f"{path}/{before['id']}"
    changed = (await bot.api.request("PATCH", one, {"description": "Else"})).body
    assert (changed["name"], changed["description"]) == ("choose", "Else")
    assert int(changed["version"]) > int(before["version"])
    renamed = (await bot.api.request("PATCH", one, {"name": "elect"})).body
    assert (renamed["id"], renamed["name"]) == (before["id"], "elect")
    kept = (await bot.api.request("POST", path, CHOOSE | {"name": "elect"})).body
    assert (kept["id"], kept["description"]) == (before["id"], "Choose")
    guild = f"/applications/{people.bot_id}/guilds/{bot.api.guild}/commands/{before['id']}"
    assert (await bot.api.request("GET", guild)).code == 10063
    assert (await bot.api.request("DELETE", one)).status == 204
    assert (await bot.api.request("GET", one)).code == 10063
    assert (await bot.api.request("GET", "/applications/1/commands")).code == 10002


async def test_application_has_at_most_130_commands(bot: Bot, people: Driver) -> None:
    slash = [{"name": f"c{i}", "description": "d"} for i in range(100)]
    menus = [{"name": f"m{i}", "type": kind} for kind in (2, 3) for i in range(15)]
    assert len((await bot.register(*slash, *menus)).body) == 130
    path = f"/applications/{people.bot_id}/commands"
    one_more = await bot.api.request("POST", path, {"name": "more", "description": "d"})
    assert (one_more.status, one_more.code) == (400, 30032)


async def test_command_permissions_and_contexts_are_enforced(bot: Bot, people: Driver) -> None:
    """`default_member_permissions` "0" means administrators; all need Use Application Commands."""
    await bot.register(CHOOSE, SET | {"default_member_permissions": "0", "dm_permission": False})
    await impossible(people.command("general", "Jun", "system set"), "for administrators")
    dm = await people.dm("Mina")
    await impossible(people.command(dm, "Mina", "system set"), "not for this context")
    assert await people.command("general", "Mina", "system set")
    overwrite = {"target": "Jun", "deny": ["USE_APPLICATION_COMMANDS"]}
    await people.edit_channel("general", overwrites=[overwrite])
    await impossible(people.command("general", "Jun", "choose"), "may not use application commands")
