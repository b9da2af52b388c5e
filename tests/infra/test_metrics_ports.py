"""Processes of one machine that answer Prometheus don't fight over a port."""

from pathlib import Path

import pytest

from infra.stack.directory import DataDirectory
from infra.stack.program import Program
from infra.stack.stack import Options, assemble

PORT = "ASSISTANTD_METRICS_PORT"


def ports(root: Path) -> dict[str, str | None]:
    options = Options(host="127.0.0.1", port=8000, workers=2, flower=True, log_level=None)
    parts = assemble(DataDirectory(root), options).parts
    return {part.name: part.environment.get(PORT) for part in parts if isinstance(part, Program)}


def test_each_process_has_the_next_port(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PORT, "9540")
    told = ports(state)
    assert (told["api"], told["worker-1"], told["worker-2"]) == ("9540", "9541", "9542")
    assert told.get("embedder") in (None, "9543")


def test_by_default_nobody_listens(state: Path) -> None:
    assert set(ports(state).values()) == {None}
