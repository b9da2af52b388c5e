"""A program runs as its users run it: in its own environment, against the shared system, with a key of its own."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.conformance.clients import COMMAND, NODE_V1, V1, V2, Client
from tests.conformance.schema.recorder import Recorder
from tests.system import Project

PROGRAMS = Path(__file__).parent / "programs"
WITHIN = timedelta(seconds=60)


@dataclass(frozen=True)
class Programs:
    """The client programs of one SDK. They are told the server's address in the way that the SDK knows."""

    client: Client
    project: Project

    async def run(self, program: str, *arguments: str) -> Any:
        """Run a program to its end; returns the facts that it prints. One that fails fails the test, with its words."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.client.directory),  # some keep caches there
            "OPENAI_API_KEY": self.project.key,
            **self.client.environment,
        }
        if self.client in {V1, NODE_V1}:
            program, arguments = f"v1/{program}", (self.project.base_url, *arguments)
        else:
            environment["OPENAI_BASE_URL"] = self.project.base_url
        process = await asyncio.create_subprocess_exec(
            *self.client.command,
            PROGRAMS / f"{program}{self.client.suffix}",
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(WITHIN.total_seconds()):
                facts, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"{self.client.name}: {program} failed:\n{complaints.decode()}"
        return json.loads(facts)


@pytest.fixture
def client(project: Project) -> AsyncOpenAI:
    return project.client


@pytest.fixture
def recorder(project: Project) -> Recorder:
    """What passed through the client; a test fails whose answers didn't conform."""
    return project.recorder


def require(client: Client) -> None:
    """Skip the test where its client isn't installed, which takes a network; fail it in CI, which has one."""
    if client.is_installed():
        return
    reason = f"{client.name} is not installed: {COMMAND}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=V2, ids=lambda client: client.name)
def programs(request: pytest.FixtureRequest, project: Project) -> Programs:
    """Programs for each SDK that speaks v2."""
    require(request.param)
    return Programs(request.param, project)


@pytest.fixture
def v1_programs(project: Project) -> Programs:
    """Programs for the SDK that speaks v1."""
    require(V1)
    return Programs(V1, project)


@pytest.fixture
def programs_for(project: Project) -> Callable[[Client], Programs]:
    """Programs for the client that a test names."""

    def of(client: Client) -> Programs:
        require(client)
        return Programs(client, project)

    return of
