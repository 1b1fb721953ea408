"""Count what happens, for Prometheus."""

import platform
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from math import isnan
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bot import __version__
from bot.access import ALLOWING, Rule
from bot.live import Live
from bot.llm.prices import Prices
from bot.metrics import BUDGET_SPENT, NO_STATUS, QUEUE_FULL, RATE_LIMITED, Gauge, Metrics
from bot.monitoring.routes import route_of

PREFIX: Final = "chatbot"
# The bounds of the histograms, in seconds.
WAIT_BOUNDS: Final = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
ANSWER_BOUNDS: Final = (0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600)
DATABASE_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
# The names of the gauges' labels, and what each gauge means.
GAUGES: Final[Mapping[Gauge, tuple[tuple[str, ...], str]]] = {
    Gauge.BUDGET_USED: (("scope", "period"), "Used part of a budget; 1 is all of it"),
    Gauge.DISCORD_WAITING: ((), "Calls to Discord's REST API that wait for a slot"),
    Gauge.ERASURE_PENDING: ((), "For how long forgotten text has been waiting to be erased"),
    Gauge.GATEWAY_CONNECTED: (("shard",), "1 if the shard hears Discord, 0 if it does not"),
    Gauge.IDENTIFIES_LEFT: ((), "IDENTIFYs that are left in the bot's own budget"),
    Gauge.LOOP_LAG: ((), "Longest delay of the event loop in the last minute"),
    Gauge.OPEN_QUESTIONS: ((), "Questions and commands in progress, with those that wait"),
    Gauge.SHARDS_HELD: ((), "Shards that this process holds"),
    Gauge.STREAMING: ((), "Answers that have begun and not ended"),
}
# Label values that are known beforehand. They start at 0, so that the first event counts in rates.
ORIGINS: Final = ("message", "command", "regenerate", "continue")
OUTCOMES: Final = ("answered", "cancelled", "cut", "failed", "refused")
REFUSALS: Final = (
    *(BUDGET_SPENT, QUEUE_FULL, RATE_LIMITED),
    *(rule.value for rule in Rule if rule not in ALLOWING),
)
VERDICTS: Final = ("passed", "flagged")
LIMIT_SCOPES: Final = ("user", "global", "shared")
CLOUDFLARE: Final = "cloudflare"  # It refuses all calls, and names no scope.
DATABASE_KINDS: Final = ("read", "write", "erase")
FAILED: Final = "failed"  # the status of a request without a response


class _Gauges(Collector):
    """Reads the gauges when somebody asks for the metrics."""

    def __init__(self) -> None:
        self.readings: dict[Gauge, dict[tuple[str, ...], Callable[[], float]]] = {}

    def describe(self) -> Iterator[Metric]:
        """Yield the gauges without values, as a registry asks for."""
        for gauge in GAUGES:
            yield _family(gauge)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges that somebody watches, with their values; NaN stands for none."""
        for gauge, readings in self.readings.items():
            family = _family(gauge)
            for labels, read in readings.items():
                if not isnan(value := read()):
                    family.add_metric(labels, value)
            yield family


def _family(gauge: Gauge) -> GaugeMetricFamily:
    labels, meaning = GAUGES[gauge]
    return GaugeMetricFamily(f"{PREFIX}_{gauge.value}", meaning, labels=labels)


class PrometheusMetrics(Metrics):
    """Counts for Prometheus, and reports the memory and processor time of the process.

    *prices* are the prices in force; an answer counts at the prices of its moment.
    """

    def __init__(self, prices: Live[Prices]) -> None:
        self._prices = prices
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._gauges = _Gauges()
        registry.register(self._gauges)
        Info(
            f"{PREFIX}_build", "Versions of the program and of what it runs on", registry=registry
        ).info(
            {
                "version": __version__,
                "python": platform.python_version(),
                "discord_py": version("discord.py"),
            }
        )

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", meaning, labels, registry=registry)

        def seconds(name: str, meaning: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(
                f"{PREFIX}_{name}_seconds", meaning, labels, registry=registry, buckets=bounds
            )

        self._questions = counter("questions", "Questions that ended", "origin", "outcome")
        self._first_words = seconds(
            "first_words", "Time from taking up a question to its first words", WAIT_BOUNDS
        )
        self._answers = seconds(
            "answer", "Time from taking up a question to its end", ANSWER_BOUNDS
        )
        self._refused = counter("refused", "Questions refused before the model is asked", "reason")
        self._requests = counter("model_requests", "Requests to the chat API", "model", "outcome")
        self._first_tokens = seconds(
            "model_first_token",
            "Time from a request to the first word of its answer",
            WAIT_BOUNDS,
            "model",
        )
        self._tokens = counter("model_tokens", "Tokens as /usage counts them", "model", "kind")
        self._spent = counter("spent", "Cost in the currency of TOKEN_PRICES", "model")
        self._redacted = counter("redacted", "Secrets removed from texts", "kind")
        self._moderated = counter("moderated", "Verdicts on words and images", "outcome")
        self._discord = counter(
            "discord_requests", "Requests to Discord's REST API", "route", "status"
        )
        self._limited = counter(
            "discord_rate_limited", "Requests that Discord refused for their number", "scope"
        )
        self._identifies = counter("identifies", "IDENTIFYs sent")
        self._database = seconds(
            "database", "Time of a unit of work with its wait", DATABASE_BOUNDS, "kind"
        )
        self._database_failures = counter("database_failures", "Units of work that failed")
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        for origin in ORIGINS:
            for outcome in OUTCOMES:
                self._questions.labels(origin, outcome)
        for reason in REFUSALS:
            self._refused.labels(reason)
        for verdict in VERDICTS:
            self._moderated.labels(verdict)
        for scope in (*LIMIT_SCOPES, CLOUDFLARE):
            self._limited.labels(scope)
        for kind in DATABASE_KINDS:
            self._database.labels(kind)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in a format that *accept* allows, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def watch(self, gauge: Gauge, read: Callable[[], float], **labels: str) -> None:
        """Read the value of *gauge* with *read* from now on, in place of an earlier function."""
        values = tuple(labels[name] for name in GAUGES[gauge][0])
        self._gauges.readings.setdefault(gauge, {})[values] = read

    def question_ended(
        self, *, origin: str, outcome: str, first_words: float | None, whole: float
    ) -> None:
        """Count an answered question."""
        self._questions.labels(origin, outcome).inc()
        self._answers.observe(whole)
        if first_words is not None:
            self._first_words.observe(first_words)

    def refused(self, reason: str) -> None:
        """Count a question that was refused before the model was asked."""
        self._refused.labels(reason).inc()

    def model_requested(self, model: str, outcome: str) -> None:
        """Count a request to the chat API."""
        self._requests.labels(model, outcome).inc()

    def first_token(self, model: str, seconds: float) -> None:
        """Measure the time from a request to the first word of its answer."""
        self._first_tokens.labels(model).observe(seconds)

    def tokens_used(self, model: str, prompt: int, completion: int) -> None:
        """Count the tokens of an answer, and what they cost; one without any has no model."""
        if not prompt + completion:
            return
        self._tokens.labels(model, "prompt").inc(prompt)
        self._tokens.labels(model, "completion").inc(completion)
        cost = self._prices.value.cost(model, prompt, completion)
        if cost is not None:
            self._spent.labels(model).inc(float(cost))

    def redacted(self, kind: str) -> None:
        """Count a secret that was removed from a text."""
        self._redacted.labels(kind).inc()

    def moderated(self, outcome: str) -> None:
        """Count a verdict on words or an image: "passed", "flagged" or the class of an error."""
        self._moderated.labels(outcome).inc()

    def discord_answered(
        self, method: str, path: str, status: int, headers: Mapping[str, str]
    ) -> None:
        """Count a response of Discord's REST API, and the rate limit that it met, if any."""
        if status == HTTPStatus.SWITCHING_PROTOCOLS:  # the gateway
            return
        self._discord.labels(
            route_of(method, path), FAILED if status == NO_STATUS else str(status)
        ).inc()
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            scope = headers.get("X-RateLimit-Scope", "")
            self._limited.labels(scope if scope in LIMIT_SCOPES else CLOUDFLARE).inc()

    def identified(self) -> None:
        """Count an IDENTIFY."""
        self._identifies.inc()

    def database_used(self, kind: str, seconds: float, *, failed: bool) -> None:
        """Measure a unit of work of the database."""
        self._database.labels(kind).observe(seconds)
        if failed:
            self._database_failures.inc()
