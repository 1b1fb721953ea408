"""The HTTP client for chat APIs and moderation services, which shares aiohttp's TLS context."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import httpx2
import openai

from bot.llm.http_errors import raise_for_status

CONTEXT: Final[ssl.SSLContext | None] = getattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", None)


def http_client() -> httpx2.AsyncClient:
    """Return a client that raises ErrorResponse for an error status.

    It follows no redirect, which would send the conversation to an address that nobody configured.
    """
    with _shared_tls_context():
        return openai.DefaultAioHttpClient(
            follow_redirects=False, event_hooks={"response": [raise_for_status]}
        )


@contextmanager
def _shared_tls_context() -> Iterator[None]:
    """Give HTTP clients that are built within the block the TLS context of aiohttp.

    aiohttp loads the certificate authorities when it is imported. openai's client on aiohttp would
    load them again, and import httpcore for that alone: 2.4 MB together. If a new version of either
    does this in another way, the client makes a context of its own again.
    """
    original = httpx2.create_ssl_context

    def shared(*args: Any, **named: Any) -> ssl.SSLContext:
        return original(*args, **named) if CONTEXT is None else CONTEXT

    httpx2.create_ssl_context = shared
    try:
        yield
    finally:
        httpx2.create_ssl_context = original
