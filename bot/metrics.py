"""What the bot counts and measures: the port that components call, and the one that counts nothing.

`monitoring.metrics` counts for Prometheus, if the operator opens HEALTH_PORT. Labels never name a
person, a server or a channel.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

NO_STATUS: Final = 0
# Why questions are refused before the model is asked. Access lists have other reasons: see `Rule`.
BUDGET_SPENT: Final = "budget"
QUEUE_FULL: Final = "queue full"
RATE_LIMITED: Final = "rate limit"


class Gauge(Enum):
    """A number that is not counted, but read when somebody asks for the metrics."""

    BUDGET_USED = "budget_used_ratio"  # labels: scope, period; 1 is the whole budget
    DISCORD_WAITING = "discord_waiting"
    ERASURE_PENDING = "erasure_pending_seconds"
    GATEWAY_CONNECTED = "gateway_connected"  # label: shard
    IDENTIFIES_LEFT = "identifies_left"
    LOOP_LAG = "loop_lag_seconds"
    OPEN_QUESTIONS = "open_questions"
    SHARDS_HELD = "shards_held"
    STREAMING = "streaming"


class Metrics:
    """Counts what happens. This class counts nothing: each method of it does nothing."""

    def watch(self, gauge: Gauge, read: Callable[[], float], **labels: str) -> None:
        """Read the value of *gauge* with *read* from now on, in place of an earlier function.

        NaN means that there is no value now.
        """

    def question_ended(
        self, *, origin: str, outcome: str, first_words: float | None, whole: float
    ) -> None:
        """Count a question that ended, in seconds since the bot took it up."""

    def refused(self, reason: str) -> None:
        """Count a question or command that was refused before the model was asked."""

    def model_requested(self, model: str, outcome: str) -> None:
        """Count a request to the chat API, "ok" or the class of its error."""

    def first_token(self, model: str, seconds: float) -> None:
        """Measure the time from a request to the first word of its answer."""

    def tokens_used(self, model: str, prompt: int, completion: int) -> None:
        """Count the tokens of an answer, as they count in /usage, and what they cost."""

    def redacted(self, kind: str) -> None:
        """Count a secret that was removed from a text."""

    def moderated(self, outcome: str) -> None:
        """Count a verdict on words or an image: "passed", "flagged" or the class of an error."""

    def discord_answered(
        self, method: str, path: str, status: int, headers: Mapping[str, str]
    ) -> None:
        """Count a request to Discord's REST API, and the rate limit that it met, if any.

        The *status* is NO_STATUS if there was no response.
        """

    def identified(self) -> None:
        """Count an IDENTIFY."""

    def database_used(self, kind: str, seconds: float, *, failed: bool) -> None:
        """Measure a unit of work of the database."""


NO_METRICS: Final = Metrics()
