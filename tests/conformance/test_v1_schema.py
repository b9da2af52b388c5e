"""What only v1 has, held against OpenAI's schema of that time."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.system import Project, System


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project, openai_beta="assistants=v1") as session:
        yield session


@pytest.fixture
async def files(project: Project) -> list[str]:
    return [(await project.client.files.create(file=(f"{n}.txt", b"x"), purpose="assistants")).id for n in range(22)]


@pytest.fixture
async def assistant(project: Project) -> str:
    return (await project.client.beta.assistants.create(model="m")).id


async def attached(project: Project, assistant: str) -> list[str]:
    """As v1 lists them in the assistant itself."""
    async with http.session(project, openai_beta="assistants=v1") as session:
        return (await session.get(f"/assistants/{assistant}")).json()["file_ids"]


def says(answer: httpx2.Response, status: int, sentence: str) -> None:
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]["message"]


async def test_files_of_an_assistant(
    client: httpx2.AsyncClient, project: Project, assistant: str, files: list[str]
) -> None:
    path = f"/assistants/{assistant}/files"
    assert (await client.get(path)).json()["data"] == []

    made = [(await client.post(path, json={"file_id": file})).json() for file in files[:3]]

    assert [one["id"] for one in made] == await attached(project, assistant) == files[:3]
    assert (await client.get(f"{path}/{files[1]}")).json() == made[1]
    assert [one["id"] for one in (await client.get(path)).json()["data"]] == files[2::-1]
    page = (await client.get(path, params={"order": "asc", "limit": 2})).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (files[:2], True)
    assert (await client.delete(f"{path}/{files[0]}")).json()["deleted"] is True
    rest = (await client.get(path, params={"order": "asc", "after": files[0]})).json()
    assert [one["id"] for one in rest["data"]] == files[1:3]  # what was detached still marks its place
    says(await client.get(f"{path}/{files[0]}"), 404, f"No file found with id '{files[0]}'.")
    says(await client.delete(f"{path}/{files[0]}"), 404, f"No file found with id '{files[0]}'.")
    assert (await project.client.files.retrieve(files[0])).id == files[0]


async def test_a_file_is_attached_once_and_twenty_are_the_most(
    client: httpx2.AsyncClient, project: Project, assistant: str, files: list[str]
) -> None:
    path = f"/assistants/{assistant}/files"

    for file in [*files[:20], files[0]]:
        assert (await client.post(path, json={"file_id": file})).status_code == 200

    says(await client.post(path, json={"file_id": files[20]}), 400, "has 20 files, which is the most")
    assert await attached(project, assistant) == files[:20]


async def test_what_can_not_be_attached(
    client: httpx2.AsyncClient, assistant: str, files: list[str], system: System
) -> None:
    path = f"/assistants/{assistant}/files"
    async with Project.of(system) as stranger:
        theirs = (await stranger.client.files.create(file=("a.txt", b"x"), purpose="assistants")).id
        hers = (await stranger.client.beta.assistants.create(model="m")).id

    says(await client.post(path, json={"file_id": theirs}), 404, f"No file found with id '{theirs}'.")
    says(await client.post(path, json={"file_id": "file-none"}), 404, "No file found with id 'file-none'.")
    says(await client.post(path, json={}), 400, "Missing required parameter: 'file_id'.")
    says(await client.post(path, json={"file_id": files[0], "x": 1}), 400, "Unknown parameter: 'x'.")
    for method, own in (("GET", ""), ("POST", ""), ("GET", f"/{files[0]}"), ("DELETE", f"/{files[0]}")):
        body = {"file_id": files[0]} if method == "POST" else None
        answer = await client.request(method, f"/assistants/{hers}/files{own}", json=body)
        says(answer, 404, f"No assistant found with id '{hers}'.")


async def test_files_that_came_with_a_message(client: httpx2.AsyncClient, project: Project, files: list[str]) -> None:
    async with http.session(project, openai_beta="assistants=v1") as v1:
        thread = (await v1.post("/threads", json={})).json()["id"]
        body = {"role": "user", "content": "Read.", "file_ids": files[:3]}
        message = (await v1.post(f"/threads/{thread}/messages", json=body)).json()["id"]
    path = f"/threads/{thread}/messages/{message}/files"

    page = (await client.get(path, params={"limit": 2})).json()
    one = (await client.get(f"{path}/{files[1]}")).json()
    await project.client.files.delete(files[2])
    left = (await client.get(path)).json()

    assert ([file["id"] for file in page["data"]], page["has_more"]) == ([files[2], files[1]], True)
    assert page["data"][1] == one
    assert [file["id"] for file in left["data"]] == [files[1], files[0]]
    for gone in (files[2], files[3]):
        says(await client.get(f"{path}/{gone}"), 404, f"No file found with id '{gone}'.")
    says(await client.get(f"/threads/{thread}/messages/msg_none/files"), 404, "No message found with id 'msg_none'.")


@pytest.mark.parametrize("header", [{}, {"openai_beta": "assistants=v2"}])
async def test_to_v2_these_addresses_are_unknown(
    project: Project, assistant: str, files: list[str], header: dict[str, str]
) -> None:
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/assistants/{assistant}/files", None),
        ("POST", f"/assistants/{assistant}/files", {"file_id": files[0]}),
        ("GET", f"/assistants/{assistant}/files/{files[0]}", None),
        ("DELETE", f"/assistants/{assistant}/files/{files[0]}", None),
        ("GET", "/threads/thread_x/messages/msg_x/files", None),
        ("GET", "/threads/thread_x/messages/msg_x/files/undefined", None),
    ]
    async with http.session(project, **header) as session:
        for method, path, body in requests:
            says(await session.request(method, path, json=body), 404, f"Invalid URL ({method} /v1{path})")
    assert await attached(project, assistant) == []
