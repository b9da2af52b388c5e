"""Rows in print and in JSON, with what there is to know about the machine."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Row

WIDTH = 76  # of what is said about a figure


def machine() -> dict[str, Any]:
    """Facts without which no figure means much."""
    return {
        "cpu": _after("/proc/cpuinfo", "model name\t: "),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(_after("/proc/meminfo", "MemTotal:").split()[0]) // 1024,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def document(command: str, rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """The JSON document."""
    return {
        "machine": machine(),
        "command": command,
        "seconds": round(seconds),
        "figures": [_json(row) for row in rows],
    }


def table(rows: Sequence[Row]) -> str:
    """The table, with whatever there is beside a figure in a line of its own below it."""
    lines = [f"{'figure':{WIDTH}} {'required':>9} {'measured':>12} {'reached':>8} {'load':>5}"]
    for row in rows:
        figure = row.figure
        value = "-" if row.measured is None else f"{row.measured.value:,.2f} {figure.unit}".rstrip()
        meaning = f"{figure.meaning} [{figure.key}]"
        lines.append(f"{meaning:{WIDTH}} {figure.required:>9} {value:>12} {_verdict(row):>8} {row.load:5.1f}")
        beside = row.problem if row.measured is None else row.measured.beside
        if beside:
            lines.append(f"    {beside}")
    return "\n".join(lines)


def _verdict(row: Row) -> str:
    if row.measured is None:
        return "failed"
    return {True: "yes", False: "NO", None: ""}[row.figure.reached(row.measured.value)]


def _json(row: Row) -> dict[str, Any]:
    figure, measured = row.figure, row.measured
    return {
        "key": figure.key,
        "meaning": figure.meaning,
        "unit": figure.unit,
        "required": figure.required or None,
        "measured": None if measured is None else measured.value,
        "reached": None if measured is None else figure.reached(measured.value),
        "beside": row.problem if measured is None else measured.beside,
        "load": row.load,
    }


def _after(file: str, label: str) -> str:
    """What follows the first `label` in its line; "unknown" where it isn't."""
    for line in Path(file).read_text().splitlines():
        if line.startswith(label):
            return line.removeprefix(label).strip()
    return "unknown"
