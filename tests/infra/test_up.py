"""`assistantd up` as its users have it: everything real, the toy model included. Slow, so one story tells it all."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from infra.embedded import process
from infra.environment import place
from infra.stack import sandbox
from infra.stack.directory import DataDirectory
from tests.ports import free_port
from worker.sandbox import environment

COMMAND = [sys.executable, "-P", "-m", "infra.cli"]
OURS = ("ASSISTANTD_", "OPENAI_", "FLOWER_")


def variables_of(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | more


def command(*arguments: str | Path | int, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=variables_of(**variables),
        timeout=60,
    )


class Up:
    """A running `assistantd up`, and what it printed."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.lines: list[str] = []
        arguments = [*COMMAND, "up", "--data-dir", str(data), "--port", str(port)]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=data.parent, env=variables_of()
        )

    def until(self, wanted: Callable[[str], bool]) -> str:
        """Read on until a line fits."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if wanted(line):
                return line
        raise AssertionError("".join(["up ended, having said:\n", *self.lines]))

    def end(self, number: signal.Signals) -> int:
        """Send a signal and read what it says to that."""
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.lines.extend(self.process.stdout)
        self.process.stdout.close()
        return self.process.wait(40)

    def facts(self) -> dict[str, object]:
        return json.loads((self.data / "stack.json").read_text())

    def pid(self, part: str) -> int:
        parts: list[dict[str, object]] = self.facts()["parts"]  # pyright: ignore[reportAssignmentType] - as JSON has it
        return next(int(str(entry["pid"])) for entry in parts if entry["name"] == part)


def start(state: Path, port: int) -> Up:
    up = Up(state / "data", port)
    try:
        up.until(lambda line: line.startswith("Ctrl-C"))
    except AssertionError:
        up.end(signal.SIGKILL)
        raise
    return up


def key_of(data: Path) -> str:
    lines = (data / "env").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("OPENAI_API_KEY="))


@pytest.mark.timeout(240)
def test_the_whole_stack(state: Path) -> None:
    port = free_port()
    up = start(state, port)
    data, key = up.data, key_of(up.data)
    try:
        assert any("toy" in line and "ASSISTANTD_MODEL_BASE_URL" in line for line in up.lines)
        assert f"OPENAI_BASE_URL=http://127.0.0.1:{port}/v1" in (data / "env").read_text()
        secrets_are_kept(data, key)
        the_demo_runs_through(data)
        others_are_refused(data, port)
        commands_find_the_stack(data)
        keys_are_hashed_by_the_secret(data)
        for part in ("worker-1", "postgres", "valkey", *sandboxes()):
            a_killed_part_comes_back(up, part)
        the_demo_runs_through(data)
    finally:
        status = up.end(signal.SIGTERM)
    assert status == 0, "".join(up.lines)
    stopped = [line.split()[2] for line in up.lines if line.rstrip().endswith("stopping")]
    assert stopped == ["flower", "api", "worker-1", *sandboxes(), "model", "embedder", "postgres", "valkey"]
    assert not (data / "stack.json").exists()

    up = start(state, port)
    try:
        assert key_of(data) == key
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    finally:
        up.end(signal.SIGKILL)
    nothing_outlives_it(data)


def sandboxes() -> list[str]:
    """Where its environment is installed, the code interpreter is a part like any other."""
    try:
        environment.find(place())
    except environment.NoEnvironmentError:
        return []
    return ["sandbox"]


def secrets_are_kept(data: Path, key: str) -> None:
    for name in ("env", "stack.json"):
        assert (data / name).stat().st_mode & 0o777 == 0o600
    listing = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    for secret in [key, *(path.read_text() for path in data.rglob("*.password"))]:
        assert secret not in listing


def the_demo_runs_through(data: Path) -> None:
    done = command("demo", "--data-dir", data, cwd=data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "function call: get_weather(" in done.stdout
    assert "[found in shop.txt, score " in done.stdout


def others_are_refused(data: Path, port: int) -> None:
    second = command("up", "--data-dir", data, "--port", port, cwd=data)
    assert second.returncode == 1
    assert f"already running on {data}" in second.stderr
    elsewhere = command("up", "--data-dir", data.with_name("other"), "--port", port, cwd=data)
    assert elsewhere.returncode == 1
    assert f"port {port}: the port is taken" in elsewhere.stderr


def commands_find_the_stack(data: Path) -> None:
    status = command("status", cwd=data, ASSISTANTD_DATA_DIR=str(data))
    assert status.returncode == 0
    assert "0 runs queued, 0 in progress" in status.stdout
    assert "answers" in status.stdout
    made = command("keys", "create", "--project", "other", "--data-dir", data, cwd=data).stdout.splitlines()[-1]
    listed = command("keys", "list", "--data-dir", data, cwd=data).stdout.splitlines()
    assert [line.split()[1] for line in listed] == ["default", "other"]
    assert made not in "".join(listed)
    key_id = listed[1].split()[0]
    assert command("keys", "revoke", key_id, "--data-dir", data, cwd=data).returncode == 0
    assert command("keys", "revoke", key_id, "--data-dir", data, cwd=data).returncode == 1


def keys_are_hashed_by_the_secret(data: Path) -> None:
    """From the first one on; the stack that is started afterwards knows them."""
    assert (
        ", 0 of them not hashed by the secret" in command("encryption", "status", "--data-dir", data, cwd=data).stdout
    )
    sealed = command("encryption", "seal", "--data-dir", data, cwd=data)
    assert "keys: 0 hashed by the secret" in sealed.stdout, sealed.stderr


def a_killed_part_comes_back(up: Up, part: str) -> None:
    killed = up.pid(part)
    os.kill(killed, signal.SIGKILL)
    up.until(lambda line: f"{part} " in line and "starting it again" in line)
    up.until(lambda line: f"{part} " in line and " ready " in line)
    assert up.pid(part) != killed


def nothing_outlives_it(data: Path) -> None:
    for name in ("postgres", "valkey"):
        lock = process.hold(data / name / f"{name}.lock", patience=timedelta(seconds=20))
        assert lock is not None, f"{name} outlived `up`"
        os.close(lock)
    status = command("status", "--data-dir", data, cwd=data)
    assert status.returncode == 1
    assert f"no stack is running on {data}" in status.stderr


def test_a_bad_setting_is_one_line_and_status_2(state: Path) -> None:
    for variable, value in (("ASSISTANTD_LEASE_DURATION", "soon"), ("ASSISTANTD_DATABSE_URL", "postgresql://x")):
        done = command("up", "--data-dir", state, cwd=state, **{variable: value})
        assert done.returncode == 2
        assert variable in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (state / "postgres" / "pgdata").exists()


def test_a_key_that_is_missing_is_not_replaced(state: Path) -> None:
    """What it sealed would be lost, and what is sealed by another one besides."""
    data = state / "without"
    (data / "postgres" / "pgdata").mkdir(parents=True)
    done = command("up", "--data-dir", data, cwd=state)
    assert done.returncode == 1
    assert f"{data / 'encryption.key'} is missing" in done.stderr
    assert not (data / "encryption.key").exists()


def test_flower_is_open_to_nobody_beyond_this_machine_without_a_password(state: Path) -> None:
    done = command("flower", "--host", "0.0.0.0", cwd=state, ASSISTANTD_REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 2
    assert "FLOWER_BASIC_AUTH is not set" in done.stderr


def test_without_a_stack_a_command_says_what_is_missing(state: Path) -> None:
    done = command("migrate", "--data-dir", state, cwd=state)
    assert done.returncode == 2
    assert "ASSISTANTD_DATABASE_URL is not set and no stack is running on" in done.stderr


def test_a_database_that_does_not_answer_is_said_in_one_line(state: Path) -> None:
    nobody = f"postgresql://127.0.0.1:{free_port()}/none"
    done = command("keys", "list", cwd=state, ASSISTANTD_DATABASE_URL=nobody)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_shown(state: Path) -> None:
    assert command("--version", cwd=state).stdout.startswith("0.")


def test_without_its_environment_there_is_no_code_interpreter_and_a_line_says_how_to_get_it(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ASSISTANTD_SANDBOX_ENVIRONMENT", str(tmp_path))
        planned = sandbox.plan(directory, is_elsewhere=False)

    assert planned.part is None
    assert planned.missing is not None
    assert planned.missing.endswith("uv run assistantd sandbox-environment")
    assert sandbox.plan(directory, is_elsewhere=True).missing is None


def test_the_sandbox_service_is_told_no_secret_but_its_own(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(environment, "find", Path)
        for name in ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "ASSISTANTD_DATABASE_URL", "PGPASSWORD"):
            patched.setenv(name, "a credential")
        patched.setenv("ASSISTANTD_SANDBOX_MINIMUM", "landlock")
        planned = sandbox.plan(DataDirectory(tmp_path), is_elsewhere=False)

    assert planned.part is not None
    assert planned.secret is not None
    told = planned.part.environment
    assert "a credential" not in told.values()
    assert told["ASSISTANTD_SANDBOX_MINIMUM"] == "landlock"
    assert told["ASSISTANTD_SANDBOX_SECRET"] == planned.secret
    assert planned.secret not in " ".join(map(str, planned.part.command))
