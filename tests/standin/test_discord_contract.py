"""Responses of the stand-in match Discord's own OpenAPI description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.openapi import check_request, check_response

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api

BUTTON = {"type": 2, "style": 1, "label": "Go on", "custom_id": "go"}
COMMAND = {
    "name": "ask",
    "description": "Ask",
    "description_localizations": {"ko": "묻기"},
    "contexts": [0, 1],
    "integration_types": [0],
    "options": [{"type": 3, "name": "text", "description": "What", "required": True}],
}


async def exchange(api: Api, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
    """Check and send a request, check the response, and return its body."""
    check_request(method, path, body)
    answer = await api.request(method, path, body)
    assert answer.status == status, answer.body
    check_response(method, path.split("?", maxsplit=1)[0], answer.status, answer.body)
    return answer.body


async def test_read_requests_match_the_description(api: Api, people: Driver) -> None:
    guild = f"/guilds/{api.guild}"
    for path in (
        "/gateway",
        "/gateway/bot",
        "/users/@me",
        f"/users/{people.user_id('Mina')}",
        "/users/@me/guilds",
        "/oauth2/applications/@me",
        "/applications/@me",
        guild,
        f"{guild}?with_counts=true",
        f"{guild}/channels",
        f"{guild}/roles",
        f"{guild}/threads/active",
        f"{guild}/members/{people.user_id('Jun')}",
        *(f"/channels/{number}" for number in api.channels.values()),
    ):
        await exchange(api, "GET", path)
    await people.settings(portal={"team": True})
    application = await exchange(api, "GET", "/applications/@me")
    assert application["team"]["owner_user_id"] == people.user_id("Mina")


async def test_message_requests_match_the_description(api: Api, people: Driver) -> None:
    question = await people.ask("general", "Jun", "who are you?")
    place = f"/channels/{api.channels['general']}/messages"
    body = {
        "content": "a reply with https://example.org and <@" + people.user_id("Jun") + ">",
        "message_reference": {"message_id": int(question["id"]), "fail_if_not_exists": False},
        "allowed_mentions": {"parse": []},
        "embeds": [{"title": "A title", "description": "text"}],
        "components": [{"type": 1, "components": [BUTTON]}],
        "nonce": "n-1",
        "enforce_nonce": True,
    }
    message = await exchange(api, "POST", place, body)
    one = f"{place}/{message['id']}"
    await exchange(api, "GET", one)
    await exchange(api, "PATCH", one, {"content": "edited", "allowed_mentions": {"parse": []}})
    await exchange(api, "PUT", f"{one}/reactions/%F0%9F%91%8D/@me", status=204)
    await exchange(api, "GET", f"{place}?limit=10")
    await exchange(api, "DELETE", one, status=204)
    await exchange(api, "POST", f"/channels/{api.channels['general']}/typing", status=204)


async def test_forward_matches_the_description(api: Api, people: Driver) -> None:
    source = await people.say("random", "Mina", "Look")
    forward = await people.forward("general", "Jun", source)
    path = f"/channels/{api.channels['general']}/messages/{forward['id']}"
    answer = await api.request("GET", path)
    # The description has snapshots, but not the documented type of the reference.
    reference = answer.body["message_reference"] | {"type": 0}
    check_response("GET", path, 200, answer.body | {"message_reference": reference})


async def test_thread_requests_match_the_description(api: Api, people: Driver) -> None:
    question = await people.ask("general", "Jun", "hm?")
    channel = f"/channels/{api.channels['general']}"
    path = f"{channel}/messages/{question['id']}/threads"
    thread = await exchange(api, "POST", path, {"name": "An answer"}, status=201)
    inside = f"/channels/{thread['id']}"
    await exchange(api, "GET", inside)
    await exchange(api, "POST", f"{inside}/messages", {"content": "here"})
    await exchange(api, "GET", f"{inside}/messages")
    await exchange(api, "GET", f"{channel}/messages/{question['id']}")
    await exchange(api, "GET", f"/guilds/{api.guild}/threads/active")
    await exchange(api, "DELETE", f"{inside}/thread-members/@me", status=204)
    await exchange(api, "PUT", f"{inside}/thread-members/@me", status=204)
    await exchange(api, "PATCH", inside, {"archived": True})
    await exchange(api, "GET", f"{channel}/threads/archived/public")
    forum = f"/channels/{api.channels['help']}/threads"
    post = {"name": "A post", "message": {"content": "first"}}
    await exchange(api, "POST", forum, post, status=201)


async def test_direct_message_requests_match_the_description(api: Api, people: Driver) -> None:
    body = {"recipient_id": int(people.user_id("Sora"))}
    channel = await exchange(api, "POST", "/users/@me/channels", body)
    await exchange(api, "GET", f"/channels/{channel['id']}")
    await exchange(api, "POST", f"/channels/{channel['id']}/messages", {"content": "hi"})


@pytest.mark.parametrize("guild", [False, True], ids=["global", "guild"])
async def test_command_requests_match_the_description(
    api: Api, people: Driver, guild: bool
) -> None:
    scope = f"/guilds/{api.guild}" if guild else ""
    path = f"/applications/{people.bot_id}{scope}/commands"
    [command] = await exchange(api, "PUT", path, [COMMAND])
    await exchange(api, "GET", f"{path}?with_localizations=true")
    await exchange(api, "GET", path)
    await exchange(api, "GET", f"{path}/{command['id']}")
    await exchange(api, "POST", path, COMMAND | {"name": "other"}, status=201)
    await exchange(api, "PATCH", f"{path}/{command['id']}", {"description": "Ask it"})
    await exchange(api, "DELETE", f"{path}/{command['id']}", status=204)


@pytest.mark.parametrize(
    "body",
    [
        {"type": 4, "data": {"content": "hi", "flags": 64}},
        {"type": 4, "data": {"content": "hi", "components": [{"type": 1, "components": [BUTTON]}]}},
        {"type": 5},
        {
            "type": 9,
            "data": {
                "title": "A form",
                "custom_id": "form",
                "components": [
                    {
                        "type": 18,
                        "label": "Text",
                        "component": {"type": 4, "custom_id": "text", "style": 2},
                    }
                ],
            },
        },
    ],
    ids=["ephemeral", "with a button", "deferred", "modal"],
)
async def test_interaction_responses_match_the_description(
    api: Api, people: Driver, discord_state: Any, body: dict[str, Any]
) -> None:
    await api.request("PUT", f"/applications/{people.bot_id}/commands", [COMMAND])
    number = await people.command("general", "Jun", "ask", {"text": "hm"})
    token = discord_state.interactions[int(number)].token
    path = f"/interactions/{number}/{token}/callback"
    check_request("POST", path, body)
    answer = await api.request("POST", f"{path}?with_response=1", body)
    assert answer.status == 200, answer.body
    check_response("POST", path, 200, answer.body)
    hook = f"/webhooks/{people.bot_id}/{token}"
    if body["type"] != 9:
        await exchange(api, "PATCH", f"{hook}/messages/@original", {"content": "more"})
        await exchange(api, "GET", f"{hook}/messages/@original")
        await exchange(api, "POST", hook, {"content": "and more"})
        await exchange(api, "DELETE", f"{hook}/messages/@original", status=204)


async def test_error_responses_match_the_description(api: Api) -> None:
    place = f"/channels/{api.channels['general']}/messages"
    for body in ({"content": ""}, {"content": "x" * 2001}, {"content": "x", "nonce": "n" * 26}):
        answer = await api.request("POST", place, body)
        assert answer.status == 400
        # The description calls the codes inside `errors` integers; Discord documents names.
        without_tree = {key: answer.body[key] for key in ("code", "message")}
        check_response("POST", place, 400, without_tree)
    await api.request("POST", place, {"content": "x"})
    await api.request("POST", place, {"content": "x"})
    limited = await api.request("POST", place, {"content": "x"})
    assert limited.status == 429
    # The description requires a code that Discord documents as optional and seldom sends.
    check_response("POST", place, 429, {"code": 0} | limited.body)
