"""That the benchmark runs and says something about every figure; what it says is for people to read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.measurements import MEASUREMENTS


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_every_figure_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--short", "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = {figure["key"]: figure for figure in json.loads(file.read_bytes())["figures"]}
    assert list(figures) == [figure.key for measurement in MEASUREMENTS for figure in measurement.figures]
    assert all(figure["measured"] is not None for figure in figures.values())
    assert all(f"[{key}]" in done.stdout for key in figures)
    assert "again with: python -m tests.benchmarks --short" in done.stdout
