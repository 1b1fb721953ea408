"""When a request of a reply is repeated, and when its thread is reopened."""

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.errors import ReplyDelayed
from bot.replies import reply_requests
from bot.replies.destination import ARCHIVED
from bot.replies.reply_requests import ReplyRequests
from bot.transport.calls import DiscordUnavailable
from bot.transport.pacer import Pacer, Priority

CHANNEL: Any = SimpleNamespace(id=7)


class Discord:
    """Answers with the *failures* in turn, and then with success."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.requests = 0
        self.reopened: list[int] = []
        self.replies = ReplyRequests(Pacer(), self.reopen)

    async def request(self) -> str:
        assert self.replies.in_flight
        self.requests += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    async def reopen(self, thread_id: int) -> None:
        self.reopened.append(thread_id)

    async def make(self, priority: Priority = Priority.RESPONSE) -> str:
        try:
            return await self.replies.make(CHANNEL, self.request, priority)
        finally:
            assert not self.replies.in_flight


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_requests, "REPLY_RETRY_SECONDS", (0.0, 0.0))


def archived() -> discord.HTTPException:
    response: Any = SimpleNamespace(status=400, reason="", headers=JSON)
    return discord.HTTPException(response, {"code": ARCHIVED, "message": "Thread is archived"})


JSON = {"Content-Type": "application/json"}
FAILURE = ConnectionResetError


async def test_a_request_that_fails_is_repeated() -> None:
    served = Discord(FAILURE(), FAILURE())
    assert await served.make() == "done"
    assert served.requests == 3


async def test_a_request_that_keeps_failing_delays_the_reply() -> None:
    served = Discord(*(FAILURE() for _ in range(9)))
    with pytest.raises(ReplyDelayed):
        await served.make()
    assert served.requests == 3


async def test_an_edit_of_growing_text_is_not_repeated() -> None:
    """The next edit replaces it."""
    served = Discord(FAILURE())
    with pytest.raises(ReplyDelayed):
        await served.make(Priority.EDIT)
    assert served.requests == 1


async def test_an_archived_thread_is_reopened_once() -> None:
    served = Discord(archived())
    assert await served.make() == "done"
    assert served.reopened == [CHANNEL.id]
    served = Discord(archived(), archived())
    with pytest.raises(discord.HTTPException):
        await served.make()
    assert served.reopened == [CHANNEL.id]


async def test_a_thread_that_cannot_be_reopened_delays_the_reply() -> None:
    async def fail(_thread_id: int) -> None:
        raise DiscordUnavailable("it fails")

    served = Discord(archived())
    served.replies = ReplyRequests(Pacer(), fail)
    with pytest.raises(ReplyDelayed, match="it fails"):
        await served.make()
