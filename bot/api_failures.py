"""What the libraries below raise when a chat API fails, and what it sends with a refusal."""

from typing import Final

import aiohttp
import httpx2
import openai

FOREIGN_ERRORS: Final = (  # Those of aiohttp and TLS come through the layers above as they are.
    *(OSError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError),
    *(openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL),
)


class Refused(openai.OpenAIError):
    """The API answers, but not with success; the package lets its own errors pass as they are."""

    def __init__(self, status: int, retry_after: str, said: str) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after
        self.said = said
