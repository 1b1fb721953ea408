"""The text of an answer as the model writes it, and what that uses."""

from dataclasses import dataclass, field
from typing import Final

from bot.conversation.prompt import Prompt
from bot.llm.events import Event, Thinking, TokenUsage
from bot.storage.usage import UsageTotal

NOTHING_USED: Final = UsageTotal()


@dataclass(slots=True, repr=False)
class Generation:
    """An answer as far as the model has written it.

    *pieces* begin with *kept* ones from before the newest request. *discarded* is the usage of
    answers that were thrown away. *unread* are the sentences about files that were not read.
    """

    model: str = ""
    prompt: Prompt | None = None  # of the newest request
    pieces: list[str] = field(default_factory=list)
    kept: int = 0
    first_token_seconds: float | None = None  # after the question's arrival
    thought_seconds: float | None = None  # before the first token
    only_thought: bool = False
    usage: TokenUsage | None = None
    discarded: UsageTotal = NOTHING_USED
    notices: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # some of the notices
    files_percent: int = 100  # how much of the files goes into the prompt

    @property
    def text(self) -> str:
        """The whole text so far."""
        return "".join(self.pieces).strip()

    @property
    def written(self) -> str:
        """The text that the newest request brought."""
        return "".join(self.pieces[self.kept :])

    @property
    def begun(self) -> bool:
        """Whether the newest request brought any text."""
        return self.first_token_seconds is not None

    @property
    def images_sent(self) -> int:
        """How many images the newest request had."""
        return self.prompt.images if self.prompt is not None else 0

    def begin(self, prompt: Prompt) -> None:
        """Begin a request with *prompt*, which continues the text so far."""
        self.prompt, self.kept = prompt, len(self.pieces)
        self.usage = self.thought_seconds = None

    def note(self, event: Event) -> None:
        """Note an event that brings no text."""
        if isinstance(event, TokenUsage):
            self.usage = event
        elif isinstance(event, Thinking):
            self.thought_seconds = event.seconds

    def rewind(self) -> str:
        """Drop what the newest request brought; return the text before it."""
        del self.pieces[self.kept :]
        return "".join(self.pieces)

    def note_unread(self, sentence: str) -> None:
        """Show *sentence*, about files, under the answer, once."""
        if sentence not in self.unread:
            self.unread.append(sentence)
            self.notices.append(sentence)
