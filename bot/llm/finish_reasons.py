"""Tell how an answer ended by its finish reason, for which servers use different words."""

import re
from enum import Enum, auto
from typing import Final

_WORD: Final = re.compile(r"[\w.-]{1,40}")  # Any other text from a server stays out of the log.


class End(Enum):
    """How an answer ended."""

    WHOLE = auto()
    AT_LIMIT = auto()
    WITHHELD = auto()
    CUT = auto()
    UNKNOWN = auto()


# The first pattern that a reason contains decides; it is compared in lower-case letters and digits.
# In the words of OpenAI, Anthropic, Bedrock, Gemini, Cohere, Mistral, DeepSeek, Z.ai, xAI,
# watsonx.ai, Together, vLLM, text-generation-inference and LM Studio.
_ENDS: Final = {
    r"time(out|limit)|deadline|ratelimit|network|abort|cancel|userstopp|insufficient": End.CUT,
    r"length|limit|max|context": End.AT_LIMIT,
    r"filter|safety|refus|recitation|block|prohibited|spii|sensitive|toxic": End.WITHHELD,
    r"guardrail|armor|moderation|policy": End.WITHHELD,
    r"error|fail": End.CUT,
    r"^(stop|eo[st]|end|imend|complete|finish|done|normal|success)": End.WHOLE,
    r"^(tool|function)(call|use)s?$": End.WHOLE,
}


def end_of(reason: str) -> End:
    """Return how an answer with a finish *reason* ended."""
    word = re.sub(r"[^a-z0-9]", "", reason.lower())
    word = re.sub(r"^(finish|stop)?reason", "", word)
    return next((end for pattern, end in _ENDS.items() if re.search(pattern, word)), End.UNKNOWN)


def loggable(reason: str | None) -> str:
    """Return a finish *reason* as the log may name it."""
    if reason is None:
        return "no reason"
    return reason if _WORD.fullmatch(reason) else "a reason of its own"
