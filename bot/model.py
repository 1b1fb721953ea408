"""Chat completions over HTTP: a prompt in, deltas out, every failure translated."""

import asyncio
import json
import logging
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI

from bot.calls import Calls
from bot.completion_stream import Chunk, StreamDecoder, Usage
from bot.context_window import LAST_RESORT
from bot.errors import (
    ModelBusy,
    ModelContextExceeded,
    ModelCut,
    ModelEmpty,
    ModelError,
    ModelFailed,
    ModelLength,
    ModelRequestRefused,
    ModelSilent,
    ModelThoughtOnly,
    ModelTimeout,
    ModelUnreachable,
    ModelWithheld,
)
from bot.listed_models import ListedModel, listed_models
from bot.prompt import Prompt, without_system_turn
from bot.reasoning import ReasoningFilter
from bot.refusals import (
    NO_KEY,
    SAID_LENGTH,
    Private,
    names_system_role,
    refusal,
    stream_error,
)
from bot.request_body import RequestBody
from bot.request_log import failure_noted, note_end, note_request

log = logging.getLogger(__name__)

JSON: Final = "application/json"
RETRIES: Final = 2  # as the openai package does; its own are off, as it repeats what is in vain
BACKOFF_SECONDS: Final = 0.5
CONNECT_TIMEOUT_SECONDS: Final = 10.0
ENDING_SECONDS: Final = 2.0  # for the usage, which comes right behind the end of the answer
CLOSING_SECONDS: Final = 0.1  # for the end of a body that is complete, to use the connection again
LEAVING_SECONDS: Final = 1.0  # for closing a connection
REFUSAL_SECONDS: Final = 5.0  # for the body of an error, without which its status has to do
LIST_SECONDS: Final = 10.0
LIST_BYTES: Final = 4_000_000  # The longest list in use, of some hundred models, has a tenth of it.
REFUSAL_BYTES: Final = 65_536  # of that body, unpacked; the largest in use repeat the request
# For servers that ignore the limit. English has 4 to 5 characters a token; by the estimate of
# tokens.py words would need 12 letters on average to have 8, so who keeps to it is not cut.
CHARACTERS_PER_TOKEN: Final = 8
LENGTH_OPTIONS: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
# Servers have words of their own for how an answer ended.
LENGTH_REASONS: Final = frozenset({"length", "max_tokens", "model_length"})
WITHHELD_REASONS: Final = frozenset(
    {"content_filter", "safety", "refusal", "recitation", "blocklist", "prohibited_content", "spii"}
)
CUT_REASONS: Final = frozenset(
    {
        *("error", "abort", "aborted", "cancelled", "canceled", "network_error", "timeout"),
        *("insufficient_system_resource", "none", "null"),
    }
)
# Nothing was shown yet: a request in another form may help, or one with less in it.
ASK_OTHERWISE: Final = (ModelRequestRefused, ModelContextExceeded, ModelSilent)
FOREIGN_ERRORS: Final = (  # Those of aiohttp and TLS come through the layers above as they are.
    *(OSError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError),
    *(openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL),
)


class Completion:
    """A running completion: iterate over its deltas, once.

    Raises a ModelError where the stream fails or ends otherwise than with a whole answer; what came
    before is then all there is, and never more than *character_limit* characters. *usage* is known
    at the end, if the server reports it, *thought_seconds* with the first words, if any were shown
    to be thought before. *takes_back* says that the newest delta stands in the place of all before,
    which was thinking that had not said so. *finish_reason* is the server's word for the end,
    *characters* what came.
    """

    def __init__(
        self,
        response: httpx2.Response,
        deadlines: "_Deadlines",
        private: Private,
        *,
        character_limit: int,
    ) -> None:
        self.usage: Usage | None = None
        self.thought_seconds: float | None = None
        self.takes_back = False
        self.finish_reason: str | None = None
        self.characters = 0
        self._thinks_since: float | None = None
        self._speaks_since: float | None = None
        self._response = response
        self._body = response.aiter_bytes()
        self._deadlines = deadlines
        self._private = private
        self._character_limit = character_limit
        self._decoder = StreamDecoder()
        self._filter = ReasoningFilter()
        self._failure: ModelError | None = None
        self._any_text = False
        self._any_data = False
        self._deltas = self._read_deltas()
        self._begun_with = ""
        self._began_badly: ModelError | None = None

    async def begin(self) -> None:
        """Read until the model thinks or says something.

        Raises the ModelError that comes instead if another request may help; any other is raised
        by iterating.
        """
        try:
            self._begun_with = await anext(self._deltas, "")
        except ASK_OTHERWISE:
            raise
        except ModelError as error:
            self._began_badly = error

    async def leave(self) -> None:
        """End the request, wherever the answer is."""
        self._deadlines.silence()
        await self._deltas.aclose()
        with suppress(*FOREIGN_ERRORS):
            async with asyncio.timeout(LEAVING_SECONDS):
                await self._response.aclose()

    async def __aiter__(self) -> AsyncIterator[str]:
        if self._began_badly is not None:
            raise self._began_badly
        if self._begun_with:
            yield self._begun_with
        async for delta in self._deltas:
            if delta or self.takes_back:
                yield delta

    async def _read_deltas(self) -> AsyncGenerator[str, None]:
        """Yield the deltas, the first of them empty if the model begins with thinking."""
        data: bytes | None = b""
        thinks = False
        while data is not None:
            data, chunks = await self._read()
            self._any_data = self._any_data or bool(data)
            text = self._filter.write("".join(map(self._text, chunks)))
            if self._filter.reasons:
                self._think()
            self.takes_back = self._filter.takes_back
            if self.takes_back:
                self._thinks_since, self._any_text = self._speaks_since, False
            if self._decoder.done:
                self._deadlines.come_within(CLOSING_SECONDS)
            delta = self._within_limit(text if data is not None else text + self._filter.end())
            if delta or self.takes_back:
                if self._thinks_since is not None and self._any_text:
                    self.thought_seconds = self._deadlines.now() - self._thinks_since
                    self._thinks_since = None
                yield delta
            elif self._thinks_since is not None and not thinks:
                yield ""
            thinks = self._thinks_since is not None
            if self._any_text and isinstance(self._failure, ModelContextExceeded):
                raise ModelLength(str(self._failure))  # Asked once more, it would begin twice.
            if self._failure is not None:  # What came with it in one read is shown all the same.
                raise self._failure
        self._check_end()

    async def _read(self) -> tuple[bytes | None, list[Chunk]]:
        try:
            data = await self._deadlines.next(self._body)
            if data is None and self._ended:  # What may be cut is not the answer.
                return None, []
            chunks = self._decoder.end() if data is None else self._decoder.feed(data)
            return data, chunks
        except FOREIGN_ERRORS as error:
            if self._ended:
                return None, []
            if isinstance(error, TimeoutError):
                raise ModelTimeout("the stream stalled") from error
            raise self._incomplete(type(error).__name__) from error
        except ValueError as error:  # Malformed, or a plain answer that is no JSON
            raise self._incomplete(f"garbled stream: {type(error).__name__}") from error

    @property
    def _ended(self) -> bool:
        """Whether the server said how the answer ended, or that the stream did."""
        return self._decoder.done or self.finish_reason is not None

    def _text(self, chunk: Chunk) -> str:
        if chunk.error is not None:
            self._failure = stream_error(chunk.error, self._private)
            self._failure.__cause__ = _Refused(0, "", json.dumps(chunk.error))
        if self._failure is not None:
            return ""
        self.usage = chunk.usage or self.usage
        if chunk.text or chunk.reasoning:
            self._deadlines.progress()
        if chunk.reasoning:
            self._think()
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason
            if not chunk.text:  # Some servers give a reason with each piece of text.
                self._deadlines.come_within(ENDING_SECONDS)
        elif chunk.text:  # So it was not the end, and that is yet to come.
            self.finish_reason = None
        return chunk.text

    def _think(self) -> None:
        """Note that the model thinks, unless it answers already."""
        if self._thinks_since is None and not self._any_text:
            self._thinks_since = self._deadlines.now()

    def _within_limit(self, text: str) -> str:
        shown = text[: self._character_limit - self.characters]
        self.characters += len(shown)
        if not self._any_text and shown.strip():
            self._any_text, self._speaks_since = True, self._deadlines.now()
        if len(shown) < len(text):
            self._failure = ModelLength("the server goes on beyond the limit")
        return shown

    def _check_end(self) -> None:
        reason = self.finish_reason.lower() if self.finish_reason is not None else None
        if reason in WITHHELD_REASONS:
            raise ModelWithheld
        if reason in LENGTH_REASONS:
            raise ModelLength if self._any_text else ModelThoughtOnly
        if not self._any_data:
            raise ModelSilent("an empty body")
        if reason is None or reason in CUT_REASONS:
            raise self._incomplete(f"finish_reason: {reason}")
        if not self._any_text:
            raise ModelEmpty

    def _incomplete(self, why: str) -> ModelError:
        return ModelCut(why) if self._any_text else ModelFailed(why)


class ChatCompletions:
    """The models behind an OpenAI-compatible API. One client for the life of the process.

    *name* is the model that answers where no other is asked for, *options* returns what is merged
    into the requests to a model. *windows* are the context windows in tokens, by name, that the
    list of models told when it was read last.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        name: str,
        options: Callable[[str], Mapping[str, Any]],
        reply_tokens: int,
        length_option: str,
        first_token_seconds: float,
        idle_seconds: float,
        reply_seconds: float,
    ) -> None:
        self.name = name
        self._client = client
        self._options = options
        self.reply_tokens = reply_tokens
        self.windows: Mapping[str, int] = {}
        self._first_form = _Form(length_option)
        self._forms: dict[str, _Form] = {}
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
            # Who follows a redirect hands the conversation to an address that nobody set.
            http_client=openai.DefaultAioHttpClient(
                follow_redirects=False, event_hooks={"response": [_refuse]}
            ),
        )
        async with client:
            yield cls(client, **values)

    @asynccontextmanager
    async def stream(
        self, prompt: Prompt, calls: Calls, *, model: str
    ) -> AsyncIterator[Completion]:
        """Ask *model* with *prompt*; leaving the block ends the request. Raises ModelError.

        Each request is taken off *calls*, of which one must be left.
        """
        deadlines = _Deadlines(*self._seconds)
        private = Private(self._client.api_key, prompt)
        completion = await self._begun(prompt, calls, model, deadlines, private)
        try:
            with failure_noted(calls.question_id):
                yield completion
            if completion.finish_reason is not None:
                note_end(calls.question_id, completion.finish_reason, completion.characters)
        finally:
            await completion.leave()

    async def listed(self) -> list[ListedModel]:
        """Return the models that the API lists; raises ModelError."""
        private = Private(self._client.api_key, Prompt((), 0, 0, 100))
        with _translated(private):
            async with (
                asyncio.timeout(LIST_SECONDS),
                self._client.models.with_streaming_response.list() as response,
            ):
                answer = bytearray()
                async for data in response.iter_bytes():
                    answer += data
                    if len(answer) > LIST_BYTES:
                        raise ModelFailed("a list of models without an end")
        try:
            models = listed_models(bytes(answer))
        except ValueError as error:
            raise ModelFailed(f"garbled list of models: {type(error).__name__}") from error
        self.windows = {model.name: model.window for model in models if model.window}
        return models

    async def _begun(
        self, prompt: Prompt, calls: Calls, model: str, deadlines: "_Deadlines", private: Private
    ) -> Completion:
        """Return the completion once it begins, asking again if that can help."""
        retries, form = 0, self._forms.get(model, self._first_form)
        tried = [form]
        while True:
            calls.left -= 1
            note_request(calls.question_id, prompt)
            try:
                with failure_noted(calls.question_id):
                    completion = await self._once(prompt, model, form, deadlines, private)
                # Kept only now: a refusal may name an option and mean its value.
                self._forms[model] = form
                return completion
            except ModelContextExceeded:
                self._forms[model] = form  # What is asked next is less, in the form that was read.
                raise
            except ModelSilent:
                # llama-cpp-python sends nothing if a prompt is too long, which a small one is
                # not, or if its template refuses the system turn.
                untried = form.takes_system_turn and model not in self._forms
                if not untried or prompt.tokens > LAST_RESORT or not calls.left:
                    raise
                form = replace(form, takes_system_turn=False)
                log.info("Asking for question %d without a system turn", calls.question_id)
            except ModelRequestRefused as error:
                adapted = form.without(_said(error))
                if adapted is None or adapted in tried or not calls.left:
                    raise
                tried.append(adapted)
                form = adapted
                log.info(
                    "Asking for question %d in another form: the server refuses this one",
                    calls.question_id,
                )
            except (ModelUnreachable, ModelBusy, ModelFailed) as error:
                delay = _retry_delay(error, retries)
                in_vain = retries >= RETRIES or not calls.left
                if in_vain or deadlines.passed_in(delay):
                    raise
                retries += 1
                if retries == RETRIES and model not in self._forms and _is_bare(error):
                    form = replace(form, takes_system_turn=False)
                log.info(
                    "Asking again for question %d in %.1f s: %s %s",
                    *(calls.question_id, delay, type(error).__name__, error),
                )
                await asyncio.sleep(delay)

    async def _once(
        self, prompt: Prompt, model: str, form: "_Form", deadlines: "_Deadlines", private: Private
    ) -> Completion:
        """Make one request and return what comes of it, once something comes."""
        limit = min(self.reply_tokens, prompt.reply_tokens)
        begin_by = deadlines.next_at
        with _translated(private):
            async with asyncio.timeout_at(deadlines.next_at):
                response = await self._request(prompt, model, form, limit)
        completion = Completion(
            response, deadlines, private, character_limit=limit * CHARACTERS_PER_TOKEN
        )
        try:
            if not prompt.images:  # These are let go when the response begins, to save memory.
                await completion.begin()
        except BaseException:
            await completion.leave()
            deadlines.next_at = begin_by
            raise
        return completion

    async def _request(
        self, prompt: Prompt, model: str, form: "_Form", reply_tokens: int
    ) -> httpx2.Response:
        """Return the response, of which no more is read than its headers."""
        more: dict[str, Any] = {"model": model, "stream": True}
        more[form.length_option] = reply_tokens
        if form.asks_for_usage:
            more["stream_options"] = {"include_usage": True}
        turns = prompt.turns if form.takes_system_turn else without_system_turn(prompt.turns)
        body = RequestBody(turns, {**more, **self._options(model)})
        # What the package makes of a prompt takes it several times, and 0.2 ms for each turn.
        response: Any = await self._client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {"Content-Type": JSON, "Content-Length": str(body.length)}},
            stream=True,
        )
        assert isinstance(response, httpx2.Response)
        return response


@dataclass(frozen=True, slots=True)
class _Form:
    """What of the request differs between servers, and between models behind one.

    For each model the one that was taken last is kept.
    """

    length_option: str
    asks_for_usage: bool = True
    takes_system_turn: bool = True

    def without(self, refusal: str) -> "_Form | None":
        """Return the form without what *refusal* names; None if it names nothing of it."""
        if self.takes_system_turn and names_system_role(refusal):
            return replace(self, takes_system_turn=False)
        if "stream_options" in refusal and self.asks_for_usage:
            return replace(self, asks_for_usage=False)
        if re.search(rf"\b{self.length_option}\b", refusal):
            return replace(self, length_option=LENGTH_OPTIONS[self.length_option])
        return None


class _Deadlines:
    """When the first token, the next one and the end must have come, on the loop's clock.

    One alarm serves all reads, as a timer for each costs as much as what is made of what came. It
    stays set where the deadline moves away, and is set anew when it goes.
    """

    def __init__(self, first_seconds: float, idle_seconds: float, all_seconds: float) -> None:
        self._time = asyncio.get_running_loop().time
        self._alarm: asyncio.TimerHandle | None = None
        self._reading: asyncio.Timeout | None = None
        self._idle_seconds = idle_seconds
        self._end = self._time() + all_seconds
        self.next_at = min(self._time() + first_seconds, self._end)

    async def next(self, body: AsyncIterator[bytes]) -> bytes | None:
        """Return the next bytes, None at the end; raises TimeoutError."""
        passed = self.passed_in(0)
        if not passed:
            self._watch()
        async with asyncio.timeout_at(self.next_at if passed else None) as reading:
            self._reading = reading
            try:
                return await anext(body, None)
            finally:
                self._reading = None

    def silence(self) -> None:
        """Take the alarm back."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _watch(self) -> None:
        """Have the alarm go by the next deadline."""
        if self._alarm is None or self.next_at < self._alarm.when():
            self.silence()
            self._alarm = asyncio.get_running_loop().call_at(self.next_at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if not self.passed_in(0):
            self._watch()
        elif self._reading is not None:
            self._reading.reschedule(self.next_at)

    def now(self) -> float:
        """Return the time, in seconds."""
        return self._time()

    def progress(self) -> None:
        """Note that a token came, so the next one has its own time."""
        self.next_at = min(self._time() + self._idle_seconds, self._end)

    def come_within(self, seconds: float) -> None:
        """Note that nothing but the end is to come, and that it must within *seconds*."""
        self.next_at = min(self._time() + seconds, self.next_at)

    def passed_in(self, seconds: float) -> bool:
        """Whether the deadline will have passed in *seconds*."""
        return self._time() + seconds >= self.next_at


class _Refused(openai.OpenAIError):
    """The API answers, but not with success; the package lets its own errors pass as they are."""

    def __init__(self, status: int, retry_after: str, said: str) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after
        self.said = said


async def _refuse(response: httpx2.Response) -> None:
    """Raise _Refused for anything but success, with no more of the body than is looked at.

    The package would read all of it, however long it is and takes, in the encoding that it claims.
    """
    if response.is_success:
        return
    body = bytearray()
    with suppress(*FOREIGN_ERRORS):
        async with asyncio.timeout(REFUSAL_SECONDS), aclosing(response.aiter_bytes()) as pieces:
            async for data in pieces:
                body += data
                if len(body) >= REFUSAL_BYTES:
                    break
    said = body[:REFUSAL_BYTES].decode(errors="replace")
    raise _Refused(response.status_code, response.headers.get("retry-after", ""), said)


@contextmanager
def _translated(private: Private) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, openai.APIConnectionError) as error:
        causes = _causes(
            error
        )  # The layers between call many things a timeout, as the kernel does.
        if any(isinstance(one, TimeoutError) and one.errno is None for one in causes):
            raise ModelTimeout("no answer in time") from error
        raise ModelUnreachable(type(causes[-1]).__name__) from error
    except _Refused as error:
        raise refusal(error.status, error.said, private) from error
    except (*FOREIGN_ERRORS, UnicodeError) as error:  # The latter: a name that is no host's
        raise ModelFailed(type(error).__name__) from error


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes


def _is_bare(error: ModelError) -> bool:
    """Whether a server fails in itself: so do some when a template has no place for a system turn.

    `transformers serve` says no more than "Internal Server Error" then.
    """
    return isinstance(error.__cause__, _Refused) and error.__cause__.status == 500


def _said(error: ModelError) -> str:
    """Return what the server said; the error's own text leaves out what is private."""
    cause = error.__cause__
    return cause.said[:SAID_LENGTH] if isinstance(cause, _Refused) else ""


def _retry_delay(error: ModelError, retries: int) -> float:
    """Return the seconds to wait before asking again: the server's own figure, if it gives one."""
    if isinstance(error.__cause__, _Refused):
        try:
            told = float(error.__cause__.retry_after)
        except ValueError:
            told = 0.0
        if told > 0:
            return told
    return BACKOFF_SECONDS * (1 << retries) * random.uniform(0.75, 1.25)
