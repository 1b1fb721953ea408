"""Chat completions over HTTP: a prompt in, deltas out, every failure translated."""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI

from bot.backoff import Backoff, jittered
from bot.conversation.context_window import LAST_RESORT
from bot.conversation.prompt import Prompt, without_system_turn
from bot.errors import (
    ModelBusy,
    ModelContextExceeded,
    ModelEmptyBody,
    ModelError,
    ModelFailed,
    ModelRequestRefused,
    ModelTimeout,
    ModelUnreachable,
)
from bot.llm.api_config import ApiConfig
from bot.llm.api_failures import FOREIGN_ERRORS, ErrorResponse
from bot.llm.attempts import AttemptBudget, failure_noted, note_end, note_request
from bot.llm.deadlines import Deadlines
from bot.llm.listed_models import ListedModel, listed_models
from bot.llm.request_body import RequestBody

# These are imported at the first question, in the functions that need them, to save memory in an
# idle bot.
if TYPE_CHECKING:
    from bot.llm.api_errors import Redactor
    from bot.llm.completion import Completion

log = logging.getLogger(__name__)

JSON: Final = "application/json"
NO_KEY: Final = "none"  # The openai package insists on a key; servers without keys ignore it.
RETRIES: Final = 2  # as the openai package does; its own are off, as it repeats what is in vain
BACKOFF: Final = Backoff(0.5, 1.0)
SUSPECTED_SECONDS: Final = 600.0  # for which a system turn is left out that may be taken
CONNECT_TIMEOUT_SECONDS: Final = 10.0
REFUSAL_SECONDS: Final = 5.0  # for the body of an error, without which its status has to do
LIST_SECONDS: Final = 10.0
LIST_BYTES: Final = 4_000_000  # The longest list in use, of some hundred models, has a tenth of it.
REFUSAL_BYTES: Final = 65_536  # of that body, unpacked; the largest in use repeat the request
LENGTH_OPTIONS: Final = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


class ChatCompletions:
    """The models behind an OpenAI-compatible API. One client for the life of the process.

    *name* is the model that answers where no other is asked for, *options* returns what is merged
    into the requests to a model. *windows* are the context windows in tokens, by model, as
    the list of models named them last.
    """

    def __init__(self, client: AsyncOpenAI, config: ApiConfig) -> None:
        self.name = config.model
        self._client = client
        self._options = config.options
        self.reply_tokens = config.reply_tokens
        self.windows: Mapping[str, int] = {}
        self._first_form = _Form(config.length_option)
        self._forms: dict[str, _Form] = {}
        self._suspected: dict[str, float] = {}  # models by when they answered without that turn
        self._seconds = (config.first_token_seconds, config.idle_seconds, config.reply_seconds)

    @classmethod
    @asynccontextmanager
    async def open(cls, config: ApiConfig) -> AsyncIterator[Self]:
        """Open the connections to the chat API; leaving the block closes them."""
        client = AsyncOpenAI(
            base_url=config.base_url,
            api_key=config.api_key or NO_KEY,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
            # Who follows a redirect hands the conversation to an address that nobody set.
            http_client=openai.DefaultAioHttpClient(
                follow_redirects=False, event_hooks={"response": [_refuse]}
            ),
        )
        async with client:
            yield cls(client, config)

    @asynccontextmanager
    async def stream(
        self, prompt: Prompt, attempts: AttemptBudget, *, model: str
    ) -> AsyncIterator["Completion"]:
        """Ask *model* with *prompt*; leaving the block ends the request. Raises ModelError.

        Each request is taken off *attempts*, of which one must be left.
        """
        deadlines = Deadlines(*self._seconds)
        redactor = self._redactor(prompt)
        completion = await self._begun(prompt, attempts, model, deadlines, redactor)
        try:
            with failure_noted(attempts.question_id):
                yield completion
            if completion.finish_reason is not None:
                note_end(attempts.question_id, completion.finish_reason, completion.characters)
        finally:
            await completion.leave()

    async def listed(self) -> list[ListedModel]:
        """Return the models that the API lists; raises ModelError."""
        redactor = self._redactor(Prompt((), 0, 0, 100))
        with _translated(redactor):
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

    def _redactor(self, prompt: Prompt) -> "Redactor":
        from bot.llm.api_errors import Redactor  # noqa: PLC0415

        key = self._client.api_key
        return Redactor("" if key == NO_KEY else key, prompt)

    async def _begun(
        self,
        prompt: Prompt,
        attempts: AttemptBudget,
        model: str,
        deadlines: Deadlines,
        redactor: "Redactor",
    ) -> "Completion":
        """Return the completion once it begins, asking again if that can help."""
        retries, suspected, form = 0, False, self._form(model)
        tried = [form]
        while True:
            attempts.left -= 1
            note_request(attempts.question_id, prompt)
            try:
                with failure_noted(attempts.question_id):
                    completion = await self._once(prompt, model, form, deadlines, redactor)
                # Kept only now: a refusal may name an option and mean its value.
                self._keep(model, form, suspected=suspected)
                return completion
            except ModelContextExceeded:
                # The server read this form, so the smaller request uses it.
                self._keep(model, form, suspected=suspected)
                raise
            except ModelEmptyBody:
                # llama-cpp-python sends an empty body if a prompt is too long, which a small
                # one is not, or if its template refuses the system turn.
                untried = form.takes_system_turn and model not in self._forms
                small = prompt.tokens <= LAST_RESORT or model in self._suspected
                if not untried or not small or not attempts.left:
                    raise
                form, suspected = replace(form, takes_system_turn=False), True
                log.info("Asking for question %d without a system turn", attempts.question_id)
            except ModelRequestRefused as error:
                adapted = form.without(_said(error))
                if adapted is None or adapted in tried or not attempts.left:
                    raise
                tried.append(adapted)
                form = adapted
                log.info(
                    "Asking for question %d in another form: the server refuses this one",
                    attempts.question_id,
                )
            except (ModelUnreachable, ModelBusy, ModelFailed) as error:
                delay = _retry_delay(error, retries)
                in_vain = retries >= RETRIES or not attempts.left
                if in_vain or deadlines.passed_in(delay):
                    raise
                retries += 1
                fails_again = retries == RETRIES or model in self._suspected
                if fails_again and model not in self._forms and _is_bare(error):
                    form, suspected = replace(form, takes_system_turn=False), True
                log.info(
                    "Asking again for question %d in %.1f s: %s %s",
                    *(attempts.question_id, delay, type(error).__name__, error),
                )
                await asyncio.sleep(delay)

    def _form(self, model: str) -> "_Form":
        """Return the form in which to ask *model*; what is suspected is doubted after a while."""
        since = self._suspected.get(model, math.inf)
        if asyncio.get_running_loop().time() - since >= SUSPECTED_SECONDS:
            self._forms.pop(model, None)
        return self._forms.get(model, self._first_form)

    def _keep(self, model: str, form: "_Form", *, suspected: bool) -> None:
        """Ask *model* in this *form* from now on; that it takes no system turn may be *suspected*.

        What failed before may have been a passing trouble. It is not doubted twice.
        """
        self._forms[model] = form
        if suspected:
            now = asyncio.get_running_loop().time()
            self._suspected[model] = math.inf if model in self._suspected else now
        elif form.takes_system_turn:
            self._suspected.pop(model, None)

    async def _once(
        self, prompt: Prompt, model: str, form: "_Form", deadlines: Deadlines, redactor: "Redactor"
    ) -> "Completion":
        """Make one request; return its completion once it has begun."""
        from bot.llm.completion import Completion  # noqa: PLC0415

        limit = min(self.reply_tokens, prompt.reply_tokens)
        begin_by = deadlines.next_at
        with _translated(redactor):
            async with asyncio.timeout_at(deadlines.next_at):
                response = await self._request(prompt, model, form, limit)
        completion = Completion(response, deadlines, redactor, reply_tokens=limit)
        try:
            if not prompt.images:  # The caller frees these when the response begins.
                await completion.begin()
        except BaseException:
            await completion.leave()
            deadlines.next_at = begin_by
            raise
        return completion

    async def _request(
        self, prompt: Prompt, model: str, form: "_Form", reply_tokens: int
    ) -> httpx2.Response:
        """Return the response once its headers are read, but not its body."""
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
        """Return the form without the option that *refusal* names; None if it names none."""
        from bot.llm.api_errors import names_system_role  # noqa: PLC0415

        if self.takes_system_turn and names_system_role(refusal):
            return replace(self, takes_system_turn=False)
        if "stream_options" in refusal and self.asks_for_usage:
            return replace(self, asks_for_usage=False)
        if re.search(rf"\b{self.length_option}\b", refusal):
            return replace(self, length_option=LENGTH_OPTIONS[self.length_option])
        return None


async def _refuse(response: httpx2.Response) -> None:
    """Raise ErrorResponse unless the status is a success, with the beginning of the body.

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
    raise ErrorResponse(response.status_code, response.headers.get("retry-after", ""), said)


@contextmanager
def _translated(redactor: "Redactor") -> Iterator[None]:
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, openai.APIConnectionError) as error:
        causes = _causes(
            error
        )  # The layers between call many things a timeout, as the kernel does.
        if any(isinstance(one, TimeoutError) and one.errno is None for one in causes):
            raise ModelTimeout("no answer in time") from error
        raise ModelUnreachable(type(causes[-1]).__name__) from error
    except ErrorResponse as error:
        from bot.llm.api_errors import response_error  # noqa: PLC0415

        raise response_error(error.status, error.said, redactor) from error
    except (*FOREIGN_ERRORS, UnicodeError) as error:  # The latter: a name that is no host's
        raise ModelFailed(type(error).__name__) from error


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes


def _is_bare(error: ModelError) -> bool:
    """Whether *error* is a status 500, as some servers send if a template takes no system turn.

    `transformers serve` then only says "Internal Server Error".
    """
    return isinstance(error.__cause__, ErrorResponse) and error.__cause__.status == 500


def _said(error: ModelError) -> str:
    """Return what the server said; the error's own text leaves out what is redactor."""
    cause = error.__cause__
    return cause.said if isinstance(cause, ErrorResponse) else ""


def _retry_delay(error: ModelError, retries: int) -> float:
    """Return the seconds to wait before asking again: the server's own figure, if it gives one."""
    if isinstance(error.__cause__, ErrorResponse):
        try:
            told = float(error.__cause__.retry_after)
        except ValueError:
            told = 0.0
        if told > 0:
            return told
    return jittered(BACKOFF.seconds(retries + 1))
