"""Write docs/grafana.json: the dashboard of the metrics, laid out in rows of panels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

DASHBOARD: Final = Path(__file__).with_name("grafana.json")
COLUMNS: Final = 24  # Grafana: the width of the grid
STAT_HEIGHT: Final = 4
GRAPH_HEIGHT: Final = 8
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
# What each query selects by, and the time of its rates.
BY: Final = 'job=~"$job",instance=~"$instance"'
RATE: Final = "$__rate_interval"
GREEN, YELLOW, RED = "green", "yellow", "red"


class Query(NamedTuple):
    """A line of a panel; *legend* may name labels, as in {{model}}."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """A number with colors from *steps*, or a graph if there are none."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 8
    steps: Sequence[tuple[str, float]] = ()
    words: Mapping[str, str] = {}
    stacked: bool = False


def selected(metric: str, more: str = "") -> str:
    """Return the series of *metric*, of the bots that are chosen."""
    return f"{metric}{{{BY}{',' if more else ''}{more}}}"


def rate(metric: str, by: str, more: str = "", over: str = RATE) -> str:
    """Return the rate of a counter, added up by a label."""
    return f"sum by ({by}) (rate({selected(metric, more)}[{over}]))"


def increase(metric: str, over: str, more: str = "") -> str:
    """Return by how much a counter grew."""
    return f"sum(increase({selected(metric, more)}[{over}]))"


def quantiles(metric: str, by: str = "", legend: str = "") -> Iterator[Query]:
    """Yield the median and the slowest twentieth of a histogram."""
    groups = f"le, {by}" if by else "le"
    for share, name in (("0.5", "half"), ("0.95", "95 %")):
        buckets = f"sum by ({groups}) (rate({selected(f'{metric}_bucket')}[{RATE}]))"
        yield Query(f"histogram_quantile({share}, {buckets})", f"{legend} {name}".strip())


FAILED: Final = 'outcome="failed"'
NUMBERS: Final = (
    Panel(
        "Discord",
        "Whether all shards hear Discord. If not, the process runs, but no message reaches it.",
        [Query(f"min({selected('chatbot_gateway_connected')})")],
        width=4,
        steps=((RED, 0), (GREEN, 1)),
        words={"0": "not connected", "1": "connected"},
    ),
    Panel(
        "Questions in 24 hours",
        "Questions that ended, whatever the outcome.",
        [Query(increase("chatbot_questions_total", "24h"))],
        width=4,
        steps=((GREEN, 0),),
    ),
    Panel(
        "Failed in an hour",
        "The share of the questions that ended with an error.",
        [
            Query(
                f"{increase('chatbot_questions_total', '1h', FAILED)} / "
                f"clamp_min({increase('chatbot_questions_total', '1h')}, 1)"
            )
        ],
        unit="percentunit",
        width=4,
        steps=((GREEN, 0), (YELLOW, 0.02), (RED, 0.1)),
    ),
    Panel(
        "First words, 95 %",
        "How long people wait until they see words: in 95 of 100 questions of an hour, at most so.",
        [
            Query(
                "histogram_quantile(0.95, sum by (le) (rate("
                f"{selected('chatbot_first_words_seconds_bucket')}[1h])))"
            )
        ],
        unit="s",
        width=4,
        steps=((GREEN, 0), (YELLOW, 5), (RED, 20)),
    ),
    Panel(
        "Spent in 24 hours",
        "In the currency of TOKEN_PRICES; empty without it.",
        [Query(increase("chatbot_spent_total", "24h"))],
        width=4,
        steps=((GREEN, 0),),
    ),
    Panel(
        "Budget used",
        "The part of the bot's fullest budget; empty without BUDGETS.",
        [Query(f"max({selected('chatbot_budget_used_ratio')})")],
        unit="percentunit",
        width=4,
        steps=((GREEN, 0), (YELLOW, 0.8), (RED, 1)),
    ),
)
ROWS: Final[Mapping[str, Sequence[Panel]]] = {
    "Answers": (
        Panel(
            "Questions",
            "Answered, cut off at the limit on length, refused, failed, or cancelled by somebody.",
            [Query(f"60 * {rate('chatbot_questions_total', 'outcome')}", "{{outcome}}")],
            unit="cpm",
            stacked=True,
        ),
        Panel(
            "First words",
            "From taking up a question to its first words, with the wait for earlier questions.",
            list(quantiles("chatbot_first_words_seconds")),
            unit="s",
        ),
        Panel(
            "Whole answers",
            "From taking up a question to its end.",
            list(quantiles("chatbot_answer_seconds")),
            unit="s",
        ),
        Panel(
            "In progress",
            "Open: also those that wait for an earlier question in their place.",
            [
                Query(f"sum({selected('chatbot_open_questions')})", "open"),
                Query(f"sum({selected('chatbot_streaming')})", "streaming"),
            ],
        ),
        Panel(
            "Refused",
            "Questions that never reached the model, by reason.",
            [Query(f"60 * {rate('chatbot_refused_total', 'reason')}", "{{reason}}")],
            unit="cpm",
            stacked=True,
        ),
        Panel(
            "Moderation and redaction",
            "Questions by the verdict of the moderation, and secrets that were removed.",
            [
                Query(f"60 * {rate('chatbot_moderated_total', 'outcome')}", "{{outcome}}"),
                Query(f"60 * {rate('chatbot_redacted_total', 'kind')}", "removed: {{kind}}"),
            ],
            unit="cpm",
        ),
    ),
    "Model": (
        Panel(
            "Requests",
            "By outcome: ok, the error as the log names it, or abandoned because somebody stopped.",
            [Query(f"60 * {rate('chatbot_model_requests_total', 'outcome')}", "{{outcome}}")],
            unit="cpm",
            width=6,
            stacked=True,
        ),
        Panel(
            "First token",
            "From a request to the first word of its answer.",
            list(quantiles("chatbot_model_first_token_seconds", "model", "{{model}}")),
            unit="s",
            width=6,
        ),
        Panel(
            "Tokens",
            "As /usage counts them.",
            [
                Query(
                    f"60 * {rate('chatbot_model_tokens_total', 'model, kind')}",
                    "{{model}} {{kind}}",
                )
            ],
            unit="cpm",
            width=6,
        ),
        Panel(
            "Spent in an hour",
            "In the currency of TOKEN_PRICES.",
            [
                Query(
                    f"sum by (model) (increase({selected('chatbot_spent_total')}[1h]))",
                    "{{model}}",
                ),
            ],
            width=6,
        ),
    ),
    "Discord": (
        Panel(
            "Connected shards",
            "Those that hear Discord, of those that this process holds.",
            [
                Query(f"sum({selected('chatbot_gateway_connected')})", "connected"),
                Query(f"sum({selected('chatbot_shards_held')})", "held"),
            ],
            width=6,
        ),
        Panel(
            "Requests",
            "To the REST API, by the status of the response. Discord allows 50 a second.",
            [Query(rate("chatbot_discord_requests_total", "status"), "{{status}}")],
            unit="reqps",
            width=6,
            stacked=True,
        ),
        Panel(
            "Busiest routes",
            "The ten routes with most requests.",
            [
                Query(
                    f"topk(10, {rate('chatbot_discord_requests_total', 'route')})",
                    "{{route}}",
                )
            ],
            unit="reqps",
            width=6,
        ),
        Panel(
            "Limits",
            "Requests that a rate limit of Discord refused, and calls that wait to avoid that.",
            [
                Query(
                    f"60 * {rate('chatbot_discord_rate_limited_total', 'scope')}",
                    "refused a minute: {{scope}}",
                ),
                Query(f"sum({selected('chatbot_discord_waiting')})", "waiting"),
            ],
            width=6,
        ),
        Panel(
            "IDENTIFYs in 24 hours",
            "Each start and each lost session takes one. Discord allows 1000 a day.",
            # The counter of a new process has its first IDENTIFY before it is read.
            [
                Query(
                    f"{increase('chatbot_identifies_total', '24h')} + "
                    f"sum(changes({selected('process_start_time_seconds')}[24h]))",
                    "sent",
                )
            ],
            width=12,
        ),
        Panel(
            "IDENTIFYs left",
            "Of the bot's own budget. Below 100, the bot waits before it sends one.",
            [Query(f"min({selected('chatbot_identifies_left')})", "left")],
            width=12,
        ),
    ),
    "Database and process": (
        Panel(
            "Units of work, 95 %",
            "The time of a read, a write and an erasure, with its wait for those before.",
            [
                Query(
                    "histogram_quantile(0.95, sum by (le, kind) (rate("
                    f"{selected('chatbot_database_seconds_bucket')}[{RATE}])))",
                    "{{kind}}",
                )
            ],
            unit="s",
        ),
        Panel(
            "Failures",
            "Units of work that failed. The bot answers anyway, but remembers nothing of it.",
            [
                Query(
                    f"60 * sum(rate({selected('chatbot_database_failures_total')}[{RATE}]))",
                    "failed",
                ),
            ],
            unit="cpm",
        ),
        Panel(
            "Forgotten text in the file",
            "For how long text that people deleted has been waiting to be erased.",
            [Query(f"max({selected('chatbot_erasure_pending_seconds')})", "waiting")],
            unit="s",
        ),
        Panel(
            "Event loop",
            "The longest delay in a minute. While it is high, everything in the bot is late.",
            [Query(f"max({selected('chatbot_loop_lag_seconds')})", "lag")],
            unit="s",
        ),
        Panel(
            "Memory",
            "Of each process.",
            [Query(selected("process_resident_memory_bytes"), "{{instance}}")],
            unit="bytes",
        ),
        Panel(
            "Processor",
            "The share of one core.",
            [
                Query(
                    f"rate({selected('process_cpu_seconds_total')}[{RATE}])",
                    "{{instance}}",
                )
            ],
            unit="percentunit",
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    ids = count(1)
    panels, y = list(_row(NUMBERS, 0, ids)), STAT_HEIGHT
    for title, members in ROWS.items():
        panels.append(
            {
                "id": next(ids),
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        placed = list(_row(members, y + 1, ids))
        panels += placed
        y = placed[-1]["gridPos"]["y"] + placed[-1]["gridPos"]["h"]
    return {
        "uid": "discord-chat-bot",
        "title": "Discord chat bot",
        "description": "The metrics of /metrics: docs/operations.md explains them.",
        "tags": ["discord", "chatbot"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": [_restarts()]},
        "panels": panels,
    }


def _row(members: Sequence[Panel], y: int, ids: Iterator[int]) -> Iterator[dict[str, Any]]:
    """Yield *members* from left to right; a line that is full is followed by another."""
    x = 0
    for member in members:
        height = STAT_HEIGHT if member.steps else GRAPH_HEIGHT
        if x + member.width > COLUMNS:
            x, y = 0, y + height
        place = {"h": height, "w": member.width, "x": x, "y": y}
        yield {"id": next(ids), "gridPos": place, **_drawn(member)}
        x += member.width


def _drawn(panel: Panel) -> dict[str, Any]:
    return {
        "type": "stat" if panel.steps else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
                "range": not panel.steps,
                "instant": bool(panel.steps),
            }
            for number, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _number_options() if panel.steps else _graph_options(),
    }


def _field(panel: Panel) -> dict[str, Any]:
    if not panel.steps:
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        custom = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": stacking,
        }
        return {"unit": panel.unit, "min": 0, "custom": custom}
    steps = [
        {"color": color, "value": value if number else None}
        for number, (color, value) in enumerate(panel.steps)
    ]
    shown = {word: {"text": text, "index": n} for n, (word, text) in enumerate(panel.words.items())}
    return {
        "unit": panel.unit,
        "noValue": "–",
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [{"type": "value", "options": shown}] if shown else [],
    }


def _number_options() -> dict[str, Any]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value",
    }


def _graph_options() -> dict[str, Any]:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource"}
    chosen = [
        _choice("job", "label_values(chatbot_build_info, job)"),
        _choice("instance", 'label_values(chatbot_build_info{job=~"$job"}, instance)'),
    ]
    return [{**source, "query": "prometheus", "refresh": 1, "current": {}}, *chosen]


def _choice(label: str, query: str) -> dict[str, Any]:
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _restarts() -> dict[str, Any]:
    return {
        "name": "Restarts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": f"changes({selected('process_start_time_seconds')}[2m]) > 0",
        "titleFormat": "Restarted",
        "step": "60s",
    }


if __name__ == "__main__":
    DASHBOARD.write_text(json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n")
