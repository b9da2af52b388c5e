"""The referee sees what does not conform, in answers and in events, in both dialects; and it sits in every client."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.conformance.schema import sdk
from tests.conformance.schema.contract import Contract, contract
from tests.conformance.schema.recorder import Recorder
from tests.system import Project, System

REQUEST_ID = {"x-request-id": "req_1"}
THREAD = "/threads/thread_1"
THREAD_OBJECT: dict[str, Any] = {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}}
DELETED = {"object": "thread.deleted", "id": "thread_1", "deleted": True}


async def judged(method: str, path: str, response: httpx2.Response, **headers: str) -> Recorder:
    """The recorder that has seen this answer to that request."""
    recorder = Recorder(httpx2.MockTransport(lambda _: response))
    async with httpx2.AsyncClient(transport=recorder, base_url="http://server/v1", headers=headers) as client:
        await client.request(method, path)
    return recorder


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (DELETED, ""),
        ({"object": "thread.deleted", "id": "thread_1"}, "'deleted' is a required property"),
        (DELETED | {"colour": "red"}, "'colour' was unexpected"),
        (DELETED | {"object": "thread.gone"}, "'thread.gone' is not one of"),
        (DELETED | {"id": 1}, "1 is not of type 'string'"),
    ],
)
async def test_answers(body: Any, sentence: str) -> None:
    recorder = await judged("DELETE", THREAD, httpx2.Response(200, json=body, headers=REQUEST_ID))

    assert_violated(recorder, sentence)


def assert_violated(recorder: Recorder, sentence: str) -> None:
    """`check` fails with that sentence; with none, it passes."""
    if not sentence:
        recorder.check()
        return
    with pytest.raises(AssertionError, match=sentence):
        recorder.check()


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (httpx2.Response(200, json=DELETED), "it has no x-request-id"),
        (httpx2.Response(200, content=b"gone", headers=REQUEST_ID), "is no JSON"),
        (httpx2.Response(502, text="Bad gateway", headers=REQUEST_ID), "an error is told in JSON"),
        (httpx2.Response(404, json={"detail": "Not Found"}, headers=REQUEST_ID), "is a required property"),
        (httpx2.Response(404, json={"error": {"message": "x"}}, headers=REQUEST_ID), "is a required property"),
    ],
)
async def test_answers_that_are_not_even_that(response: httpx2.Response, sentence: str) -> None:
    assert_violated(await judged("DELETE", THREAD, response), sentence)


async def test_the_clients_types_are_stricter_than_the_description() -> None:
    thread: dict[str, Any] = THREAD_OBJECT | {"tool_resources": {}, "created_at": 1.0}
    sentence = r"created_at: Input should be a valid integer \(the client's type\)"

    async def content() -> AsyncIterator[bytes]:
        yield f"id: 1-1\nevent: thread.created\ndata: {json.dumps(thread)}\n\n".encode()

    streamed = httpx2.Response(200, content=content(), headers={**REQUEST_ID, "content-type": "text/event-stream"})

    assert_violated(await judged("GET", THREAD, httpx2.Response(200, json=thread, headers=REQUEST_ID)), sentence)
    assert_violated(await judged("POST", "/threads/runs", streamed), sentence)


def test_the_client_has_a_type_for_all_that_is_described() -> None:
    for dialect in ("v1", "v2"):
        assert contract(dialect).answers <= sdk.TYPES.keys() | sdk.FORGOTTEN
    assert contract("v2").answers.isdisjoint(sdk.FORGOTTEN)


async def test_operations_that_nobody_described() -> None:
    answer = httpx2.Response(200, json={}, headers=REQUEST_ID)

    assert_violated(await judged("GET", "/colours", answer), "GET /colours is no operation of the API")


RUN_STEP: dict[str, Any] = {
    "id": "step_1",
    "object": "thread.run.step",
    "created_at": 1,
    "assistant_id": "asst_1",
    "thread_id": "thread_1",
    "run_id": "run_1",
    "type": "tool_calls",
    "status": "completed",
    "last_error": None,
    "expired_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": 2,
    "metadata": {},
    "usage": None,
}
SEARCH: dict[str, Any] = {"id": "call_1", "type": "file_search", "file_search": {}}
RETRIEVAL: dict[str, Any] = {"id": "call_1", "type": "retrieval", "retrieval": {}}


@pytest.mark.parametrize(
    ("dialect", "call", "sentence"),
    [
        ("assistants=v2", SEARCH, ""),
        ("assistants=v1", RETRIEVAL, ""),
        ("assistants=v2", RETRIEVAL, "step_details"),
        ("assistants=v1", SEARCH, "step_details"),
    ],
)
async def test_each_dialect_has_its_own_words(dialect: str, call: Any, sentence: str) -> None:
    step = RUN_STEP | {"step_details": {"type": "tool_calls", "tool_calls": [call]}}
    answer = httpx2.Response(200, json=step, headers=REQUEST_ID)

    recorder = await judged("GET", f"{THREAD}/runs/run_1/steps/step_1", answer, **{"openai-beta": dialect})

    assert_violated(recorder, sentence)


@pytest.mark.parametrize(
    ("dialect", "more", "sentence"),
    [
        ("assistants=v1", {}, ""),
        ("assistants=v1", {"tool_resources": {}}, ""),
        ("assistants=v1", {"colour": "red"}, "'colour' was unexpected"),
        ("assistants=v2", {}, "'tool_resources' is a required property"),
        ("assistants=v2", {"tool_resources": {}, "id": "asst_1"}, "does not match"),
    ],
)
async def test_v1_may_carry_what_v2_has(dialect: str, more: Any, sentence: str) -> None:
    answer = httpx2.Response(200, json=THREAD_OBJECT | more, headers=REQUEST_ID)

    assert_violated(await judged("GET", THREAD, answer, **{"openai-beta": dialect}), sentence)


@pytest.mark.parametrize(
    ("event", "data", "sentence"),
    [
        ("done", "[DONE]", ""),
        ("thread.exploded", "{}", "there is no event"),
        ("thread.created", '{"object": "thread"}', "is a required property"),
        ("thread.message.delta", '{"id": "msg_1", "object": "thread.message.delta", "delta": {"text": ""}}', "'text'"),
    ],
)
async def test_events(event: str, data: str, sentence: str) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b": hello\n\nid: 1-1\neve"
        yield f"nt: {event}\ndata: {data}\n\nid: 1-2\nevent: done\ndata: [DONE]\n\n".encode()

    answer = httpx2.Response(200, content=content(), headers={**REQUEST_ID, "content-type": "text/event-stream"})
    recorder = await judged("POST", "/threads/runs", answer)

    assert ("done", "[DONE]") in recorder.seen
    assert_violated(recorder, sentence)


@pytest.mark.parametrize(("id_line", "sentence"), [("", "an event has an id"), ("id: first\n", "is no id of an event")])
async def test_events_that_cannot_be_resumed_after(id_line: str, sentence: str) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield f"{id_line}event: done\ndata: [DONE]\n\n".encode()

    answer = httpx2.Response(200, content=content(), headers={**REQUEST_ID, "content-type": "text/event-stream"})

    assert_violated(await judged("POST", "/threads/runs", answer), sentence)


def test_the_contract_knows_all_events() -> None:
    assert len(contract().events) == 25
    assert contract().events - {"done"} == sdk.events()
    assert contract("v1").events < contract().events


async def test_the_shared_clients_have_it(project: Project, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await project.client.beta.threads.create()
    assert ("thread", "") in project.recorder.seen

    def spoilt(*_: Any) -> list[str]:
        return ["spoilt"]

    monkeypatch.setattr(Contract, "judge_answer", spoilt)

    with pytest.raises(AssertionError, match="POST /v1/threads 200: spoilt"):
        async with http.session(project) as client:
            await client.post("/threads")
    with pytest.raises(AssertionError, match="POST /v1/threads 200: spoilt"):
        async with Project.known(system, project.key) as same:
            await same.client.beta.threads.create()
