"""Remove from the text of a stream what is not the answer: reasoning, and imitated lines."""

from bot.conversation.imitations import ImitationFilter
from bot.llm.reasoning_filter import ReasoningFilter


class AnswerFilter:
    """Passes the answer on. Text may arrive in any pieces."""

    def __init__(self) -> None:
        self._reasoning = ReasoningFilter()
        self._imitations = ImitationFilter()

    @property
    def reasons(self) -> bool:
        """Whether the next text is reasoning."""
        return self._reasoning.reasons

    @property
    def replaces(self) -> bool:
        """Whether the text that the last `write` returned replaces all before it."""
        return self._reasoning.replaces

    def write(self, text: str) -> str:
        """Return the next piece of the answer."""
        answer = self._reasoning.write(text)
        if self._reasoning.replaces:
            self._imitations = ImitationFilter()
        return self._imitations.write(answer)

    def end(self) -> str:
        """Return the rest of the answer."""
        return self._imitations.write(self._reasoning.end()) + self._imitations.end()
