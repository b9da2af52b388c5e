"""What is refused before it is read: strangers, and bodies without an end. The rest is in tests/api/malformed."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.system import Project


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The error, after a look at its envelope."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def test_a_body_beyond_the_limit_is_refused(project: Project) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 1024 * 1024

    async with http.session(project) as client:
        answer = await client.post("/assistants", content=endless(), headers={"content-type": "application/json"})

    problem(answer, 413)


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
