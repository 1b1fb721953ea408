"""The stand-in model, used by the real openai package over real sockets."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from bot.sandbox.model_driver import ModelDriver, running_model
from bot.sandbox.model_script import Script
from bot.sandbox.process import StandInError, running
from tests.pictures import data_url, png

HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "hello there"},
]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand_in() -> AsyncIterator[ModelDriver]:
    """Return a stand-in with the settings that it has by default."""
    async with running_model() as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: ModelDriver) -> AsyncIterator[AsyncOpenAI]:
    # The default for a connection is 5 s.
    async with AsyncOpenAI(
        base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=60.0
    ) as one:
        yield one


async def asked(client: AsyncOpenAI, text: str = "hello there") -> AsyncStream[ChatCompletionChunk]:
    return await client.chat.completions.create(
        model="any-name",
        messages=[{"role": "user", "content": text}],
        stream=True,
        stream_options={"include_usage": True},
    )


async def streamed(
    client: AsyncOpenAI, text: str = "hello there"
) -> tuple[str, str | None, list[ChatCompletionChunk]]:
    """Return the text, the finish reason and all chunks of one streamed answer."""
    chunks = []
    async with await asked(client, text) as stream:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error is wanted too
    choices = [choice for chunk in chunks for choice in chunk.choices or []]
    said = "".join(choice.delta.content or "" for choice in choices)
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    return said, reasons[0] if reasons else None, chunks


async def test_unscripted_answer_echoes_the_question(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="any-name", messages=HELLO)
    assert answer.choices[0].message.content == "You said: hello there [2 messages]"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "any-name"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + 4 + 3 + 4 + 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_stream_contains_text_finish_reason_and_usage(client: AsyncOpenAI) -> None:
    """As at OpenAI: first the role; the usage in the last chunk, without choices."""
    said, reason, chunks = await streamed(client)
    assert said == "You said: hello there [1 messages]"
    assert reason == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 9
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_streaming_can_be_refused(server: ModelDriver, client: AsyncOpenAI) -> None:
    """As at OpenAI; an answer that is not streamed is still given."""
    await server.change(streams=False)
    with pytest.raises(openai.BadRequestError, match="verified to stream") as caught:
        await asked(client)
    assert (caught.value.param, caught.value.code) == ("stream", "unsupported_value")
    assert await client.chat.completions.create(model="any-name", messages=HELLO)


async def test_usage_is_not_streamed_without_the_option(client: AsyncOpenAI) -> None:
    async with await client.chat.completions.create(
        model="m", messages=HELLO, stream=True
    ) as stream:
        assert [chunk.usage async for chunk in stream if chunk.usage or not chunk.choices] == []


async def test_queued_replies_are_used_once_in_order(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.reply("one", Script(chunks=("tw", "", "o 🎉"), finish_reason="length"))
    assert [(await streamed(client))[:2] for _ in range(3)] == [
        ("one", "stop"),
        ("two 🎉", "length"),
        ("You said: hello there [1 messages]", "stop"),
    ]


async def test_rules_match_the_question_of_parallel_requests(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    """A rule looks only at the question, so the order of requests does not matter."""
    await server.reply_when("red", Script(text="R" * 400, chunks_per_second=400))
    await server.reply_when("blue", "B", times=1)
    answers = await asyncio.gather(*(streamed(client, one) for one in ("a red one", "blue", "red")))
    assert [said for said, _, _ in answers] == ["R" * 400, "B", "R" * 400]
    assert (await streamed(client, "blue"))[0].startswith("You said")


async def test_stream_keeps_its_configured_pace(server: ModelDriver, client: AsyncOpenAI) -> None:
    """21 pieces at 50 a second take 0.4 s, after 0.2 s before the first."""
    await server.change(first_token_delay_seconds=0.2, chunks_per_second=50, chunk_size=1)
    await server.reply(Script(text="x" * 21, chunk_size=1))
    clock = asyncio.get_running_loop().time
    begun = clock()
    async with await asked(client) as stream:
        times = [
            clock() - begun
            async for chunk in stream
            if chunk.choices and chunk.choices[0].delta.content
        ]
    assert times[0] >= 0.2
    assert 0.6 <= times[-1] < 3.0, "a busy machine is late, but no piece waits for another second"
    assert len(times) == 21


async def test_reasoning_is_streamed_in_its_own_field(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.reply(Script(text="42", reasoning="Let me think."))
    said, _, chunks = await streamed(client)
    extra = [(chunk.choices[0].delta.model_extra or {}) for chunk in chunks[:-1]]
    assert said == "42"
    assert "".join(one.get("reasoning_content", "") for one in extra) == "Let me think."


async def test_usage_can_be_invented_or_omitted(server: ModelDriver, client: AsyncOpenAI) -> None:
    made_up = {"prompt_tokens": 7, "completion_tokens": 10**9, "total_tokens": 0}
    await server.reply(Script(text="a", usage=made_up), Script(text="b", usage={}))
    _, _, chunks = await streamed(client)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 10**9
    _, _, chunks = await streamed(client)
    assert chunks[-1].choices


async def test_token_multiplier_changes_the_usage(server: ModelDriver, client: AsyncOpenAI) -> None:
    await server.change(token_multiplier=2)
    answer = await client.chat.completions.create(model="m", messages=HELLO)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + 4 + 6 + 4 + 6


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        ([7], "messages[0]", "invalid_type"),
        ([{"content": "hi"}], "messages[0].role", "missing_required_parameter"),
        ([{"role": "user", "content": 7}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": ["hello"]}], "messages[0].content[0]", "invalid_type"),
        (
            [{"role": "user", "content": [{"type": "text"}]}],
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}],
            "messages[0].content[0].cache_control",
            "unknown_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "sound"}]}],
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:"}]}],
            "messages[0].content[0].image_url",
            "invalid_type",
        ),
        ([{"role": "user", "content": []}], "messages[0].content", "empty_array"),
        ([{"role": "assistant", "content": None}], "messages.[0].content", None),
        ([{"role": "user", "refusal": "no"}], "messages[0].refusal", "unknown_parameter"),
        (
            [{"role": "assistant", "content": "a", "reasoning_content": "b"}],
            "messages[0].reasoning_content",
            "unknown_parameter",
        ),
        (
            [{"role": "tool", "content": "a"}],
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        ([{"role": "user", "content": "a", "name": 5}], "messages[0].name", "invalid_type"),
    ],
)
async def test_malformed_messages_are_refused(
    server: ModelDriver, messages: object, param: str, code: str | None
) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    body = {"model": "any-name", "messages": messages}
    url = f"{server.base_url}/chat/completions"
    async with server.http.post(url, json=body, headers=headers) as response:
        error = (await response.json())["error"]
    assert (response.status, error["param"], error["code"]) == (400, param, code)


async def test_content_parts_and_tool_calls_are_accepted(server: ModelDriver) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    image = {"type": "image_url", "image_url": {"url": data_url(png()), "detail": "low"}}
    parts = [{"type": "text", "text": "look"}, image]
    tool = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    call = {"role": "assistant", "content": None, "tool_calls": [tool]}
    body = {"model": "any-name", "messages": [{"role": "user", "content": parts}, call]}
    url = f"{server.base_url}/chat/completions"
    async with server.http.post(url, json=body, headers=headers) as response:
        assert response.status == 200


async def test_request_without_a_key_gets_401_with_an_explanation(server: ModelDriver) -> None:
    async with server.http.post(f"{server.base_url}/chat/completions", json={}) as response:
        error = (await response.json())["error"]
    assert response.status == 401
    assert error["code"] is None
    assert "didn't provide an API key" in error["message"]


async def test_wrong_key_is_refused_and_masked(server: ModelDriver) -> None:
    """The error of the API repeats a part of the wrong key."""
    key = "sk-wrong-abcdefghijklmnop-1234"
    async with AsyncOpenAI(base_url=server.base_url, api_key=key, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await streamed(client)
    assert caught.value.code == "invalid_api_key"
    assert "sk-wrong" in caught.value.message
    assert key not in caught.value.message
    record = (await server.completions())[0]
    assert (record.key_ok, record.outcome, record.status) == (False, "refused", 401)
    assert key not in str(record)


async def test_unknown_model_is_not_found(server: ModelDriver, client: AsyncOpenAI) -> None:
    await server.change(models=["gpt-known"])
    with pytest.raises(openai.NotFoundError) as caught:
        await streamed(client)
    assert caught.value.code == "model_not_found"
    assert [one.id async for one in client.models.list()] == ["gpt-known"]
    assert (await client.models.retrieve("gpt-known")).id == "gpt-known"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("any-name")


async def test_model_list_can_be_scripted(server: ModelDriver, client: AsyncOpenAI) -> None:
    body = {"data": [{"id": "old", "shutdown_date": "2027-01-31"}]}
    await server.list_models(Script(body=body))
    [listed] = [one async for one in client.models.list()]
    assert (listed.id, listed.shutdown_date) == ("old", "2027-01-31")
    await server.list_models(Script(status=404))
    with pytest.raises(openai.NotFoundError):
        await client.models.list()
    await server.reset()
    assert [one.id async for one in client.models.list()] == ["stand-in"]


async def test_prompt_over_the_context_window_is_refused(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.change(context_window=30)
    with pytest.raises(openai.BadRequestError) as caught:
        await streamed(client, "word " * 100)
    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 30 tokens" in caught.value.message


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("max_completion_tokens", "max_tokens"), ("max_tokens", "max_completion_tokens")],
)
async def test_other_token_limit_parameter_is_refused(
    server: ModelDriver, client: AsyncOpenAI, wanted: str, given: str
) -> None:
    await server.change(tokens_parameter=wanted)
    body = {"model": "m", "messages": HELLO}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/chat/completions", body={**body, given: 5}, cast_to=object)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", given)
    assert wanted in caught.value.message
    answer = await client.chat.completions.create(model="m", messages=HELLO, extra_body={wanted: 2})
    assert answer.choices[0].message.content == "You said"
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": HELLO}, None, None),
        ({"model": "m"}, "messages", "missing_required_parameter"),
        ({"model": "m", "messages": []}, "messages", "empty_array"),
        ({"model": "m", "messages": "hi"}, "messages", "invalid_type"),
        (
            {"model": "m", "messages": [{"role": "robot", "content": "hi"}]},
            "messages[0].role",
            "invalid_value",
        ),
        (
            {"model": "m", "messages": [{"role": "user", "content": None}]},
            "messages.[0].content",
            None,
        ),
        ({"model": "m", "messages": HELLO, "wishes": 3}, "wishes", "unknown_parameter"),
        (
            {"model": "m", "messages": HELLO, "stream_options": {"include_usage": True}},
            "stream_options",
            None,
        ),
        (
            {"model": "m", "messages": HELLO, "max_tokens": 1, "max_completion_tokens": 1},
            "max_tokens",
            "invalid_parameter_combination",
        ),
        (
            {"model": "m", "messages": HELLO, "max_completion_tokens": 0},
            "max_completion_tokens",
            "integer_below_min_value",
        ),
    ],
)
async def test_malformed_request_gets_the_error_of_openai(
    client: AsyncOpenAI, body: dict[str, object], param: str | None, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/chat/completions", body=body, cast_to=object)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("options", "param", "code", "words"),
    [
        ({"n": "2"}, "n", "invalid_type", "expected an integer, but got a string instead."),
        ({"n": 0}, "n", "integer_below_min_value", "Expected a value >= 1, but got 0 instead."),
        ({"seed": 1.5}, "seed", "invalid_type", "but got a decimal number instead."),
        (
            {"temperature": "hot"},
            "temperature",
            "invalid_type",
            "expected a decimal, but got a string",
        ),
        ({"temperature": 3}, "temperature", "decimal_above_max_value", "a value <= 2, but got 3"),
        ({"presence_penalty": -3}, "presence_penalty", "decimal_below_min_value", ">= -2"),
        ({"logprobs": 1}, "logprobs", "invalid_type", "expected a boolean, but got an integer"),
        (
            {"stop": ["a"] * 5},
            "stop",
            "array_above_max_length",
            "maximum length 4, but got an array with length 5",
        ),
        ({"stop": 5}, "stop", "invalid_type", "one of a string or array of strings"),
        ({"tools": {}}, "tools", "invalid_type", "expected an array of objects, but got an object"),
        ({"tools": [{}]}, "tools[0].type", "missing_required_parameter", "'tools[0].type'."),
        ({"verbosity": "loud"}, "verbosity", "invalid_value", "'low', 'medium', and 'high'."),
        ({"user": {"id": 1}}, "user", "invalid_type", "expected a string, but got an object"),
        ({"response_format": {}}, "response_format.type", "missing_required_parameter", "Missing"),
        (
            {"stream": True, "stream_options": {"usage": True}},
            "stream_options.usage",
            "unknown_parameter",
            "Unknown",
        ),
        ({"n": "2", "wishes": 3}, "wishes", "unknown_parameter", "Unknown parameter: 'wishes'."),
        ({"temperature": 3, "n": "2"}, "n", "invalid_type", "Invalid type for 'n'"),
    ],
)
async def test_wrong_type_or_value_of_an_option_is_refused(
    client: AsyncOpenAI, options: dict[str, object], param: str, code: str, words: str
) -> None:
    body = {"model": "m", "messages": HELLO} | options
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/chat/completions", body=body, cast_to=object)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert words in caught.value.message


async def test_options_of_openai_are_accepted(client: AsyncOpenAI) -> None:
    body = {
        "model": "m",
        "messages": HELLO,
        "temperature": None,
        "top_p": 1,
        "seed": -1,
        "stop": "END",
        "metadata": {"a": "b"},
        "tools": [{"type": "web_search"}],
        "web_search_options": {},
        "reasoning_effort": "low",
        "max_completion_tokens": 50,
    }
    await client.post("/chat/completions", body=body, cast_to=object)


async def test_reply_limit_over_that_of_the_model_is_refused(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.change(max_reply_tokens=4096)
    with pytest.raises(openai.BadRequestError, match="supports at most 4096 completion tokens"):
        await client.chat.completions.create(
            model="m", messages=HELLO, extra_body={"max_completion_tokens": 4097}
        )
    await client.chat.completions.create(
        model="m", messages=HELLO, extra_body={"max_completion_tokens": 4096}
    )


@pytest.mark.parametrize(
    ("roles", "accepted"),
    [
        ("user", True),
        ("system user assistant user", True),
        ("user user", False),
        ("system assistant user", False),
        ("user assistant", False),
        ("system", False),
    ],
)
async def test_roles_must_alternate_if_a_template_insists(
    server: ModelDriver, client: AsyncOpenAI, roles: str, accepted: bool
) -> None:
    body = {"model": "m", "messages": [{"role": one, "content": "hi"} for one in roles.split()]}
    await client.post("/chat/completions", body=body, cast_to=object)
    await server.change(alternating=True)
    if accepted:
        await client.post("/chat/completions", body=body, cast_to=object)
        return
    with pytest.raises(openai.BadRequestError, match="roles must alternate"):
        await client.post("/chat/completions", body=body, cast_to=object)


async def test_stream_options_can_be_refused(server: ModelDriver, client: AsyncOpenAI) -> None:
    await server.change(takes_stream_options=False)
    with pytest.raises(openai.BadRequestError, match="stream_options"):
        await streamed(client)


async def test_scripted_error_has_its_status_and_headers(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    quota = {"error": {"message": "No money.", "type": "x", "code": "insufficient_quota"}}
    await server.reply(
        Script(status=429, body=quota, headers={"Retry-After": "7"}), Script(status=503)
    )
    with pytest.raises(openai.RateLimitError) as caught:
        await streamed(client)
    assert caught.value.code == "insufficient_quota"
    assert caught.value.response.headers["Retry-After"] == "7"
    with pytest.raises(openai.InternalServerError):
        await streamed(client)


async def test_html_or_json_can_replace_a_stream(server: ModelDriver, client: AsyncOpenAI) -> None:
    await server.reply(Script(body="<html>Sign in</html>"), Script(text="whole", as_json=True))
    assert (await streamed(client))[0] == ""
    assert (await streamed(client))[0] == ""


async def test_scripted_events_are_sent_unchanged(server: ModelDriver, client: AsyncOpenAI) -> None:
    broken = {"error": {"message": "overloaded", "type": "server_error"}}
    await server.reply(
        Script(text="fine", events_before=({"choices": []}, {"choices": None})),
        Script(text="half", events_after=(broken,)),
    )
    assert (await streamed(client))[:2] == ("fine", "stop")
    with pytest.raises(openai.APIError, match="overloaded"):
        await streamed(client)


async def test_stream_can_end_without_a_finish_reason(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.reply(Script(text="and then", finish_reason=None, done=False))
    assert (await streamed(client))[:2] == ("and then", None)


async def test_raw_bytes_are_sent_verbatim(server: ModelDriver, client: AsyncOpenAI) -> None:
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": "é"}}]}, ensure_ascii=False)
    whole = f": ping\r\n\r\ndata: {chunk}\r\n\r\ndata: [DONE]\r\n\r\n".encode()
    middle = whole.index("é".encode()) + 1
    await server.reply(
        Script(raw=(whole[:middle], whole[middle:]), chunks_per_second=20),
        Script(raw=(b"data: {nonsense\n\n",)),
    )
    assert (await streamed(client))[0] == "é"
    with pytest.raises(json.JSONDecodeError):
        await streamed(client)


@pytest.mark.parametrize(
    "script",
    [
        Script(text="all of this text", disconnect_after_chunks=2),
        Script(text="all of this text", disconnect_after_bytes=700),
        Script(text="all of this text", disconnect_after_bytes=1),
    ],
)
async def test_connection_can_be_cut_within_the_stream(
    server: ModelDriver, client: AsyncOpenAI, script: Script
) -> None:
    await server.reply(script)
    with pytest.raises((openai.APIConnectionError, json.JSONDecodeError)):
        await streamed(client)
    record = await server.next_request(outcomes=["cut"])
    assert record.chunks_sent <= 2
    assert (await streamed(client))[1] == "stop"


async def test_connection_can_be_cut_before_the_response(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.reply(Script(text="never", disconnect_after_bytes=0))
    with pytest.raises(openai.APIConnectionError):
        await streamed(client)


async def test_stalls_can_outlast_the_client_timeout(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    """Before and within the stream; the record says that the client disconnected."""
    await server.reply(
        Script(text="late", stall_before_seconds=60),
        Script(text="abcdefgh", stall_seconds=60, stall_after_chunks=1),
    )
    hasty = client.with_options(timeout=2.0)
    with pytest.raises(openai.APITimeoutError):
        await streamed(hasty)
    first = await server.next_request(outcomes=["disconnected"])
    with pytest.raises(openai.APITimeoutError):
        await streamed(hasty)
    second = await server.next_request(after=first.seq, outcomes=["disconnected"])
    assert (first.chunks_sent, second.chunks_sent) == (0, 1)


async def test_resume_ends_a_stall(server: ModelDriver, client: AsyncOpenAI) -> None:
    """A stall begins as soon as its piece is sent, so a client that read that can end it."""
    stalling = Script("abcdefgh", chunks_per_second=2, stall_after_chunks=1, stall_seconds=60)
    await server.reply(stalling)
    async with await asked(client) as stream:
        text = ""
        async for chunk in stream:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            if text == "abcd":
                await server.resume()
    assert text == "abcdefgh"


async def test_disconnect_of_the_client_is_recorded_at_once(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.reply(Script(text="slow " * 1000, chunks_per_second=20))
    async with await asked(client) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    record = await server.next_request(outcomes=["disconnected"])
    assert record.chunks_sent < 500


async def test_requests_are_recorded_and_can_be_awaited(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    waiting = asyncio.create_task(server.next_request(outcomes=["complete"]))
    await streamed(client)
    record = await waiting
    assert record.body["messages"] == [{"role": "user", "content": "hello there"}]
    assert record.body["stream_options"] == {"include_usage": True}
    assert record.key_ok
    assert "Authorization" not in record.headers
    assert record.ended_at is not None
    assert record.ended_at > record.at
    assert await server.requests(after=record.seq, timeout_seconds=0.05) == []
    await server.change(mode="offline")
    await server.reset()
    assert await server.requests() == []
    assert (await server.settings())["mode"] == "echo"


async def test_control_interface_names_invalid_settings(server: ModelDriver) -> None:
    with pytest.raises(ValueError, match="colour"):
        await server.change(colour="red")
    with pytest.raises(ValueError, match="echo, offline"):
        await server.change(mode="loud")
    async with server.http.post(f"{server.control_url}/replies", json=[{"txt": "a"}]) as response:
        assert response.status == 400
        assert "txt" in await response.text()
    assert (await server.settings())["mode"] == "echo"


async def test_unknown_path_gets_an_api_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        await client.post("/responses", body={}, cast_to=object)


async def test_hundred_parallel_streams_are_answered(
    server: ModelDriver, client: AsyncOpenAI
) -> None:
    await server.change(chunks_per_second=50)
    answers = await asyncio.gather(*(streamed(client, f"question {n}") for n in range(100)))
    assert [said for said, _, _ in answers] == [
        f"You said: question {n} [1 messages]" for n in range(100)
    ]


async def test_offline_mode_answers_with_its_own_text(
    client: AsyncOpenAI, server: ModelDriver
) -> None:
    await server.change(mode="offline")
    said, reason, _ = await streamed(client)
    assert "offline stand-in" in said
    assert "hello there" in said
    assert reason == "stop"


def with_images(*urls: str) -> list[ChatCompletionMessageParam]:
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content: Any = [{"type": "text", "text": "hello there"}, *images]
    return [{"role": "user", "content": content}]


async def test_images_are_accepted_and_counted(client: AsyncOpenAI, server: ModelDriver) -> None:
    def ask(*urls: str) -> Awaitable[ChatCompletion]:
        return client.chat.completions.create(model="any-name", messages=with_images(*urls))

    costs = [(await ask(*[data_url(png())] * count)).usage for count in (0, 2)]
    assert [cost.prompt_tokens if cost else 0 for cost in costs] == [10, 10 + 2 * 765]
    await server.change(image_tokens=100)
    answer = await ask(data_url(png()))
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 110
    assert answer.choices[0].message.content == "You said: hello there [1 messages]"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (data_url(b"text"), "unsupported image"),
        (data_url(png(), "image/jpeg"), "unsupported image"),
        (data_url(png(), "image/tiff"), "a data URL was expected"),
        ("https://x.invalid/a.png", "a data URL was expected"),
        ("data:image/png;base64,?", "Invalid base64"),
    ],
)
async def test_invalid_image_is_refused(client: AsyncOpenAI, url: str, message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        await client.chat.completions.create(model="any-name", messages=with_images(url))


async def test_images_can_be_refused(client: AsyncOpenAI, server: ModelDriver) -> None:
    await server.change(takes_images=False)
    with pytest.raises(openai.BadRequestError, match="only supported by certain models"):
        await client.chat.completions.create(
            model="any-name", messages=with_images(data_url(png()))
        )
    await client.chat.completions.create(model="any-name", messages=with_images())


async def test_image_in_an_assistant_message_is_refused(client: AsyncOpenAI) -> None:
    [message] = with_images(data_url(png()))
    said: Any = {**message, "role": "assistant"}
    with pytest.raises(openai.BadRequestError, match="role 'user'"):
        await client.chat.completions.create(model="any-name", messages=[said])


async def test_trouble_setting_affects_only_unscripted_answers(
    client: AsyncOpenAI, server: ModelDriver
) -> None:
    await server.change(mode="offline", trouble="rate_limit")
    with pytest.raises(openai.RateLimitError, match="Rate limit reached"):
        await streamed(client)
    await server.reply("scripted")
    assert (await streamed(client))[0] == "scripted"
    await server.change(trouble="cut")
    with pytest.raises(openai.APIError):
        await streamed(client)
    cut = (await server.completions())[-1]
    assert cut.chunks_sent == 12
    await server.change(trouble="stall")
    stalling = asyncio.create_task(streamed(client))
    async with asyncio.timeout(30):
        while not any(  # noqa: ASYNC110  # asks a process
            one.chunks_sent == 12 for one in await server.completions(after=cut.seq)
        ):
            await asyncio.sleep(0.02)
    stalling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stalling
    assert (await server.next_request(after=cut.seq, outcomes=["disconnected"])).chunks_sent == 12
    await server.change(trouble="")
    assert (await streamed(client))[1] == "stop"


async def test_process_ends_cleanly_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.sandbox.model.server", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ready = json.loads(await process.stdout.readline())
    async with aiohttp.ClientSession() as http, http.get(ready["control_url"] + "/settings") as one:
        assert one.status == 200
    process.send_signal(signal.SIGTERM)
    rest, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, rest) == (0, b"")


async def test_process_does_not_outlive_its_parent() -> None:
    """The parent is killed and cannot end it."""
    program = (
        "import asyncio, os\n"
        "from bot.sandbox.process import running\n"
        "async def main():\n"
        "    async with running('bot.sandbox.model.server') as ready:\n"
        "        print(ready['control_url'], flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    url = (await parent.stdout.readline()).decode().strip()
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    async with aiohttp.ClientSession() as http, asyncio.timeout(30):
        with contextlib.suppress(aiohttp.ClientConnectionError):
            while True:
                async with http.get(f"{url}/settings"):
                    await asyncio.sleep(0.1)
    await parent.communicate()


async def test_module_that_is_not_a_stand_in_raises_an_error() -> None:
    with pytest.raises(StandInError, match="did not start"):
        async with running("json.tool"):
            pass
