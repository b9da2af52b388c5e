"""Nothing leaves the machine but calls of endpoints that somebody configured; here those are on it, too."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.offline.wire import ELSEWHERE
from tests.sandbox.service import require

OURS = ("ASSISTANTD_", "OPENAI_", "FLOWER_", "AWS_", "OTEL_")


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory that servers without privileges can reach."""
    room = Path(tempfile.mkdtemp(prefix="assistantd-offline-"))
    room.chmod(0o711)
    yield room / "data"
    shutil.rmtree(room)


def require_namespaces() -> None:
    """Skip where none can be made; never in CI."""
    reason = None
    if os.geteuid() != 0:
        reason = "a network namespace in which one stays who one is takes root"
    elif subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        reason = "network namespaces are refused on this machine"
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def story(data: Path, **settings: str) -> Any:
    """What has been told of it."""
    require_namespaces()
    require("bwrap")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    given = [f"ASSISTANTD_{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.offline", str(data), *given],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=inherited,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(240)
def test_runs_with_file_search_and_code_without_a_network(data: Path) -> None:
    told = story(data)

    assert "lo" in told["interfaces"]
    assert told["found"] == {"status": "completed", "steps": ["tool_calls", "message_creation"], "logs": []}
    executed = told["executed"]
    assert (executed["status"], executed["written"]) == ("completed", "IT RAINS IN BERGEN.")
    assert len(executed["logs"]) == 3
    assert "reached" not in executed["logs"], "code has no network at all, not even this machine's"
    assert (told["unreachable"], told["asked"]) == (0, 0), "somebody wanted to reach more than this machine"
    assert told["attempts_seen"] >= 2, "and would have been seen"


@pytest.mark.timeout(240)
def test_a_part_that_wants_to_reach_more_is_seen(data: Path) -> None:
    """Here a search has somebody asked who is elsewhere; it goes on without."""
    told = story(data, RERANKER_BASE_URL=f"http://{ELSEWHERE}/v1", RERANKER_MODEL="x")

    assert told["found"]["status"] == "completed"
    assert told["unreachable"] > 0
