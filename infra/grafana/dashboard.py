"""Grafana's dashboard as code: `python -m infra.grafana.dashboard` prints `provisioning/dashboards/assistantd.json`.

Only what is said of a panel stands here: a title, a unit, its queries. Gauges that come from rows are taken by `max`,
what each process counts by `sum`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UID = "assistantd"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDE, COLUMNS, HIGH = 24, 3, 7  # Grafana's grid, and ours within it
EVERY = "[$__rate_interval]"
HERE = '{namespace=~"$namespace"}'


@dataclass(frozen=True)
class Panel:
    """A diagram over time: queries by their legends, in Prometheus' language."""

    title: str
    unit: str
    queries: Mapping[str, str]
    told: str = ""


def _rate(metric: str, *by: str, **only: str) -> str:
    """Of a counter, a second."""
    return f"sum{_by(by)} (rate({metric}{_where(only)}{EVERY}))"


def _gauge(function: str, metric: str, *by: str, **only: str) -> str:
    return f"{function}{_by(by)} ({metric}{_where(only)})"


def _quantiles(metric: str, *by: str, **only: str) -> dict[str, str]:
    """Median, p95 and p99 of a histogram."""
    legend = "".join(f" {{{{{label}}}}}" for label in by)
    inner = f"sum{_by((*by, 'le'))} (rate({metric}_bucket{_where(only)}{EVERY}))"
    return {f"{name}{legend}": f"histogram_quantile({q}, {inner})" for name, q in QUANTILES.items()}


QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _where(only: Mapping[str, str]) -> str:
    return "{" + ", ".join(['namespace=~"$namespace"', *(f'{name}=~"{value}"' for name, value in only.items())]) + "}"


ROWS: Mapping[str, Sequence[Panel]] = {
    "Queue": [
        Panel("Runs under way", "short", {"{{status}}": _gauge("max", "assistantd_runs_active", "status")}),
        Panel(
            "Oldest queued run",
            "s",
            {
                "run": _gauge("max", "assistantd_runs_oldest_queued_seconds"),
                "file": _gauge("max", "assistantd_files_oldest_waiting_seconds"),
            },
        ),
        Panel("Wait for a worker", "s", _quantiles("assistantd_run_wait_seconds")),
        Panel(
            "Slots of workers",
            "short",
            {
                "held": _gauge("sum", "assistantd_worker_runs_held"),
                "there are": _gauge("sum", "assistantd_worker_runs_capacity"),
            },
        ),
        Panel(
            "Dead or overdue, not yet swept",
            "short",
            {
                "lease over": _gauge("max", "assistantd_runs_lease_over"),
                "overdue": _gauge("max", "assistantd_runs_overdue"),
            },
        ),
        Panel(
            "Sweeper",
            "ops",
            {
                "{{what}}": _rate("assistantd_swept_total", "what"),
                "failed: {{duty}}": _rate("assistantd_sweeps_failed_total", "duty"),
            },
        ),
        Panel(
            "Removed after deletions",
            "ops",
            {
                "{{what}}": _rate("assistantd_removed_total", "what"),
                "kept no longer: {{what}}": _rate("assistantd_retired_total", "what"),
            },
        ),
    ],
    "Runs": [
        Panel("Created", "ops", {"runs": _rate("assistantd_runs_created_total")}),
        Panel("Settled", "ops", {"{{status}}, {{reason}}": _rate("assistantd_runs_settled_total", "status", "reason")}),
        Panel("Duration", "s", _quantiles("assistantd_run_duration_seconds", "status")),
        Panel(
            "Failed or expired",
            "percentunit",
            {"an hour": f"max (assistantd:runs_failed:ratio_rate1h{HERE})", "budget": "0.01"},
            "The error budget is 1 % of the runs that end by themselves.",
        ),
        Panel("Leases lost", "ops", {"{{instance}}": _rate("assistantd_leases_lost_total", "instance")}),
        Panel(
            "Calls of tools",
            "ops",
            {"{{tool}}, {{outcome}}": _rate("assistantd_tool_calls_total", "tool", "outcome")},
        ),
    ],
    "Model": [
        Panel("First token", "s", _quantiles("assistantd_first_token_seconds", "model")),
        Panel("Turn", "s", _quantiles("assistantd_turn_duration_seconds", "model")),
        Panel("Tokens", "ops", {"{{model}}, {{kind}}": _rate("assistantd_tokens_total", "model", "kind")}),
        Panel(
            "Retries and failures",
            "ops",
            {
                "again: {{code}}": _rate("assistantd_model_retries_total", "code"),
                "failed: {{code}}": _rate("assistantd_model_failures_total", "code"),
            },
        ),
        Panel("Tools of ours", "s", _quantiles("assistantd_tool_call_duration_seconds", "tool")),
    ],
    "Files and search": [
        Panel(
            "Files",
            "short",
            {
                "waiting": _gauge("max", "assistantd_files_waiting"),
                "being read": _gauge("max", "assistantd_files_reading"),
                "held": _gauge("sum", "assistantd_worker_files_held"),
            },
        ),
        Panel(
            "Files settled",
            "ops",
            {"{{status}}, {{reason}}": _rate("assistantd_files_settled_total", "status", "reason")},
        ),
        Panel("Reading a file", "s", _quantiles("assistantd_file_duration_seconds")),
        Panel("Search", "s", _quantiles("assistantd_search_duration_seconds", "by")),
        Panel(
            "Searches without a model that there should be",
            "ops",
            {
                "by words alone": _rate("assistantd_searches_by_words_alone_total"),
                "not reranked": _rate("assistantd_searches_not_reranked_total"),
            },
        ),
        Panel(
            "Embedder",
            "ops",
            {
                "texts": _rate("assistantd_embedder_texts_total"),
                "requests": _rate("assistantd_embedder_request_duration_seconds_count"),
            },
        ),
    ],
    "API": [
        Panel("Requests", "reqps", {"{{code}}": _rate("assistantd_http_requests_total", "code")}),
        Panel("Answers begin", "s", _quantiles("assistantd_http_request_duration_seconds")),
        Panel("Open streams", "short", {"{{instance}}": _gauge("sum", "assistantd_stream_clients", "instance")}),
        Panel(
            "Limits of projects",
            "ops",
            {
                "refused: {{kind}}": _rate("assistantd_limits_refused_total", "kind"),
                "not counted": _rate("assistantd_limits_uncounted_total"),
            },
        ),
        Panel("Turns that wait for tokens", "short", {"turns": _gauge("sum", "assistantd_limits_turns_waiting")}),
    ],
    "Processes": [
        Panel(
            "Event loop, late, p99",
            "s",
            {"{{instance}}": _quantiles("assistantd_event_loop_lag_seconds", "instance")["p99 {{instance}}"]},
        ),
        Panel(
            "Connections to Postgres",
            "short",
            {
                "{{instance}} {{pool}}": _gauge("sum", "assistantd_database_connections_in_use", "instance", "pool"),
                "waiting: {{instance}} {{pool}}": _gauge("sum", "assistantd_database_waiting", "instance", "pool"),
                "at most: {{instance}} {{pool}}": _gauge("sum", "assistantd_database_pool_size", "instance", "pool"),
            },
        ),
        Panel("Postgres answers", "short", {"": _gauge("max", "assistantd_database_up")}),
        Panel("Dropped for Redis", "ops", {"commands": _rate("assistantd_redis_commands_dropped_total")}),
        Panel("Processors", "short", {"{{instance}}": _rate("process_cpu_seconds_total", "instance")}),
        Panel("Memory", "bytes", {"{{instance}}": _gauge("sum", "process_resident_memory_bytes", "instance")}),
    ],
    "Code interpreter": [
        Panel(
            "Sessions",
            "short",
            {
                "{{state}}": _gauge("sum", "assistantd_sandbox_sessions", "state"),
                "at most": _gauge("sum", "assistantd_sandbox_capacity"),
            },
        ),
        Panel("Calls", "ops", {"{{status}}": _rate("assistantd_sandbox_calls_total", "status")}),
        Panel(
            "Ends and refusals",
            "ops",
            {
                "ended: {{reason}}": _rate("assistantd_sandbox_sessions_ended_total", "reason"),
                "refused: {{code}}": _rate("assistantd_sandbox_refused_total", "code"),
            },
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """All of it, as Grafana 10 and later import it or provision it from a file."""
    return {
        "uid": UID,
        "title": "assistantd",
        "tags": ["assistantd"],
        "editable": True,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                {
                    "name": "namespace",
                    "type": "query",
                    "label": "Namespace",
                    "datasource": SOURCE,
                    "query": "label_values(assistantd_database_up, namespace)",
                    "includeAll": True,
                    "allValue": ".*",  # also where there is no such label
                    "current": {"text": "All", "value": "$__all"},
                    "refresh": 2,
                },
            ]
        },
        "panels": _panels(),
    }


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0
    for row, members in ROWS.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": WIDE, "h": 1},
            }
        )
        y += 1
        for place, panel in enumerate(members):
            width = WIDE // COLUMNS
            x, down = (place % COLUMNS) * width, place // COLUMNS * HIGH
            position = {"x": x, "y": y + down, "w": width, "h": HIGH}
            panels.append({"id": len(panels) + 1, **_panel(panel), "gridPos": position})
        y += -(-len(members) // COLUMNS) * HIGH
    return panels


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for number, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.told,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
