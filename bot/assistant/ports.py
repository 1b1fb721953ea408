"""What the assistant needs from others: a model, a reply, the context of a question, verdicts."""

from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from bot.conversation.exchange import Conversation, Exchange, QuestionContext
from bot.conversation.images import Image
from bot.conversation.prompt import Prompt
from bot.conversation.reply_actions import NO_ACTIONS, ReplyActions
from bot.llm.events import Event
from bot.llm.request_budget import RequestBudget

Refresh = Callable[[Exchange], Awaitable[Exchange | None]]
ContextLoader = Callable[[Exchange], Awaitable[QuestionContext]]


class ChatModel(Protocol):
    """A chat API."""

    @property
    def reply_tokens(self) -> int:
        """The longest reply, in tokens."""

    def adds_to_prompts(self, model: str) -> bool:
        """Whether the server adds to prompts for *model*, such as the results of a search."""

    def stream(
        self, prompt: Prompt, budget: RequestBudget, *, model: str
    ) -> AbstractAsyncContextManager[AsyncIterable[Event]]:
        """Ask *model* in no more requests than *budget* has left.

        Raises ModelError; so does iterating if the answer is incomplete.
        """


class Moderation(Protocol):
    """A moderation service."""

    async def categories(self, content: str | Image) -> frozenset[str]:
        """Return the categories in which *content* is flagged, none if it is acceptable.

        Raises ModelError.
        """


class Reply(Protocol):
    """Where an answer is shown. The block shows progress, such as typing."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(self, *details: object) -> None:
        """Stop showing progress; the messages stay as they are."""

    def write(self, delta: str) -> None:
        """Append to the text, which is shown soon; raises ReplyLost or ReplyBlocked."""

    def restart(self) -> None:
        """Begin a new text in place of the old one, even if Discord rejected that."""

    async def finish(self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS) -> None:
        """Show the whole text now, with *notices* and *actions* under it.

        Raises ReplyLost, ReplyBlocked or ReplyDelayed.
        """

    async def keep_shown(self, notices: Sequence[str], actions: ReplyActions) -> None:
        """Show *notices* under the shown text, in place of one that it was interrupted.

        If *notices* are refused too, shows only *actions* and raises ReplyBlocked. Also raises
        ReplyLost or ReplyDelayed.
        """

    async def shown_text(self) -> str:
        """Return the shown text, without a notice that it was interrupted.

        Raises ReplyLost or ReplyDelayed.
        """

    async def delete(self) -> None:
        """Delete the shown messages; raises ReplyLost or ReplyDelayed."""


CheckSystemPrompt = Callable[[str, Conversation, int], Awaitable[None]]
RenameThread = Callable[[int, str], Awaitable[None]]


async def no_threads(_thread_id: int, _name: str) -> None:
    """Rename nothing: answers open no threads."""


async def unchanged(exchange: Exchange) -> Exchange:
    """Return a question that nobody can have edited."""
    return exchange


async def no_context(_exchange: Exchange) -> QuestionContext:
    """Return no context: the question consists of its words alone."""
    return QuestionContext()
