"""The errors that the HTTP libraries raise when a chat API fails, and the API's own refusals."""

from typing import Final

import aiohttp
import httpx2
import openai

FOREIGN_ERRORS: Final = (  # openai and httpx do not wrap the errors of aiohttp and TLS.
    *(OSError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError),
    *(openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL),
)


class ErrorResponse(openai.OpenAIError):
    """The API answered with an error status. openai lets an OpenAIError pass."""

    def __init__(self, status: int, retry_after: str, said: str) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after
        self.said = said
