"""Bad input: the right status, OpenAI's envelope, the field that is at fault; and nothing is lost or half done."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.system import Project

TOO_MANY = {str(number): "x" for number in range(17)}


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


@pytest.fixture
async def thread(project: Project) -> str:
    return (await project.client.beta.threads.create()).id


@pytest.fixture
async def assistant(project: Project) -> str:
    return (await project.client.beta.assistants.create(model="anything")).id


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The error, after a look at its envelope."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"].startswith("req_")
    return error


FUNCTION = {"type": "function", "function": {"name": "f"}}

ASSISTANTS: list[tuple[Any, str | None, str]] = [
    ({}, "model", "Missing required parameter: 'model'."),
    ({"model": None}, "model", "Invalid type for 'model': expected a string, but got null instead."),
    ({"model": 4}, "model", "Invalid type for 'model': expected a string, but got an integer instead."),
    ({"model": ""}, "model", "too short"),
    ({"model": "m", "colour": "red"}, "colour", "Unknown parameter: 'colour'."),
    ({"colour": "red"}, "colour", "Unknown parameter: 'colour'."),
    ({"model": "m", "file_ids": []}, "file_ids", "Unknown parameter: 'file_ids'."),
    ({"model": "m", "name": "n" * 257}, "name", "Expected a string with maximum length 256"),
    ({"model": "m", "description": "d" * 513}, "description", "string with length 513"),
    ({"model": "m", "instructions": "i" * 256_001}, "instructions", "maximum length 256000"),
    ({"model": "m", "temperature": 2.1}, "temperature", "Expected a value <= 2, but got 2.1 instead."),
    ({"model": "m", "temperature": -1}, "temperature", "Expected a value >= 0, but got -1 instead."),
    ({"model": "m", "temperature": "hot"}, "temperature", "expected a number, but got a string"),
    ({"model": "m", "top_p": 1.5}, "top_p", "Expected a value <= 1"),
    ({"model": "m", "metadata": {"a": 1}}, "metadata.a", "expected a string, but got an integer"),
    ({"model": "m", "metadata": {"k" * 65: "v"}}, f"metadata.{'k' * 65}", "maximum length 64"),
    ({"model": "m", "metadata": {"a": "v" * 513}}, "metadata.a", "maximum length 512"),
    ({"model": "m", "metadata": TOO_MANY}, "metadata", "at most 16 properties"),
    ({"model": "m", "metadata": []}, "metadata", "expected an object, but got an array"),
    ({"model": "m", "tools": [{}]}, "tools[0].type", "Missing required parameter: 'tools[0].type'."),
    ({"model": "m", "tools": [{"type": "magic"}]}, "tools[0].type", "Invalid value: 'magic'. Supported values are:"),
    ({"model": "m", "tools": ["function"]}, "tools[0]", "expected an object, but got a string"),
    ({"model": "m", "tools": [FUNCTION, {"type": "function"}]}, "tools[1].function", "Missing required parameter"),
    (
        {"model": "m", "tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name",
        "does not match pattern",
    ),
    (
        {"model": "m", "tools": [{"type": "function", "function": {"name": "f", "code": "x"}}]},
        "tools[0].function.code",
        "Unknown parameter",
    ),
    ({"model": "m", "tools": [FUNCTION] * 129}, "tools", "array with maximum length 128"),
    (
        {"model": "m", "tools": [{"type": "file_search", "file_search": {"max_num_results": 51}}]},
        "tools[0].file_search.max_num_results",
        "Expected a value <= 50",
    ),
    ({"model": "m", "response_format": "json"}, "response_format", "Invalid value: 'json'."),
    ({"model": "m", "response_format": {"type": "yaml"}}, "response_format.type", "Invalid value: 'yaml'."),
    (
        {"model": "m", "response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "Missing required parameter",
    ),
    ({"model": "m", "reasoning_effort": "huge"}, "reasoning_effort", "Invalid value: 'huge'."),
    (
        {"model": "m", "tool_resources": {"code_interpreter": {"file_ids": ["file-a"] * 21}}},
        "tool_resources.code_interpreter.file_ids",
        "maximum length 20",
    ),
    ([], None, "has to be a JSON object"),
    ("model", None, "has to be a JSON object"),
    (None, None, "has to be a JSON object"),
]


@pytest.mark.parametrize(("body", "param", "says"), ASSISTANTS)
async def test_assistants(client: httpx2.AsyncClient, body: Any, param: str | None, says: str) -> None:
    error = problem(await client.post("/assistants", json=body), 400)

    assert error["param"] == param
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"
    assert (await client.get("/assistants")).json()["data"] == []


MESSAGES: list[tuple[Any, str | None, str]] = [
    ({"content": "x"}, "role", "Missing required parameter: 'role'."),
    ({"role": "system", "content": "x"}, "role", "Supported values are: 'user' and 'assistant'."),
    ({"role": "user"}, "content", "Missing required parameter: 'content'."),
    ({"role": "user", "content": ""}, "content", "too short"),
    ({"role": "user", "content": []}, "content", "array too short"),
    ({"role": "user", "content": "x" * 256_001}, "content", "maximum length 256000"),
    ({"role": "user", "content": None}, "content", "but got null instead"),
    ({"role": "user", "content": [{"type": "text"}]}, "content[0].text", "Missing required parameter"),
    ({"role": "user", "content": [{"type": "text", "text": {"value": "x"}}]}, "content[0].text", "expected a string"),
    ({"role": "user", "content": [{"type": "sound"}]}, "content[0].type", "Invalid value: 'sound'."),
    ({"role": "user", "content": "x", "attachments": [{}]}, "attachments[0].file_id", "Missing required parameter"),
    ({"role": "user", "content": "x", "file_ids": ["file-x"]}, "file_ids", "Unknown parameter"),
]


@pytest.mark.parametrize(("body", "param", "says"), MESSAGES)
async def test_messages(client: httpx2.AsyncClient, thread: str, body: Any, param: str | None, says: str) -> None:
    error = problem(await client.post(f"/threads/{thread}/messages", json=body), 400)

    assert error["param"] == param
    assert says in error["message"]
    assert (await client.get(f"/threads/{thread}/messages")).json()["data"] == []


RUNS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"assistant_id": None}, "assistant_id", "but got null instead"),
    ({"tools": [FUNCTION] * 21}, "tools", "array with maximum length 20"),
    ({"tool_choice": "maybe"}, "tool_choice", "Invalid value: 'maybe'."),
    ({"tool_choice": {"type": "function"}}, "tool_choice.function", "Missing required parameter"),
    ({"truncation_strategy": {"type": "last_messages"}}, "truncation_strategy", "'last_messages' has to be given"),
    ({"truncation_strategy": {"type": "oldest"}}, "truncation_strategy.type", "Invalid value"),
    ({"max_prompt_tokens": 255}, "max_prompt_tokens", "Expected a value >= 256, but got 255 instead."),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "expected an integer"),
    ({"stream": "yes"}, "stream", "expected a boolean, but got a string"),
    ({"additional_messages": [{"role": "user"}]}, "additional_messages[0].content", "Missing required parameter"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls", "expected a boolean"),
    ({"tool_resources": {}}, "tool_resources", "Unknown parameter"),
]


@pytest.mark.parametrize(("fields", "param", "says"), RUNS)
async def test_runs(
    client: httpx2.AsyncClient, thread: str, assistant: str, fields: dict[str, Any], param: str | None, says: str
) -> None:
    error = problem(await client.post(f"/threads/{thread}/runs", json={"assistant_id": assistant, **fields}), 400)

    assert error["param"] == param
    assert says in error["message"]
    assert (await client.get(f"/threads/{thread}/runs")).json()["data"] == []


UNKNOWN: list[tuple[str, str, str]] = [
    ("GET", "/assistants/asst_none", "No assistant found with id 'asst_none'."),
    ("POST", "/assistants/asst_none", "No assistant found with id 'asst_none'."),
    ("DELETE", "/assistants/asst_none", "No assistant found with id 'asst_none'."),
    ("GET", "/threads/thread_none", "No thread found with id 'thread_none'."),
    ("POST", "/threads/thread_none", "No thread found with id 'thread_none'."),
    ("DELETE", "/threads/thread_none", "No thread found with id 'thread_none'."),
    ("GET", "/threads/thread_none/messages", "No thread found with id 'thread_none'."),
    ("GET", "/threads/thread_none/runs", "No thread found with id 'thread_none'."),
    ("GET", "/threads/thread_none/runs/run_none/steps", "No run found with id 'run_none'."),
    ("GET", "/threads/{thread}/messages/msg_none", "No message found with id 'msg_none'."),
    ("POST", "/threads/{thread}/messages/msg_none", "No message found with id 'msg_none'."),
    ("DELETE", "/threads/{thread}/messages/msg_none", "No message found with id 'msg_none'."),
    ("GET", "/threads/{thread}/runs/run_none", "No run found with id 'run_none'."),
    ("POST", "/threads/{thread}/runs/run_none", "No run found with id 'run_none'."),
    ("POST", "/threads/{thread}/runs/run_none/cancel", "No run found with id 'run_none'."),
    ("GET", "/threads/{thread}/runs/run_none/steps/step_none", "No run step found with id 'step_none'."),
    ("GET", "/files/file-none", "No file found with id 'file-none'."),
    ("GET", "/files/file-none/content", "No file found with id 'file-none'."),
    ("DELETE", "/files/file-none", "No file found with id 'file-none'."),
    ("GET", "/nothing", "Invalid URL (GET /v1/nothing)"),
]


@pytest.mark.parametrize(("method", "path", "says"), UNKNOWN)
async def test_unknown_ids(client: httpx2.AsyncClient, thread: str, method: str, path: str, says: str) -> None:
    body = {} if method == "POST" and not path.endswith("cancel") else None
    answer = await client.request(method, path.format(thread=thread), json=body)

    assert problem(answer, 404)["message"] == says


MIXED_UP: list[tuple[str, str, str]] = [
    ("GET", "/threads/undefined", "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'."),
    ("GET", "/assistants/thread_x", "Invalid 'assistant_id': 'thread_x'. Expected an ID that begins with 'asst'."),
    ("GET", "/threads/run_x/runs/thread_x", "Invalid 'thread_id': 'run_x'."),
    ("GET", "/files/asst_x", "Invalid 'file_id': 'asst_x'. Expected an ID that begins with 'file'."),
    ("GET", "/assistants?limit=0", "Invalid 'limit': integer below minimum value."),
    ("GET", "/assistants?limit=101", "Invalid 'limit': integer above maximum value. Expected a value <= 100"),
    ("GET", "/assistants?limit=ten", "Invalid type for 'limit': expected an integer"),
    ("GET", "/assistants?order=up", "Invalid value: 'up'. Supported values are: 'asc' and 'desc'."),
    ("GET", "/assistants?after=asst_none", "Invalid 'after': no object with id 'asst_none' in this list."),
    ("GET", "/assistants?before=asst_none", "Invalid 'before': no object with id 'asst_none' in this list."),
]


@pytest.mark.parametrize(("method", "path", "says"), MIXED_UP)
async def test_mixed_up_arguments(client: httpx2.AsyncClient, method: str, path: str, says: str) -> None:
    assert says in problem(await client.request(method, path), 400)["message"]


@pytest.mark.parametrize("content", [b"{", b"{'model': 'm'}", b"\xff\xfe", b'{"model": "m"', b"nonsense"])
async def test_malformed_json(client: httpx2.AsyncClient, content: bytes) -> None:
    answer = await client.post("/assistants", content=content, headers={"content-type": "application/json"})

    assert "could not parse the JSON body" in problem(answer, 400)["message"]


async def test_a_body_that_is_no_json_by_its_own_word(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/assistants", content=b"model=m", headers={"content-type": "text/plain"})

    problem(answer, 400)


async def test_a_body_beyond_the_limit_is_refused(client: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 1024 * 1024

    answer = await client.post("/assistants", content=endless(), headers={"content-type": "application/json"})

    problem(answer, 413)


async def test_methods_that_do_not_exist(client: httpx2.AsyncClient) -> None:
    problem(await client.put("/threads", json={}), 405)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, None),
        ("Bearer", None),
        ("Basic abc", None),
        ("Bearer wrong", "invalid_api_key"),
        ("Bearer " + "k" * 9000, "invalid_api_key"),
    ],
)
async def test_keys_that_open_nothing(project: Project, header: str | None, code: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    async with http.stranger(project, **headers) as client:
        error = problem(await client.get("/assistants"), 401)

    assert error["code"] == code
    assert "wrong" not in error["message"]


async def test_another_dialect_is_refused(project: Project) -> None:
    async with http.session(project, openai_beta="assistants=v9") as client:
        assert problem(await client.get("/assistants"), 400)["code"] == "invalid_beta"


async def test_files_that_do_not_exist_cannot_be_referred_to(client: httpx2.AsyncClient, thread: str) -> None:
    resources = {"tool_resources": {"code_interpreter": {"file_ids": ["file-none"]}}}
    attachment = {"role": "user", "content": "x", "attachments": [{"file_id": "file-none", "tools": []}]}

    for path, body in (
        ("/assistants", {"model": "m", **resources}),
        ("/threads", resources),
        ("/threads", {"messages": [attachment]}),
        (f"/threads/{thread}", resources),
        (f"/threads/{thread}/messages", attachment),
    ):
        assert problem(await client.post(path, json=body), 404)["message"] == "No file found with id 'file-none'."


async def test_null_bytes_are_refused(client: httpx2.AsyncClient, thread: str) -> None:
    """Postgres can't store them in text; a client has to hear that before anything is written."""
    for path, body in (
        ("/assistants", {"model": "m\0"}),
        ("/assistants", {"model": "m", "metadata": {"a": "b\0"}}),
        (f"/threads/{thread}/messages", {"role": "user", "content": "a\0b"}),
    ):
        assert "null character" in problem(await client.post(path, json=body), 400)["message"]


@pytest.mark.parametrize("content", [b'{"model": "m", "temperature": NaN}', rb'{"model": "\ud800"}'])
async def test_json_that_only_python_would_take(client: httpx2.AsyncClient, content: bytes) -> None:
    answer = await client.post("/assistants", content=content, headers={"content-type": "application/json"})

    problem(answer, 400)


async def test_numbers_that_no_column_holds(client: httpx2.AsyncClient, thread: str, assistant: str) -> None:
    body = {"assistant_id": assistant, "max_prompt_tokens": 10**12}

    assert "out of range" in problem(await client.post(f"/threads/{thread}/runs", json=body), 400)["message"]
