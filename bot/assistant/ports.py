"""What the assistant needs of others: a model, a place for its reply, and what is looked up."""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from bot.conversation.exchange import Exchange, QuestionContext
from bot.conversation.prompt import Prompt
from bot.conversation.reply_actions import NO_ACTIONS, ReplyActions
from bot.llm.attempts import AttemptBudget
from bot.llm.events import Event
from bot.llm.listed_models import ListedModel

Refresh = Callable[[Exchange], Awaitable[Exchange | None]]
Whereabouts = Callable[[Exchange], str]
ContextLoader = Callable[[Exchange], Awaitable[QuestionContext]]


class ChatModel(Protocol):
    """Where completions come from."""

    @property
    def name(self) -> str:
        """The name of the model that answers if no other was chosen."""

    @property
    def reply_tokens(self) -> int:
        """The most tokens of one reply."""

    @property
    def windows(self) -> Mapping[str, int]:
        """The context windows by model, from the last reading of the list of models."""

    async def listed(self) -> Sequence[ListedModel]:
        """Read the list of models; raises ModelError."""

    def stream(
        self, prompt: Prompt, attempts: AttemptBudget, *, model: str
    ) -> AbstractAsyncContextManager[AsyncIterable[Event]]:
        """Ask *model* in no more requests than *attempts* has left.

        Raises ModelError; so does iterating if the answer is incomplete.
        """


class Reply(Protocol):
    """Where an answer is shown. Entering shows that work has begun, leaving ends that."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(self, *details: object) -> None:
        """End; what was shown stays."""

    def write(self, delta: str) -> None:
        """Take more of the text; it is shown soon. Raises ReplyLost or ReplyBlocked."""

    def restart(self) -> None:
        """Begin a new text in place of the one so far, even if that was refused."""

    async def finish(self, notices: Sequence[str] = (), actions: ReplyActions = NO_ACTIONS) -> None:
        """Show the whole text now, with *notices* and *actions* under it.

        Raises ReplyLost, ReplyBlocked or ReplyDelayed.
        """

    async def leave(
        self, notices: Sequence[str], actions: ReplyActions, *, without: Sequence[str] = ()
    ) -> None:
        """End with the text that is shown, without the notices *without*, and with *notices*.

        If *notices* are refused too, only *actions* are shown.
        """

    async def shown_text(self, without: Sequence[str] = ()) -> str:
        """Return the shown text without notices; raises ReplyLost or ReplyDelayed."""

    async def withdraw(self) -> None:
        """Delete the shown messages; raises ReplyLost or ReplyDelayed."""


async def unchanged(exchange: Exchange) -> Exchange:
    """Return a question that cannot have changed."""
    return exchange


async def no_context(_exchange: Exchange) -> QuestionContext:
    """Return what a question brings that is all in its words."""
    return QuestionContext()


def nowhere(_exchange: Exchange) -> str:
    """Return what is told about the place of a question that has none."""
    return ""
