"""Chat completions over HTTP: a prompt in, deltas out, every failure translated."""

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import httpx2
import openai
from openai import AsyncAPIResponse, AsyncOpenAI

from bot.completion_stream import Chunk, StreamDecoder, Usage
from bot.conversation import scrubbed
from bot.errors import (
    ModelBusy,
    ModelContextExceeded,
    ModelCut,
    ModelEmpty,
    ModelError,
    ModelFailed,
    ModelKeyRefused,
    ModelLength,
    ModelQuotaUsedUp,
    ModelRequestRefused,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
    ModelWithheld,
)
from bot.prompt import Prompt
from bot.reasoning import ReasoningFilter

log = logging.getLogger(__name__)

RETRIES: Final = 2  # as the openai package does; its own are off, as it repeats what is in vain
BACKOFF_SECONDS: Final = 0.5
CONNECT_TIMEOUT_SECONDS: Final = 10.0
CLOSING_SECONDS: Final = 0.1  # for the end of a body that is complete, to use the connection again
DETAIL_LENGTH: Final = 300
ECHO_LENGTH: Final = 16  # characters in a row that an error may share with the conversation
LENGTH_OPTIONS: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
NO_KEY: Final = "none"  # The package insists on a key; servers without keys ignore it.
KEY_PATTERN: Final = re.compile(r"\b(?:sk|key)-[\w.*-]{4,}|Bearer \S+", re.IGNORECASE)
BODY_LENGTH: Final = 4000  # characters of an error's body that are looked at
# Servers have words of their own for how an answer ended.
LENGTH_REASONS: Final = frozenset({"length", "max_tokens", "model_length"})
WITHHELD_REASONS: Final = frozenset({"content_filter", "safety"})
CUT_REASONS: Final = frozenset({"error", "abort", "aborted", "cancelled", "network_error"})
# Codes say more than the status; compatible servers have some of their own.
ERRORS_BY_CODE: Final = (
    (re.compile(r"insufficient_quota|billing"), ModelQuotaUsedUp),
    (re.compile(r"context_length_exceeded|exceed_context_size"), ModelContextExceeded),
    (re.compile(r"content_filter|content_policy"), ModelWithheld),
    (re.compile(r"model_not_found|invalid_model"), ModelUnknown),
    (re.compile(r"invalid_api_key|authentication"), ModelKeyRefused),
    (re.compile(r"rate_limit|overloaded"), ModelBusy),
)
ERRORS_BY_MESSAGE: Final = (
    (
        re.compile(
            r"exceeded your current quota|insufficient (credit|balance|quota)", re.IGNORECASE
        ),
        ModelQuotaUsedUp,
    ),
    (
        re.compile(
            r"context (length|window|size)|(prompt|input) is too long|too many tokens",
            re.IGNORECASE,
        ),
        ModelContextExceeded,
    ),
    (
        re.compile(
            r"model\b.{0,80}\b(not exist|not found|not a valid)|not a valid model", re.IGNORECASE
        ),
        ModelUnknown,
    ),
)
ERRORS_BY_STATUS: Final[Mapping[int | None, type[ModelError]]] = {
    401: ModelKeyRefused,
    402: ModelQuotaUsedUp,
    403: ModelKeyRefused,
    404: ModelUnknown,
    408: ModelTimeout,
    409: ModelBusy,
    429: ModelBusy,
    503: ModelBusy,
    529: ModelBusy,
}


class Completion:
    """A running completion: iterate over its deltas, once.

    Raises a ModelError where the stream fails or ends otherwise than with a whole answer; what came
    before is then all there is. *usage* is known at the end, if the server reports it.
    """

    def __init__(
        self, body: AsyncIterator[bytes], deadlines: "_Deadlines", private: "_Private"
    ) -> None:
        self.usage: Usage | None = None
        self._body = body
        self._deadlines = deadlines
        self._private = private
        self._decoder = StreamDecoder()
        self._filter = ReasoningFilter()
        self._finish_reason: str | None = None
        self._failure: ModelError | None = None
        self._any_text = False

    async def __aiter__(self) -> AsyncIterator[str]:
        data: bytes | None = b""
        while data is not None:
            data, chunks = await self._read()
            if delta := "".join(map(self._text, chunks)):
                self._any_text = self._any_text or not delta.isspace()
                yield delta
            if self._failure is not None:  # What came with it in one read is shown all the same.
                raise self._failure
        if rest := self._filter.end():
            self._any_text = self._any_text or not rest.isspace()
            yield rest
        self._check_end()

    async def _read(self) -> tuple[bytes | None, list[Chunk]]:
        try:
            data = await self._deadlines.next(self._body)
            chunks = self._decoder.end() if data is None else self._decoder.feed(data)
            if self._decoder.done:
                self._deadlines.closing()
            return data, chunks
        except TimeoutError as error:
            if self._decoder.done:
                return None, []
            raise ModelTimeout("the stream stalled") from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self._incomplete(type(error).__name__) from error
        except ValueError as error:  # Malformed, or a plain answer that is no JSON
            raise self._incomplete(f"garbled stream: {type(error).__name__}") from error

    def _text(self, chunk: Chunk) -> str:
        if chunk.error is not None:
            self._failure = _error_from(None, chunk.error, self._private)
        if self._failure is not None:
            return ""
        self.usage = chunk.usage or self.usage
        self._finish_reason = chunk.finish_reason or self._finish_reason
        if chunk.text or chunk.reasoning:
            self._deadlines.progress()
        return self._filter.write(chunk.text) if chunk.text else ""

    def _check_end(self) -> None:
        reason = self._finish_reason.lower() if self._finish_reason is not None else None
        if reason in WITHHELD_REASONS:
            raise ModelWithheld
        if reason in LENGTH_REASONS:
            raise ModelLength
        if reason is None or reason in CUT_REASONS:
            raise self._incomplete(f"finish_reason: {reason}")
        if not self._any_text:
            raise ModelEmpty

    def _incomplete(self, why: str) -> ModelError:
        return ModelCut(why) if self._any_text else ModelFailed(why)


class ChatCompletions:
    """A model behind an OpenAI-compatible API. One client for the life of the process."""

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        name: str,
        options: Mapping[str, Any],
        reply_tokens: int,
        length_option: str,
        first_token_seconds: float,
        idle_seconds: float,
        reply_seconds: float,
    ) -> None:
        self.name = name
        self._client = client
        self._options = dict(options)
        self._reply_tokens = reply_tokens
        self._form = _Form(length_option)
        self._seconds = (first_token_seconds, idle_seconds, reply_seconds)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, base_url: str, api_key: str | None, **values: Any
    ) -> AsyncIterator[Self]:
        """Make the client; *values* are those of the class, times in seconds."""
        client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or NO_KEY,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
        )
        async with client:
            yield cls(client, **values)

    @asynccontextmanager
    async def stream(self, prompt: Prompt) -> AsyncIterator[Completion]:
        """Ask with *prompt*; leaving the block ends the request. Raises ModelError."""
        deadlines = _Deadlines(*self._seconds)
        private = _Private(self._client.api_key, prompt)
        response = await self._ask(prompt, deadlines, private)
        try:
            yield Completion(response.iter_bytes(), deadlines, private)
        finally:
            await response.close()

    async def _ask(
        self, prompt: Prompt, deadlines: "_Deadlines", private: "_Private"
    ) -> AsyncAPIResponse[Any]:
        """Return the response once it begins well, asking again where that can help."""
        retries, form = 0, self._form
        tried = [form]
        while True:
            try:
                with _translated(private):
                    async with asyncio.timeout_at(deadlines.next_at):
                        response = await self._request(prompt, form).__aenter__()
                self._form = form  # Kept only now: a refusal may name an option and mean its value.
                return response
            except ModelRequestRefused as error:
                adapted = form.without(_body(error))
                if adapted is None or adapted in tried:
                    raise
                tried.append(adapted)
                form = adapted
                log.info("The server refuses the form of the request; asking in another.")
            except (ModelUnreachable, ModelBusy, ModelFailed) as error:
                delay = _retry_delay(error, retries)
                if retries >= RETRIES or deadlines.passed_in(delay):
                    raise
                retries += 1
                log.info("Asking again in %.1f s: %s %s", delay, type(error).__name__, error)
                await asyncio.sleep(delay)

    def _request(
        self, prompt: Prompt, form: "_Form"
    ) -> AbstractAsyncContextManager[AsyncAPIResponse[Any]]:
        turns: list[Any] = [
            {"role": turn.role.value, "content": scrubbed(turn.text)} for turn in prompt.turns
        ]
        options: dict[str, Any] = {form.length_option: self._reply_tokens}
        if form.asks_for_usage:
            options["stream_options"] = {"include_usage": True}
        return self._client.chat.completions.with_streaming_response.create(
            model=self.name, messages=turns, stream=True, extra_body={**options, **self._options}
        )


@dataclass(frozen=True, slots=True)
class _Form:
    """What of the request differs between servers; the one that was taken last is kept."""

    length_option: str
    asks_for_usage: bool = True

    def without(self, refusal: str) -> "_Form | None":
        """Return the form without the option that *refusal* names; None when it names none."""
        if "stream_options" in refusal and self.asks_for_usage:
            return replace(self, asks_for_usage=False)
        if re.search(rf"\b{self.length_option}\b", refusal):
            return replace(self, length_option=LENGTH_OPTIONS[self.length_option])
        return None


class _Deadlines:
    """When the first token, the next one and the end must have come, on the loop's clock."""

    def __init__(self, first_seconds: float, idle_seconds: float, all_seconds: float) -> None:
        self._time = asyncio.get_running_loop().time
        self._idle_seconds = idle_seconds
        self._end = self._time() + all_seconds
        self.next_at = min(self._time() + first_seconds, self._end)

    async def next(self, body: AsyncIterator[bytes]) -> bytes | None:
        """Return the next bytes, None at the end; raises TimeoutError."""
        async with asyncio.timeout_at(self.next_at):
            return await anext(body, None)

    def progress(self) -> None:
        """Note that a token came, so the next one has its own time."""
        self.next_at = min(self._time() + self._idle_seconds, self._end)

    def closing(self) -> None:
        """Note that all has come, so that only the end of the body is waited for."""
        self.next_at = min(self._time() + CLOSING_SECONDS, self.next_at)

    def passed_in(self, seconds: float) -> bool:
        """Whether the deadline will have passed in *seconds*."""
        return self._time() + seconds >= self.next_at


class _Private:
    """What an API's error message may not carry into the log: the key and what people wrote."""

    def __init__(self, api_key: str, prompt: Prompt) -> None:
        self._api_key = api_key
        self._prompt = prompt

    def without_key(self, message: str) -> str:
        """Return *message* on one line of bounded length without the key."""
        line = " ".join(message.split())
        if self._api_key != NO_KEY:
            line = line.replace(self._api_key, "(key)")
        return KEY_PATTERN.sub("(key)", line)[:DETAIL_LENGTH]

    def removed(self, message: str) -> str:
        """Return *message* on one line without them."""
        line = self.without_key(message)
        pieces = {line[at : at + ECHO_LENGTH] for at in range(len(line) - ECHO_LENGTH + 1)}
        texts = [" ".join(turn.text.split()) for turn in self._prompt.turns]
        echoes = any(piece in text for piece in pieces for text in texts)
        return "(left out, as it repeats the conversation)" if echoes else line


@contextmanager
def _translated(private: _Private) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, openai.APITimeoutError) as error:
        raise ModelTimeout("no answer in time") from error
    except openai.APIConnectionError as error:
        raise ModelUnreachable(type(error.__cause__).__name__) from error
    except openai.APIStatusError as error:
        said = error.response.text[:BODY_LENGTH]
        body = error.body if isinstance(error.body, dict) else {}
        if not isinstance(body.get("message"), str):
            body = {**body, "message": said}
        raise _error_from(error.status_code, body, private) from error
    except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ModelFailed(type(error).__name__) from error


def _body(error: ModelError) -> str:
    """Return all that the server said; the error's own text leaves out what is private."""
    cause = error.__cause__
    return cause.response.text[:BODY_LENGTH] if isinstance(cause, openai.APIStatusError) else ""


def _error_from(status: int | None, body: Mapping[str, Any], private: _Private) -> ModelError:
    """Return the error for an answer of *status*, or, None, for an error within a stream."""
    code, kind, param = (str(body.get(name) or "") for name in ("code", "type", "param"))
    message = str(body.get("message") or "")
    named = map(private.without_key, (code, kind, param))
    said = filter(None, (str(status or ""), *named, private.removed(message)))
    return _error_class(status, f"{code} {kind}", message)(" ".join(said))


def _error_class(status: int | None, code: str, message: str) -> type[ModelError]:
    for pattern, named in ERRORS_BY_CODE:
        if pattern.search(code):
            return named
    for pattern, named in ERRORS_BY_MESSAGE:
        if pattern.search(message):
            return named
    number = code.partition(" ")[0]
    if status is None and number.isdecimal():  # Within a stream the code may be a status.
        status = int(number)
    if status in ERRORS_BY_STATUS:
        return ERRORS_BY_STATUS[status]
    refused = status is not None and 400 <= status < 500
    return ModelRequestRefused if refused else ModelFailed


def _retry_delay(error: ModelError, retries: int) -> float:
    """Return the seconds to wait before asking again: the server's own figure, if it gives one."""
    if isinstance(error.__cause__, openai.APIStatusError):
        try:
            told = float(error.__cause__.response.headers.get("retry-after", ""))
        except ValueError:
            told = 0.0
        if told > 0:
            return told
    return BACKOFF_SECONDS * (1 << retries) * random.uniform(0.75, 1.25)
