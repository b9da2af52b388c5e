"""Promises, code and tests speak of the same set: what is promised is kept somewhere, and tried somewhere."""

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISES = ROOT / "shared" / "runs" / "__init__.py"
TAG = re.compile(r"\[(RUN-\d+)\]")


def test_the_code_cites_every_promise_and_no_other() -> None:
    files = {path for package in ("shared", "api", "worker") for path in (ROOT / package).rglob("*.py")}
    assert _cited(files - {PROMISES}) == _cited([PROMISES]), "a promise without a place that keeps it, or the reverse"


def test_the_tests_cite_every_promise_and_no_other() -> None:
    files = set((ROOT / "tests").rglob("*.py")) - {Path(__file__)}
    assert _cited(files) == _cited([PROMISES]), "a promise without a test that tries it, or the reverse"


def _cited(files: Iterable[Path]) -> set[str]:
    return {tag for file in files for tag in TAG.findall(file.read_text())}
