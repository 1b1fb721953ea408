"""Remove reasoning and echoes of the prompt from the streamed text of an answer."""

from bot.conversation.prompt_echoes import PromptEchoFilter
from bot.llm.reasoning_filter import ReasoningFilter


class AnswerFilter:
    """Removes both from text that arrives in pieces of any length."""

    def __init__(self) -> None:
        self._reasoning = ReasoningFilter()
        self._echoes = PromptEchoFilter()

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
            self._echoes = PromptEchoFilter()
        return self._echoes.write(answer)

    def end(self) -> str:
        """Return the rest of the answer."""
        return self._echoes.write(self._reasoning.end()) + self._echoes.end()
