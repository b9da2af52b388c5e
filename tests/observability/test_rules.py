"""Alert rules and dashboard speak of metrics that there are, and of all alerts the guide says what to do."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import yaml

import shared.metrics
from infra.grafana import dashboard
from shared.database import Database
from shared.metrics.registry import REGISTRY
from shared.metrics.rows import RowsCollector

ROOT = Path(__file__).parents[2]
ALERTS_FILE = "infra/prometheus/rules/assistantd.yml"
DASHBOARD_FILE = "infra/grafana/provisioning/dashboards/assistantd.json"
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=ROOT / ".cache" / "prometheus" / "usr" / "bin")

NAME = re.compile(r"\b(?:assistantd[_:]|process_)[a-z0-9_:]+")
SELECTOR = re.compile(rf"({NAME.pattern})\{{([^}}]*)\}}")
LABEL = re.compile(r"(\w+)\s*[=!]~?\s*\"")
BY = re.compile(r"\bby \(([^)]*)\)\s*\((?:rate|increase|min_over_time)?\(?(" + NAME.pattern + ")")

OF_PROMETHEUS = {"namespace", "instance", "job", "le"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((ROOT / ALERTS_FILE).read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Every name that any process may tell, with the labels that its code gives it."""
    for module in iter_modules(shared.metrics.__path__):
        import_module(f"shared.metrics.{module.name}")
    loop = asyncio.new_event_loop()
    rows = RowsCollector(Database("postgresql://nowhere"), loop)
    loop.close()
    told: dict[str, set[str]] = {}
    for family in [*REGISTRY.collect(), *rows.describe()]:
        owner = REGISTRY._names_to_collectors.get(family.name)  # pyright: ignore[reportPrivateUsage] # labels of metrics without samples
        labels = {label for sample in family.samples for label in sample.labels} | {*getattr(owner, "_labelnames", ())}
        for suffix in SUFFIXES[family.type]:
            told[family.name + suffix] = labels
    return told | {rule["record"]: {"namespace"} for rule in RULES if "record" in rule}


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (query for panels in dashboard.ROWS.values() for panel in panels for query in panel.queries.values())


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_what_is_asked_for_is_told(exported: dict[str, set[str]], expression: str) -> None:
    names = set(NAME.findall(expression))
    assert names <= set(exported), "no process tells this"
    asked = [(name, LABEL.findall(labels)) for name, labels in SELECTOR.findall(expression)]
    asked += [(name, [label.strip() for label in labels.split(",")]) for labels, name in BY.findall(expression)]
    for name, labels in asked:
        assert set(labels) - OF_PROMETHEUS <= exported[name], f"{name} has no such label"


def test_whatever_is_told_is_shown(exported: dict[str, set[str]]) -> None:
    """A metric that nobody would look at isn't worth counting."""
    shown = {name for expression in expressions() for name in NAME.findall(expression)}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in exported if name.startswith("assistantd_")}
    assert families <= {re.sub("_(bucket|sum|count)$", "", name) for name in shown}


def test_the_dashboards_file_is_what_its_code_says() -> None:
    """Else: uv run --no-sync python -m infra.grafana.dashboard > (the file)."""
    assert (ROOT / DASHBOARD_FILE).read_text() == dashboard.text()


def test_panels_dont_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels: list[dict[str, Any]] = json.loads(dashboard.text())["panels"]
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_guide_says_what_to_do_about_each_alert() -> None:
    guide = (ROOT / "infra" / "README.md").read_text().split("## Alerts")[1].split("\n## ")[0]
    assert set(re.findall(r"`(Assistantd\w+)`", guide)) == set(ALERTS)
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on PATH (apt-get install prometheus)")
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", ALERTS_FILE), ("test", "rules", "tests/observability/alerts_test.yml")],
)
def test_prometheus_understands_the_rules(arguments: tuple[str, ...]) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on PATH (apt-get install prometheus)")
def test_prometheus_understands_the_dashboards_queries(tmp_path: Path) -> None:
    """As rules, for promtool has no other way to parse."""
    assert PROMTOOL is not None
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$namespace", ".*")}
        for number, query in enumerate(sorted(set(expressions())))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
