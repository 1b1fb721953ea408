"""Doubles at our own ports: a model, a place for replies, a clock, and a loop that never waits."""

import asyncio
import selectors
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from bot.assistant.assistant import Assistant
from bot.assistant.budgets import Budgets
from bot.assistant.conversations import Conversations
from bot.assistant.generator import Generator, Learned
from bot.assistant.prompt_images import PromptImages
from bot.assistant.screening import NO_SCREENER
from bot.conversation.exchange import Conversation, Exchange, State
from bot.conversation.prompt import Prompt, PromptConfig, exchange_tokens
from bot.conversation.reply_actions import NO_ACTIONS, ReplyActions
from bot.errors import ModelError, ReplyBlocked, ReplyDelayed, ReplyLost
from bot.i18n.languages import LANGUAGES, Languages
from bot.live import Live
from bot.llm.budget_rules import NO_BUDGETS
from bot.llm.client import ChatCompletions
from bot.llm.events import Delta, Event, Thinking, TokenUsage
from bot.llm.http_errors import may_cost
from bot.llm.model_catalog import ModelCatalog, OfferedModels
from bot.llm.models import ListedModel
from bot.llm.request_budget import RequestBudget
from bot.storage.database_file import DatabaseFile
from bot.storage.exchanges import History
from bot.storage.sqlite import SqliteDatabase

T = TypeVar("T")
PATIENCE_SECONDS = 60.0


class Clock:
    """A clock that moves only if a test sets *now*."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class DoubleCompletion:
    """The answer of a double model: texts, events to wait for, errors to raise."""

    script: Sequence[str | asyncio.Event | Exception]
    usage: TokenUsage | None
    thought_seconds: float | None = None

    async def __aiter__(self) -> AsyncIterator[Event]:
        if self.thought_seconds is not None:
            yield Thinking(self.thought_seconds)
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, str):
                yield Delta(step)
            else:
                await step.wait()
        if self.usage is not None:
            yield self.usage


@dataclass
class DoubleModel:
    """A ChatModel that answers with enqueued scripts and keeps the requested prompts and models.

    *searching* are the models whose server adds to prompts.
    """

    default_model: str = "double"
    reply_tokens: int = 2000
    history: list[Prompt] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    searching: set[str] = field(default_factory=set)
    _scripts: deque[DoubleCompletion | Exception] = field(default_factory=deque)

    def enqueue(
        self,
        *script: str | asyncio.Event | Exception,
        usage: TokenUsage | None = None,
        thought_seconds: float | None = None,
    ) -> None:
        """Let the next answer be *script*; the words "Very well." where nothing is enqueued."""
        self._scripts.append(DoubleCompletion(script, usage, thought_seconds=thought_seconds))

    def enqueue_refusal(self, error: Exception) -> None:
        """Let the next request fail before its answer begins."""
        self._scripts.append(error)

    def adds_to_prompts(self, model: str) -> bool:
        return model in self.searching

    async def list_models(self) -> list[ListedModel]:
        return []

    @asynccontextmanager
    async def stream(
        self, prompt: Prompt, budget: RequestBudget, *, model: str
    ) -> AsyncIterator[DoubleCompletion]:
        assert budget.left
        budget.take()
        self.history.append(prompt)
        self.models.append(model)
        usual = DoubleCompletion(("Very well.",), None)
        answer = self._scripts.popleft() if self._scripts else usual
        if isinstance(answer, Exception):
            budget.may_cost = False
            raise answer
        try:
            yield answer
        except ModelError as error:
            budget.may_cost = may_cost(error)
            raise


class DoubleReply:
    """A Reply that keeps the text, notices and actions it receives.

    With *lost* that is raised instead; with *delayed_end* Discord does not take the end. Words
    with *refuses* in them are refused, and the next call raises that. *shown* is the text of an
    earlier attempt.
    """

    def __init__(
        self,
        *,
        lost: ReplyLost | ReplyDelayed | None = None,
        delayed_end: bool = False,
        refuses: str = "",
        shown: str = "",
    ) -> None:
        self.text = ""
        self.notices: Sequence[str] | None = None  # None until it is finished
        self.actions: ReplyActions | None = None  # None until it is finished
        self.begun = asyncio.Event()
        self.written = asyncio.Event()
        self.left = False
        self._lost = lost
        self._delayed_end = delayed_end
        self._refuses = refuses
        self._refused = False
        self._shown = shown

    async def __aenter__(self) -> Self:
        self.begun.set()
        return self

    async def __aexit__(self, *details: object) -> None:
        self.left = True

    def write(self, delta: str) -> None:
        self._check()
        if self._refuses and self._refuses in delta:
            self._refused = True
            return
        self.text += delta
        self.written.set()

    def restart(self) -> None:
        self.text, self._refused = "", False

    async def finish(self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS) -> None:
        self._check()
        if self._delayed_end:
            raise ReplyDelayed("503")
        self.notices, self.actions = list(notices), actions

    async def keep_shown(self, notices: Sequence[str], actions: ReplyActions) -> None:
        self._refused = False
        self.text = await self.shown_text()
        self.notices, self.actions = list(notices), actions

    async def shown_text(self) -> str:
        for strings in LANGUAGES.values():
            self._shown = self._shown.removesuffix(strings.interrupted)
        return self.text.strip() or self._shown

    async def delete(self) -> None:
        self._check()
        self.text = ""

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._refused:
            raise ReplyBlocked("400, code 200000")


class _NoWaiting(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that never comes"
            self.now += max(timeout, 1e-9)  # Time always passes, if only a little.
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._instant = _NoWaiting()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on a loop whose time, from 0, jumps to whatever comes next: nothing is waited for.

    For what waits on timers alone: no threads, no sockets.
    """
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)


def an_exchange(
    message_id: int,
    question: str = "Why?",
    reply: str = "",
    *,
    channel: int = 1,
    parent: int | None = None,
    guild: int | None = 7,
    place: int | None = None,
    author: str = "",
    **more: Any,
) -> Exchange:
    """Return an exchange in *channel*, shown there or in *place*, with its true estimate."""
    exchange = Exchange(
        message_id=message_id,
        conversation=Conversation(channel, parent, guild),
        place_id=channel if place is None else place,
        author_id=99,
        author=author,
        question=question,
        reply=reply,
        **more,
    )
    return replace(exchange, tokens=exchange_tokens(exchange))


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[SqliteDatabase]:
    """Open the database *path*, as the program does."""
    with DatabaseFile.hold(path) as file:
        async with SqliteDatabase.open(file) as database:
            yield database


@asynccontextmanager
async def open_history(path: Path) -> AsyncIterator[History]:
    """Open the store in the file *path*, as the program does."""
    async with open_database(path) as database, History.over(database) as history:
        yield history


async def keep(history: History, *exchanges: Exchange, state: State = State.ANSWERED) -> None:
    """Receive and complete *exchanges*, which must be new."""
    for exchange in exchanges:
        assert await history.receive(exchange)
        assert await history.complete(exchange, state)


def file_bytes(database: Path) -> bytes:
    """Return the contents of a database's files, the log and its index included."""
    return b"".join(path.read_bytes() for path in sorted(database.parent.glob(f"{database.name}*")))


def no_budgets(history: History) -> Budgets:
    """Return budgets without any limit."""
    return Budgets(history.spending, Live(NO_BUDGETS))


def an_assistant(
    model: ChatCompletions | DoubleModel,
    history: History,
    *,
    system_prompt: str = "",
    token_budget: int = 4000,
    pictures: PromptImages | None = None,
    conversations: Conversations | None = None,
    **more: Any,
) -> Assistant:
    """Return an assistant that speaks English, unless *more* says otherwise."""
    languages = more.pop("languages", None) or Languages("en")
    config = PromptConfig(system_prompt=system_prompt, token_budget=token_budget)
    images = pictures or PromptImages(0)
    describe_place = more.pop("describe_place", lambda _question: "")
    budgets = more.pop("budgets", None) or no_budgets(history)
    screener = more.pop("screener", NO_SCREENER)
    catalog = ModelCatalog(
        Live(OfferedModels(model.default_model, more.pop("models", ()))), model.list_models
    )
    conversations = conversations or Conversations(history, languages, screener)
    generator = Generator(
        model,
        history,
        Live(config),
        catalog,
        learned=Learned.of(model, history, catalog, budgets),
        images=images,
        describe_place=describe_place,
        screening=conversations.screening,
    )
    return Assistant(generator, history, conversations, languages, **more)
