"""The interface that checks questions while they are answered; by default it does nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from bot.assistant.answer import Answer
from bot.conversation.exchange import Conversation, Exchange
from bot.conversation.prompt import Prompt


class Screening:
    """The check of one question; this one checks nothing.

    The block around the answer waits at its end for the verdict. A verdict that comes later, or
    after somebody stopped the answer, still counts.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *details: object) -> None:
        return None

    @asynccontextmanager
    async def of(self, _prompt: Prompt) -> AsyncIterator[None]:
        """Check the question, and its images in *_prompt*, beside the request in the block."""
        yield

    def when_read(self, release: Callable[[], None]) -> None:
        """Call *release* as soon as no check needs the images any more."""
        release()

    async def passed(self) -> None:
        """Hold the first words of the answer until the question may be answered."""


# Ends the answer to a flagged question, or erases it if it has ended; raises HistoryFailed.
Withhold = Callable[[Exchange], Awaitable[None]]


class Screener:
    """Checks questions, and withholds those that are flagged; this one checks nothing."""

    def screen(self, _answer: Answer, _quotations: Sequence[str], _withhold: Withhold) -> Screening:
        """Return the check of the question of an answer that begins.

        The quotations are those of the replies above it, which nobody has checked either.
        """
        return NO_SCREENING

    def recheck(self, question: Exchange, withhold: Withhold) -> None:
        """Begin to check a question that was edited."""

    async def check_system_prompt(self, prompt: str, place: Conversation, person_id: int) -> None:
        """Check what a person wants to set for a place.

        Raises SystemPromptFlagged or SystemPromptUnchecked.
        """


NO_SCREENING: Final = Screening()
NO_SCREENER: Final = Screener()
