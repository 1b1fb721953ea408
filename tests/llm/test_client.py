"""Chat completions over real HTTP: every fault ends in an error of this program."""

import asyncio
import json
import logging
import random
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
from openai import AsyncOpenAI

from bot.backoff import Backoff
from bot.conversation.images import Image
from bot.conversation.prompt import Prompt, Role, Turn
from bot.errors import (
    ContentFiltered,
    ModelAccessDenied,
    ModelAddressWrong,
    ModelBusy,
    ModelContextExceeded,
    ModelCut,
    ModelEmpty,
    ModelEmptyBody,
    ModelError,
    ModelFailed,
    ModelFailedOnImages,
    ModelKeyRefused,
    ModelQuotaExceeded,
    ModelRateLimited,
    ModelReplyTooLong,
    ModelRequestRefused,
    ModelStopped,
    ModelThoughtOnly,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
    OutputTruncated,
)
from bot.llm import client as model_module
from bot.llm import completion as completion_module
from bot.llm import http_errors
from bot.llm.api_config import ApiConfig
from bot.llm.client import ChatCompletions
from bot.llm.events import Delta, TokenUsage
from bot.llm.models import ListedModel
from bot.llm.request_budget import RequestBudget
from bot.sandbox.model_driver import ModelDriver
from bot.sandbox.model_script import Script
from tests.doubles import PATIENCE_SECONDS
from tests.faults.stream_fuzz import Answer, cut_at_each_byte, garbled_streams, listening
from tests.pictures import png

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION_ID = 100000000000000001
QUESTION = "Why is the sky of my secret planet green?"
PROMPT = Prompt((Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, QUESTION)), 20, 0, 100)
SOON = 0.3  # seconds; the deadlines of tests that wait for them
VALUES: dict[str, Any] = {
    "model": "any-name",
    "options": lambda _model: {},
    "reply_tokens": lambda: 500,
    "length_option": "max_completion_tokens",
    "first_token_seconds": 20.0,
    "idle_seconds": 20.0,
    "reply_seconds": 40.0,
}
VALUES_FORM = str(VALUES["length_option"])
Open = Callable[..., AbstractAsyncContextManager[ChatCompletions]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(stand_in: ModelDriver) -> AsyncIterator[AsyncOpenAI]:
    """One for all tests, as making one takes longer than most of them."""
    async with ChatCompletions.open(
        ApiConfig(base_url=stand_in.base_url, api_key=stand_in.api_key, **VALUES)
    ) as model:
        yield model._client


@pytest.fixture
def opened(server: ModelDriver, client: AsyncOpenAI) -> Open:
    """Open a model that has learnt nothing yet, with a client of its own where that matters."""

    @asynccontextmanager
    async def opened(
        base_url: str = "", api_key: str | None = "", **changes: Any
    ) -> AsyncIterator[ChatCompletions]:
        if api_key == "":
            config = ApiConfig(base_url="", api_key=None, **VALUES | changes)
            yield ChatCompletions(client, config)
        else:
            url = base_url or server.base_url
            config = ApiConfig(base_url=url, api_key=api_key, **VALUES)
            async with ChatCompletions.open(config) as model:
                yield model

    return opened


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries begin soon."""
    monkeypatch.setattr(model_module, "REQUEST_BACKOFF", Backoff(0.01, 0.01))


@pytest_asyncio.fixture(loop_scope="module")
async def model(opened: Open) -> AsyncIterator[ChatCompletions]:
    async with opened() as one:
        yield one


async def asked(model: ChatCompletions, prompt: Prompt = PROMPT) -> tuple[str, TokenUsage | None]:
    """Return the whole answer and its usage."""
    async with model.stream(
        prompt, RequestBudget(QUESTION_ID), model=model.default_model
    ) as completion:
        events = [event async for event in completion]
    text = "".join(event.text for event in events if isinstance(event, Delta))
    counts = [event for event in events if isinstance(event, TokenUsage)]
    return text, counts[-1] if counts else None


async def failure(model: ChatCompletions, prompt: Prompt = PROMPT) -> tuple[str, ModelError]:
    """Return what came before the error, and the error."""
    pieces: list[str] = []

    async def read() -> None:
        async with model.stream(
            prompt, RequestBudget(QUESTION_ID), model=model.default_model
        ) as completion:
            async for event in completion:
                if isinstance(event, Delta):
                    pieces.append(event.text)  # noqa: PERF401  # what came before an error is wanted

    with pytest.raises(ModelError) as caught:
        await read()
    return "".join(pieces), caught.value


def error_body(**fields: object) -> dict[str, Any]:
    return {"error": {"message": "It is so.", "type": "x", "param": None, "code": None} | fields}


def raw(*pieces: bytes, **more: Any) -> Script:
    return Script(raw=pieces, **more)


def data(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


def thought() -> bytes:
    return b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'


SIGNS: tuple[Any, ...] = (None, [], "keepalive", 17)
SPENT = {"prompt_tokens": 9, "completion_tokens": 500}  # all tokens that a reply may have
PINGS = b"data: : ping\n\nevent: ping\ndata: ping\n\nevent: keepalive\ndata: {\n\ndata:\n\n"


# What is asked


async def test_a_complete_answer_has_its_usage(server: ModelDriver, model: ChatCompletions) -> None:
    await server.reply("It is not green. 🎉")
    text, usage = await asked(model)
    assert text == "It is not green. 🎉"
    assert usage is not None
    assert usage.prompt_tokens > 0


async def test_the_request_is_the_prompt_and_the_options(server: ModelDriver, opened: Open) -> None:
    options = {"temperature": 0.5, "reasoning_effort": "none"}
    async with opened(options=lambda _model: options) as model:
        await asked(model)
    [record] = await server.completions()
    assert record.body == {
        "model": "any-name",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 500,
        **options,
    }


async def test_deltas_arrive_as_they_are_sent(server: ModelDriver, model: ChatCompletions) -> None:
    """The first is there long before the last."""
    await server.reply(Script(chunks=("one", " two", " three"), chunks_per_second=2))
    times: dict[str, float] = {}
    async with model.stream(
        PROMPT, RequestBudget(QUESTION_ID), model=model.default_model
    ) as completion:
        async for event in completion:
            if isinstance(event, Delta):
                times.setdefault(event.text, time.monotonic())
    assert list(times) == ["one", " two", " three"]
    assert times[" three"] - times["one"] > 0.5


async def test_one_connection_serves_consecutive_answers(server: ModelDriver, opened: Open) -> None:
    """Reading to the end of the body lets the next question go without a new handshake."""
    async with opened(api_key=server.api_key) as model:
        for _ in range(3):
            await asked(model)
        connector = model._client._client._transport.client.connector  # type: ignore[attr-defined]
        assert sum(map(len, connector._conns.values())) == 1


async def test_leaving_early_ends_the_request(server: ModelDriver, model: ChatCompletions) -> None:
    await server.reply(Script(text="slow " * 100, chunks_per_second=20))
    async with model.stream(
        PROMPT, RequestBudget(QUESTION_ID), model=model.default_model
    ) as completion:
        async for _ in completion:
            break
    assert (await server.next_request(outcomes=["disconnected"])).chunks_sent < 100


async def check_that_cancelling_ends_the_request(
    server: ModelDriver, model: ChatCompletions
) -> None:
    await server.reply(Script(text="never", stall_before_seconds=60))
    asking = asyncio.create_task(asked(model))
    await server.next_request()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await server.next_request(outcomes=["disconnected"])


async def test_cancelling_ends_the_request(server: ModelDriver, model: ChatCompletions) -> None:
    await check_that_cancelling_ends_the_request(server, model)


async def test_concurrent_answers_do_not_mix(server: ModelDriver, model: ChatCompletions) -> None:
    prompts = [Prompt((Turn(Role.USER, f"number {n}."),), 9, 0, 100) for n in range(20)]
    answers = await asyncio.gather(*(asked(model, prompt) for prompt in prompts))
    for number, (text, _) in enumerate(answers):
        assert f"number {number}." in text


async def test_a_server_without_keys_gets_a_placeholder(server: ModelDriver, opened: Open) -> None:
    await server.change(api_key=None)
    async with opened(api_key=None) as model:
        await asked(model)


async def test_text_that_json_cannot_carry_is_scrubbed(
    server: ModelDriver, model: ChatCompletions
) -> None:
    prompt = Prompt((Turn(Role.USER, "a\ud800\0b"),), 9, 0, 100)
    await asked(model, prompt)
    [record] = await server.completions()
    assert record.body["messages"][0]["content"] == "a?b"


# What the API refuses


@pytest.mark.parametrize(
    ("status", "fields", "kind"),
    [
        (401, {"code": "invalid_api_key"}, ModelKeyRefused),
        (401, {}, ModelKeyRefused),
        (403, {}, ModelAccessDenied),
        (403, {"message": "Country, region, or territory not supported"}, ModelAccessDenied),
        (402, {}, ModelQuotaExceeded),
        (429, {"code": "insufficient_quota"}, ModelQuotaExceeded),
        (429, {"type": "insufficient_quota"}, ModelQuotaExceeded),
        (403, {"code": "billing_not_active"}, ModelQuotaExceeded),
        (404, {"code": "model_not_found"}, ModelUnknown),
        (404, {}, ModelUnknown),
        (400, {"code": "model_not_found"}, ModelUnknown),
        (400, {}, ModelRequestRefused),
        (405, {}, ModelUnknown),
        (413, {}, ModelContextExceeded),
        (422, {}, ModelRequestRefused),
        (400, {"code": "context_length_exceeded"}, ModelContextExceeded),
        (400, {"type": "exceed_context_size_error"}, ModelContextExceeded),
        (400, {"message": "This model's maximum context length is 8"}, ModelContextExceeded),
        (400, {"message": "prompt is too long: 9 tokens > 8"}, ModelContextExceeded),
        (400, {"code": "content_filter"}, ContentFiltered),
        (400, {"code": "content_policy_violation"}, ContentFiltered),
        (501, {}, ModelRequestRefused),
    ],
)
async def test_a_permanent_refusal_is_not_retried(
    server: ModelDriver,
    model: ChatCompletions,
    status: int,
    fields: dict[str, str],
    kind: type[ModelError],
) -> None:
    await server.reply(Script(status=status, body=error_body(**fields)))
    text, error = await failure(model)
    assert (text, type(error)) == ("", kind)
    assert str(error).startswith(str(status))
    assert len(await server.completions()) == 1


@pytest.mark.parametrize(
    ("status", "fields", "kind"),
    [
        (429, {"code": "rate_limit_exceeded"}, ModelBusy),
        (429, {}, ModelBusy),
        (409, {}, ModelBusy),
        (503, {}, ModelBusy),
        (529, {"type": "overloaded_error"}, ModelBusy),
        (500, {}, ModelFailed),
        (502, {}, ModelFailed),
        (408, {}, ModelTimeout),
        (504, {}, ModelTimeout),
        (524, {}, ModelTimeout),
        (521, {}, ModelUnreachable),
    ],
)
async def test_a_temporary_failure_is_retried_twice(
    server: ModelDriver,
    model: ChatCompletions,
    status: int,
    fields: dict[str, str],
    kind: type[ModelError],
) -> None:
    trouble = Script(status=status, body=error_body(**fields))
    await server.reply(trouble, trouble, "There.")
    assert (await asked(model))[0] == "There."
    await server.reply(trouble, trouble, trouble, "too late")
    assert type((await failure(model))[1]) is kind
    assert len(await server.completions()) == 6


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", "{", '{"error": "text"}', "[1]"])
async def test_errors_of_any_shape_are_recognised(
    server: ModelDriver, model: ChatCompletions, body: str
) -> None:
    await server.reply(*[Script(status=500, body=body)] * 3)
    assert type((await failure(model))[1]) is ModelFailed


GEMINI = {
    "code": 429,
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "status": "RESOURCE_EXHAUSTED",
}


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (429, error_body(), {"Retry-After": "0.3"}),
        (503, error_body(), {"retry-after": "0.3"}),
        (429, error_body(), {"retry-after-ms": "300"}),
        (429, error_body(), {"x-ratelimit-reset-requests": "0.3s"}),
        (429, error_body(message="Limit 6000, Requested 1443. Try again in 300ms."), {}),
        (429, {"error": GEMINI | {"details": [{"retryDelay": "0.3s"}]}}, {}),
        (429, error_body(message=f"{GEMINI['message']} Please retry in 0.3s."), {}),
        (429, error_body(message=GEMINI["message"]), {"Retry-After": "0.3"}),
        (429, error_body(message="tokens per day: Limit 9. Try again in 0.3s"), {}),
    ],
)
async def test_a_retry_delay_is_respected(
    server: ModelDriver,
    model: ChatCompletions,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str],
) -> None:
    await server.reply(Script(status=status, body=body, headers=headers), "There.")
    assert (await asked(model))[0] == "There."
    first, second = await server.completions()
    assert 0.28 < second.at - first.at < 5


async def test_a_date_is_waited_for(server: ModelDriver, model: ChatCompletions) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    busy = Script(status=429, body=error_body(), headers={"Retry-After": when})
    await server.reply(busy, "There.")
    assert (await asked(model))[0] == "There."
    first, second = await server.completions()
    assert 0.9 < second.at - first.at < 8


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "0"])
async def test_an_invalid_retry_after_uses_the_backoff(
    server: ModelDriver, model: ChatCompletions, wait: str
) -> None:
    busy = Script(status=429, body=error_body(), headers={"Retry-After": wait})
    await server.reply(busy, "There.")
    assert (await asked(model))[0] == "There."


async def test_a_retry_after_beyond_the_deadline_fails_at_once(
    server: ModelDriver, opened: Open
) -> None:
    """The person sees the failure at once, not at the deadline."""
    busy = Script(status=429, body=error_body(), headers={"Retry-After": "60"})
    await server.reply(busy)
    async with opened(first_token_seconds=30.0) as model, asyncio.timeout(20):
        assert type((await failure(model))[1]) is ModelBusy


PER_DAY = "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock more"


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (error_body(), {"Retry-After": "3600"}, 3600),
        (error_body(message="tokens per day (TPD): Limit 9. Try again in 9m38s."), {}, 578),
        (error_body(), {"x-ratelimit-reset-requests": "1h16m0s"}, 4560),
        (error_body(message="Please wait 52220 seconds before retrying."), {}, 52_220),
        (error_body(message=PER_DAY), {}, 0),
        (error_body(message="You exceeded your current quota: 20 requests per day"), {}, 0),
        (error_body(), {"Retry-After": "inf"}, 0),
    ],
)
async def test_a_used_up_daily_quota_is_asked_for_once(
    server: ModelDriver,
    model: ChatCompletions,
    body: dict[str, Any],
    headers: dict[str, str],
    seconds: int,
) -> None:
    """The error says when the server takes requests again, if it says so."""
    await server.reply(Script(status=429, body=body, headers=headers))
    before = time.time()
    _, error = await failure(model)
    assert isinstance(error, ModelRateLimited)
    if seconds:
        assert before + seconds - 2 <= error.until <= time.time() + seconds + 1
    else:
        assert error.until == 0
    assert len(await server.completions()) == 1


async def test_a_reset_in_the_body_counts_like_one_in_a_header(
    server: ModelDriver, model: ChatCompletions
) -> None:
    until = int(time.time()) + 9 * 3600
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{until}000"}
    problem = {"message": PER_DAY, "code": 429, "metadata": {"headers": headers}}
    await server.reply(Script(status=429, body={"error": problem}))
    _, error = await failure(model)
    assert isinstance(error, ModelRateLimited)
    assert abs(error.until - until) <= 1


async def test_a_bare_500_to_a_picture_leaves_requests_for_one_without_it(
    server: ModelDriver, model: ChatCompletions
) -> None:
    await server.reply(*[Script(status=500, body="Internal Server Error")] * 5)
    pictured = PROMPT.with_images({1: [Image(png(), "image/png")]})
    assert type((await failure(model, pictured))[1]) is ModelFailedOnImages
    assert len(await server.completions()) == 2
    assert type((await failure(model))[1]) is ModelFailed


async def test_a_long_wait_within_the_deadline_is_waited_for(
    server: ModelDriver, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    busy = Script(status=429, body=error_body(), headers={"Retry-After": "75"})
    await server.reply(busy, "There.")
    async with opened(first_token_seconds=300.0, reply_seconds=600.0) as model:
        assert (await asked(model))[0] == "There."
    assert slept == [75]


async def test_a_wait_does_not_refill_an_account(
    server: ModelDriver, model: ChatCompletions
) -> None:
    body = error_body(code="insufficient_quota", message=GEMINI["message"])
    await server.reply(Script(status=429, body=body, headers={"Retry-After": "0.1"}))
    assert type((await failure(model))[1]) is ModelQuotaExceeded
    assert len(await server.completions()) == 1


async def test_a_refused_connection_is_unreachable(opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with opened(base_url=f"http://127.0.0.1:{port}/v1", api_key="x") as model:
        assert type((await failure(model))[1]) is ModelUnreachable


async def test_what_was_sent_may_cost_and_what_was_refused_does_not(
    server: ModelDriver, opened: Open
) -> None:
    """A server that is not reached, or that refuses, is not charged for."""
    script = Script(text="never", disconnect_after_chunks=0)
    for reply, may_cost in ((script, True), (Script(status=500, body="no"), False)):
        await server.reply(*[reply] * 3)
        async with opened() as model:
            assert (await last_request(model)).may_cost is may_cost
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (
        f"http://127.0.0.1:{port}/v1",
        "http://nobody.invalid/v1",
        f"http://{'x' * 70}.invalid/v1",
        server.base_url.replace("http:", "https:"),
    ):
        async with opened(base_url=url, api_key="x") as model:
            assert not (await last_request(model)).may_cost, url


async def last_request(model: ChatCompletions) -> RequestBudget:
    """Return the budget of requests after the last of them has failed."""
    budget = RequestBudget(QUESTION_ID)
    with pytest.raises(ModelError):
        async with model.stream(PROMPT, budget, model=model.default_model) as completion:
            assert [event async for event in completion] == []
    return budget


async def test_a_retry_is_charged_first_with_what_the_api_counted(
    server: ModelDriver, model: ChatCompletions
) -> None:
    """Each request that may cost something is counted before the next; a refused one is not."""
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    counts = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    dying = raw(data("<think>Hm"), counts)
    await server.reply(dying, Script(status=503, body="busy"), "There.")
    budget, counted = RequestBudget(QUESTION_ID), list[TokenUsage | None]()

    async def recharge() -> int:
        counted.append(budget.usage)
        return 70

    budget.recharge = recharge
    async with model.stream(PROMPT, budget, model=model.default_model) as completion:
        text = "".join([one.text async for one in completion if isinstance(one, Delta)])
    assert (text, counted) == ("There.", [TokenUsage(50, 7)])
    *_, last = await server.completions()
    assert 70 in (last.body.get("max_tokens"), last.body.get("max_completion_tokens"))


async def test_a_broken_connection_is_retried_twice(
    opened: Open,
) -> None:
    connections = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with opened(base_url=f"http://127.0.0.1:{port}/v1", api_key="x") as model:
            assert type((await failure(model))[1]) is ModelUnreachable
    assert connections == 3


# Options that servers know by other names


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("max_completion_tokens", "max_tokens"), ("max_tokens", "max_completion_tokens")],
)
async def test_the_other_name_of_the_limit_is_remembered(
    server: ModelDriver, opened: Open, ours: str, theirs: str
) -> None:
    await server.change(tokens_parameter=theirs)
    async with opened(length_option=ours) as model:
        await asked(model)
        await asked(model)
    names = [{ours, theirs} & record.body.keys() for record in await server.completions()]
    assert names == [{ours}, {theirs}, {theirs}]


@pytest.mark.parametrize("key", ["token", "x"])
async def test_the_name_is_found_despite_redaction(
    server: ModelDriver, opened: Open, key: str
) -> None:
    """A key that is part of the name, a conversation about that very option."""
    await server.change(tokens_parameter="max_tokens", api_key=None)
    prompt = Prompt((Turn(Role.USER, "What is max_completion_tokens for?"),), 9, 0, 100)
    async with opened(api_key=key) as model:
        assert (await asked(model, prompt))[0].startswith("You said")


async def test_a_server_that_refuses_both_names_gets_two_requests(
    server: ModelDriver, model: ChatCompletions
) -> None:
    refusals = [
        Script(status=400, body=error_body(message=f"Unsupported parameter: '{name}'", param=name))
        for name in ("max_completion_tokens", "max_tokens", "max_completion_tokens")
    ]
    await server.reply(*refusals)
    assert type((await failure(model))[1]) is ModelRequestRefused
    assert len(await server.completions()) == 2


async def test_a_refused_usage_option_is_left_out(
    server: ModelDriver, model: ChatCompletions
) -> None:
    await server.change(takes_stream_options=False)
    assert (await asked(model))[1] is None
    await asked(model)
    given = ["stream_options" in record.body for record in await server.completions()]
    assert given == [True, False, False]


async def test_each_model_of_a_server_keeps_its_own_request_shape(
    server: ModelDriver, model: ChatCompletions
) -> None:
    for name in ("old", "new", "old", "new"):
        await server.change(tokens_parameter="max_tokens" if name == "old" else VALUES_FORM)
        async with model.stream(PROMPT, RequestBudget(QUESTION_ID), model=name) as completion:
            assert [event async for event in completion]
    asked = [(one.body["model"], VALUES_FORM in one.body) for one in await server.completions()]
    assert asked == [("old", True), ("old", False), ("new", True), ("old", False), ("new", True)]


async def test_each_model_gets_options_of_its_own(server: ModelDriver, opened: Open) -> None:
    async with opened(options=lambda name: {"top_p": 0.5} if name == "other" else {}) as model:
        for name in ("any-name", "other"):
            async with model.stream(PROMPT, RequestBudget(QUESTION_ID), model=name) as completion:
                assert [event async for event in completion]
    assert ["top_p" in one.body for one in await server.completions()] == [False, True]


async def test_two_options_may_change_at_once(server: ModelDriver, model: ChatCompletions) -> None:
    await server.change(takes_stream_options=False, tokens_parameter="max_tokens")
    assert (await asked(model))[0].startswith("You said")
    assert len(await server.completions()) == 3


# Servers that do not stream


async def test_a_model_that_refuses_to_stream_answers_at_once(
    server: ModelDriver, model: ChatCompletions
) -> None:
    """It is asked once without streaming, with its usage, and so from then on."""
    await server.change(streams=False)
    for _ in range(2):
        text, usage = await asked(model)
        assert text.startswith("You said")
        assert usage is not None
        assert usage.completion_tokens > 0
    await server.change(streams=True)
    async with model.stream(PROMPT, RequestBudget(QUESTION_ID), model="other") as completion:
        assert [event async for event in completion]
    bodies = [record.body for record in await server.completions()]
    assert [body.get("stream", False) for body in bodies] == [True, False, False, True]
    assert ["stream_options" in body for body in bodies] == [True, False, False, True]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 422, 426, 500, 501, 503])
async def test_a_refusal_to_stream_may_have_any_status(
    server: ModelDriver, model: ChatCompletions, status: int
) -> None:
    refusal = Script(status=status, body={"detail": "Streaming is not supported here"})
    await server.reply(refusal, "Whole.")
    assert (await asked(model))[0] == "Whole."
    assert ["stream" in one.body for one in await server.completions()] == [True, False]


async def test_a_refusal_of_both_ways_ends_the_question(
    server: ModelDriver, model: ChatCompletions
) -> None:
    refusal = Script(status=400, body=error_body(message="Unknown parameter: stream"))
    await server.reply(refusal, refusal)
    assert type((await failure(model))[1]) is ModelRequestRefused
    await server.reply(Script(status=400, body=error_body(message="stream must be true")))
    assert type((await failure(model))[1]) is ModelRequestRefused
    given = ["stream" in one.body for one in await server.completions()]
    assert given == [True, False, True], "what was refused is not remembered"


async def test_a_model_that_streams_again_is_asked_to(
    server: ModelDriver, model: ChatCompletions
) -> None:
    refusal = error_body(message="Streaming is not supported")
    await server.reply(Script(status=400, body=refusal), "one")
    await server.reply(Script(status=400, body=error_body(message="stream must be true")), "two")
    assert [(await asked(model))[0] for _ in range(3)][:2] == ["one", "two"]
    given = ["stream" in one.body for one in await server.completions()]
    assert given == [True, False, False, True, True]


async def test_a_whole_answer_has_until_the_last_deadline(
    server: ModelDriver, opened: Open
) -> None:
    """It has no first token before its end."""
    await server.change(streams=False)
    await server.reply(Script(text="slow", first_token_delay_seconds=3 * SOON))
    async with opened(first_token_seconds=SOON, idle_seconds=SOON) as model:
        assert (await asked(model))[0] == "slow"
    await server.reply(Script(text="late", stall_before_seconds=60))
    async with opened(reply_seconds=1.0) as model:
        assert type((await failure(model))[1]) is ModelTimeout


async def test_leaving_a_whole_answer_early_ends_the_request(
    server: ModelDriver, model: ChatCompletions
) -> None:
    await server.change(streams=False)
    await asked(model)
    await check_that_cancelling_ends_the_request(server, model)


# The list of models


async def test_the_models_are_those_that_the_api_lists(
    server: ModelDriver, model: ChatCompletions
) -> None:
    body = {"data": [{"id": "a"}, {"id": "b", "shutdown_date": "2027-01-31"}]}
    await server.list_models(Script(body=body))
    assert await model.list_models() == [ListedModel("a"), ListedModel("b", date(2027, 1, 31))]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(status=401, body=error_body(code="invalid_api_key")), ModelKeyRefused),
        (Script(status=404, body="<html>"), ModelUnknown),
        (Script(status=500, body=error_body()), ModelFailed),
        (Script(status=302, body="", headers={"Location": "http://127.0.0.1:1/"}), ModelUnknown),
        (Script(body="<html>"), ModelFailed),
        (Script(body={"data": None}), ModelFailed),
        (Script(body="[" * 4000), ModelFailed),
        (Script(body={"data": [{"id": "a"}]}, disconnect_after_bytes=9), ModelFailed),
        (Script(body={"data": [{"id": "a"}], "more": "x" * 5000}), ModelFailed),
    ],
)
async def test_an_unreadable_list_is_a_model_error(
    server: ModelDriver,
    model: ChatCompletions,
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    kind: type[ModelError],
) -> None:
    monkeypatch.setattr(model_module, "LIST_BYTES", 5000)
    await server.list_models(script)
    with pytest.raises(ModelError) as caught:
        await model.list_models()
    assert type(caught.value) is kind
    assert len(await server.requests()) == 1, "and nobody asks again"


async def test_a_list_has_a_deadline(
    server: ModelDriver, model: ChatCompletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "LIST_SECONDS", SOON)
    await server.list_models(Script(body={"data": []}, stall_before_seconds=30.0))
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(ModelTimeout):
            await model.list_models()


# Streams that go wrong


@pytest.mark.parametrize(
    ("script", "text", "kind"),
    [
        (Script(text="and so", finish_reason="length"), "and so", OutputTruncated),
        (
            Script(text="and so", finish_reason=None, usage=SPENT),
            "and so",
            OutputTruncated,
        ),
        (Script(text="and so", finish_reason="content_filter"), "and so", ContentFiltered),
        (Script(text="", finish_reason="content_filter"), "", ContentFiltered),
        (Script(text="", finish_reason="length"), "", ModelContextExceeded),
        (Script(text="", reasoning="Hm.", finish_reason="length"), "", ModelThoughtOnly),
        (Script(text="<think>Hm.", finish_reason="length"), "", ModelThoughtOnly),
        (Script(text=""), "", ModelEmpty),
        (Script(text=" \n "), "", ModelEmpty),
        (Script(text="", reasoning="Only thoughts."), "", ModelEmpty),
        (Script(text="<think>Only thoughts.</think>"), "", ModelEmpty),
        (Script(text="and then", finish_reason=None, done=False), "and then", ModelCut),
        (raw(data("and then", ""), data("", "")), "and then", ModelCut),
        (Script(text="abcdefgh", disconnect_after_chunks=1), "abcd", ModelCut),
        (Script(text="half", events_after=(error_body(),)), "half", ModelFailed),
        (Script(events_before=(error_body(code="insufficient_quota"),)), "", ModelQuotaExceeded),
        (Script(body="<html>Sign in</html>"), "", ModelAddressWrong),
        (raw(data("a"), b"data: {nonsense\n\n"), "a", ModelCut),
        (raw(data("a"), b"\xff\xfe\n\n"), "a", ModelCut),
    ],
    ids=lambda one: repr(one)[:60] if not isinstance(one, Script) else "script",
)
async def test_a_partial_answer_is_never_complete(
    server: ModelDriver, model: ChatCompletions, script: Script, text: str, kind: type[ModelError]
) -> None:
    """The received text is kept, the error names the lack, and no request is repeated."""
    await server.reply(script)
    said, error = await failure(model)
    assert (said, type(error)) == (text, kind)
    assert len(await server.completions()) == 1


BEFORE_THE_FIRST_WORD = {
    "drop": (Script(text="never", disconnect_after_chunks=0), ModelFailed),
    "drop while thinking": (raw(thought(), disconnect_after_chunks=1), ModelFailed),
    "drop in a think tag": (raw(data("<think>Hm"), disconnect_after_chunks=1), ModelFailed),
    "clean end": (Script(text="", finish_reason=None, done=False), ModelFailed),
    "clean end after blanks": (raw(data(" "), data("\n")), ModelFailed),
    "clean end while thinking": (raw(thought()), ModelFailed),
    "done": (raw(b"data: [DONE]\n\n"), ModelFailed),
    "role and done": (Script(text="", finish_reason=None), ModelFailed),
    "signs of life and done": (raw(PINGS, b"data: [DONE]\n\n"), ModelFailed),
    "reason error": (Script(text="", finish_reason="error"), ModelFailed),
    "reason unknown": (Script(text="", finish_reason="MALFORMED_FUNCTION_CALL"), ModelFailed),
    "broken chunk": (raw(b"data: {nonsense\n\n"), ModelFailed),
    "deep chunk": (raw(b"data: " + b'{"a":' * 9999 + b"\n\n"), ModelFailed),
    "broken JSON": (Script(body="{"), ModelFailed),
    "null": (Script(body="null"), ModelFailed),
    "list": (Script(body="[]"), ModelFailed),
    "error": (Script(events_before=(error_body(),)), ModelFailed),
    "overload": (Script(events_before=({"error": "overloaded"},)), ModelBusy),
    "overload in JSON": (Script(body=error_body(code=503)), ModelBusy),
    "overload by name": (Script(events_before=(error_body(type="overloaded_error"),)), ModelBusy),
    "overload after thinking": (
        Script(reasoning="Hm.", events_before=(error_body(code=429),)),
        ModelBusy,
    ),
    "bad gateway": (
        raw(
            b'data: {"choices":[{"delta":{},"finish_reason":"error","error":{"code":502}}]}\n\n',
        ),
        ModelFailed,
    ),
    "event": (raw(b"event: error\ndata: Overloaded\n\n"), ModelBusy),
}


REFUSALS = ("error", "overload", "bad gateway", "event")  # The server says so.


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_WORD)
async def test_a_stream_that_fails_before_its_first_word_is_retried_twice(
    server: ModelDriver, model: ChatCompletions, case: str
) -> None:
    """Nobody has seen a word of the answer."""
    script, kind = BEFORE_THE_FIRST_WORD[case]
    await server.reply(script, script, "There.")
    assert (await asked(model))[0] == "There."
    await server.reply(*[script] * 3)
    said, error = await failure(model)
    assert (said, type(error)) == ("", kind)
    assert len(await server.completions()) == 6


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_WORD)
async def test_a_stream_with_images_that_fails_before_its_first_word_leaves_the_retry_to_the_caller(
    server: ModelDriver, model: ChatCompletions, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The images were freed when it began; the pause is the client's."""
    monkeypatch.setattr(model_module, "REQUEST_BACKOFF", Backoff(0.2, 0.2))
    script, kind = BEFORE_THE_FIRST_WORD[case]
    turn = Turn(Role.USER, "What?", (Image(png(), "image/png"),))
    prompt, budget = Prompt((turn,), 9, 0, 100), RequestBudget(QUESTION_ID)
    await server.reply(script, "There.")
    with pytest.raises(kind) as caught:
        async with model.stream(prompt, budget, model="any") as completion:
            assert [event async for event in completion] == []
    assert budget.failed is caught.value
    assert budget.may_cost is not case.startswith(REFUSALS)
    async with model.stream(prompt, budget, model="any") as completion:
        text = "".join([one.text async for one in completion if isinstance(one, Delta)])
    assert (text, budget) == ("There.", RequestBudget(QUESTION_ID, left=2, may_cost=True))
    first, second = await server.completions()
    assert second.at - first.at > 0.1


@pytest.mark.parametrize("script", [Script(body=""), raw()], ids=["script", "raw"])
async def test_an_empty_body_is_retried_without_a_system_turn(
    server: ModelDriver, model: ChatCompletions, script: Script
) -> None:
    """Not remembered if it does not help, nor tried if the model has accepted a system turn."""
    await server.reply(script, script)
    said, error = await failure(model)
    assert (said, type(error)) == ("", ModelEmptyBody)
    await server.reply("fine", script)
    assert (await asked(model))[0] == "fine"
    assert type((await failure(model))[1]) is ModelEmptyBody
    roles = [one.body["messages"][0]["role"] for one in await server.completions()]
    assert roles == ["system", "user", "system", "system"]


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (Script(text="fine", events_before=({"choices": []}, {"choices": None})), "fine"),
        (Script(text="fine", as_json=True), "fine"),
        (Script(text="fine", reasoning="Let me think."), "fine"),
        (Script(chunks=("<th", "ink>a <", "b</thi", "nk>\n", "\nfi", "ne")), "fine"),
        (Script(text="fine", done=False), "fine"),
        (Script(text="fine", finish_reason=None), "fine"),
        (Script(text="fine", finish_reason=None, as_json=True), "fine"),
        (raw(data("fi", ""), data("ne", ""), data("", ""), b"data: [DONE]\n\n"), "fine"),
        (Script(text="fine", events_before=SIGNS, events_after=SIGNS), "fine"),
        (raw(PINGS, data("fi"), PINGS, data("ne"), PINGS, data("", "stop"), PINGS), "fine"),
        (Script(text="fine", usage={}), "fine"),
        (Script(text="fine", usage={"prompt_tokens": "x"}), "fine"),
        (Script(chunks=("a\ud83c", "\udf89b")), "a🎉b"),
        (Script(chunks=("a\ud83c", "b\0c")), "a\ufffdbc"),
        (raw(b"\xef\xbb\xbf" + data("fine", "stop")), "fine"),
        (raw(data("fine", "stop").replace(b"\n", b"\r\n")), "fine"),
        (raw(data("fine", "stop").replace(b"\n", b"\r")), "fine"),
        (raw(b": ping\n\n", data("fine", "stop")), "fine"),
        (raw(data("fine", "stop").rstrip()), "fine"),
        (raw(*(bytes([one]) for one in data("é한🎉", "stop"))), "é한🎉"),
    ],
    ids=lambda one: "script" if isinstance(one, Script) else None,
)
async def test_an_odd_stream_gives_clean_text(
    server: ModelDriver, model: ChatCompletions, script: Script, text: str
) -> None:
    await server.reply(script)
    assert (await asked(model))[0] == text


@pytest.mark.parametrize("cut", random.Random(7).sample(range(1, 700), 12))
async def test_a_stream_cut_at_any_byte_fails(
    server: ModelDriver, model: ChatCompletions, cut: int
) -> None:
    """With the beginning of the text, and as ModelCut exactly where there is some."""
    await server.reply(*[Script(text="all of this text", disconnect_after_bytes=cut)] * 3)
    said, error = await failure(model)
    assert "all of this text".startswith(said)
    assert type(error) is (ModelCut if said else ModelFailed)


# Deadlines


async def test_a_stall_before_the_answer(server: ModelDriver, opened: Open) -> None:
    await server.reply(Script(text="late", stall_before_seconds=60))
    async with opened(first_token_seconds=SOON) as model:
        said, error = await failure(model)
    assert (said, type(error)) == ("", ModelTimeout)
    await server.next_request(outcomes=["disconnected"])


async def test_a_stall_before_the_first_token(server: ModelDriver, opened: Open) -> None:
    """Headers and empty chunks are no token."""
    await server.reply(Script(text="late", first_token_delay_seconds=60))
    async with opened(first_token_seconds=SOON) as model:
        said, error = await failure(model)
    assert (said, type(error)) == ("", ModelTimeout)


async def test_a_stall_within_the_stream(server: ModelDriver, opened: Open) -> None:
    await server.reply(Script(text="abcdefgh", stall_seconds=60, stall_after_chunks=1))
    async with opened(idle_seconds=2.0) as model:
        said, error = await failure(model)
    assert (said, type(error)) == ("abcd", ModelTimeout)
    await server.next_request(outcomes=["disconnected"])


async def test_streamed_reasoning_is_not_a_stall(server: ModelDriver, opened: Open) -> None:
    """Reasoning counts as a sign of life although nobody sees it."""
    await server.reply(raw(*[thought()] * 25, data("fine", "stop"), chunks_per_second=10))
    async with opened(first_token_seconds=2.0, idle_seconds=2.0) as model:
        assert (await asked(model))[0] == "fine"


async def test_an_endless_answer_ends_at_the_last_deadline(
    server: ModelDriver, opened: Open
) -> None:
    await server.reply(Script(text="word " * 1000, chunks_per_second=20))
    async with opened(reply_seconds=2.0) as model:
        said, error = await failure(model)
    assert said.startswith("word")
    assert type(error) is ModelTimeout


async def test_an_endless_stream_of_empty_chunks_is_a_stall(
    server: ModelDriver, opened: Open
) -> None:
    await server.reply(raw(*[b": ping\n\n"] * 500, chunks_per_second=50))
    async with opened(first_token_seconds=SOON) as model:
        assert type((await failure(model))[1]) is ModelTimeout


async def test_a_body_left_open_after_its_end_is_complete(
    server: ModelDriver, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some proxies hold the connection; the answer was complete with [DONE]."""
    monkeypatch.setattr(completion_module, "BODY_END_SECONDS", 0.05)
    end = b"data: [DONE]\n\n"
    await server.reply(raw(data("fine", "stop"), end, stall_seconds=60, stall_after_chunks=9))
    async with opened() as model, asyncio.timeout(PATIENCE_SECONDS):
        assert (await asked(model))[0] == "fine"


# Secrets


@pytest.mark.parametrize("where", ["message", "code", "type", "param"])
@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_the_key_is_in_no_error_and_no_log(
    server: ModelDriver,
    model: ChatCompletions,
    caplog: pytest.LogCaptureFixture,
    where: str,
    status: int,
) -> None:
    said = f"Incorrect key {server.api_key}\nor Bearer abc123 or sk-other***1234 given"
    await server.reply(*[Script(status=status, body=error_body(**{where: said}))] * 3)
    with caplog.at_level(logging.DEBUG, "bot"):
        _, error = await failure(model)
    shown = f"{error}{error!r}{caplog.text}"
    for secret in (server.api_key, "abc123", "sk-other", "1234"):
        assert secret not in shown
    assert "\n" not in str(error)
    assert "Incorrect key (key) or (key) or (key) given" in str(error)


async def test_a_refused_key_is_not_shown(server: ModelDriver, opened: Open) -> None:
    key = "sk-wrong-abcdefghijklmnop-1234"
    async with opened(api_key=key) as model:
        _, error = await failure(model)
    assert type(error) is ModelKeyRefused
    assert "wrong" not in str(error)


@pytest.mark.parametrize("status", [400, 500])
async def test_a_detail_that_repeats_the_conversation_is_left_out(
    server: ModelDriver, model: ChatCompletions, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    said = f"Cannot parse: {QUESTION[4:30]}"
    await server.reply(*[Script(status=status, body=error_body(message=said))] * 3)
    with caplog.at_level(logging.DEBUG, "bot"):
        _, error = await failure(model)
    assert str(error) == f"{status} x (left out, as it repeats the conversation)"
    assert "secret planet" not in caplog.text


async def test_a_detail_is_short(server: ModelDriver, model: ChatCompletions) -> None:
    await server.reply(Script(status=400, body=error_body(message="x" * 5000, code="y" * 5000)))
    assert len(str((await failure(model))[1])) < 700


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Unknown parameter max_tokens"},
        {"detail": "Extra inputs are not permitted: max_tokens"},
        {"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]},
        {"error": {"message": "Unsupported parameter", "param": "max_tokens"}},
        {"errors": ["max_tokens"]},
    ],
)
async def test_a_refusal_of_an_option_is_understood_in_any_shape(
    server: ModelDriver, opened: Open, body: dict[str, Any]
) -> None:
    await server.change(tokens_parameter="either")
    await server.reply(Script(status=400, body=body), "Fine.")
    async with opened(length_option="max_tokens") as model:
        assert (await asked(model))[0] == "Fine."
    refused, taken = await server.completions()
    assert "max_tokens" in refused.body
    assert "max_completion_tokens" in taken.body


async def test_a_refusal_of_a_value_does_not_change_the_name_for_good(
    server: ModelDriver, opened: Open
) -> None:
    await server.change(tokens_parameter="either")
    too_large = Script(status=400, body={"error": {"message": "max_tokens is too large: 500"}})
    await server.reply(too_large)
    async with opened(length_option="max_tokens") as model:
        assert type((await failure(model))[1]) is ModelReplyTooLong
        await asked(model)
    assert all("max_tokens" in record.body for record in await server.completions())


@pytest.mark.parametrize(
    "body",
    [{"error": "context length exceeded"}, {"detail": "maximum context length is 4096 tokens"}],
)
async def test_a_prompt_too_long_is_understood_in_any_shape(
    server: ModelDriver, model: ChatCompletions, body: dict[str, Any]
) -> None:
    await server.reply(Script(status=400, body=body))
    assert type((await failure(model))[1]) is ModelContextExceeded


@pytest.mark.parametrize(
    "garbage", [b'data: {"error": {"message": "no"}}\n\n', b"data: {bad\n\n", b"<html>\n"]
)
async def test_text_read_together_with_a_failure_is_kept(
    server: ModelDriver, model: ChatCompletions, garbage: bytes
) -> None:
    await server.reply(raw(data("One, ") + data("two") + garbage))
    text, error = await failure(model)
    assert text == "One, two"
    assert isinstance(error, ModelError)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_tokens", OutputTruncated),
        ("error", ModelCut),
        ("SAFETY", ContentFiltered),
        ("OTHER", ModelStopped),
    ],
)
async def test_finish_reasons_of_other_servers_are_recognised(
    server: ModelDriver, model: ChatCompletions, reason: str, expected: type[ModelError]
) -> None:
    await server.reply(Script(text="One", finish_reason=reason))
    assert type((await failure(model))[1]) is expected


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "Model Not Exist", ModelUnknown),
        (400, "foo/bar is not a valid model ID", ModelUnknown),
        (429, "You exceeded your current quota, please check your plan", ModelQuotaExceeded),
    ],
)
async def test_error_reasons_of_other_servers_are_recognised(
    server: ModelDriver,
    model: ChatCompletions,
    status: int,
    message: str,
    expected: type[ModelError],
) -> None:
    await server.reply(Script(status=status, body={"error": {"message": message}}))
    assert type((await failure(model))[1]) is expected
    assert len(await server.completions()) == 1


async def test_a_status_in_a_stream_counts_as_the_status(
    server: ModelDriver, model: ChatCompletions
) -> None:
    problem = raw(b'data: {"error": {"message": "slow down", "code": 429}}\n\n')
    await server.reply(*[problem] * 3)
    assert type((await failure(model))[1]) is ModelBusy


@pytest.mark.parametrize(
    "problem",
    [
        {"code": "9" * 5000},
        {"code": 10**4000, "message": 10**4000},
        {"code": "²"},
        {"code": {"a": []}, "type": [1], "message": {"code": 5}},
        {"message": "model " * 100_000},
    ],
    ids=lambda problem: str(problem)[:20],
)
async def test_an_error_in_a_stream_may_have_any_text(
    server: ModelDriver, model: ChatCompletions, problem: dict[str, Any]
) -> None:
    await server.reply(
        raw(data("One"), b"data: " + json.dumps({"error": problem}).encode() + b"\n")
    )
    text, error = await failure(model)
    assert (text, type(error)) == ("One", ModelFailed)
    assert len(str(error)) < 1500


@pytest.mark.parametrize(
    ("first_text", "kind"),
    [("", ModelContextExceeded), ("So", OutputTruncated)],
)
async def test_a_full_context_truncates_an_answer_after_its_first_text(
    server: ModelDriver, model: ChatCompletions, first_text: str, kind: type[ModelError]
) -> None:
    """A retry with a shorter prompt would repeat the beginning."""
    full = {"error": {"message": "no room", "code": "context_length_exceeded"}}
    await server.reply(raw(data(first_text) + b"data: " + json.dumps(full).encode() + b"\n\n"))
    text, error = await failure(model)
    assert (text, type(error)) == (first_text, kind)


# Log lines of a request


async def logged(
    model: ChatCompletions, caplog: pytest.LogCaptureFixture, level: int = logging.DEBUG
) -> list[str]:
    """Ask, ignore the result, and return the log lines."""
    caplog.clear()
    with caplog.at_level(level, "bot"), suppress(ModelError):
        await asked(model)
    return caplog.messages


async def test_the_log_follows_a_request_by_its_question(
    server: ModelDriver, model: ChatCompletions, caplog: pytest.LogCaptureFixture
) -> None:
    """In names and numbers, without a word of question or answer."""
    busy = Script(status=429, body=error_body(), headers={"Retry-After": "0.1"})
    await server.reply(busy, "It is not green.")
    request = f"Send request of question {QUESTION_ID}: 2 messages: system 1, user 1"
    why = "ModelBusy 429 x It is so."
    assert await logged(model, caplog) == [
        request,
        f"Cannot complete request of question {QUESTION_ID}: {why}",
        f"Retry question {QUESTION_ID} in 0.1 s: {why}",
        request,
        f"Ended request of question {QUESTION_ID}: stop, 16 characters",
    ]


@pytest.mark.parametrize(
    ("script", "how", "end"),
    [
        (
            Script(text="cut", finish_reason=None, done=False),
            "Cannot complete",
            "ModelCut finish_reason: no reason",
        ),
        (Script(text="said", finish_reason=None), "Ended", "no reason, 4 characters"),
        (Script(text="cut", finish_reason="length"), "Cannot complete", "OutputTruncated "),
        (Script(text="said", finish_reason="eos"), "Ended", "eos, 4 characters"),
        (
            Script(text="said", finish_reason="SECRET\nwords"),
            "Cannot complete",
            "ModelStopped finish_reason: a reason of its own",
        ),
    ],
)
async def test_the_end_of_a_stream_is_logged(
    server: ModelDriver,
    model: ChatCompletions,
    caplog: pytest.LogCaptureFixture,
    script: Script,
    how: str,
    end: str,
) -> None:
    await server.reply(script)
    line = f"{how} request of question {QUESTION_ID}: {end}"
    assert (await logged(model, caplog))[-1].startswith(line)


async def test_an_abandoned_stream_is_logged(
    server: ModelDriver, model: ChatCompletions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bot")
    await server.reply(Script(text="never", stall_before_seconds=60))
    asking = asyncio.create_task(asked(model))
    await server.next_request()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert caplog.messages[-1] == f"Closed request of question {QUESTION_ID} before its end"


async def test_requests_are_logged_only_at_debug(
    server: ModelDriver, model: ChatCompletions, caplog: pytest.LogCaptureFixture
) -> None:
    await server.reply("It is not green.")
    assert await logged(model, caplog, logging.INFO) == []


# What is no HTTP, or hardly


def sent(*pieces: bytes, pause: float = 0.0, then: float = 0.0) -> Answer:
    """Answer each request with these bytes, and stay connected for *then* seconds."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        await asyncio.sleep(then)

    return answer


def without_end(begin: bytes, piece: bytes, *, pause: float = 0.0) -> Answer:
    """Answer with *piece* over and over until the client has enough."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


def http(status: int, *headers: str, body: bytes = b"") -> bytes:
    """Return an answer whose end is that of the connection."""
    lines = (f"HTTP/1.1 {status} X", "Connection: close", *headers, "", "")
    return "\r\n".join(lines).encode() + body


OK = http(200, "Content-Type: text/event-stream")
NO_KEY = json.dumps(error_body(code="invalid_api_key")).encode()
DEEP = b'{"error":' * 50_000


@asynccontextmanager
async def asking(answer: Answer, **changes: Any) -> AsyncIterator[ChatCompletions]:
    """Open a model behind a server that answers so."""
    async with (
        listening(answer) as url,
        ChatCompletions.open(ApiConfig(base_url=url, api_key="x", **VALUES | changes)) as model,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        yield model


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (sent(), ModelUnreachable),
        (sent(b"SSH-2.0-OpenSSH_9.2\r\n"), ModelUnreachable),
        (sent(b"\x15\x03\x01\x00\x02\x02\x46"), ModelUnreachable),
        (sent(b"HTTP/1.1 200 OK\r\nX: y"), ModelUnreachable),
        (sent(b"HTTP/1.1 200 OK\r\nX: y", then=9), ModelTimeout),
        (without_end(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 999), ModelUnreachable),
        (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01), ModelTimeout),
        (sent(http(101, "Upgrade: x", "Connection: upgrade")), ModelFailed),
        (sent(http(204)), ModelEmptyBody),
        (sent(http(206, body=b"part")), ModelFailed),
        (sent(http(300)), ModelUnknown),
        (sent(http(302, "Location: /v1/elsewhere")), ModelUnknown),
        (sent(http(307, "Location: http://127.0.0.1:9/")), ModelUnknown),
        (sent(http(308, "Location: http://[bad:port/")), ModelUnknown),
        (sent(http(304)), ModelUnknown),
        (sent(http(418)), ModelRequestRefused),
        (sent(http(600)), ModelFailed),
        (sent(http(401, "Content-Encoding: gzip", body=NO_KEY)), ModelKeyRefused),
        (sent(http(401, "Content-Length: 9999", body=NO_KEY)), ModelKeyRefused),
        (sent(http(401, "Content-Length: 9999", body=NO_KEY), then=9), ModelKeyRefused),
        (sent(http(401, "Transfer-Encoding: chunked"), b"zz\r\n", pause=0.1), ModelKeyRefused),
        (
            sent(http(401, "Content-Type: text/plain; charset=base64", body=b"\xff")),
            ModelKeyRefused,
        ),
        (sent(http(401, "Content-Type: text/plain; charset=rot13", body=b"\xff")), ModelKeyRefused),
        (without_end(http(401), b"x" * 99_999), ModelKeyRefused),
        (without_end(http(401), b" ", pause=0.01), ModelKeyRefused),
        (sent(http(400, body=DEEP)), ModelRequestRefused),
        (sent(http(400, body=b'{"error":{"code":' + b"9" * 5000 + b"}}")), ModelRequestRefused),
        (sent(http(500, body=b"\xff\xfe\x00\xd8" * 99)), ModelFailed),
        (sent(http(429, body=b'{"error": "insufficient_quota"}')), ModelQuotaExceeded),
        (sent(http(200, "Content-Encoding: gzip", body=data("no", "stop"))), ModelFailed),
        (sent(http(200, "Content-Length: 999", body=data("so"))), ModelCut),
        (sent(http(200, "Transfer-Encoding: chunked"), b"zz\r\n", pause=0.1), ModelTimeout),
        (sent(http(200, "Transfer-Encoding: chunked", body=b"zz\r\n")), ModelUnreachable),
        (sent(OK, data("so"), b"\xff" * 9999), ModelCut),
        (without_end(OK, b": ping\n\n" * 999), ModelTimeout),
        (without_end(OK + data("so"), b": ping\n\n" * 999), ModelTimeout),
        (without_end(OK, data(" " * 999)), ModelTimeout),
        (without_end(OK, data("<think>" + "hm " * 99)), ModelTimeout),
        (without_end(OK, b'data: {"choices":[{"delta":{"reasoning":"hm"}}]}\n'), ModelTimeout),
        (without_end(OK, b"data:\n" * 9999), ModelTimeout),
        (without_end(OK + b"data: {\n", b"data:\n" * 9999), ModelFailed),
        (without_end(OK, b"x" * 9999), ModelFailed),
        (without_end(OK + b"{", b" " * 9999), ModelFailed),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
async def test_random_bytes_end_in_time_in_a_model_error(
    server: ModelDriver, monkeypatch: pytest.MonkeyPatch, answer: Answer, kind: type[ModelError]
) -> None:
    monkeypatch.setattr(http_errors, "BODY_SECONDS", 0.3)
    seconds = SOON if kind is ModelTimeout else PATIENCE_SECONDS
    deadlines = ("first_token_seconds", "idle_seconds", "reply_seconds")
    async with asking(answer, **dict.fromkeys(deadlines, seconds)) as model:
        assert type((await failure(model))[1]) is kind


async def test_a_reset_before_the_answer(server: ModelDriver) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with asking(reset) as model:
        assert type((await failure(model))[1]) is ModelUnreachable


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", f"{'x' * 70}.invalid", "[::1]:1"])
async def test_an_unknown_host_is_unreachable(server: ModelDriver, opened: Open, host: str) -> None:
    async with opened(base_url=f"http://{host}/v1", api_key="x") as model:
        assert isinstance((await failure(model))[1], ModelUnreachable | ModelFailed)


async def test_tls_to_a_plain_server_is_unreachable(server: ModelDriver, opened: Open) -> None:
    url = server.base_url.replace("http:", "https:")
    async with opened(base_url=url, api_key="x") as model:
        assert type((await failure(model))[1]) is ModelUnreachable


@pytest.fixture
def server_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make a certificate for localhost, and have it trusted."""
    authority, trusted = trustme.CA(), tmp_path / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    trusting = ssl.create_default_context(cafile=str(trusted))
    monkeypatch.setattr("bot.llm.http_client.CONTEXT", trusting)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_tls_that_breaks_mid_stream_is_an_interruption(
    server: ModelDriver, opened: Open, server_tls: ssl.SSLContext
) -> None:
    """The text before the record that does not decrypt is kept."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + data("so"))
        await writer.drain()
        await asyncio.sleep(0.1)
        record = b"\x17\x03\x03\x00\x20" + b"?" * 32
        writer.get_extra_info("socket")._sock.send(record)
        await asyncio.sleep(0.1)
        writer.transport.abort()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_tls) as listener:
        url = f"https://localhost:{listener.sockets[0].getsockname()[1]}/v1"
        async with opened(base_url=url, api_key="x") as model:
            text, error = await failure(model)
    assert (text, type(error)) == ("so", ModelCut)


async def test_a_redirect_is_not_followed(
    server: ModelDriver,
) -> None:
    """Nor is it asked for again: the address is wrong, and the operator reads so."""
    asked_at = 0

    async def redirect(writer: asyncio.StreamWriter) -> None:
        nonlocal asked_at
        asked_at += 1
        writer.write(http(307, f"Location: {server.base_url}/chat/completions"))

    async with asking(redirect) as model:
        assert type((await failure(model))[1]) is ModelUnknown
    assert asked_at == 1
    assert await server.completions() == []


# Too much, and the end of it


@pytest.mark.parametrize("size", [1, 7, 999, 100_000])
async def test_text_beyond_the_limit_is_cut(server: ModelDriver, opened: Open, size: int) -> None:
    """For servers that ignore the limit; the connection is closed."""
    await server.reply(Script(text="x" * 100_000, chunk_size=size))
    async with opened(reply_tokens=lambda: 20) as model:
        text, error = await failure(model)
    assert (text, type(error)) == ("x" * 160, OutputTruncated)
    if size == 1:
        await server.next_request(outcomes=["disconnected"])


async def test_text_of_exactly_the_limit_is_complete(server: ModelDriver, opened: Open) -> None:
    await server.reply("x" * 160)
    async with opened(reply_tokens=lambda: 20) as model:
        assert (await asked(model))[0] == "x" * 160


FINISHED = data("fine") + b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    "answer",
    [
        sent(OK + FINISHED, then=9),
        without_end(OK + FINISHED, b": ping\n\n", pause=0.01),
        sent(http(200, "Content-Length: 9999", body=FINISHED)),
        sent(OK + FINISHED + b'data: {"usa'),
        without_end(OK + FINISHED + b"data: [DONE]\n\n", data("more"), pause=0.01),
        sent(OK + FINISHED + b"data: [DONE]\n\n" + data("more") + b"data: {nonsense\n\n"),
    ],
)
async def test_events_after_the_end_change_nothing(
    server: ModelDriver, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    """An answer that reached its end is whole, even if the connection fails then."""
    monkeypatch.setattr(completion_module, "USAGE_SECONDS", 0.1)
    async with asking(answer) as model:
        assert (await asked(model))[0] == "fine"


async def test_text_after_an_end_needs_another_end(server: ModelDriver) -> None:
    async with asking(sent(OK + FINISHED + data(", but"))) as model:
        text, error = await failure(model)
    assert (text, type(error)) == ("fine, but", ModelCut)


async def test_a_question_gets_at_most_four_requests(
    server: ModelDriver, model: ChatCompletions
) -> None:
    """Also where the form of the request changes twice and the API is busy in between."""
    busy = Script(status=503, body=error_body())
    forms = [
        Script(status=400, body=error_body(message=f"Unknown: {name}"))
        for name in ("stream_options", "max_completion_tokens")
    ]
    await server.reply(forms[0], busy, forms[1], busy, "too late")
    assert type((await failure(model))[1]) is ModelBusy
    assert len(await server.completions()) == 4


@pytest.mark.parametrize("where", ["code", "type", "param", "message"])
async def test_an_echo_of_the_request_is_redacted_everywhere(
    server: ModelDriver, model: ChatCompletions, where: str
) -> None:
    """Escaped as JSON does it, in capitals, in any field."""
    question = "나의 비밀 행성의 하늘은 왜 초록색인가요?"
    prompt = Prompt((Turn(Role.USER, question),), 20, 0, 100)
    for said in (question, json.dumps(question), json.dumps(question).upper()):
        await server.reply(Script(status=400, body=error_body(**{where: f"Bad: {said}"})))
        _, error = await failure(model, prompt)
        assert "left out" in str(error)
        assert "\\u" not in str(error).lower()
        assert "비밀" not in str(error)


async def test_an_echo_in_a_body_without_a_message_is_redacted(
    server: ModelDriver, model: ChatCompletions
) -> None:
    prompt = Prompt((Turn(Role.USER, "나의 비밀 행성은\n왜 초록색인가요?"),), 20, 0, 100)
    body = {
        "detail": [{"loc": ["body"], "input": {"messages": [{"content": prompt.turns[0].text}]}}]
    }
    await server.reply(Script(status=422, body=body))
    _, error = await failure(model, prompt)
    assert str(error) == "422 (left out, as it repeats the conversation)"


# Any bytes


async def test_a_stream_cut_anywhere_is_incomplete() -> None:
    """In both framings; scripts try each byte."""
    counts = await cut_at_each_byte(step=41)
    assert counts["failures"] == []
    assert counts["endings"]["whole"] < counts["endings"]["ModelCut"]


async def test_a_garbled_stream_gives_clean_text_or_a_model_error() -> None:
    """Some hundreds; scripts try thousands."""
    counts = await garbled_streams(tries=600, seed=7)
    assert counts["failures"] == []
    assert counts["endings"]["whole"] > 50
