"""The stage for tests of inbox and recovery: real discord.py, the stand-in Discord in this process.

The client is logged in but receives no events; messages are fetched, and the model is a double.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.access import AccessLists
from bot.assistant.prompt_images import PromptImages
from bot.attachments.reader import Attachments
from bot.conversation.exchange import Conversation, Exchange, OpenQuestion, State
from bot.errors import ReplyLost
from bot.i18n.languages import Languages
from bot.inbox.admission import Admission
from bot.inbox.channels import Channels
from bot.inbox.claims import Claims
from bot.inbox.gate import Gate
from bot.inbox.in_flight import InFlight
from bot.inbox.interaction_places import InteractionPlaces
from bot.inbox.messages import Inbox
from bot.inbox.questions import Questions
from bot.inbox.reply_factory import ReplyFactory
from bot.inbox.unsaved import Unsaved
from bot.inbox.user_limits import UserRateLimit
from bot.live import Live
from bot.recovery.catch_up import CatchUp
from bot.recovery.interactions import UnfinishedInteractions
from bot.recovery.unfinished import Unfinished
from bot.replies import reply_requests
from bot.replies.destination import Destination
from bot.replies.interaction_channel import Original
from bot.replies.parts import Part
from bot.sandbox.discord import state as stand_in
from bot.sandbox.discord.server import serving
from bot.sandbox.driver import Driver
from bot.storage.exchanges import History
from bot.transport.pacer import Pacer
from tests.doubles import DoubleModel, an_assistant, no_budgets
from tests.faults.failing import FailingDatabase, open_failing_database

Json = dict[str, Any]
QUESTIONS_PER_MINUTE = 2


class DoubleChannel:
    """Direct messages that can do what the channel of an interaction can."""

    def __init__(self, dm: discord.PartialMessageable, places: "DoublePlaces") -> None:
        self._dm, self._places = dm, places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dm, name)

    async def use_bot_token(self) -> bool:
        return self._places.readable

    async def text_of(self, message_id: int) -> str:
        return (await self._dm.fetch_message(message_id)).content


class DoublePlaces(InteractionPlaces):
    """Shows answers in direct messages; *found* is the first message, or the error without it."""

    def __init__(self, client: discord.Client, dm: str) -> None:
        self.dm: Any = DoubleChannel(client.get_partial_messageable(int(dm)), self)
        self.found: Original | Exception = ReplyLost("it is deleted")
        self.answerable = self.readable = True
        self.shown_by: object = None

    def channel(self, _exchange: Exchange, _parts: Sequence[int] = ()) -> Any:
        return self.dm

    def destination(self, exchange: Exchange, *parts: Part, channel: Any = None) -> Destination:
        self.shown_by = exchange.origin
        return Destination(channel or self.dm, None, parts)

    async def original(self, _channel: Any) -> Original:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def call(self, _channel: Any, request: Callable[[], Awaitable[Any]]) -> Any:
        return await request()

    def is_answerable(self, _exchange: Exchange) -> bool:
        return self.answerable

    def is_readable(self, _place: Conversation) -> bool:
        return self.readable


class InboxStage:
    """Mina, her direct messages with the bot, and all that answers her."""

    def __init__(
        self, people: Driver, client: discord.Client, database: FailingDatabase, dm: str
    ) -> None:
        self.people, self.client, self.database, self.dm = people, client, database, dm
        self.history = history = History(database)
        self.model = DoubleModel()
        self.in_flight = InFlight()
        self.catch_up = CatchUp(self.in_flight)
        self.claims = Claims(self.in_flight, self.catch_up.on_release)
        self.unsaved = Unsaved(history)
        languages, pacer = Languages("en"), Pacer()
        self.channels = channels = Channels(client, history.places, pacer)
        self.access = Live(AccessLists())
        self.gate = Gate(self.access, channels)
        self.assistant = assistant = an_assistant(
            self.model,
            history,
            system_prompt="",
            token_budget=4000,
            languages=languages,
            pictures=PromptImages(0),
        )
        self.questions = self.questions_with(message_content=True)
        self.replies = replies = ReplyFactory(
            assistant, history, self.questions, channels, self.unsaved, pacer, max_parts=10
        )
        admission = Admission(UserRateLimit(Live(QUESTIONS_PER_MINUTE)), no_budgets(history))
        self.inbox = Inbox(
            assistant,
            history,
            self.questions,
            self.claims,
            admission,
            replies,
            self.unsaved,
            self.gate,
        )
        self.places = DoublePlaces(client, dm)
        self.unfinished = Unfinished(
            assistant,
            history,
            self.questions,
            replies,
            UnfinishedInteractions(assistant, replies, self.places),
            channels,
            self.gate,
        )

    def questions_with(self, *, message_content: bool) -> Questions:
        """Return what reads questions, with or without that intent."""
        return Questions(
            self.history,
            self.channels,
            attachments=Attachments("http://127.0.0.1:1", max_bytes=0, images=False),
            languages=Languages("en"),
            message_content=message_content,
        )

    async def said(self, text: str, channel: str | None = None, **more: Any) -> discord.Message:
        """Let Mina write something; return it as the client fetches it."""
        written = await self.people.say(channel or self.dm, "Mina", text, **more)
        return await self.fetched(written)

    async def fetched(self, message: Json) -> discord.Message:
        """Return a message as the client fetches it."""
        channel: Any = await self.client.fetch_channel(int(message["channel_id"]))
        fetched: discord.Message = await channel.fetch_message(int(message["id"]))
        return fetched

    async def shown(self, channel: str | None = None) -> list[str]:
        """Return what the bot shows in a channel."""
        messages = await self.people.messages(channel or self.dm)
        return [one["content"] for one in messages if one["author"]["id"] == self.people.bot_id]

    async def state_of(self, message: discord.Message) -> State | None:
        """Return the stored state of a question."""
        rows = await self.database.fetch(
            "SELECT state FROM exchanges WHERE message_id = ?", message.id
        )
        return State(rows[0][0]) if rows else None

    async def open_questions(self) -> list[OpenQuestion]:
        """Return the questions that have not ended."""
        return await self.history.open_questions()


@pytest.fixture
async def database(path: Path) -> AsyncIterator[FailingDatabase]:
    """Return an open database that can be made to fail."""
    async with open_failing_database(path) as database:
        yield database


@pytest.fixture
async def stage(
    database: FailingDatabase, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[InboxStage]:
    monkeypatch.setattr(reply_requests, "REPLY_RETRY_SECONDS", (0.01, 0.01, 0.01, 0.01))
    state = stand_in.State()
    roomy = {"limit": 50, "window_seconds": 1.0}
    state.knobs.turn({"buckets": {"message_create": roomy, "message_edit": roomy}})
    async with serving(state) as addresses, Driver(addresses) as people:
        monkeypatch.setattr(discord.http.Route, "BASE", people.api_url)
        async with logged_in(people) as client:
            yield InboxStage(people, client, database, await people.dm("Mina"))
            assert await people.unmodelled() == []


@asynccontextmanager
async def logged_in(people: Driver) -> AsyncIterator[discord.Client]:
    """Yield a client that is logged in."""
    client = discord.Client(
        intents=discord.Intents.none(),
        allowed_mentions=discord.AllowedMentions.none(),
        max_ratelimit_timeout=30,
    )
    async with client:
        await client.login(people.token)
        yield client
