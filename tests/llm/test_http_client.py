"""The HTTP client for chat APIs."""

import subprocess
import sys

import httpx2

from bot.llm.http_client import http_client

OPENED = """
import asyncio, sys
import aiohttp
from bot.llm.http_client import http_client

async def open_and_close():
    async with http_client() as client:
        assert client._transport.ssl_context is aiohttp.connector._SSL_CONTEXT_VERIFIED
    print(*(name for name in ("httpcore2", "truststore") if name in sys.modules))

asyncio.run(open_and_close())
"""


def test_client_loads_no_second_set_of_certificate_authorities() -> None:
    """It uses aiohttp's, and imports nothing for another: an idle bot would need 2.4 MB more."""
    command = [sys.executable, "-c", OPENED]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []


async def test_other_clients_keep_a_context_of_their_own() -> None:
    async with http_client():
        assert httpx2.create_ssl_context() is not httpx2.create_ssl_context()
