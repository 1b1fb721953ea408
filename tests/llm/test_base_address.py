"""The address of a chat API, as operators paste it; a missing /v1 is found by the answers."""

import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.conversation.images import Image
from bot.conversation.prompt import Prompt, Role, Turn
from bot.errors import (
    ModelAddressWrong,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelKeyRefused,
    ModelUnknown,
)
from bot.i18n.sentences import ENGLISH
from bot.llm.api_config import ApiConfig
from bot.llm.base_address import AddressSearch, BaseAddress
from bot.llm.client import ChatCompletions
from bot.llm.events import Delta
from bot.llm.models import ListedModel
from bot.llm.request_budget import RequestBudget

QUESTION_ID = 100000000000000001
PROMPT = Prompt((Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, "Why?")), 20, 0, 100)
VALUES: dict[str, Any] = {
    "model": "m",
    "options": lambda _model: {},
    "reply_tokens": lambda: 500,
    "length_option": "max_tokens",
    "first_token_seconds": 5.0,
    "idle_seconds": 5.0,
    "reply_seconds": 10.0,
}


@pytest.mark.parametrize(
    "pasted",
    [
        *("http://h/v1", "http://h/v1/", "http://h//v1//", "http://h/v1#top"),
        *("http://h/v1/chat/completions", "http://h/v1/chat/completions/", "http://h/v1/models"),
        *(
            "http://h/v1/Chat/Completions",
            "http://h/v1//chat//completions",
            "http://h/v1/responses",
        ),
        *("http://h/v1/completions", "http://h/v1/embeddings", "http://h/v1/chat"),
        *("http://h/v1/messages", "http://h/v1/images/generations", "http://h/v1/audio/speech"),
        "http://h/v1/chat/completions/chat/completions",
    ],
)
def test_the_name_of_an_endpoint_is_cut_off(pasted: str) -> None:
    assert BaseAddress.parse(pasted).url == "http://h/v1"


@pytest.mark.parametrize(
    ("pasted", "url"),
    [
        ("http://h:11434", "http://h:11434"),
        ("http://h:11434/", "http://h:11434"),
        ("http://h:11434/api/chat", "http://h:11434"),
        ("http://h:11434/api/generate", "http://h:11434"),
        ("http://h/chat", "http://h/chat"),
        ("http://h/models-of-mine", "http://h/models-of-mine"),
        ("http://h/v1beta/openai/chat/completions", "http://h/v1beta/openai"),
        ("https://[::1]:8/v1/models", "https://[::1]:8/v1"),
        ("http://h/openai/deployments/models/d", "http://h/openai/deployments/models/d"),
    ],
)
def test_other_paths_stay(pasted: str, url: str) -> None:
    assert BaseAddress.parse(pasted).url == url


def test_a_query_is_sent_with_each_request() -> None:
    address = BaseAddress.parse("https://h/openai/deployments/d/chat/completions?api-version=7&x=")
    assert address.url == "https://h/openai/deployments/d"
    assert address.query == {"api-version": "7", "x": ""}


def test_a_key_in_the_query_is_a_secret_and_a_version_is_not() -> None:
    address = BaseAddress.parse(
        "https://h/v1?api-version=2024-10-21&key=AIzaSy&subscription-key=99ab"
    )
    assert address.secrets == ("AIzaSy", "99ab")


@pytest.mark.parametrize(
    ("userinfo", "plain"),
    [
        ("ann:secret", "ann:secret"),
        ("ann%40corp:p%40ss%3Aw%2Frd", "ann@corp:p@ss:w/rd"),
        ("ann:se:cret", "ann:se:cret"),
        ("token", "token:"),
        (":secret", ":secret"),
        ("%EC%95%84:%EB%B9%84%EB%B0%80", "아:비밀"),
    ],
)
def test_credentials_are_sent_as_http_basic(userinfo: str, plain: str) -> None:
    address = BaseAddress.parse(f"http://{userinfo}@h/v1")
    kind, _, encoded = address.authorization.partition(" ")
    assert (address.url, kind) == ("http://h/v1", "Basic")
    assert base64.b64decode(encoded).decode() == plain
    assert encoded in address.secrets


@pytest.mark.parametrize("pasted", ["http://h/v1", "http://@h/v1"])
def test_an_address_without_credentials_has_no_authorization(pasted: str) -> None:
    address = BaseAddress.parse(pasted)
    assert (address.url, address.authorization, address.secrets) == ("http://h/v1", "", ())


@pytest.mark.parametrize(
    "pasted",
    ["http://a%3Ab:c@h/v1", "http://a/b:c@h/v1", "http://h/v1?a@b", "http://a:12#x@h/v1"],
)
def test_credentials_that_cannot_be_read_are_refused(pasted: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whichever it is
        BaseAddress.parse(pasted)


@pytest.mark.parametrize(
    ("given", "candidates"),
    [
        ("http://h", ["http://h", "http://h/v1"]),
        ("http://h/inference", ["http://h/inference", "http://h/inference/v1"]),
        ("http://h/api", ["http://h/api", "http://h/api/v1", "http://h/v1"]),
        ("http://h/v1", ["http://h/v1"]),
        ("http://h/V2/x", ["http://h/V2/x"]),
        ("http://h/v1beta/openai", ["http://h/v1beta/openai"]),
        ("http://h/vllm", ["http://h/vllm", "http://h/vllm/v1"]),
        ("https://openrouter.ai", ["https://openrouter.ai", "https://openrouter.ai/api/v1"]),
        ("https://openrouter.ai/api/v1", ["https://openrouter.ai/api/v1"]),
        ("https://api.groq.com/v1", ["https://api.groq.com/v1", "https://api.groq.com/openai/v1"]),
        (
            "https://api.perplexity.ai/v1",
            ["https://api.perplexity.ai/v1", "https://api.perplexity.ai"],
        ),
    ],
)
def test_a_missing_version_is_tried(given: str, candidates: list[str]) -> None:
    search, tried = AddressSearch(given), [given]
    while (address := search.next_after(tried)) is not None:
        tried.append(address)
    assert tried == candidates


def test_a_list_does_not_move_a_model_that_answered() -> None:
    search = AddressSearch("http://h")
    search.settle("http://h")
    search.prefer("http://h/v1")
    assert (search.current, search.next_after(["http://h"])) == ("http://h", None)


# Servers


def refusing(status: int, body: str, kind: str = "text/plain") -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, text=body, content_type=kind)


LM_STUDIO = json.dumps(
    {"error": "Unexpected endpoint or method. (POST /chat/completions). Returning 200 anyway"}
)
PAGE = "<!DOCTYPE html>\n<html><body>Welcome</body></html>"
# What a server sends for a path that is no endpoint of its API.
NOT_THERE = {
    "Ollama": refusing(404, "404 page not found"),
    "FastAPI": refusing(404, '{"detail":"Not Found"}', "application/json"),
    "empty": refusing(404, ""),
    "nginx": refusing(404, "<html><head><title>404 Not Found</title></head></html>", "text/html"),
    "Express": refusing(404, "<pre>Cannot POST /chat/completions</pre>", "text/html"),
    "method": refusing(405, '{"detail":"Method Not Allowed"}', "application/json"),
    "LM Studio": refusing(200, LM_STUDIO, "application/json"),
    "page": refusing(200, PAGE, "text/html"),
    "page in one line": refusing(200, "<html>Welcome</html>", "text/html"),
    "redirect": refusing(302, ""),
    "no route": refusing(
        400, '{"success":false,"errors":[{"code":7000,"message":"No route for that URI"}]}'
    ),
    "Cloudflare": refusing(
        400, '{"errors":[{"code":7003,"message":"Could not route to /chat/completions, perhaps"}]}'
    ),
    "a server of files": refusing(501, "<p>Message: Unsupported method ('POST').</p>", "text/html"),
    "OpenAI": refusing(
        404,
        json.dumps({"error": {"message": "Invalid URL (POST /chat/completions)", "code": None}}),
        "application/json",
    ),
}
UNKNOWN_MODEL = refusing(
    404, '{"error":{"message":"model \\"m\\" not found, try pulling it first"}}', "application/json"
)


class Server:
    """A server whose chat API is under *prefix*; it answers *otherwise* elsewhere."""

    def __init__(self, prefix: str, otherwise: Callable[[], web.Response]) -> None:
        self.requests: list[web.Request] = []
        self.api: Callable[[], web.Response] = refusing(
            200,
            'data: {"choices":[{"delta":{"content":"Yes."},"finish_reason":"stop"}]}\n\n'
            "data: [DONE]\n\n",
            "text/event-stream",
        )
        self._prefix = prefix
        self._otherwise = otherwise

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if request.path == f"{self._prefix}/chat/completions":
            return self.api()
        if request.path == f"{self._prefix}/models":
            return web.json_response({"data": [{"id": "a"}]})
        return self._otherwise()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Yield the host and port."""
        runner = web.ServerRunner(web.Server(self.handle))  # type: ignore[arg-type]
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        try:
            yield f"{host}:{port}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def opened(
    server: Server, path: str, userinfo: str = "", api_key: str | None = None
) -> AsyncIterator[ChatCompletions]:
    async with (
        server.running() as host,
        ChatCompletions.open(
            ApiConfig(base_url=f"http://{userinfo}{host}{path}", api_key=api_key, **VALUES)
        ) as model,
    ):
        yield model


async def asked(model: ChatCompletions, prompt: Prompt = PROMPT) -> str:
    async with model.stream(prompt, RequestBudget(QUESTION_ID), model="m") as completion:
        return "".join([event.text async for event in completion if isinstance(event, Delta)])


@pytest.mark.parametrize("how", NOT_THERE)
async def test_a_missing_version_is_found_once(how: str, caplog: pytest.LogCaptureFixture) -> None:
    server = Server("/v1", NOT_THERE[how])
    async with opened(server, "") as model:
        assert [await asked(model), await asked(model)] == ["Yes.", "Yes."]
        assert await model.list_models() == [ListedModel("a")]
    chat = "/v1/chat/completions"
    assert server.paths == ["/chat/completions", chat, chat, "/v1/models"]
    warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "/v1" in warnings[0]


@pytest.mark.parametrize("how", ["Ollama", "LM Studio", "page"])
async def test_a_question_with_a_picture_finds_a_missing_version_too(how: str) -> None:
    picture = Turn(Role.USER, "What is it?", (Image(b"picture", "image/png"),))
    server = Server("/v1", NOT_THERE[how])
    async with opened(server, "") as model:
        assert await asked(model, Prompt((picture,), 20, 0, 100)) == "Yes."
        assert await asked(model) == "Yes."
    assert len(server.paths) == 3


async def test_a_request_that_is_too_long_settles_the_address() -> None:
    server = Server("/v1", NOT_THERE["Ollama"])
    answer, too_long = server.api, '{"error":{"code":"context_length_exceeded"}}'
    server.api = refusing(400, too_long, "application/json")
    async with opened(server, "") as model:
        with pytest.raises(ModelContextExceeded):
            await asked(model)
        server.api = answer
        assert await asked(model) == "Yes."
    assert len(server.paths) == 3


async def test_an_answer_that_never_begins_settles_nothing() -> None:
    """A server may answer 200 to whatever it is asked."""
    server = Server("/v1", refusing(200, "data: {}\n\n", "text/event-stream"))
    async with opened(server, "") as model:
        with pytest.raises(ModelError):
            await asked(model)
        assert model._addresses.is_open


@pytest.mark.parametrize("how", NOT_THERE)
async def test_the_list_finds_a_missing_version_too(how: str) -> None:
    server = Server("/v1", NOT_THERE[how])
    async with opened(server, "/") as model:
        assert await model.list_models() == [ListedModel("a")]
        assert await model.list_models() == [ListedModel("a")]
        assert await asked(model) == "Yes."
    assert server.paths == ["/models", "/v1/models", "/v1/models", "/v1/chat/completions"]


@pytest.mark.parametrize("path", ["", "/v1", "/v1/chat/completions", "/api"])
async def test_an_address_with_an_api_is_asked_alone(path: str) -> None:
    server = Server(path.removesuffix("/chat/completions"), NOT_THERE["Ollama"])
    async with opened(server, path) as model:
        assert await asked(model) == "Yes."
    assert len(server.paths) == 1


async def test_an_api_beside_ollamas_own_is_found() -> None:
    async with opened(Server("/v1", NOT_THERE["Ollama"]), "/api") as model:
        assert await asked(model) == "Yes."


@pytest.mark.parametrize("how", NOT_THERE)
@pytest.mark.parametrize("path", ["", "/v1"])
async def test_the_sentence_names_the_address_if_there_is_no_api(how: str, path: str) -> None:
    server = Server("/elsewhere", NOT_THERE[how])
    async with opened(server, path) as model:
        with pytest.raises(ModelUnknown) as caught:
            await asked(model)
        assert "OPENAI_BASE_URL" in caught.value.explain(ENGLISH)
        with pytest.raises((ModelUnknown, ModelFailed)):
            await model.list_models()
    assert len(server.paths) == (4 if path == "" else 2)


@pytest.mark.parametrize("how", ["LM Studio", "page"])
async def test_a_success_without_an_api_is_no_problem_that_passes(how: str) -> None:
    async with opened(Server("/elsewhere", NOT_THERE[how]), "/v1") as model:
        with pytest.raises(ModelAddressWrong):
            await asked(model)


async def test_an_unknown_model_is_no_reason_to_try_another_address() -> None:
    server = Server("", NOT_THERE["Ollama"])
    server.api = UNKNOWN_MODEL
    async with opened(server, "") as model:
        with pytest.raises(ModelUnknown):
            await asked(model)
    assert len(server.paths) == 1


async def test_the_error_at_the_found_address_counts() -> None:
    server = Server("/v1", NOT_THERE["Ollama"])
    server.api = refusing(401, "{}")
    async with opened(server, "") as model:
        with pytest.raises(ModelKeyRefused):
            await asked(model)


@pytest.mark.parametrize("api_key", [None, "sk-a-key"])
async def test_credentials_reach_the_server_with_each_request(api_key: str | None) -> None:
    server = Server("/v1", NOT_THERE["Ollama"])
    async with opened(server, "?v=2", "ann:p%40ss@", api_key) as model:
        assert await asked(model) == "Yes."
        await model.list_models()
    expected = "Basic " + base64.b64encode(b"ann:p@ss").decode()
    assert {request.headers["Authorization"] for request in server.requests} == {expected}
    assert {request.query_string for request in server.requests} == {"v=2"}


async def test_credentials_that_a_server_repeats_reach_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server("/v1", NOT_THERE["Ollama"])
    encoded = base64.b64encode(b"ann:p@ssword").decode()
    repeated = f"Basic {encoded} {encoded} ann:p@ssword p%40ssword p@ssword"
    server.api = refusing(401, json.dumps({"error": {"message": repeated}}), "application/json")
    async with opened(server, "", "ann:p%40ssword@", "sk-a-key") as model:
        with pytest.raises(ModelError) as caught:
            await asked(model)
    said = f"{caught.value} {caplog.text}"
    assert encoded not in said
    assert "ssword" not in said
