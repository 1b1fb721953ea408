"""Texts and files that Discord refuses, and responses that it makes ephemeral."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.sandbox.driver import ControlError
from tests.standin.wire import Answer, Bot, code_at

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api, Socket

EPHEMERAL, LOADING = 1 << 6, 1 << 7
MESSAGE, DEFERRED, UPDATE = 4, 5, 7
VIEW, SEND, USE_COMMANDS, IN_THREADS, EXTERNAL_APPS = 1 << 10, 1 << 11, 1 << 31, 1 << 38, 1 << 50
ASK = {"name": "ask", "description": "Ask", "contexts": [0, 1, 2], "integration_types": [0, 1]}
BUTTON = {"type": 2, "style": 1, "label": "Go on", "custom_id": "go"}
BAD = {"content": "a bad word"}


@pytest.fixture
async def bot(api: Api, socket: Socket, people: Driver) -> Bot:
    await socket.identify()
    roomy = ("message_create", "message_edit", "webhook")
    await people.settings(buckets={name: {"limit": 100} for name in roomy})
    made = Bot(api, socket, people)
    assert (await made.register(ASK)).status == 200
    return made


async def asked(bot: Bot, channel: str = "general") -> str:
    number = await bot.people.command(channel, "Jun", "ask")
    await bot.hear()
    return number


async def _create(bot: Bot, body: Any) -> Answer:
    path = f"/channels/{bot.api.channels['general']}/messages"
    return await bot.api.request("POST", path, body)


async def _edit(bot: Bot, body: Any) -> Answer:
    message = (await bot.api.send("general", "good")).body
    path = f"/channels/{message['channel_id']}/messages/{message['id']}"
    return await bot.api.request("PATCH", path, body)


async def _update(bot: Bot, body: Any) -> Answer:
    components = [{"type": 1, "components": [BUTTON]}]
    message = (await bot.api.send("general", "good", components=components)).body
    await bot.people.press("general", "Jun", message["id"], "go")
    await bot.hear()
    return await bot.answer(UPDATE, body)


async def _original(bot: Bot, body: Any) -> Answer:
    await asked(bot)
    await bot.answer(DEFERRED)
    return await bot.hook("PATCH", "/messages/@original", body)


async def _filling(bot: Bot, body: Any) -> Answer:
    await asked(bot)
    await bot.answer(DEFERRED)
    return await bot.hook("POST", "", body)


async def _follow_up(bot: Bot, body: Any) -> Answer:
    await asked(bot)
    await bot.answer(MESSAGE, {"content": "good"})
    return await bot.hook("POST", "", body)


async def _edited_follow_up(bot: Bot, body: Any) -> Answer:
    await asked(bot)
    await bot.answer(MESSAGE, {"content": "good"})
    second = (await bot.hook("POST", "", {"content": "better"})).body
    return await bot.hook("PATCH", f"/messages/{second['id']}", body)


async def _callback(bot: Bot, body: Any) -> Answer:
    await asked(bot)
    return await bot.answer(MESSAGE, body)


FOR_ALL = [_create, _edit, _update, _original, _filling, _follow_up, _edited_follow_up]
Route = Callable[[Bot, Any], Awaitable[Answer]]


@pytest.mark.parametrize("route", FOR_ALL)
async def test_automod_refuses_public_messages_and_edits(
    bot: Bot, people: Driver, route: Route
) -> None:
    rule = await people.refuse("automod", keyword="bad", guild="Sandbox")
    answer = await route(bot, BAD)
    assert (answer.status, answer.code) == (400, 200000)
    assert answer.body["message"] == "Message was blocked by automatic moderation"
    assert [one["hits"] for one in await people.refusals()] == [1]
    assert rule["guild_id"] == bot.api.guild
    shown = [one["content"] for one in await people.messages("general")]
    assert BAD["content"] not in shown
    assert (await route(bot, {"content": "a badge"})).status < 300, "a different word"
    await people.clear_refusals()
    assert (await route(bot, BAD)).status < 300


async def test_automod_makes_a_first_response_ephemeral(bot: Bot, people: Driver) -> None:
    await people.refuse("automod", keyword="bad")
    number = await asked(bot)
    answer = await bot.answer(MESSAGE, BAD, "?with_response=true")
    assert answer.body["interaction"]["response_message_ephemeral"] is True
    assert answer.body["resource"]["message"]["flags"] & EPHEMERAL
    assert (await people.interaction(number))["response"]["ephemeral"]
    assert await people.messages("general") == []
    edited = await bot.hook("PATCH", "/messages/@original", {"content": "bad, too"})
    assert edited.status == 200, "it is ephemeral"


async def test_automod_rule_applies_only_in_its_guild(bot: Bot, people: Driver) -> None:
    await people.create_guild("Strict")
    await people.refuse("automod", keyword="bad", guild="Strict")
    assert (await bot.api.send("general", "bad")).status == 200
    await people.refuse("automod", keyword="bad")
    assert (await bot.api.send("general", "bad")).code == 200000
    assert (await bot.api.send(await people.dm("Jun"), "bad")).status == 200


@pytest.mark.parametrize(
    ("keyword", "found", "missed"),
    [("cat", "a Cat!", "catch"), ("cat*", "catch", "a bobcat"), ("*cat*", "educated", "dog")],
)
async def test_automod_keyword_matches_whole_words_or_wildcards(
    api: Api, people: Driver, keyword: str, found: str, missed: str
) -> None:
    await people.refuse("automod", keyword=keyword)
    assert (await api.send("general", found)).code == 200000
    assert (await api.send("general", missed)).status == 200


async def test_automod_refuses_a_thread_name(bot: Bot, people: Driver) -> None:
    await people.refuse("automod", keyword="bad")
    question = await people.ask("general", "Jun", "is it bad?")
    channel = f"/channels/{bot.api.channels['general']}"
    body: dict[str, Any] = {"name": "Is it bad?"}
    of_message = f"{channel}/messages/{question['id']}/threads"
    for path, more in ((of_message, {}), (f"{channel}/threads", {"type": 11})):
        answer = await bot.api.request("POST", path, body | more)
        assert (answer.status, answer.code) == (400, 200001)


@pytest.mark.parametrize(
    ("kind", "code"), [("harmful_link", 240000), ("explicit", 20009), ("form", 50035), ("text", 7)]
)
@pytest.mark.parametrize("route", [*FOR_ALL, _callback])
async def test_other_refusals_apply_to_every_route(
    bot: Bot, people: Driver, route: Route, kind: str, code: int
) -> None:
    more: dict[str, Any] = {"code": 7} if kind == "text" else {}
    await people.refuse(kind, pattern=r"b.d", **more)
    answer = await route(bot, BAD)
    assert (answer.status, answer.code) == (400, code)
    if kind == "form":
        assert code_at(answer.body, "content")
    assert (await bot.api.send(await people.dm("Jun"), "bad")).code == code


async def test_refused_response_can_be_sent_again(bot: Bot, people: Driver) -> None:
    await people.refuse("harmful_link", keyword="bad")
    assert (await _callback(bot, BAD)).code == 240000
    assert (await bot.hook("GET", "/messages/@original")).code == 10015
    assert (await bot.answer(MESSAGE, {"content": "good"})).status == 204


async def test_harmful_link_is_refused_in_an_ephemeral_response(bot: Bot, people: Driver) -> None:
    await people.refuse("harmful_link", keyword="bad")
    await asked(bot)
    await bot.answer(DEFERRED, {"flags": EPHEMERAL})
    assert (await bot.hook("PATCH", "/messages/@original", BAD)).code == 240000


async def test_edit_without_content_is_not_refused_for_its_text(bot: Bot, people: Driver) -> None:
    message = (await bot.api.send("general", "bad")).body
    await people.refuse("automod", keyword="bad")
    path = f"/channels/{message['channel_id']}/messages/{message['id']}"
    assert (await bot.api.request("PATCH", path, {"components": []})).status == 200


async def test_refusal_can_have_its_own_error_and_count(api: Api, people: Driver) -> None:
    rule = await people.refuse("text", status=403, code=9, message="No.", count=1)
    answer = await api.send("general", "anything")
    assert (answer.status, answer.body) == (403, {"code": 9, "message": "No."})
    assert (await api.send("general", "anything")).status == 200
    assert (await people.refusals())[0] == rule | {"hits": 1, "remaining": 0}
    with pytest.raises(ControlError, match="no refusal 'rudeness'"):
        await people.refuse("rudeness")


async def _with_file(bot: Bot, method: str, path: str, payload: Any) -> Answer:
    form = aiohttp.FormData()
    form.add_field("payload_json", json.dumps(payload), content_type="application/json")
    form.add_field("files[0]", b"text", filename="reply.md")
    return await bot.api.request(method, path, data=form)


async def _file_routes(bot: Bot) -> list[Answer]:
    """Send a file by every route that accepts one."""
    channel = f"/channels/{bot.api.channels['general']}/messages"
    plain = (await bot.api.send("general", "good")).body["id"]
    body = {"content": "good"}
    answers = [
        await _with_file(bot, "POST", channel, body),
        await _with_file(bot, "PATCH", f"{channel}/{plain}", body),
    ]
    await asked(bot)
    callback = f"/interactions/{bot.heard['id']}/{bot.heard['token']}/callback"
    answers.append(await _with_file(bot, "POST", callback, {"type": MESSAGE, "data": body}))
    await asked(bot)
    await bot.answer(DEFERRED)
    hook = f"/webhooks/{bot.people.bot_id}/{bot.heard['token']}"
    answers.append(await _with_file(bot, "PATCH", f"{hook}/messages/@original", body))
    await bot.hook("PATCH", "/messages/@original", body)
    answers.append(await _with_file(bot, "POST", hook, body))
    second = (await bot.hook("POST", "", body)).body["id"]
    answers.append(await _with_file(bot, "PATCH", f"{hook}/messages/{second}", body))
    return answers


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("uploads_limited", 403, 400001),
        ("file_over_limit", 400, 50045),
        ("file_invalid", 400, 50046),
        ("request_over_limit", 413, 40005),
    ],
)
async def test_file_refusals_apply_to_every_route(
    bot: Bot, people: Driver, kind: str, status: int, code: int
) -> None:
    assert all(one.status < 300 for one in await _file_routes(bot))
    await people.refuse(kind)
    refused = await _file_routes(bot)
    assert [(one.status, one.code) for one in refused] == [(status, code)] * 6
    assert (await bot.api.send("general", "without a file")).status == 200
    await people.clear_refusals()
    await people.refuse(kind, status=418)
    assert {one.status for one in await _file_routes(bot)} == {418}


async def test_deferred_response_has_the_loading_flag(bot: Bot, people: Driver) -> None:
    number = await asked(bot)
    answer = await bot.answer(DEFERRED, None, "?with_response=true")
    about = answer.body["interaction"]
    assert (about["response_message_loading"], about["response_message_ephemeral"]) == (True, False)
    assert (await bot.hook("GET", "/messages/@original")).body["flags"] == LOADING
    assert (await people.interaction(number))["response"]["loading"]
    assert (await people.message("general", about["response_message_id"]))["loading"]
    [made] = await people.events(types=["message_create"])
    assert made["data"]["message"]["loading"]
    await bot.hook("PATCH", "/messages/@original", {"content": "done"})
    assert not (await people.interaction(number))["response"]["loading"]
    assert not (await people.message("general", about["response_message_id"]))["loading"]


@pytest.mark.parametrize("private", [False, True], ids=["for all", "for one"])
async def test_follow_up_fills_loading_message_and_keeps_its_privacy(
    bot: Bot, people: Driver, private: bool
) -> None:
    """Discord: it edits the original, ignores the ephemeral flag and creates no message."""
    number = await asked(bot)
    begun = await bot.answer(DEFERRED, {"flags": EPHEMERAL if private else 0}, "?with_response=1")
    other = {"content": "whole", "flags": (0 if private else EPHEMERAL) | 1 << 2}
    filled = await bot.hook("POST", "", other)
    assert filled.body["id"] == begun.body["interaction"]["response_message_id"]
    assert filled.body["flags"] == (EPHEMERAL if private else 0) | 1 << 2
    seen = await people.interaction(number)
    assert (seen["response"]["ephemeral"], seen["followups"]) == (private, [])
    second = await bot.hook("POST", "", {"content": "more"})
    assert second.body["id"] != filled.body["id"], "it is no longer loading"


async def test_follow_up_does_not_fill_a_deleted_loading_message(bot: Bot) -> None:
    await asked(bot)
    begun = await bot.answer(DEFERRED, None, "?with_response=1")
    await bot.hook("DELETE", "/messages/@original")
    made = await bot.hook("POST", "", {"content": "whole"})
    assert made.status == 200
    assert made.body["id"] != begun.body["interaction"]["response_message_id"]


@pytest.fixture
async def elsewhere(people: Driver) -> str:
    """Return a channel of a guild without the bot, where Jun has it as a user install."""
    guild = await people.create_guild("Elsewhere", with_bot=False)
    await people.invite("Jun", "Elsewhere")
    await people.edit_user("Jun", installed_bot=True)
    return str(guild["channels"]["general"])


async def _shown_to_all(bot: Bot, place: str) -> bool:
    """Ask in *place*; return whether the answer is public, by every sign of it."""
    number = await asked(bot, place)
    begun = (await bot.answer(DEFERRED, None, "?with_response=true")).body["interaction"]
    await bot.hook("PATCH", "/messages/@original", {"content": "yes"})
    read = (await bot.hook("GET", "/messages/@original")).body
    more = (await bot.hook("POST", "", {"content": "more"})).body
    answer = (await bot.people.interaction(number))["response"]
    told = {
        not begun["response_message_ephemeral"],
        not read["flags"] & EPHEMERAL,
        not more["flags"] & EPHEMERAL,
        not answer["ephemeral"],
        read["id"] in [one["id"] for one in await bot.people.messages(place)],
    }
    assert len(told) == 1
    return told.pop()


@pytest.mark.parametrize(
    ("bits", "to_all", "in_thread"),
    [
        (SEND | IN_THREADS | EXTERNAL_APPS, True, True),
        (SEND | IN_THREADS, False, False),
        (SEND | EXTERNAL_APPS, True, False),
        (IN_THREADS | EXTERNAL_APPS, False, True),
    ],
)
async def test_user_install_responds_publicly_if_user_can_write(
    bot: Bot, people: Driver, elsewhere: str, bits: int, to_all: bool, in_thread: bool
) -> None:
    thread = (await people.start_thread(elsewhere, "Mina", "A talk"))["id"]
    await people.edit_guild("Elsewhere", everyone_permissions=VIEW | USE_COMMANDS | bits)
    assert await _shown_to_all(bot, elsewhere) is to_all
    assert await _shown_to_all(bot, thread) is in_thread


async def test_guild_install_responds_publicly_without_write_permission(
    bot: Bot, people: Driver
) -> None:
    await people.edit_guild("Sandbox", everyone_permissions=VIEW | USE_COMMANDS)
    assert await _shown_to_all(bot, "general")


async def test_setting_makes_all_responses_ephemeral(bot: Bot, people: Driver) -> None:
    await people.settings(ephemeral_answers=True)
    assert not await _shown_to_all(bot, "general")
    assert not await _shown_to_all(bot, await people.dm("Jun"))
    await people.settings(ephemeral_answers=False)
    assert await _shown_to_all(bot, "general")


async def test_public_messages_in_a_locked_thread_cannot_be_edited(
    bot: Bot, people: Driver
) -> None:
    """Neither messages nor public responses of the bot; ephemeral responses can be edited."""
    thread = (await people.start_thread("general", "Jun", "A talk"))["id"]
    message = (await bot.api.send(thread)).body["id"]
    await asked(bot, thread)
    await bot.answer(DEFERRED)
    for_all = bot.heard
    await asked(bot, thread)
    await bot.answer(DEFERRED, {"flags": EPHEMERAL})
    await people.edit_channel(thread, locked=True)
    edited = await bot.api.request("PATCH", f"/channels/{thread}/messages/{message}", BAD)
    assert (edited.status, edited.code) == (403, 160005)
    assert (await bot.hook("PATCH", "/messages/@original", BAD)).status == 200
    bot.heard = for_all
    answer = await bot.hook("PATCH", "/messages/@original", BAD)
    assert (answer.status, answer.code) == (403, 50083)
    await people.edit_channel(thread, locked=False, archived=True)
    assert (await bot.hook("PATCH", "/messages/@original", BAD)).code == 50083
    await people.edit_channel(thread, archived=False)
    assert (await bot.hook("PATCH", "/messages/@original", BAD)).status == 200


async def test_follow_up_opens_an_archived_thread_but_not_a_locked_one(
    bot: Bot, people: Driver
) -> None:
    """An ephemeral follow-up can be sent in both."""
    thread = (await people.start_thread("general", "Jun", "A talk"))["id"]
    await asked(bot, thread)
    await bot.answer(MESSAGE, {"content": "good"})
    await people.edit_channel(thread, archived=True)
    assert (await bot.hook("POST", "", BAD)).status == 200
    await people.edit_channel(thread, locked=True)
    answer = await bot.hook("POST", "", BAD)
    assert (answer.status, answer.code) == (403, 50083)
    assert (await bot.hook("POST", "", BAD | {"flags": EPHEMERAL})).status == 200
    await people.edit_guild("Sandbox", bot_permissions=8)
    assert (await bot.hook("POST", "", BAD)).status == 200


async def test_locked_thread_of_a_foreign_guild_returns_50001(
    bot: Bot, people: Driver, elsewhere: str
) -> None:
    thread = (await people.start_thread(elsewhere, "Jun", "A talk"))["id"]
    await asked(bot, thread)
    await bot.answer(DEFERRED)
    await people.edit_channel(thread, locked=True)
    answer = await bot.hook("PATCH", "/messages/@original", BAD)
    assert (answer.status, answer.code) == (403, 50001)
