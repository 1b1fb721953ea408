"""Rate limits and faults of REST: what a client is told, and what was done meanwhile."""

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


async def test_the_sixth_message_within_five_seconds_is_too_many(api: Api, people: Driver) -> None:
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


async def test_the_bucket_fills_again(api: Api, people: Driver) -> None:
    await people.settings(buckets={"message_create": {"limit": 1, "window_seconds": 1.0}})
    first = await api.send("general")
    assert float(first.headers["X-RateLimit-Reset-After"]) <= 1.0
    refused = await api.send("general")
    assert refused.status == 429
    await asyncio.sleep(float(refused.headers["X-RateLimit-Reset-After"]) + 0.01)
    assert (await api.send("general")).status == 200


async def test_routes_of_one_bucket_share_its_name_and_others_do_not(api: Api) -> None:
    created = await api.send("general")
    other = await api.send("random")
    path = f"/channels/{api.channels['general']}/messages/{created.body['id']}"
    edited = await api.request("PATCH", path, {"content": "x"})
    names = [item.headers["X-RateLimit-Bucket"] for item in (created, other, edited)]
    assert names[0] == names[1] != names[2]


async def test_the_whole_bot_has_a_limit_of_its_own(api: Api, people: Driver) -> None:
    await people.settings(global_limit=2, buckets={"read": {"limit": 100}})
    answers = [await api.request("GET", "/users/@me") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].body["global"] is True
    assert answers[2].headers["X-RateLimit-Scope"] == "global"


async def test_too_many_invalid_requests_are_answered_by_cloudflare(
    api: Api, people: Driver
) -> None:
    await people.settings(invalid_request_limit=2)
    for _ in range(2):
        await api.request("GET", "/users/@me", token="wrong")
    answer = await api.request("GET", "/users/@me")
    assert answer.status == 429
    assert "Via" not in answer.headers
    assert isinstance(answer.body, str)


async def test_what_is_used_up_can_be_forgotten(api: Api, people: Driver) -> None:
    assert [(await api.send("general")).status for _ in range(6)] == [200] * 5 + [429]
    await people.forget_limits()
    assert (await api.send("general")).status == 200


async def test_an_answer_on_demand_for_the_next_requests_only(api: Api, people: Driver) -> None:
    await people.fault("answer", method="POST", path="/messages$", count=2, status=503, body="oops")
    answers = [await api.send("general") for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Content-Type"] == "text/html"
    assert (await api.request("GET", "/users/@me")).status == 200
    assert [fault["hits"] for fault in await people.faults()] == [2]


async def test_a_fault_may_let_the_first_pass(api: Api, people: Driver) -> None:
    await people.fault("answer", path="/messages$", skip=1, status=500, body={"message": "x"})
    assert [(await api.send("general")).status for _ in range(3)] == [200, 500, 200]


async def test_faults_by_chance_are_the_same_for_a_seed(api: Api, people: Driver) -> None:
    async def run() -> list[int]:
        await people.clear_faults()
        await people.fault("answer", path="@me", count=None, probability=0.5, seed=7, status=500)
        return [(await api.request("GET", "/users/@me")).status for _ in range(10)]

    assert await run() == await run()
    assert set(await run()) == {200, 500}


@pytest.mark.parametrize(("action", "kept"), [("drop", 0), ("drop_after", 1)])
async def test_a_lost_connection_before_and_after_the_message_was_made(
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
async def test_a_rate_limit_on_demand(
    api: Api, people: Driver, scope: dict[str, Any], via: bool
) -> None:
    await people.fault("rate_limit", path="/threads$", retry_after=280, via=via, **scope)
    path = f"/channels/{api.channels['general']}/threads"
    answer = await api.request("POST", path, {"name": "x", "type": 11})
    assert answer.status == 429
    assert answer.body["retry_after"] == 280
    assert answer.body["global"] is bool(scope)
    assert ("Via" in answer.headers) is via


async def test_a_delay_on_demand_and_a_latency_for_all(api: Api, people: Driver) -> None:
    await people.fault("delay", path="@me", seconds=0.1)
    await people.settings(rest_latency_seconds=0.1)
    began = time.monotonic()
    assert (await api.request("GET", "/users/@me")).status == 200
    assert time.monotonic() - began >= 0.2


async def test_an_answer_may_come_late_although_all_is_done(api: Api, people: Driver) -> None:
    await people.fault("delay", path="/messages$", seconds=1.0, after=True)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(api.send("general"))
        await people.wait_for_bot("hello")
        assert not sending.done()


async def test_what_is_done_may_be_answered_by_nonsense(api: Api, people: Driver) -> None:
    await people.fault("answer", path="/messages$", status=200, body="<html>", after=True)
    answer = await api.send("general")
    assert (answer.status, answer.body) == (200, "<html>")
    await people.wait_for_bot("hello")


async def test_every_request_is_on_record(api: Api, people: Driver) -> None:
    await api.send("general", unknown="key")
    [entry] = await people.requests()
    assert (entry["method"], entry["status"], entry["remaining"]) == ("POST", 200, 4)
    assert entry["route"] == "/channels/{channel_id}/messages"
    assert entry["body"]["content"] == "hello"
    assert entry["unknown_keys"] == ["unknown"]
    [event] = await people.events(types=["request"])
    assert event["data"]["seq"] == entry["seq"]


async def test_nonsense_is_refused_by_the_control_interface(people: Driver) -> None:
    with pytest.raises(ControlError, match="no setting"):
        await people.settings(colour="blue")
    with pytest.raises(ControlError, match="no fault"):
        await people.fault("explode")
    with pytest.raises(ControlError, match="no gateway fault"):
        await people.gateway("explode")
    with pytest.raises(ControlError, match="user 'Nobody'"):
        await people.say("general", "Nobody", "hi")
