"""A real Prometheus scrapes the real program, and answers every query of the dashboard."""

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from docs.dashboard import dashboard
from tests.e2e.conftest import GLANCE_SECONDS, PATIENCE_SECONDS, ROOT, Stage
from tests.e2e.test_health import Port, free_port, watched

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What $job, $instance and $__rate_interval stand for in Grafana.
VARIABLES: Final = {"$job": ".+", "$instance": ".+", "$__rate_interval": "1m"}
# Series that exist only if something happens that does not happen here.
EMPTY: Final = ("chatbot_redacted_total",)
PRICES: Final = '{"stand-in": [1, 2]}'
BUDGETS: Final = '{"bot": {"day": 5}}'
QUERIES: Final = [
    (panel["title"], target["expr"])
    for panel in dashboard()["panels"]
    for target in panel.get("targets", ())
]


class Family(NamedTuple):
    """A metric as the bot tells it: the labels of its series."""

    name: str
    labels: frozenset[str]


def series_in(text: str) -> Iterator[Family]:
    """Yield each series of an exposition by its name and the names of its labels."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            yield Family(name, frozenset(re.findall(r'(\w+)="', labels)))


def expanded(expression: str) -> str:
    """Return an expression of the dashboard as Grafana sends it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


async def test_the_dashboard_names_only_what_the_bot_tells(own_stage: Stage, unique: str) -> None:
    """Each metric exists, and has the labels by which the dashboard adds up and selects."""
    async with watched(own_stage, TOKEN_PRICES=PRICES, BUDGETS=BUDGETS) as (_, port):
        await own_stage.asked(f"Hello {unique}")
        told = (await port.get("/metrics")).text
    labels = dict[str, frozenset[str]]()
    for one in series_in(told):
        labels[one.name] = labels.get(one.name, frozenset()) | one.labels
    declared = {name.removeprefix("# TYPE ").split()[0] for name in told.splitlines()}
    for title, expression in QUERIES:
        names = set(re.findall(r"\b(?:chatbot|process)_\w+", expression))
        used = {
            label.strip()
            for group in re.findall(r"by \(([^)]*)\)", expression)
            for label in group.split(",")
        }
        used |= set(re.findall(r'(\w+)=~?"', expression)) - {"job", "instance"}
        assert names, title
        for name in names - {*EMPTY}:
            assert name in labels, title
            assert used <= labels[name], title
        for name in names & {*EMPTY}:
            assert name.removesuffix("_total") in {one.removesuffix("_total") for one in declared}


class Prometheus:
    """A running Prometheus."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"{self._address}/api/v1/{path}", params=parameters) as told:
            answer = json.loads(await told.text())
            assert answer["status"] == "success", answer
            return answer["data"]

    async def until_scraped_twice(self) -> None:
        """Return when every rate has two values."""
        query = "count_over_time(chatbot_build_info[5m]) >= 3"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await self.result(query)):  # noqa: ASYNC110  # asks a process
                await asyncio.sleep(GLANCE_SECONDS)

    async def result(self, query: str) -> list[Any]:
        return list((await self.ask("query", query=query))["result"])


@asynccontextmanager
async def prometheus(port: Port) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that scrapes the bot at *port*, with the examples of alerts."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed (Debian: apt install prometheus)")
    number = free_port()
    targets = [{"targets": [f"127.0.0.1:{port.number}"]}]
    config: Mapping[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "docs" / "alerts.yml")],
        "scrape_configs": [{"job_name": "chatbot", "static_configs": targets}],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prometheus.yml"
        file.write_text(json.dumps(config))  # YAML contains JSON.
        process = await asyncio.create_subprocess_exec(
            *(program, f"--config.file={file}", f"--storage.tsdb.path={folder}/data"),
            f"--web.listen-address=127.0.0.1:{number}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as session:
                await _until_open(number)
                yield Prometheus(f"http://127.0.0.1:{number}", session)
        finally:
            process.terminate()
            await process.wait()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(GLANCE_SECONDS)
            else:
                writer.close()
                return


async def test_prometheus_answers_every_query_of_the_dashboard(
    own_stage: Stage, unique: str
) -> None:
    async with watched(own_stage, TOKEN_PRICES=PRICES, BUDGETS=BUDGETS) as (_, port):
        await port.until_ready()
        async with prometheus(port) as asked:
            for number in range(3):
                await own_stage.asked(f"Hello {unique} {number}")
            await asked.until_scraped_twice()
            for title, expression in QUERIES:
                result = await asked.result(expanded(expression))
                assert result or any(name in expression for name in EMPTY), title
            [target] = (await asked.ask("targets"))["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            rules = [
                rule for group in (await asked.ask("rules"))["groups"] for rule in group["rules"]
            ]
            assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
            assert not (await asked.ask("alerts"))["alerts"]
