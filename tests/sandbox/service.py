"""A real service in a process of its own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.environment import place
from tests.ports import free_port
from tests.system import Process
from worker.sandbox import environment
from worker.sandbox.client import SandboxClient
from worker.sandbox.inside import confine

OURS = ("ASSISTANTD_", "OPENAI_", "PG")


class SandboxService:
    """`assistantd sandbox` on loopback, with a state directory below `root`; `settings` without their prefix."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = str(settings.get("secret", secrets.token_hex(24)))
        self.state = root / "state"
        self.log = root / "sandbox.log"
        given = {"SECRET": self.secret, "STATE": self.state, "ENVIRONMENT": place(), **settings}
        self._variables = {f"ASSISTANTD_SANDBOX_{name.upper()}": str(value) for name, value in given.items()}
        self._process: Process | None = None

    def start(self) -> "SandboxService":
        """Start, and return when it takes sessions. Raises NotReady with the end of its log."""
        self.spawn().wait_until_ready()
        return self

    def spawn(self) -> Process:
        """Start, and return at once."""
        name = f"assistantd-test-{secrets.token_hex(8)}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(f"\0{name}")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        with self.log.open("ab") as log:
            popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "infra.cli", "sandbox", "--port", str(self.port)],
                env={
                    **kept,
                    **self._variables,
                    "NOTIFY_SOCKET": f"@{name}",
                    "BAIT_IN_ENVIRONMENT": "canary-environment",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self._process = Process(popen, self.log, listener)
        return self._process

    @property
    def pid(self) -> int:
        """Of the service itself."""
        assert self._process is not None
        return self._process.popen.pid

    def client(self, **more: Any) -> SandboxClient:
        """Somebody who knows the secret."""
        return SandboxClient(self.url, self.secret, **more)

    @property
    def told(self) -> dict[str, str]:
        """The settings of those who are to use it."""
        return {"ASSISTANTD_SANDBOX_URL": self.url, "ASSISTANTD_SANDBOX_SECRET": self.secret}

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.signal(number)

    def kill(self) -> None:
        """As a crash would end it."""
        assert self._process is not None
        self._process.kill()

    def stop(self) -> int:
        """In good order; returns the exit status."""
        assert self._process is not None
        return self._process.stop()


@contextmanager
def lent(**settings: object) -> Generator[SandboxService]:
    """A service at the level `bwrap`, in a directory that other users can enter: root's sessions are other users."""
    require("bwrap")
    root = Path(tempfile.mkdtemp(prefix="assistantd-sandbox-"))
    root.chmod(0o711)
    service = SandboxService(root, **settings).start()
    yield service
    assert service.stop() == 0
    shutil.rmtree(root)


def require(level: str) -> None:
    """Skip where the environment isn't installed, which takes a network, or the kernel lacks the level; never in CI."""
    reason = None
    try:
        environment.find(place())
    except environment.NoEnvironmentError as error:
        reason = str(error)
    if reason is None and level == "bwrap" and not _has_namespaces():
        reason = "user namespaces are refused on this machine"
    if reason is None and level == "landlock" and not confine.landlock_version():
        reason = "the kernel has no Landlock"
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _has_namespaces() -> bool:
    return subprocess.run(["unshare", "-U", "true"], capture_output=True, check=False).returncode == 0
