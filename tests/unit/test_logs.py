"""Logs never show what was in a variable."""

import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from shared.logs import configure_logging
from shared.settings import Settings
configure_logging(Settings(database_url="postgresql://", redis_url="redis://", log_format={form!r}))
def fail(secret):
    raise ValueError("something")
try:
    fail("sk-very-" + "secret")
except ValueError:
    structlog.get_logger("x").exception("it.failed", run_id="run_1")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_local_variables(form: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(form=form)], capture_output=True, text=True, check=True)

    assert "it.failed" in done.stderr
    assert "run_1" in done.stderr
    assert "ValueError" in done.stderr
    assert "sk-very-secret" not in done.stderr
