"""Ask a moderation service for its verdict on words, or on an image.

Imported only if MODERATION is on.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import httpx2
from openai import AsyncOpenAI

from bot.conversation.exchange import scrubbed
from bot.conversation.images import Image
from bot.conversation.prompt import Prompt, Role, Turn
from bot.errors import ModelFailed
from bot.llm.api_config import ModerationConfig
from bot.llm.base_address import BaseAddress
from bot.llm.http_client import http_client
from bot.llm.http_errors import translated_errors
from bot.llm.redactor import Redactor
from bot.llm.request_body import JsonBody, image_part, new_mark

JSON: Final = "application/json"
NO_KEY: Final = "none"  # The openai package insists on a key; servers without keys ignore it.
CONNECT_TIMEOUT_SECONDS: Final = 10.0
# OpenAI reads at most 32,768 tokens of a text, and a character has at most three.
PIECE_CHARACTERS: Final = 10_000
CATEGORY: Final = re.compile(r"[\w/ -]{1,40}", re.ASCII)  # the log shows no other name
UNNAMED: Final = "unnamed"
# What a response that is no verdict raises; deeply nested JSON raises a RecursionError.
GARBAGE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
VERDICT_BYTES: Final = 1_000_000  # of a response; a verdict on a piece takes 2,000


class ModerationApi:
    """A service with OpenAI's endpoint /moderations; one client for the life of the process."""

    def __init__(self, client: AsyncOpenAI, config: ModerationConfig) -> None:
        self._client = client
        self._config = config
        self._secrets = BaseAddress.parse(config.base_url).secrets

    @classmethod
    @asynccontextmanager
    async def open(cls, config: ModerationConfig) -> AsyncIterator[Self]:
        """Open the connections to the service; leaving the block closes them."""
        address = BaseAddress.parse(config.base_url)
        credentials = {"Authorization": address.authorization}
        client = AsyncOpenAI(
            base_url=address.url,
            api_key=config.api_key or NO_KEY,
            default_headers=credentials if address.authorization else None,
            default_query=address.query,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
            http_client=http_client(),
        )
        async with client:
            yield cls(client, config)

    async def categories(self, content: str | Image) -> frozenset[str]:
        """Return the categories in which *content* is flagged, none if it is acceptable.

        Raises ModelError.
        """
        mark = new_mark()
        if isinstance(content, Image):
            # OpenAI takes one image in a request, and gives one verdict on all parts of an input.
            pieces, images = [""], [content]
            value: object = [image_part(content, mark)]
        else:
            text = scrubbed(content)
            pieces = [
                text[at : at + PIECE_CHARACTERS] for at in range(0, len(text), PIECE_CHARACTERS)
            ]
            images, value = list[Image](), pieces if len(pieces) > 1 else text
        body = JsonBody({"model": self._config.model, "input": value}, images, mark)
        with translated_errors(self._redactor(content)):
            answer = await self._post(body)
        try:
            return _flagged(json.loads(answer), len(pieces))
        except GARBAGE as error:
            raise ModelFailed(f"a garbled verdict: {type(error).__name__}") from error

    async def _post(self, body: JsonBody) -> bytes:
        response: Any = await self._client.post(
            "/moderations",
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {"Content-Type": JSON, "Content-Length": str(body.length)}},
            stream=True,
        )
        assert isinstance(response, httpx2.Response)
        answer = bytearray()
        try:
            async for data in response.aiter_bytes():
                answer += data
                if len(answer) > VERDICT_BYTES:
                    raise ModelFailed("a verdict without an end")
        finally:
            await response.aclose()
        return bytes(answer)

    def _redactor(self, content: str | Image) -> Redactor:
        text, images = (content, ()) if isinstance(content, str) else ("", (content,))
        turn = Turn(Role.USER, text, images)
        asked = Prompt((turn,), tokens=0, exchanges=0, read_percent=100)
        return Redactor(self._config.api_key or "", asked, secrets=self._secrets)


def _flagged(answer: Any, count: int) -> frozenset[str]:
    """Return the flagged categories of all *count* verdicts in *answer*."""
    verdicts = answer["results"]
    if len(verdicts) != count:
        raise ValueError("another number of verdicts than of inputs")
    found = set[str]()
    for verdict in verdicts:
        if not isinstance(verdict["flagged"], bool):
            raise TypeError("a verdict that is neither true nor false")
        if verdict["flagged"]:
            named = {name for name, applies in verdict["categories"].items() if applies is True}
            found |= {name if CATEGORY.fullmatch(name) else UNNAMED for name in named or {UNNAMED}}
    return frozenset(found)
