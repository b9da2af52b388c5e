"""Nothing leaves the machine but calls of endpoints that somebody configured; here those are on it, too."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.timeout(240)
def test_a_run_with_file_search_without_a_network(data: Path) -> None:
    require_namespaces()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.offline", str(data)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=inherited,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    told = json.loads(done.stdout.splitlines()[-1])

    assert "lo" in told["interfaces"]
    assert (told["status"], told["messages"]) == ("completed", 1)
    assert sorted(told["steps"]) == ["message_creation", "tool_calls"]
    assert (told["unreachable"], told["asked"]) == (0, 0), "somebody wanted to reach more than this machine"
    assert told["attempts_seen"] >= 2, "and would have been seen"
