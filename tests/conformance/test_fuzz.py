"""Thousands of requests that our own OpenAPI allows, or nearly: none crashes us, and each answer keeps the contract.

The requests meet each other's doings: ids in them are mostly of objects that earlier ones made.
"""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from schemathesis import Case
from schemathesis.generation import GenerationMode

from tests.conformance.coverage import our_openapi
from tests.conformance.schema.contract import contract
from tests.properties.conftest import chosen
from tests.scripted_model import CallFunctions, ScriptedModel
from tests.system import Project, System

if TYPE_CHECKING:
    from shared.wire.fields import Dialect

AT_LEAST = 5000  # requests, of all operations together
CASES = 165  # of one operation
MEETS = 0.9  # of the ids are of something that there is, or was
WAITING = 20  # runs that wait for outputs, and free threads
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FUZZ = settings(chosen(), max_examples=max(CASES, chosen().max_examples), suppress_health_check=UNHURRIED)
ORDER = ["post", "get", "delete"]  # first there has to be something


def finite_openapi() -> dict[str, Any]:
    """Our description with filters of searches down to the second level: no endless one can be made up."""
    made = copy.deepcopy(our_openapi())
    schemas = made["components"]["schemas"]
    inner = copy.deepcopy(schemas["Compound"])
    inner["properties"]["filters"]["items"] = {"$ref": "#/components/schemas/Comparison"}
    items = schemas["Compound"]["properties"]["filters"]["items"]
    items["oneOf"] = [{"$ref": "#/components/schemas/Comparison"}, inner]
    return made


OPERATIONS: list[Any] = sorted(
    (cast("Any", made).ok() for made in schemathesis.openapi.from_dict(finite_openapi()).get_all_operations()),
    key=lambda operation: ORDER.index(operation.method),
)

UPLOADED = "/v1/files/{file_id}/content"  # follows no schema of ours

# Object, and the fields that say where it is, under the names that paths have for them.
PLACES = {
    "assistant": {"assistant_id": "id"},
    "thread": {"thread_id": "id"},
    "thread.message": {"thread_id": "thread_id", "message_id": "id"},
    "thread.run": {"thread_id": "thread_id", "run_id": "id"},
    "thread.run.step": {"thread_id": "thread_id", "run_id": "run_id", "step_id": "id"},
    "file": {"file_id": "id"},
    "model": {"model": "id"},
    "upload": {"upload_id": "id"},
    "upload.part": {"part_id": "id"},
    "vector_store": {"vector_store_id": "id"},
    "vector_store.file": {"vector_store_id": "vector_store_id", "file_id": "id"},
    "vector_store.files_batch": {"vector_store_id": "vector_store_id", "batch_id": "id"},
}

# Lists of ids in bodies, and the names that paths have for what is in them.
SEVERAL = {"file_ids": "file_id", "vector_store_ids": "vector_store_id", "part_ids": "part_id"}


@dataclass
class World:
    """What there is or was, as far as the answers told: places of objects."""

    places: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    calls: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What runs wait for."""

    def learn(self, body: Any) -> None:
        """Remember what is in an answer."""
        for one in body.get("data", [body]):
            fields = PLACES.get(one.get("object"))
            place = {name: one[key] for name, key in fields.items()} if fields else {}
            if place not in self.places:
                self.places.append(place)
            if action := one.get("required_action"):
                self.calls[one["id"]] = [call["id"] for call in action["submit_tool_outputs"]["tool_calls"]]

    def place(self, names: set[str], dice: random.Random) -> dict[str, str]:
        """Where something is that these names lead to; nothing, if there is nothing."""
        fitting = [place for place in self.places if set(place) == names]
        return dice.choice(fitting) if fitting and dice.random() < MEETS else {}


WORLD = World()


def met(case: Case[Any], dice: random.Random) -> Case[Any]:
    """The case, about something that there is."""
    if case.path_parameters:
        case.path_parameters.update(WORLD.place(set(case.path_parameters), dice))
    case.body = about(case.body, dice)
    calls = WORLD.calls.get((case.path_parameters or {}).get("run_id", ""))
    if calls and isinstance(case.body, dict) and "tool_outputs" in case.body and dice.random() < MEETS:
        outputs = [{"tool_call_id": call, "output": str(dice.random())} for call in calls]
        case.body = cast("Any", {**case.body, "tool_outputs": outputs})
    return case


def about(body: Any, dice: random.Random) -> Any:
    """A body with ids of what there is."""
    match body:
        case dict():
            fields: dict[str, Any] = {name: about(value, dice) for name, value in body.items()}
            for several, name in SEVERAL.items():
                if fields.get(several) and (found := WORLD.place({name}, dice)):
                    fields[several] = [found[name]]
            return fields | {
                name: found[name]
                for name in ("assistant_id", "file_id")
                if name in fields and (found := WORLD.place({name}, dice))
            }
        case list():
            return [about(one, dice) for one in body]
        case _:
            return body


def send(session: requests.Session, case: Case[Any], root: str, headers: dict[str, str]) -> None:
    """Raises AssertionError for an answer that no request may be given. Streams are not followed: they may be long."""
    told = case.as_transport_kwargs(base_url=root)
    told["headers"] = {**told["headers"], **headers}
    with session.request(**told, stream=True, timeout=20) as answer:
        assert answer.status_code < 500, answer.text
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return
        path = case.operation.path
        dialect: Dialect = "v1" if headers["openai-beta"].endswith("v1") else "v2"
        if path.startswith("/v1/") and path != UPLOADED:
            method, concrete = case.method.upper(), path.removeprefix("/v1")
            assert contract(dialect).judge_answer(method, concrete, answer.status_code, answer.json()) == []
        if answer.ok:
            WORLD.learn(answer.json())


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        yield one


async def keep(client: AsyncOpenAI, file_id: str) -> None:
    """Have a vector store with the file in it, alone and in a batch, and uploads that wait for parts."""
    stores, uploads = client.vector_stores, client.uploads
    store = await stores.create()
    batch = await stores.file_batches.create_and_poll(store.id, file_ids=[file_id], poll_interval_ms=10)
    for one in (store, batch, await stores.files.list(store.id)):
        WORLD.learn(one.to_dict())
    for _ in range(WAITING):
        upload = await uploads.create(filename="a.txt", bytes=1, mime_type="text/plain", purpose="assistants")
        for one in (upload, await uploads.parts.create(upload.id, data=b"a")):
            WORLD.learn(one.to_dict())


@pytest.fixture(scope="module")
async def tenant(system: System, model: ScriptedModel) -> AsyncIterator[Project]:
    """A project with something of everything in it, runs that wait for outputs among them."""
    name = model.script(*[CallFunctions([("look", {})])] * WAITING)
    async with Project.of(system) as project:
        assistant = await project.client.beta.assistants.create(model=name)
        file = await project.client.files.create(file=("a.txt", b"content"), purpose="assistants")
        await keep(project.client, file.id)
        threads = project.client.beta.threads
        for one in (assistant, file):
            WORLD.learn(one.to_dict())
        for _ in range(WAITING):
            run = await threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=10)
            thread = await threads.create(messages=[{"role": "user", "content": "Hello?"}])
            steps = await threads.runs.steps.list(run.id, thread_id=run.thread_id)
            for one in (run, thread, await threads.messages.list(thread.id), steps):
                WORLD.learn(one.to_dict())
        yield project


def fuzz(operation: Any, act: Callable[[Case[Any], random.Random], None]) -> None:
    """Cases of an operation; those with a body are now and then not what the description allows."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    cases = (
        st.one_of(allowed, allowed, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        if operation.body
        else allowed
    )

    @FUZZ
    @given(case=cases, dice=st.integers(0, 2**32).map(random.Random))
    def one(case: Case[Any], dice: random.Random) -> None:
        act(met(case, dice), dice)

    one()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_no_request_is_too_much(tenant: Project, session: requests.Session, operation: Any) -> None:
    root = tenant.base_url.removesuffix("/v1")
    key = {"authorization": f"Bearer {tenant.key}"}

    def act(case: Case[Any], dice: random.Random) -> None:
        send(session, case, root, key | {"openai-beta": f"assistants={dice.choice(['v1', 'v2', 'v2'])}"})

    await asyncio.to_thread(fuzz, operation, act)


def test_there_were_enough() -> None:
    assert CASES * sum(operation.path.startswith("/v1/") for operation in OPERATIONS) >= AT_LEAST
