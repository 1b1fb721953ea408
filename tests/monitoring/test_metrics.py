"""What is counted, in the words of Prometheus."""

import re
import shutil
import subprocess
from decimal import Decimal
from math import nan
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.access import ALLOWING, Rule
from bot.live import Live
from bot.llm.prices import NO_PRICES, Prices
from bot.metrics import NO_METRICS, NO_STATUS, Gauge, Metrics
from bot.monitoring.metrics import GAUGES, PrometheusMetrics

ROOT = Path(__file__).parents[2]
PRICES = Prices({"some-model": (Decimal(2), Decimal(10))})


def counting(prices: Prices = PRICES) -> PrometheusMetrics:
    return PrometheusMetrics(Live(prices))


def text_of(metrics: PrometheusMetrics) -> str:
    body, content_type = metrics.exposition("")
    assert content_type.startswith("text/plain")
    return body.decode()


def ours(metrics: PrometheusMetrics) -> list[str]:
    """Return the lines of what the bot counts, without those of the process."""
    return [line for line in text_of(metrics).splitlines() if line.startswith("chatbot_")]


def everything(metrics: Metrics) -> None:
    """Call each method once."""
    for gauge in Gauge:
        metrics.watch(gauge, lambda: 0.5, **dict.fromkeys(GAUGES[gauge][0], "one"))
    metrics.question_ended(origin="message", outcome="answered", first_words=0.4, whole=2.0)
    metrics.question_ended(origin="command", outcome="failed", first_words=None, whole=0.1)
    metrics.refused("blocked user")
    metrics.model_requested("some-model", "ok")
    metrics.first_token("some-model", 0.3)
    metrics.tokens_used("some-model", 70, 5)
    metrics.redacted("GitHub token")
    metrics.moderated("flagged")
    metrics.discord_answered("GET", "/api/v10/gateway/bot", 200, {})
    metrics.identified()
    metrics.database_used("write", 0.002, failed=True)


def test_everything_can_be_counted_and_nothing_is_if_nobody_asks() -> None:
    metrics = counting()
    before = ours(metrics)
    everything(NO_METRICS)
    assert ours(metrics) == before
    everything(metrics)
    assert 'chatbot_model_tokens_total{kind="prompt",model="some-model"} 70.0' in ours(metrics)


def test_every_metric_is_explained_with_its_labels() -> None:
    metrics = counting()
    everything(metrics)
    explained = (ROOT / "docs" / "metrics.md").read_text()
    for family in text_string_to_metric_families(text_of(metrics)):
        if family.name.startswith("chatbot_") and not family.name.endswith("build_info"):
            name = family.name.removeprefix("chatbot_") + "_total" * (family.type == "counter")
            labels = sorted({*family.samples[0].labels} - {"le"})
            [(found, _)] = re.findall(rf"`{name}(?:{{([^}}]*)}})?(`)", explained)
            assert sorted(filter(None, found.split(","))) == labels, name


def test_the_names_and_types_are_as_prometheus_asks() -> None:
    """Its own linter says so."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    metrics = counting()
    everything(metrics)
    run = subprocess.run(
        [promtool, "check", "metrics"],
        input=text_of(metrics),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_gauge_is_read_when_somebody_asks() -> None:
    metrics = counting()
    waiting = [1]
    metrics.watch(Gauge.DISCORD_WAITING, lambda: len(waiting))
    assert "chatbot_discord_waiting 1.0" in ours(metrics)
    waiting.append(2)
    assert "chatbot_discord_waiting 2.0" in ours(metrics)


def test_a_gauge_without_a_value_is_left_out() -> None:
    metrics = counting()
    metrics.watch(Gauge.BUDGET_USED, lambda: nan, scope="bot", period="day")
    metrics.watch(Gauge.BUDGET_USED, lambda: 0.5, scope="bot", period="month")
    assert [line for line in ours(metrics) if "budget_used" in line] == [
        'chatbot_budget_used_ratio{period="month",scope="bot"} 0.5'
    ]


def test_a_client_that_replaces_another_replaces_its_gauges() -> None:
    metrics = counting()
    metrics.watch(Gauge.GATEWAY_CONNECTED, lambda: 1.0, shard="0")
    metrics.watch(Gauge.GATEWAY_CONNECTED, lambda: 0.0, shard="0")
    metrics.watch(Gauge.GATEWAY_CONNECTED, lambda: 1.0, shard="1")
    assert [line for line in ours(metrics) if "gateway" in line] == [
        'chatbot_gateway_connected{shard="0"} 0.0',
        'chatbot_gateway_connected{shard="1"} 1.0',
    ]


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        ({"X-RateLimit-Scope": "shared"}, "shared"),
        ({"X-RateLimit-Scope": "global"}, "global"),
        ({}, "cloudflare"),
        ({"X-RateLimit-Scope": "made up"}, "cloudflare"),
    ],
)
def test_a_rate_limit_counts_by_its_scope(headers: dict[str, str], scope: str) -> None:
    metrics = counting()
    metrics.discord_answered("GET", "/api/v10/gateway/bot", 429, headers)
    assert f'chatbot_discord_rate_limited_total{{scope="{scope}"}} 1.0' in ours(metrics)


def test_the_handshake_of_the_gateway_is_no_request_and_a_broken_one_has_no_status() -> None:
    metrics = counting()
    metrics.discord_answered("GET", "/", 101, {})
    metrics.discord_answered("GET", "/api/v10/gateway/bot", NO_STATUS, {})
    route = 'route="GET /gateway/bot",status="failed"'
    assert [line for line in ours(metrics) if "discord_requests" in line] == [
        f"chatbot_discord_requests_total{{{route}}} 1.0"
    ]


def test_what_may_refuse_a_question_begins_at_zero() -> None:
    """Otherwise a rate would miss the first of each."""
    begun = [line for line in ours(counting()) if line.startswith("chatbot_refused_total")]
    reasons = {re.findall(r'"(.*)"', line)[0] for line in begun}
    assert {"rate limit", "queue full", "budget", Rule.BLOCKED_USER.value} <= reasons
    assert not {rule.value for rule in ALLOWING} & reasons
    assert all(line.endswith(" 0.0") for line in begun)


def test_a_question_that_used_no_tokens_has_no_model() -> None:
    """It ended before a model was chosen."""
    metrics = counting()
    before = ours(metrics)
    metrics.tokens_used("", 0, 0)
    assert ours(metrics) == before


def test_tokens_cost_what_their_price_is_at_that_moment() -> None:
    prices = Live(NO_PRICES)
    metrics = PrometheusMetrics(prices)
    metrics.tokens_used("some-model", 1_000_000, 0)
    assert not [line for line in ours(metrics) if "spent" in line]
    prices.value = PRICES
    metrics.tokens_used("some-model", 1_000_000, 100_000)
    metrics.tokens_used("free-model", 1_000_000, 0)
    assert [line for line in ours(metrics) if "spent" in line] == [
        'chatbot_spent_total{model="some-model"} 3.0'
    ]
