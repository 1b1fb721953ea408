"""The dashboard of docs/grafana.json, as Grafana lays it out, and the examples of alerts."""

import json
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from docs.dashboard import COLUMNS, DASHBOARD, dashboard

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "docs" / "alerts.yml"
SHOWN: dict[str, Any] = json.loads(DASHBOARD.read_text())
PANELS: list[dict[str, Any]] = SHOWN["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]


def test_the_file_is_what_the_script_writes() -> None:
    """Run python -m docs.dashboard."""
    assert dashboard() == SHOWN


def test_each_panel_has_an_id_and_a_title_of_its_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for row in ("Model", "Discord"):
        assert row in {panel["title"] for panel in PANELS if panel["type"] == "row"}
    assert all(panel["title"] and panel["description"] for panel in GRAPHS)


def test_the_panels_fill_the_grid_without_overlapping() -> None:
    squares = [
        {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        for place in (panel["gridPos"] for panel in PANELS)
    ]
    assert not [one & other for one, other in combinations(squares, 2) if one & other]
    covered = set[tuple[int, int]]().union(*squares)
    height = 1 + max(y for _, y in covered)
    assert covered == {(x, y) for x in range(COLUMNS) for y in range(height)}, "no hole"


def test_every_query_uses_the_data_source_that_is_chosen() -> None:
    [variable] = [one for one in SHOWN["templating"]["list"] if one["type"] == "datasource"]
    for panel in GRAPHS:
        for part in (panel, *panel["targets"]):
            assert part["datasource"]["uid"] == f"${{{variable['name']}}}"
        assert all('job=~"$job"' in target["expr"] for target in panel["targets"])


def promtool(*arguments: str) -> None:
    """Run Prometheus' own tool; it must find nothing wrong."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    run = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_alerts_are_rules_that_prometheus_accepts() -> None:
    promtool("check", "rules", str(ALERTS))


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", str(Path(__file__).with_name("alerts_test.yml")))
