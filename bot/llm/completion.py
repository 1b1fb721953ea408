"""One running completion: the events of its stream, and how it ends.

Imported at the first question, to save memory in an idle bot.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Final, NoReturn

import httpx2

from bot.conversation.context_window import ReportedLimits
from bot.errors import (
    ContentFiltered,
    ModelAddressWrong,
    ModelContextExceeded,
    ModelCut,
    ModelEmpty,
    ModelEmptyBody,
    ModelError,
    ModelFailed,
    ModelRequestRefused,
    ModelStopped,
    ModelThoughtOnly,
    ModelTimeout,
    ModelUnknown,
    OutputTruncated,
)
from bot.llm.answer_filter import AnswerFilter
from bot.llm.api_errors import stated_status, stream_error
from bot.llm.deadlines import Deadlines
from bot.llm.events import Begin, Delta, Event, Thinking, TokenUsage
from bot.llm.finish_reasons import End, end_of, loggable
from bot.llm.http_errors import FOREIGN_ERRORS, ErrorResponse
from bot.llm.redactor import Redactor
from bot.llm.stream_decoder import Chunk, Page, StreamDecoder

USAGE_SECONDS: Final = 2.0  # for the usage, which follows the end of the answer
BODY_END_SECONDS: Final = 0.1  # for the end of a complete body: the connection can be reused
DISCONNECT_SECONDS: Final = 1.0  # for closing a connection
# For servers that ignore the limit on tokens. English has 4 to 5 characters a token, and by our
# estimate only words of 12 letters on average have 8, so an answer within the limit is never cut.
CHARACTERS_PER_TOKEN: Final = 8
# Raised before any text, these mean that a smaller request or one of another shape may succeed.
OTHER_REQUEST_MAY_HELP: Final = (
    *(ModelRequestRefused, ModelContextExceeded, ModelEmptyBody),
    ModelUnknown,  # at another address
)


class Completion:
    """A running completion: iterate over its events, once.

    Iterating raises a ModelError if the stream fails or the answer is incomplete; the deltas before
    that are valid. For servers that ignore the limit, the text is cut at CHARACTERS_PER_TOKEN
    characters for each of *reply_tokens*. *begun_at* is when the first word of the answer arrived,
    on the loop's clock, *characters* is the number of characters received. *ended_as* is the finish
    reason of a whole answer, as the log may name it, "" until then.
    """

    def __init__(
        self,
        response: httpx2.Response,
        deadlines: Deadlines,
        redactor: Redactor,
        *,
        reply_tokens: int,
    ) -> None:
        self.ended_as = ""
        self.begun_at: float | None = None
        self.characters = 0
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._thinks_since: float | None = None
        self._speaks_since: float | None = None
        self._response = response
        self._body = response.aiter_bytes()
        self._deadlines = deadlines
        self._redactor = redactor
        self._reply_tokens = reply_tokens
        self._decoder = StreamDecoder()
        self._filter = AnswerFilter()
        self._rest = ""  # text that was pending when the stream failed
        self._failure: ModelError | None = None
        self._any_data = False
        self._events = self._read_events()
        self._first_error: ModelError | None = None

    @property
    def begun(self) -> bool:
        """Whether the first word of the answer has arrived."""
        return self.begun_at is not None

    @property
    def usage(self) -> TokenUsage | None:
        """What the API has counted so far."""
        return self._usage

    def _note_begun(self) -> None:
        if self.begun_at is None:
            self.begun_at = self._deadlines.now()

    async def begin(self) -> None:
        """Read until the first word of the answer.

        Raises a ModelError only if another request may help, now or later; iterating raises any
        other.
        """
        try:
            async for event in self._events:
                if isinstance(event, Begin):
                    self._note_begun()
                    break
        except OTHER_REQUEST_MAY_HELP:
            raise
        except ModelError as error:
            if error.is_transient:
                raise
            self._first_error = error

    async def close(self) -> None:
        """End the request, even in the middle of the answer."""
        self._deadlines.cancel_timer()
        await self._events.aclose()
        with suppress(*FOREIGN_ERRORS):
            async with asyncio.timeout(DISCONNECT_SECONDS):
                await self._response.aclose()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events if self._first_error is None else self._failed(self._first_error)

    async def _failed(self, error: ModelError) -> AsyncIterator[Event]:
        if self._usage is not None:
            yield self._usage
        raise error

    async def _read_events(self) -> AsyncGenerator[Event, None]:
        data: bytes | None = b""
        usage: TokenUsage | None = None
        while data is not None:
            try:
                data, chunks = await self._read()
            except ModelError:
                if self._rest:
                    self._note_begun()
                    yield Begin()
                    yield Delta(self._rest)
                raise
            text, replaces = self._answer(data, chunks)
            if not self.begun and (text.strip() or replaces):
                self._note_begun()
                usage = None  # `begin` drops a usage that came before.
                yield Begin()
            if self._usage is not None and self._usage is not usage:
                usage = self._usage
                yield usage
            if text or replaces:
                if self._thinks_since is not None and self._speaks_since is not None:
                    yield Thinking(self._deadlines.now() - self._thinks_since)
                    self._thinks_since = None
                yield Delta(text, replaces)
            if self._failure is not None:
                self._fail(self._failure)
        self._check_end()

    def _answer(self, data: bytes | None, chunks: list[Chunk]) -> tuple[str, bool]:
        """Return the text in *chunks* without reasoning, and whether it replaces what was before.

        If *data* is None, it is the last.
        """
        self._any_data = self._any_data or bool(data)
        text = self._filter.write("".join(map(self._text, chunks)))
        if self._filter.reasons:
            self._think()
        if replaces := self._filter.replaces:
            # The text so far was thinking: it has thought since that began.
            self._thinks_since, self._speaks_since = self._speaks_since, None
        if self._decoder.done:
            self._deadlines.come_within(BODY_END_SECONDS)
        text = self._within_limit(text if data is not None else text + self._filter.end())
        return text, replaces

    def _fail(self, failure: ModelError) -> NoReturn:
        """Raise *failure*, after the text of the same read was yielded."""
        if self._speaks_since is not None and isinstance(failure, ModelContextExceeded):
            raise OutputTruncated(str(failure))  # A retry would start the answer again.
        raise failure

    async def _read(self) -> tuple[bytes | None, list[Chunk]]:
        try:
            data = await self._deadlines.next(self._body)
            if data is None and self._ended:  # Only data after the answer may be missing.
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
            if isinstance(error, Page) and self._speaks_since is None:
                raise ModelAddressWrong("a page") from error
            raise self._incomplete(f"garbled stream: {type(error).__name__}") from error

    @property
    def _ended(self) -> bool:
        """Whether the server named a finish reason, or called the stream complete."""
        return self._decoder.done or self._finish_reason is not None

    def _text(self, chunk: Chunk) -> str:
        if chunk.error is not None:
            self._failure = stream_error(chunk.error, self._redactor, now=time.time())
            response = ErrorResponse(stated_status(chunk.error), json.dumps(chunk.error))
            self._failure.__cause__ = response
        if self._failure is not None:
            return ""
        self._usage = chunk.usage or self._usage
        if chunk.text or chunk.reasoning:
            self._deadlines.progress()
        if chunk.reasoning:
            self._think()
        if chunk.finish_reason is not None:
            self._finish_reason = chunk.finish_reason
            if not chunk.text:  # Some servers send a finish reason with each delta.
                self._deadlines.come_within(USAGE_SECONDS)
        elif chunk.text:  # There is more text, so that reason was not the end.
            self._finish_reason = None
        return chunk.text

    def _think(self) -> None:
        if self._thinks_since is None and self._speaks_since is None:
            self._thinks_since = self._deadlines.now()

    def _within_limit(self, text: str) -> str:
        shown = text[: self._reply_tokens * CHARACTERS_PER_TOKEN - self.characters]
        self.characters += len(shown)
        if self._speaks_since is None and shown.strip():
            self._speaks_since = self._deadlines.now()
        if len(shown) < len(text):
            self._failure = OutputTruncated("the server goes on beyond the limit")
        return shown

    def _check_end(self) -> None:
        has_text = self._speaks_since is not None
        reason = loggable(self._finish_reason)
        if self._finish_reason is not None:
            end = end_of(self._finish_reason)
        elif not (self._decoder.done and has_text):
            end = End.CUT
        else:
            spent = self._usage.completion_tokens if self._usage is not None else 0
            end = End.AT_LIMIT if spent >= self._reply_tokens else End.WHOLE
        if end is End.WITHHELD:
            raise ContentFiltered
        if end is End.AT_LIMIT:
            raise OutputTruncated if has_text else self._error_without_text()
        if not self._any_data:
            raise ModelEmptyBody("an empty body")
        if end is End.CUT or (end is End.UNKNOWN and not has_text):
            raise self._incomplete(f"finish_reason: {reason}")
        if end is End.UNKNOWN:
            raise ModelStopped(f"finish_reason: {reason}")
        if not has_text:
            raise ModelEmpty
        self.ended_as = reason

    def _error_without_text(self) -> ModelError:
        """Return the error for a limit that was reached before the answer began."""
        usage = self._usage or TokenUsage(0, 0)
        prompt, spent = usage.prompt_tokens, usage.completion_tokens
        if self._thinks_since is not None or spent * 2 >= self._reply_tokens:
            return ModelThoughtOnly()
        reported = ReportedLimits(prompt + spent, prompt, guessed=True)
        return ModelContextExceeded("no tokens left for a word", reported)

    def _incomplete(self, why: str) -> ModelError:
        self._rest = self._within_limit(self._filter.end())
        return ModelCut(why) if self._speaks_since is not None else ModelFailed(why)
