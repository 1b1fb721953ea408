"""Translate what the HTTP libraries raise, and responses with an error status."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

import aiohttp
import httpx2
import openai

from bot.errors import (
    ModelContextExceeded,
    ModelEmptyBody,
    ModelError,
    ModelFailed,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
)

# Imported at the first error, to save memory in an idle bot.
if TYPE_CHECKING:
    from bot.llm.redactor import Redactor

BODY_SECONDS: Final = 5.0  # for the body of an error; after that, only the status counts
BODY_BYTES: Final = 65_536  # of that body, decompressed; the largest in use repeat the request
NO_HEADERS: Final[Mapping[str, str]] = {}
FOREIGN_ERRORS: Final = (  # openai and httpx do not wrap the errors of aiohttp and TLS.
    *(OSError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError),
    *(openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL),
)
# Raised before a request is sent.
NO_CONNECTION: Final = (
    *(aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL),
    *(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.InvalidURL, httpx2.UnsupportedProtocol),
    UnicodeError,
)
# An answer that means: the prompt was not read, whatever its status is.
UNREAD: Final = (ModelUnknown, ModelEmptyBody, ModelContextExceeded)


class ErrorResponse(openai.OpenAIError):
    """A response with an error status. It is an OpenAIError because openai lets these pass.

    The *body* may be private.
    """

    def __init__(
        self, status: int = 0, body: str = "", headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


async def raise_for_status(response: httpx2.Response) -> None:
    """Raise ErrorResponse, with the beginning of the body, unless the status is a success.

    The openai package would read the whole body, however long that takes, in the encoding that it
    claims to have.
    """
    if response.is_success:
        return
    body = bytearray()
    with suppress(*FOREIGN_ERRORS):
        async with asyncio.timeout(BODY_SECONDS), aclosing(response.aiter_bytes()) as pieces:
            async for data in pieces:
                body += data
                if len(body) >= BODY_BYTES:
                    break
    text = body[:BODY_BYTES].decode(errors="replace")
    raise ErrorResponse(response.status_code, text, response.headers)


@contextmanager
def translated_errors(redactor: "Redactor") -> Iterator[None]:
    """Translate the errors of the block into a ModelError without private text."""
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, openai.APIConnectionError) as error:
        causes = _causes(error)
        # Libraries call many errors a timeout, as does the kernel, which sets errno. Ours has none.
        if any(isinstance(cause, TimeoutError) and cause.errno is None for cause in causes):
            raise ModelTimeout("no answer in time") from error
        raise ModelUnreachable(type(causes[-1]).__name__) from error
    except ErrorResponse as error:
        from bot.llm.api_errors import response_error  # noqa: PLC0415

        raise response_error(
            error.status, error.body, redactor, headers=error.headers, now=time.time()
        ) from error
    except (*FOREIGN_ERRORS, UnicodeError) as error:  # UnicodeError: an invalid host name
        raise ModelFailed(type(error).__name__) from error


def response_of(error: ModelError) -> ErrorResponse:
    """Return the response behind *error*, an empty one if there is none."""
    cause = error.__cause__
    return cause if isinstance(cause, ErrorResponse) else ErrorResponse()


def may_cost(error: ModelError) -> bool:
    """Whether the API may charge for a request that failed: it was sent and not refused."""
    refusals = (*UNREAD, ErrorResponse, *NO_CONNECTION)
    return not any(isinstance(cause, refusals) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes
