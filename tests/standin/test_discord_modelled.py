"""The stand-in refuses what it does not model, and the record of requests names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.sandbox.discord import modelled
from bot.sandbox.discord.modelled import ByType, Shape
from bot.sandbox.discord.rest import ROUTES
from tests import openapi
from tests.standin.wire import Bot

if TYPE_CHECKING:
    from bot.sandbox.discord.state import State
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Answer, Api, Socket

MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
ASK = {"name": "ask", "description": "Ask"}
ROW = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}
USER_MENU = {"type": 1, "components": [{"type": 5, "custom_id": "who"}]}
POLL = {"question": {"text": "Tea?"}, "answers": []}
MENTIONS: dict[str, Any] = {"parse": [], "channels": []}


async def refused(people: Driver, answer: Answer, *fields: str) -> None:
    """Check that *answer* refuses the last request because of *fields*, and the record too."""
    assert answer.status == 501, answer.body
    for field in fields:
        assert field in answer.body["message"]
    last = (await people.requests())[-1]
    assert last["unmodelled"] == list(fields)
    assert (await people.unmodelled())[-len(fields) :] == [
        f"{last['method']} {last['path']}: {field}" for field in fields
    ]
    [*_, event] = await people.events(types=["request"])
    assert event["data"]["unmodelled"] == list(fields)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contents": "hi"}, "contents"),
        ({"poll": POLL}, "poll"),
        ({"sticker_ids": ["1"]}, "sticker_ids"),
        ({"shared_client_theme": {}}, "shared_client_theme"),
        ({"username": "Somebody"}, "username"),
        ({"flags": 1 << 13}, "flags=8192"),
        ({"flags": 1 << 15 | 1 << 2}, "flags=32768"),
        ({"allowed_mentions": MENTIONS}, "allowed_mentions.channels"),
        ({"message_reference": {"message_id": "1", "type": 1}}, "message_reference.type=1"),
        ({"attachments": [{"id": 0}, {"id": 1, "title": "A"}]}, "attachments[1].title"),
        ({"embeds": [{"title": "A", "video": {}}]}, "embeds[0].video"),
        ({"embeds": [{"fields": [{"name": "a", "text": "b"}]}]}, "embeds[0].fields[0].text"),
        ({"flags": 1 << 15, "components": [{"type": 17}]}, "flags=32768"),
        ({"components": [ROW, USER_MENU]}, "components[1].components[0].type=5"),
        ({"components": [ROW | {"spoiler": True}]}, "components[0].spoiler"),
    ],
)
async def test_unmodelled_field_of_a_message_is_named(
    api: Api, people: Driver, body: dict[str, Any], field: str
) -> None:
    await refused(people, await api.send("general", **body), field)
    assert await people.messages("general") == []


async def test_all_unmodelled_fields_are_named_at_once(api: Api, people: Driver) -> None:
    answer = await api.send("general", stickers=[], embeds=[{"titel": "A"}])
    await refused(people, answer, "stickers", "embeds[0].titel")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/channels/{general}/messages?limit=5&latest=1", None, "?latest"),
        ("GET", "/channels/{general}?with_counts=1", None, "?with_counts"),
        ("GET", "/users/@me/guilds?before=1", None, "?before"),
        ("GET", "/guilds/{guild}/threads/active?limit=5", None, "?limit"),
        ("GET", "/users/@me", {"name": "a"}, "name"),
        ("PATCH", "/channels/{general}/messages/{message}", {"nonce": "1"}, "nonce"),
        ("PATCH", "/channels/{general}/messages/{message}", {"flags": 1 << 6}, "flags=64"),
        ("PATCH", "/channels/{general}/messages/{message}", {"poll": None}, "poll"),
        ("PATCH", "/channels/{general}", {"archived": True}, "archived"),
        ("PATCH", "/channels/{general}", {"nsfw": True}, "nsfw"),
        ("POST", "/channels/{general}/typing", {"seconds": 5}, "seconds"),
        ("POST", "/channels/{general}/messages/bulk-delete", {"ids": []}, "ids"),
        ("POST", "/channels/{general}/threads", {"name": "A", "invitable": True}, "invitable"),
        ("POST", "/channels/{general}/threads", {"name": "A", "message": {}}, "message"),
        ("POST", "/channels/{help}/threads", {"name": "A", "type": 11}, "type"),
        (
            "POST",
            "/channels/{help}/threads",
            {"name": "A", "message": {"nonce": 1}},
            "message.nonce",
        ),
        ("POST", "/channels/{general}/messages/{message}/threads", {"topic": "A"}, "topic"),
        (
            "POST",
            "/channels/{general}/messages/{message}/threads",
            {"name": "A", "rate_limit_per_user": 5},
            "rate_limit_per_user=5",
        ),
        ("POST", "/users/@me/channels", {"access_tokens": []}, "access_tokens"),
        ("PUT", "/applications/{bot}/commands", [ASK, ASK | {"category": 1}], "[1].category"),
        (
            "POST",
            "/applications/{bot}/guilds/{guild}/commands",
            ASK | {"options": [{"type": 1, "options": [{"choices": [{"values": 1}]}]}]},
            "options[0].options[0].choices[0].values",
        ),
        ("GET", "/nowhere", None, "GET /nowhere"),
        ("GET", "/channels/{general}/pins?limit=5", None, "GET /channels/{general}/pins"),
        ("PUT", "/users/@me/guilds", None, "PUT /users/@me/guilds"),
    ],
)
async def test_unmodelled_part_of_a_request_is_named(
    api: Api, people: Driver, method: str, path: str, body: Any, field: str
) -> None:
    message = (await api.send("general")).body["id"]
    names = {"message": message, "guild": api.guild, "bot": people.bot_id, **api.channels}
    answer = await api.request(method, path.format(**names), body)
    await refused(people, answer, field.format(**names))


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        (MESSAGE, {"content": "a", "nonce": "1"}, "data.nonce"),
        (MESSAGE, {"content": "a", "message_reference": {}}, "data.message_reference"),
        (MESSAGE, {"content": "a", "poll": POLL}, "data.poll"),
        (DEFERRED, {"content": "a"}, "data.content"),
        (DEFERRED, {"flags": 1 << 2}, "data.flags=4"),
        (DEFERRED_UPDATE, {"flags": 0}, "data.flags"),
        (UPDATE, {"content": "a", "tts": True}, "data.tts=True"),
        (CHOICES, {"choices": [{"name": "a", "description": "b"}]}, "data.choices[0].description"),
        (
            MODAL,
            {"title": "A", "components": [USER_MENU]},
            "data.components[0].components[0].type=5",
        ),
        (MODAL, {"title": "A", "timeout": 5}, "data.timeout"),
        (
            MODAL,
            {"components": [{"type": 18, "component": {"type": 19}}]},
            "data.components[0].component.type=19",
        ),
        (12, None, "type=12"),
    ],
)
async def test_unmodelled_part_of_a_response_is_named(
    api: Api, people: Driver, socket: Socket, kind: int, data: Any, field: str
) -> None:
    await socket.identify()
    bot = Bot(api, socket, people)
    await bot.register(ASK)
    await people.command("general", "Jun", "ask")
    await bot.hear()
    await refused(people, await bot.answer(kind, data), field)
    assert (await bot.answer(MESSAGE, {"content": "a"})).status == 204
    await refused(people, await bot.hook("POST", "", {"avatar_url": "a"}), "avatar_url")
    await refused(people, await bot.hook("POST", "?thread_id=1", {"content": "a"}), "?thread_id")
    original = "/messages/@original"
    await refused(people, await bot.hook("PATCH", original, {"poll": POLL}), "poll")
    await refused(people, await bot.hook("PATCH", original, {"flags": 1 << 6}), "flags=64")


async def test_edit_may_repeat_the_flags_of_the_message(api: Api) -> None:
    message = (await api.send("general", flags=1 << 12)).body
    path = f"/channels/{message['channel_id']}/messages/{message['id']}"
    edited = await api.request("PATCH", path, {"content": "a", "flags": 1 << 12 | 1 << 2})
    assert edited.body["flags"] == 1 << 12 | 1 << 2


@pytest.mark.parametrize(
    ("part", "path", "field"),
    [
        ("files[0]", "/channels/{general}/typing", "files[0]"),
        ("file", "/channels/{general}/messages", "the form's part file"),
        ("content", "/channels/{general}/messages", "the form's part content"),
    ],
)
async def test_unmodelled_part_of_a_form_is_named(
    api: Api, people: Driver, part: str, path: str, field: str
) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field(part, b"text", filename="a.txt")
    answer = await api.request("POST", path.format(**api.channels), data=form)
    await refused(people, answer, field)


async def test_attachment_without_its_file_is_named(api: Api, people: Driver) -> None:
    field = "attachments without a file: 0"
    await refused(people, await api.send("general", attachments=[{"id": 0}]), field)
    message = (await api.send("general")).body
    path = f"/channels/{message['channel_id']}/messages/{message['id']}"
    await refused(people, await api.request("PATCH", path, {"attachments": [{"id": 0}]}), field)


async def test_unmodelled_field_is_named_even_if_a_fault_answers(api: Api, people: Driver) -> None:
    await people.fault("answer", status=500)
    await refused(people, await api.send("general", stickers=[]), "stickers")


@pytest.mark.parametrize(
    "body",
    [{"embeds": [{"fields": 5}]}, {"components": [{"type": 1, "components": 5}]}],
)
async def test_failure_of_the_stand_in_is_no_answer_of_discord(
    api: Api, people: Driver, body: dict[str, Any]
) -> None:
    """A value that no rule expects must not look like a server error, which the bot repeats."""
    answer = await api.send("general", **body)
    assert answer.status == 501
    [named] = (await people.requests())[-1]["unmodelled"]
    assert named.startswith("TypeError")


async def test_rights_of_discord_come_first_nowhere(api: Api, discord_state: State) -> None:
    """The test sees a mistake even if Discord would refuse the request for another reason."""
    answer = await api.request("GET", "/users/@me?with=all", token="wrong")
    assert answer.status == 501
    assert discord_state.requests[-1]["unmodelled"] == ["?with"]


def _paths(shape: Shape, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each field in *shape*, the options of options left out."""
    if isinstance(shape, ByType):
        for one in shape.shapes.values():
            yield from _paths(one, before)
    elif isinstance(shape, Mapping):
        for name, inner in shape.items():
            yield (*before, name)
            if inner is not shape:
                yield from _paths(inner, (*before, name))


# Discord documents or ignores these; its description leaves them out.
UNDESCRIBED = {("nsfw",), ("options", "options"), ("tts",), ("message", "tts")}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_everything_modelled_is_described_by_discord(route: Any) -> None:
    schema = openapi.body_schema(route.method, route.path)
    for path in _paths(route.body):
        found = [schema]
        for name in path:
            found = [one for inner in found for one in openapi.subschemas(inner, name)]
        assert found or path in UNDESCRIBED, ".".join(path)
    assert route.query <= openapi.query_names(route.method, route.path)


def test_null_is_as_absent_for_values_that_are_not_modelled() -> None:
    shape = modelled.THREAD_FROM_MESSAGE
    assert list(modelled.unmodelled({"rate_limit_per_user": None}, shape)) == []
