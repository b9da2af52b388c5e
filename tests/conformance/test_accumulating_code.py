"""The same of runs whose model writes Python: they need a system with a sandbox."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.postgres import Postgres
from tests.conformance.conftest import Programs
from tests.conformance.test_accumulating import check, scene
from tests.sandbox.service import SandboxService, lent
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System, create_database, redis_apart

CODE = """
from PIL import Image
print("one")
display(Image.new("L", (2, 2)))
open("/mnt/data/a.txt", "w").write("a")
print("two")
1 / 0
"""


@pytest.fixture(scope="module")
def service() -> Iterator[SandboxService]:
    with lent(warm=1, memory_mb=512) as started:
        yield started


@pytest.fixture(scope="module")
def system(
    room: Path, postgres: Postgres, redis_url: str, model: ScriptedModel, service: SandboxService
) -> Iterator[System]:
    root = room / "accumulating"
    root.mkdir()
    url = create_database(postgres.url, "accumulating")
    made = System(root, url, redis_apart(redis_url), model.base_url, service.told)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def project(system: System) -> AsyncIterator[Project]:
    async with Project.of(system) as tenant:
        yield tenant


async def test_code_its_outputs_and_files(programs: Programs, model: ScriptedModel) -> None:
    turns = CallFunctions([("code_interpreter", {"code": CODE})], pieces=20), Say("A [file](sandbox:/mnt/data/a.txt).")
    run = await scene(programs.project.client, model, *turns, tools=[{"type": "code_interpreter"}])

    (facts,) = await programs.run("accumulating", json.dumps([run]))

    check(facts, "completed")
    code: Any = facts["steps"][0]["step_details"]["tool_calls"][0]["code_interpreter"]
    assert code["input"] == CODE
    assert [output["type"] for output in code["outputs"]] == ["logs", "image", "logs"]
    assert [part["type"] for part in facts["messages"][0]["content"]] == ["image_file", "text"]
    assert [one["type"] for one in facts["messages"][0]["content"][1]["text"]["annotations"]] == ["file_path"]
