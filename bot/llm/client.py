"""Chat completions over HTTP: a prompt in, events out, every failure translated."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

import httpx2
from openai import AsyncOpenAI

from bot.backoff import Backoff, jittered
from bot.conversation.context_window import LAST_RESORT
from bot.conversation.prompt import NO_PROMPT, Prompt, without_system_turn
from bot.errors import (
    ModelContextExceeded,
    ModelEmptyBody,
    ModelError,
    ModelFailed,
    ModelFailedOnImages,
    ModelRequestRefused,
    ModelUnknown,
)
from bot.llm.api_config import ApiConfig
from bot.llm.base_address import AddressSearch, BaseAddress
from bot.llm.deadlines import Deadlines
from bot.llm.http_client import http_client
from bot.llm.http_errors import may_cost, response_of, translated_errors
from bot.llm.models import ListedModel
from bot.llm.request_body import RequestBody
from bot.llm.request_budget import RequestBudget, failure_noted, note_end, note_request
from bot.llm.request_shape import RequestShape, RequestShapes
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Metrics

# Imported at the first question, in the functions that need them, to save memory in an idle bot.
if TYPE_CHECKING:
    from bot.llm.completion import Completion
    from bot.llm.redactor import Redactor

log = logging.getLogger(__name__)

JSON: Final = "application/json"
NO_KEY: Final = "none"  # The openai package insists on a key; servers without keys ignore it.
# Retries after a 429 or another passing failure, as many as the openai package makes. Its own are
# disabled, because they repeat hopeless requests, too.
RETRIES: Final = 2
REQUEST_BACKOFF: Final = Backoff(0.5, 1.0)
# A server refuses to stream with any status but these; 0 is an error within a stream.
NOT_OF_STREAMING: Final = frozenset({408, 413, 429, 502, 504, 529})
CONNECT_TIMEOUT_SECONDS: Final = 10.0
LIST_SECONDS: Final = 10.0
LIST_BYTES: Final = 4_000_000  # ten times the longest list in use, of some hundreds of models


@dataclass(slots=True)
class _RequestState:
    """One prompt on its way to a model, in one shape after the other until one is accepted.

    *suspected* means that the system turn was left out on a guess: the server did not say that it
    refuses one. *tried* has the shapes that were refused, *addresses* the addresses that were
    asked; the last of them is the one in use. *sent_at* is when the newest request was sent.
    """

    prompt: Prompt
    model: str
    shape: RequestShape
    deadlines: Deadlines
    redactor: "Redactor"
    retries: int = 0
    suspected: bool = False
    sent_at: float = 0.0
    tried: list[RequestShape] = field(default_factory=list, init=False)
    addresses: list[str] = field(default_factory=list, init=False)


class ChatCompletions:
    """The models behind an OpenAI-compatible API; one client for the life of the process."""

    def __init__(
        self, client: AsyncOpenAI, config: ApiConfig, metrics: Metrics = NO_METRICS
    ) -> None:
        self._metrics = metrics
        self.default_model = config.model
        self._reply_tokens = config.reply_tokens
        self._client = client
        self._options = config.options
        self._shapes = RequestShapes(config.length_option)
        self._addresses = AddressSearch(str(client.base_url).rstrip("/"))
        self._secrets = BaseAddress.parse(config.base_url).secrets
        self._hides_conversation = config.hides_conversation
        self._timeouts = (config.first_token_seconds, config.idle_seconds, config.reply_seconds)

    @classmethod
    @asynccontextmanager
    async def open(cls, config: ApiConfig, metrics: Metrics = NO_METRICS) -> AsyncIterator[Self]:
        """Open the connections to the chat API; leaving the block closes them."""
        address = BaseAddress.parse(config.base_url)
        if address.authorization and config.api_key:
            log.warning("Use the credentials in OPENAI_BASE_URL: they replace OPENAI_API_KEY")
        client = AsyncOpenAI(
            base_url=address.url,
            api_key=config.api_key or NO_KEY,
            default_headers={"Authorization": address.authorization}
            if address.authorization
            else None,
            default_query=address.query,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
            http_client=http_client(),
        )
        async with client:
            yield cls(client, config, metrics)

    @property
    def reply_tokens(self) -> int:
        """The longest reply, in tokens."""
        return self._reply_tokens()

    @asynccontextmanager
    async def stream(
        self, prompt: Prompt, budget: RequestBudget, *, model: str
    ) -> AsyncIterator["Completion"]:
        """Ask *model* with *prompt*; leaving the block ends the request. Raises ModelError.

        Each HTTP request takes one from *budget*. At least one must be left.
        """
        deadlines, redactor = Deadlines(*self._timeouts), self._redactor(prompt)
        request = _RequestState(prompt, model, self._shapes.of(model), deadlines, redactor)
        request.addresses.append(self._addresses.current)
        completion = await self._begin(request, budget)
        outcome = "abandoned"
        try:
            with failure_noted(budget.question_id):
                yield completion
            outcome = "ok"
            if completion.ended_as:
                note_end(budget.question_id, completion.ended_as, completion.characters)
        except ModelError as error:
            outcome = type(error).__name__
            budget.may_cost = may_cost(error)
            if error.is_transient and not completion.begun:
                budget.failed = error
            raise
        finally:
            self._metrics.model_requested(model, outcome)
            if completion.begun_at is not None:
                self._metrics.first_token(model, completion.begun_at - request.sent_at)
            await completion.close()

    def adds_to_prompts(self, model: str) -> bool:
        """Whether the server adds to prompts for *model*, such as the results of a search."""
        from bot.llm.prompt_additions import adds_to_prompts  # noqa: PLC0415

        return adds_to_prompts(model, self._options(model))

    async def list_models(self) -> list[ListedModel]:
        """Return the models that the API lists; raises ModelError."""
        # Late, because its patterns take memory, and a list is seldom read.
        from bot.llm.listed_models import listed_models  # noqa: PLC0415

        tried = [self._addresses.current]
        while True:
            try:
                models = listed_models(await self._list_at(tried[-1]))
                self._addresses.prefer(tried[-1])
                return models
            except (ModelUnknown, ValueError) as error:
                if (address := self._addresses.next_after(tried)) is not None:
                    tried.append(address)
                elif isinstance(error, ValueError):
                    why = f"garbled list of models: {type(error).__name__}"
                    raise ModelFailed(why) from error
                else:
                    raise

    async def _list_at(self, address: str) -> bytes:
        api = self._client.with_options(base_url=address)
        answer = bytearray()
        with translated_errors(self._redactor(NO_PROMPT)):
            async with (
                asyncio.timeout(LIST_SECONDS),
                api.models.with_streaming_response.list() as response,
            ):
                async for data in response.iter_bytes():
                    answer += data
                    if len(answer) > LIST_BYTES:
                        raise ModelFailed("a list of models without an end")
        return bytes(answer)

    def _redactor(self, prompt: Prompt) -> "Redactor":
        from bot.llm.redactor import Redactor  # noqa: PLC0415

        key = self._client.api_key
        return Redactor(
            "" if key == NO_KEY else key,
            prompt,
            secrets=self._secrets,
            hides_conversation=self._hides_conversation,
        )

    async def _begin(self, request: _RequestState, budget: RequestBudget) -> "Completion":
        """Return the completion once it begins; retry if a retry may succeed."""
        failed, budget.failed, budget.may_cost = budget.failed, None, False
        if failed is not None and not await self._adapt(request, failed, budget.question_id):
            raise failed
        while True:
            budget.take()
            note_request(budget.question_id, request.prompt)
            try:
                with failure_noted(budget.question_id), self._failure_counted(request.model):
                    completion = await self._send_once(request, budget)
            except ModelContextExceeded:
                # The server read this shape, so a smaller request can use it.
                self._shapes.keep(request.model, request.shape, suspected=request.suspected)
                self._addresses.settle(request.addresses[-1])
                budget.may_cost = False
                raise
            except ModelError as error:
                budget.may_cost = may_cost(error)
                if not budget.left or not await self._adapt(request, error, budget.question_id):
                    raise
                if budget.is_to_be_counted and budget.recharge is not None:
                    limit = await budget.recharge()
                    request.prompt = replace(request.prompt, reply_tokens=limit)
            else:
                # Not earlier: a server that rejects an option's value names the option, too, so a
                # refusal alone does not prove that the option is unsupported.
                self._shapes.keep(request.model, request.shape, suspected=request.suspected)
                if completion.begun:
                    self._addresses.settle(request.addresses[-1])
                return completion

    @contextmanager
    def _failure_counted(self, model: str) -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            self._metrics.model_requested(model, type(error).__name__)
            raise

    async def _adapt(self, request: _RequestState, error: ModelError, question_id: int) -> bool:
        """Change the request or wait, before a retry; False if no retry can succeed."""
        if isinstance(error, ModelEmptyBody):
            # llama-cpp-python sends an empty body if a prompt is too long, or if its template
            # refuses the system turn. A small prompt leaves only the second.
            is_small = request.prompt.tokens <= LAST_RESORT
            may_guess = self._shapes.may_guess(request.model, likely=is_small)
            if not request.shape.has_system_turn or not may_guess:
                return False
            request.shape, request.suspected = request.shape.without_system_turn(), True
            log.info(
                "Retry question %d without a system turn: the answer was empty",
                question_id,
                extra=_as_retry(request, question_id, error),
            )
            return True
        if (shape := _other_shape(request, error)) is not None:
            request.tried.append(request.shape)
            request.shape = shape
            log.info(
                "Retry question %d in another shape: the server refuses this one",
                question_id,
                extra=_as_retry(request, question_id, error),
            )
            return True
        if isinstance(error, ModelUnknown):
            return self._move(request, error, question_id)
        return error.is_transient and await self._wait(request, error, question_id)

    def _move(self, request: _RequestState, error: ModelUnknown, question_id: int) -> bool:
        """Use another address, unless the server does not know the model; False if none is left."""
        from bot.llm.api_errors import names_model  # noqa: PLC0415  # saves idle memory

        address = self._addresses.next_after(request.addresses)
        if address is None or names_model(response_of(error).body):
            return False
        log.info(
            "Retry question %d at %s: %s",
            *(question_id, address, error),
            extra=_as_retry(request, question_id, error),
        )
        request.addresses.append(address)
        return True

    async def _wait(self, request: _RequestState, error: ModelError, question_id: int) -> bool:
        """Wait before a retry after a passing failure; False if there is no time for one."""
        response = response_of(error)
        delay = error.wait_seconds or jittered(REQUEST_BACKOFF.seconds(request.retries + 1))
        # With images, the last request is left to the caller, who sends it without them.
        retries = RETRIES - isinstance(error, ModelFailedOnImages)
        if request.retries >= retries or request.deadlines.passed_in(delay):
            return False
        request.retries += 1
        # `transformers serve` only says "Internal Server Error" if it takes no system turn.
        is_last = request.retries == RETRIES
        if response.status == 500 and self._shapes.may_guess(request.model, likely=is_last):
            request.shape, request.suspected = request.shape.without_system_turn(), True
        why = f"{type(error).__name__} {error}"
        log.info(
            "Retry question %d in %.1f s: %s",
            *(question_id, delay, why),
            extra=_as_retry(request, question_id, error, delay),
        )
        await asyncio.sleep(delay)
        return True

    async def _send_once(self, request: _RequestState, budget: RequestBudget) -> "Completion":
        """Make one request; return its completion once it has begun.

        If it fails, *budget* has what the API counted.
        """
        from bot.llm.completion import Completion  # noqa: PLC0415

        prompt, deadlines = request.prompt, request.deadlines
        request.sent_at = deadlines.now()
        limit = min(self.reply_tokens, prompt.reply_tokens)
        if not request.shape.streams:
            deadlines.expect_whole()
        begin_by = deadlines.next_at
        with translated_errors(request.redactor):
            async with asyncio.timeout_at(deadlines.next_at):
                response = await self._post(request, limit)
        completion = Completion(response, deadlines, request.redactor, reply_tokens=limit)
        try:
            # With images, do not wait for the first word here: the caller frees the images as soon
            # as the response begins, and asks again if the answer fails before its first word. But
            # do wait while the address is in doubt, because the response may be a web page.
            if not prompt.images or self._addresses.is_open:
                await completion.begin()
        except BaseException:
            budget.usage = completion.usage
            await completion.close()
            deadlines.next_at = begin_by
            raise
        return completion

    async def _post(self, request: _RequestState, reply_tokens: int) -> httpx2.Response:
        """Return the response once its headers are read, but not its body."""
        shape, turns = request.shape, request.prompt.turns
        options: dict[str, Any] = {"model": request.model}
        if shape.streams:
            options["stream"] = True
            if shape.asks_for_usage:
                options["stream_options"] = {"include_usage": True}
        options[shape.length_option] = reply_tokens
        body = RequestBody(
            turns if shape.has_system_turn else without_system_turn(turns),
            {**options, **self._options(request.model)},
        )
        # The package would copy a prompt several times, and take 0.2 ms for each turn.
        response: Any = await self._client.post(
            f"{request.addresses[-1]}/chat/completions",
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {"Content-Type": JSON, "Content-Length": str(body.length)}},
            stream=True,
        )
        assert isinstance(response, httpx2.Response)
        return response


def _other_shape(request: _RequestState, error: ModelError) -> RequestShape | None:
    """Return the shape that a server's words ask for, None if it was tried or they ask for none."""
    response, shape = response_of(error), None
    if response.status not in NOT_OF_STREAMING:
        shape = request.shape.streaming_changed(response.body)
    if shape is None and isinstance(error, ModelRequestRefused):
        shape = request.shape.without(response.body)
    return None if shape in request.tried else shape


def _as_retry(
    request: _RequestState, question_id: int, error: ModelError, wait_seconds: float = 0.0
) -> Mapping[str, object]:
    outcome = type(error).__name__
    return as_event(
        "question_retried",
        question=question_id,
        model=request.model,
        outcome=outcome,
        wait_s=wait_seconds,
    )
