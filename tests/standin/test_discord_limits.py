"""Rate limits and faults of REST: the response, and whether the request took effect."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientError

from bot.sandbox.driver import ControlError

if TYPE_CHECKING:
    from bot.sandbox.driver import Driver
    from tests.standin.wire import Api


async def test_sixth_message_within_five_seconds_gets_429(api: Api, people: Driver) -> None:
    left = [(await api.send("general")).headers["X-RateLimit-Remaining"] for _ in range(5)]
    assert left == ["4", "3", "2", "1", "0"]
    answer = await api.send("general")
    assert answer.status == 429
    assert 0 < answer.body["retry_after"] <= 5
    assert answer.body["global"] is False
    assert answer.headers["X-RateLimit-Scope"] == "user"
    assert answer.headers["Via"]
    assert (await api.send("random")).status == 200
    assert len(await people.messages("general")) == 5


async def test_bucket_refills_after_its_window(api: Api, people: Driver) -> None:
    await people.settings(buckets={"message_create": {"limit": 1, "window_seconds": 1.0}})
    first = await api.send("general")
    assert float(first.headers["X-RateLimit-Reset-After"]) <= 1.0
    refused = await api.send("general")
    assert refused.status == 429
    await asyncio.sleep(float(refused.headers["X-RateLimit-Reset-After"]) + 0.01)
    assert (await api.send("general")).status == 200


async def old_messages(people: Driver, count: int) -> list[str]:
    """Let the bot have written messages in a channel two hours ago; return their paths."""
    place = (await people.create_channel("old"))["id"]
    said = [
        await people.say(place, people.bot_id, "old", ago_seconds=7200 - number)
        for number in range(count)
    ]
    return [f"/channels/{place}/messages/{one['id']}" for one in said]


async def test_old_messages_of_a_channel_share_three_edits_in_six_seconds(
    api: Api, people: Driver
) -> None:
    """The headers show the usual bucket, and other channels are not limited."""
    await people.settings(buckets={"message_edit": {"limit": 50, "window_seconds": 5}})
    paths, others = await old_messages(people, 3), await old_messages(people, 1)
    answers = [await api.request("PATCH", path, {"content": "x"}) for path in (*paths, *paths)]
    assert [one.status for one in answers] == [200, 200, 200, 429, 429, 429]
    assert answers[3].code == 30046
    assert 0 < answers[3].body["retry_after"] <= 6
    assert answers[3].headers["X-RateLimit-Limit"] == "50"
    assert answers[3].headers["Via"]
    assert (await api.request("PATCH", others[0], {"content": "x"})).status == 200
    await people.settings(buckets={"old_message_edit": {"window_seconds": 0.2}})
    await asyncio.sleep(0.2)
    assert (await api.request("PATCH", paths[0], {"content": "y"})).status == 200


async def test_messages_of_less_than_an_hour_are_not_limited(api: Api, people: Driver) -> None:
    young = (await api.send("general")).body["id"]
    path = f"/channels/{api.channels['general']}/messages/{young}"
    answers = [await api.request("PATCH", path, {"content": "x"}) for _ in range(5)]
    assert [one.status for one in answers] == [200] * 5


async def test_routes_of_one_bucket_share_its_name(api: Api) -> None:
    created = await api.send("general")
    other = await api.send("random")
    path = f"/channels/{api.channels['general']}/messages/{created.body['id']}"
    edited = await api.request("PATCH", path, {"content": "x"})
    names = [item.headers["X-RateLimit-Bucket"] for item in (created, other, edited)]
    assert names[0] == names[1] != names[2]


async def test_global_rate_limit_counts_all_requests(api: Api, people: Driver) -> None:
    await people.settings(global_limit=2, buckets={"read": {"limit": 100}})
    answers = [await api.request("GET", "/users/@me") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].body["global"] is True
    assert answers[2].headers["X-RateLimit-Scope"] == "global"


async def test_too_many_invalid_requests_get_a_cloudflare_429(api: Api, people: Driver) -> None:
    await people.settings(invalid_request_limit=2)
    for _ in range(2):
        await api.request("GET", "/users/@me", token="wrong")
    answer = await api.request("GET", "/users/@me")
    assert answer.status == 429
    assert "Via" not in answer.headers
    assert isinstance(answer.body, str)


async def test_forget_limits_resets_the_buckets(api: Api, people: Driver) -> None:
    assert [(await api.send("general")).status for _ in range(6)] == [200] * 5 + [429]
    await people.forget_limits()
    assert (await api.send("general")).status == 200


async def test_answer_fault_applies_to_the_given_count(api: Api, people: Driver) -> None:
    await people.fault("answer", method="POST", path="/messages$", count=2, status=503, body="oops")
    answers = [await api.send("general") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Content-Type"] == "text/html"
    assert (await api.request("GET", "/users/@me")).status == 200
    assert [fault["hits"] for fault in await people.faults()] == [2]


async def test_fault_can_skip_the_first_requests(api: Api, people: Driver) -> None:
    await people.fault("answer", path="/messages$", skip=1, status=500, body={"message": "x"})
    assert [(await api.send("general")).status for _ in range(3)] == [200, 500, 200]


async def test_same_seed_yields_same_random_faults(api: Api, people: Driver) -> None:
    async def run() -> list[int]:
        await people.clear_faults()
        await people.fault("answer", path="@me", count=None, probability=0.5, seed=7, status=500)
        return [(await api.request("GET", "/users/@me")).status for _ in range(10)]

    assert await run() == await run()
    assert set(await run()) == {200, 500}


@pytest.mark.parametrize(("action", "kept"), [("drop", 0), ("drop_after", 1)])
async def test_drop_fault_acts_before_or_after_the_request_is_done(
    api: Api, people: Driver, action: str, kept: int
) -> None:
    await people.fault(action, path="/messages$")
    with pytest.raises(ClientError):
        await api.send("general")
    assert len(await people.messages("general")) == kept
    assert (await api.send("general")).status == 200
    [lost, _] = await people.requests(method="POST")
    assert lost["lost"] is True


@pytest.mark.parametrize(("scope", "via"), [({}, True), ({"global": True}, True), ({}, False)])
async def test_rate_limit_fault_sends_a_429(
    api: Api, people: Driver, scope: dict[str, Any], via: bool
) -> None:
    await people.fault("rate_limit", path="/threads$", retry_after=280, via=via, **scope)
    path = f"/channels/{api.channels['general']}/threads"
    answer = await api.request("POST", path, {"name": "x", "type": 11})
    assert answer.status == 429
    assert answer.body["retry_after"] == 280
    assert answer.body["global"] is bool(scope)
    assert ("Via" in answer.headers) is via


async def test_delay_fault_adds_to_the_latency_setting(api: Api, people: Driver) -> None:
    await people.fault("delay", path="@me", seconds=0.1)
    await people.settings(rest_latency_seconds=0.1)
    began = time.monotonic()
    assert (await api.request("GET", "/users/@me")).status == 200
    assert time.monotonic() - began >= 0.2


async def test_delay_fault_can_delay_only_the_response(api: Api, people: Driver) -> None:
    await people.fault("delay", path="/messages$", seconds=1.0, after=True)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(api.send("general"))
        await people.wait_for_bot("hello")
        assert not sending.done()


async def test_answer_fault_can_replace_only_the_response(api: Api, people: Driver) -> None:
    await people.fault("answer", path="/messages$", status=200, body="<html>", after=True)
    answer = await api.send("general")
    assert (answer.status, answer.body) == (200, "<html>")
    await people.wait_for_bot("hello")


async def test_every_request_is_recorded(api: Api, people: Driver) -> None:
    await api.send("general")
    [entry] = await people.requests()
    assert (entry["method"], entry["status"], entry["remaining"]) == ("POST", 200, 4)
    assert entry["route"] == "/channels/{channel_id}/messages"
    assert entry["body"]["content"] == "hello"
    assert entry["unmodelled"] == []
    [event] = await people.events(types=["request"])
    assert event["data"]["seq"] == entry["seq"]


async def test_control_interface_refuses_invalid_calls(people: Driver) -> None:
    with pytest.raises(ControlError, match="no setting"):
        await people.settings(colour="blue")
    with pytest.raises(ControlError, match="no fault"):
        await people.fault("explode")
    with pytest.raises(ControlError, match="no gateway fault"):
        await people.gateway("explode")
    with pytest.raises(ControlError, match="user 'Nobody'"):
        await people.say("general", "Nobody", "hi")
