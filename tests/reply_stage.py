"""The stage for tests of a reply: the real discord.py, the stand-in Discord in this process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import discord
import pytest

from bot.i18n.sentences import ENGLISH
from bot.replies import reply_requests
from bot.replies.destination import Destination
from bot.replies.discord_reply import DiscordReply
from bot.sandbox.discord.server import serving
from bot.sandbox.discord.state import State
from bot.sandbox.driver import Driver
from bot.transport import pacer as pacing
from bot.transport.pacer import Pacer
from bot.transport.patches import RateLimitTrace
from tests.doubles import PATIENCE_SECONDS

Json = dict[str, Any]


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
async def people(state: State) -> AsyncIterator[Driver]:
    roomy = {"limit": 50, "window_seconds": 1.0}
    state.knobs.turn({"buckets": {"message_create": roomy, "message_edit": roomy}})
    async with serving(state) as addresses, Driver(addresses) as driver:
        yield driver
        assert await driver.unmodelled() == []


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "EDIT_SECONDS", 0.02)
    monkeypatch.setattr(reply_requests, "REPLY_RETRY_SECONDS", (0.01, 0.01, 0.01, 0.01))


class Stage:
    """A channel with a question in it, and a client that is logged in but hears nothing."""

    def __init__(self, people: Driver, client: discord.Client, pacer: Pacer, asked: Json) -> None:
        self.people = people
        self.client = client
        self.pacer = pacer
        self.shown: list[int] = []
        self.ask_in(asked)

    def ask_in(self, asked: Json) -> None:
        """Let this be the question."""
        self.asked = asked
        self.channel = self.client.get_partial_messageable(int(asked["channel_id"]))
        self.question = discord.MessageReference(
            message_id=int(asked["id"]), channel_id=self.channel.id, fail_if_not_exists=False
        )

    def reply(
        self,
        place: AbstractAsyncContextManager[Destination] | None = None,
        reopen: Callable[[int], Awaitable[None]] | None = None,
        max_parts: int = 5,
    ) -> DiscordReply:
        return DiscordReply(
            StagedRecord(self),
            place or nullcontext(Destination(self.channel, self.question)),
            reopen=reopen or self._reopen,
            pacer=self.pacer,
            strings=ENGLISH,
            max_parts=max_parts,
        )

    async def _reopen(self, thread_id: int) -> None:
        raise AssertionError(f"{thread_id} is not archived")

    async def messages(self) -> list[Json]:
        """Return what the bot has posted."""
        found = await self.people.messages(self.asked["channel_id"])
        return [one for one in found if one["author"]["id"] == self.people.bot_id]

    async def texts(self) -> list[str]:
        return [str(message["content"]) for message in await self.messages()]

    async def calls(self, method: str) -> list[Json]:
        """Return the requests of the bot about messages."""
        found = await self.people.requests(method=method)
        return [one for one in found if "/messages" in one["path"]]

    async def until(self, text: str) -> None:
        """Wait until a message of the bot contains *text*."""
        await self.people.wait_for_bot(text, timeout_seconds=PATIENCE_SECONDS)


class StagedRecord:
    """Records the messages of a reply in the stage's list."""

    def __init__(self, stage: Stage) -> None:
        self.exchange_id = int(stage.asked["id"])
        self._shown = stage.shown

    async def add(self, message_id: int) -> None:
        self._shown.append(message_id)

    async def remove(self, message_id: int) -> None:
        self._shown.remove(message_id)


@pytest.fixture
async def stage(people: Driver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
    channel = await people.create_channel("place")
    asked = await people.say(str(channel["id"]), "Mina", "Why?")
    pacer = Pacer()
    client = discord.Client(
        intents=discord.Intents.none(),
        max_ratelimit_timeout=30,
        http_trace=RateLimitTrace(pacer),
    )
    async with client:
        await client.login(people.token)
        yield Stage(people, client, pacer, asked)
