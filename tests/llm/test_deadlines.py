"""The deadlines of an answer fire once, however late the event loop is."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.llm.deadlines import Deadlines


async def one_then_silence() -> AsyncIterator[bytes]:
    yield b"data"
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)  # The connection takes a while to close.


async def test_a_deadline_that_passes_while_the_loop_is_busy_fires_once() -> None:
    unexpected = list[dict[str, Any]]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unexpected.append(context))
    deadlines = Deadlines(0.5, 0.5, 20.0)
    body = one_then_silence()
    assert await deadlines.next(body) == b"data"
    time.sleep(0.6)  # noqa: ASYNC251  # The loop is busy until after the deadline.
    with pytest.raises(TimeoutError):
        await deadlines.next(body)
    assert unexpected == []
