"""Thousands of requests, each about what earlier answers told of: none crashes us, and each answer keeps the contract.

The state machine is made of the links in our own OpenAPI; ids in bodies that no link tells of are of whatever was seen.
Answers are held against our description as against OpenAI's.
"""

import asyncio
import copy
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, seed, settings
from hypothesis.errors import Flaky
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation.stateful import run_state_machine_as_test
from schemathesis.generation.stateful.state_machine import RecordingStateMachine
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)
from typing_extensions import override

from tests.conformance.coverage import our_openapi, our_operations
from tests.conformance.schema.contract import contract
from tests.conformance.world import World
from tests.properties.conftest import PROFILES, chosen
from tests.scripted_model import CallFunctions, ScriptedModel
from tests.system import Project, System

if TYPE_CHECKING:
    from shared.wire.fields import Dialect

AT_LEAST = 5000  # requests, of all operations together
LEFT_OUT = 5  # operations that chance may pass by
STEPS = 50  # requests of one story
STORIES = 4  # that are told by one seed
WAITING = 20  # runs that wait for outputs
WANTED = AT_LEAST * chosen().max_examples // PROFILES["suite"].max_examples
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FUZZ = settings(
    chosen(), max_examples=STORIES, stateful_step_count=STEPS, suppress_health_check=UNHURRIED, derandomize=False
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    use_after_free,
]


def finite_openapi() -> dict[str, Any]:
    """Our description, as far as a project's key opens it, with filters of searches down to the second level: no
    endless one can be made up.
    """
    made = copy.deepcopy(our_openapi())
    schemas = made["components"]["schemas"]
    inner = copy.deepcopy(schemas["Compound"])
    inner["properties"]["filters"]["items"] = {"$ref": "#/components/schemas/Comparison"}
    items = schemas["Compound"]["properties"]["filters"]["items"]
    items["oneOf"] = [{"$ref": "#/components/schemas/Comparison"}, inner]
    for path in [path for path in made["paths"] if not path.startswith("/v1/") or path.startswith(ADMINISTRATION)]:
        del made["paths"][path]
    return made


def our_machine() -> type[RecordingStateMachine]:
    """Stories that the links of our description tell, and no others."""
    schema = schemathesis.openapi.from_dict(finite_openapi())
    schema.config.phases.stateful.inference.algorithms = []
    return cast("type[RecordingStateMachine]", schema.as_state_machine())


ADMINISTRATION = "/v1/organization/"  # which a project's key doesn't open
UPLOADED = "/v1/files/{file_id}/content"  # follows no schema of ours


@dataclass
class Server:
    """The server under fire, who speaks to it, and what was said."""

    root: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)
    world: World = field(default_factory=World)
    failures: list[str] = field(default_factory=list[str])
    asked: Counter[str] = field(default_factory=Counter[str])
    served: Counter[str] = field(default_factory=Counter[str])

    def send(self, case: Case[Any], dialect: "Dialect") -> Response:
        """The answer; of a stream, its head alone: streams may be long."""
        told = case.as_transport_kwargs(base_url=self.root)
        told["headers"].update({"authorization": f"Bearer {self.key}", "openai-beta": f"assistants={dialect}"})
        with self.session.request(**told, stream=True, timeout=20) as answer:
            kind = answer.headers.get("content-type", "")
            content = b"" if kind.startswith("text/event-stream") else answer.content
            self.asked[case.operation.label] += 1
            self.served[case.operation.label] += answer.ok
            return Response(
                answer.status_code,
                {name: [value] for name, value in answer.headers.items()},
                content,
                answer.request,
                answer.elapsed.total_seconds(),
                verify=False,
            )


def machine_for(server: Server) -> type[RecordingStateMachine]:
    """Our machine, talking to that server."""
    dice = random.Random(0)

    class Story(our_machine()):
        """One after the other, until the steps are used up."""

        @override
        def before_call(self, case: Case[Any]) -> None:
            server.world.met(case, dice)

        @override
        def call(self, case: Case[Any], **_: Any) -> Response:
            return server.send(case, dice.choice(["v1", "v2", "v2"]))

        @override
        def validate_response(self, response: Response, case: Case[Any], *_: Any, **__: Any) -> None:
            try:
                case.validate_response(response, checks=CHECKS, recorder=self.recorder)
                judge(case, response)
            except Exception as error:
                found = [str(one) for one in getattr(error, "exceptions", [error])]
                server.failures.append("\n".join([f"{case.as_curl_command()}\n{response.text}", *found]))
                raise
            if response.status_code < 300 and response.content and case.operation.path != UPLOADED:
                server.world.learn(response.json())

    return Story


def judge(case: Case[Any], answer: Response) -> None:
    """Raises AssertionError where OpenAI's description is not kept. What clients uploaded, and streams, follow none."""
    if not answer.content or (case.operation.path == UPLOADED and answer.status_code < 300):
        return
    request = answer.request
    dialect: Dialect = "v1" if request.headers["openai-beta"] == "assistants=v1" else "v2"
    path = urlsplit(str(request.url)).path.removeprefix("/v1")
    assert contract(dialect).judge_answer(case.method.upper(), path, answer.status_code, answer.json()) == []


@pytest.fixture(scope="module")
async def server(system: System, model: ScriptedModel) -> AsyncIterator[Server]:
    """A project with something of everything in it, runs that wait for outputs among them."""
    name = model.script(*[CallFunctions([("look", {})])] * WAITING)
    async with Project.of(system) as project:
        server = Server(project.base_url.removesuffix("/v1"), project.key)
        assistant = await project.client.beta.assistants.create(model=name)
        file = await project.client.files.create(file=("a.txt", b"content"), purpose="assistants")
        for one in (assistant, file, await project.client.vector_stores.create(file_ids=[file.id])):
            server.world.learn(one.to_dict())
        for _ in range(WAITING):
            threads = project.client.beta.threads
            run = await threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=10)
            server.world.learn(run.to_dict())
        with server.session:
            yield server


def tell(server: Server) -> None:
    """Stories by one seed after the other, until there were enough requests.

    Hypothesis wants a story to go the same way each time that it begins in the same way, which a server that remembers
    can't promise: where one doesn't, the next seed is taken.
    """
    story = machine_for(server)
    for number in count():
        if server.failures or server.asked.total() >= WANTED:
            return
        story.rule_order_seed = number
        with suppress(Flaky):
            run_state_machine_as_test(seed(number)(story), settings=FUZZ)


@pytest.mark.timeout(600)
async def test_no_story_is_too_much(server: Server) -> None:
    await asyncio.to_thread(tell, server)

    assert server.failures == []
    assert server.asked.total() >= AT_LEAST
    assert server.served.total() > AT_LEAST / 3
    ours = {f"{method} /v1{path}" for method, path in our_operations()}
    left_out = {one for one in ours if ADMINISTRATION not in one} - server.asked.keys()
    assert len(left_out) <= LEFT_OUT, left_out
