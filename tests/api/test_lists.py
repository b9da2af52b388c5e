"""Lists: every row once, in both directions, ties included."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import http
from tests.system import Project, System


@pytest.fixture
async def client(project: Project) -> AsyncIterator[httpx2.AsyncClient]:
    async with http.session(project) as session:
        yield session


@pytest.fixture
async def thread(project: Project) -> str:
    """A thread of seven messages, five of which were made in the same instant."""
    numbers: Any = [{"role": "user", "content": str(number)} for number in range(5)]
    made = await project.client.beta.threads.create(messages=numbers)
    for number in (5, 6):
        await project.client.beta.threads.messages.create(made.id, role="user", content=str(number))
    return made.id


async def listed(client: httpx2.AsyncClient, path: str, **params: Any) -> tuple[list[int], dict[str, Any]]:
    page = (await client.get(path, params=params)).json()
    return [int(message["content"][0]["text"]["value"]) for message in page["data"]], page


async def test_newest_first_by_default(client: httpx2.AsyncClient, thread: str) -> None:
    numbers, page = await listed(client, f"/threads/{thread}/messages")

    assert numbers == [6, 5, 4, 3, 2, 1, 0]
    assert page["object"] == "list"
    assert page["has_more"] is False
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
async def test_pages_hold_each_row_once(client: httpx2.AsyncClient, thread: str, order: str, limit: int) -> None:
    path, seen, after = f"/threads/{thread}/messages", list[int](), {}
    while True:
        numbers, page = await listed(client, path, order=order, limit=limit, **after)
        seen += numbers
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}

    assert seen == (list(range(7)) if order == "asc" else list(range(6, -1, -1)))


async def test_before_is_the_page_just_before(client: httpx2.AsyncClient, thread: str) -> None:
    path = f"/threads/{thread}/messages"
    _, whole = await listed(client, path, order="asc")
    fifth = whole["data"][4]["id"]

    nearest, page = await listed(client, path, order="asc", before=fifth, limit=2)
    rest, end = await listed(client, path, order="asc", before=page["first_id"])
    between, _ = await listed(client, path, order="asc", after=whole["data"][0]["id"], before=fifth)

    assert nearest == [2, 3]
    assert page["has_more"] is True
    assert rest == [0, 1]
    assert end["has_more"] is False
    assert between == [1, 2, 3]


async def test_a_page_after_the_last_is_empty_and_no_error(client: httpx2.AsyncClient, thread: str) -> None:
    """Clients that ignore has_more page on until they get this."""
    _, whole = await listed(client, f"/threads/{thread}/messages")

    numbers, page = await listed(client, f"/threads/{thread}/messages", after=whole["last_id"])

    assert numbers == []
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_a_cursor_of_another_project_tells_nothing(
    client: httpx2.AsyncClient, thread: str, system: System
) -> None:
    """It is answered like that of a row that was deleted, or never was."""
    async with Project.of(system) as stranger:
        theirs = await stranger.client.beta.threads.create(messages=[{"role": "user", "content": "7"}])
        (message,) = (await stranger.client.beta.threads.messages.list(theirs.id)).data
    never = message.id[:-4] + "zzzz"

    foreign = await client.get(f"/threads/{thread}/messages", params={"after": message.id})
    unknown = await client.get(f"/threads/{thread}/messages", params={"after": never})

    assert foreign.status_code == unknown.status_code == 200
    assert foreign.json() == unknown.json()


async def test_an_id_of_another_kind_is_no_cursor(client: httpx2.AsyncClient, thread: str) -> None:
    answer = await client.get("/assistants", params={"after": thread})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "after"


async def test_what_belongs_to_others_is_not_there(
    project: Project, system: System, client: httpx2.AsyncClient
) -> None:
    """Each id of another project, in each position, is as unknown as one that never was."""
    theirs = project.client
    assistant = await theirs.beta.assistants.create(model="m")
    thread = await theirs.beta.threads.create(messages=[{"role": "user", "content": "secret"}])
    (message,) = (await theirs.beta.threads.messages.list(thread.id)).data
    file = await theirs.files.create(file=("secret.txt", b"secret"), purpose="assistants")
    async with Project.of(system) as stranger, http.session(stranger) as session:
        mine = await stranger.client.beta.assistants.create(model="m")
        for method, path, body in (
            ("GET", f"/assistants/{assistant.id}", None),
            ("POST", f"/assistants/{assistant.id}", {"name": "x"}),
            ("DELETE", f"/assistants/{assistant.id}", None),
            ("GET", f"/threads/{thread.id}", None),
            ("POST", f"/threads/{thread.id}", {"metadata": {}}),
            ("DELETE", f"/threads/{thread.id}", None),
            ("GET", f"/threads/{thread.id}/messages", None),
            ("POST", f"/threads/{thread.id}/messages", {"role": "user", "content": "x"}),
            ("GET", f"/threads/{thread.id}/messages/{message.id}", None),
            ("DELETE", f"/threads/{thread.id}/messages/{message.id}", None),
            ("GET", f"/threads/{thread.id}/runs", None),
            ("POST", f"/threads/{thread.id}/runs", {"assistant_id": mine.id}),
            ("POST", "/threads/runs", {"assistant_id": assistant.id}),
            ("GET", f"/files/{file.id}", None),
            ("GET", f"/files/{file.id}/content", None),
            ("DELETE", f"/files/{file.id}", None),
            ("POST", "/assistants", {"model": "m", "tool_resources": {"code_interpreter": {"file_ids": [file.id]}}}),
        ):
            answer = await session.request(method, path, json=body)
            assert answer.status_code == 404, (method, path, answer.text)
        assert [one["id"] for one in (await session.get("/assistants")).json()["data"]] == [mine.id]
        assert (await session.get("/files")).json()["data"] == []
    assert (await client.get(f"/threads/{thread.id}/messages")).json()["data"][0]["id"] == message.id


async def test_deleting_while_paging_misses_nothing(project: Project) -> None:
    """The usual clean-up program: the cursor's row is gone when the next page is asked for."""
    for _ in range(7):
        await project.client.beta.assistants.create(model="m")

    async for assistant in project.client.beta.assistants.list(limit=2):
        await project.client.beta.assistants.delete(assistant.id)

    assert (await project.client.beta.assistants.list()).data == []


MADE: dict[str, dict[str, Any]] = {
    "/assistants": {"json": {"model": "m"}},
    "/files": {"files": {"file": ("a.txt", b"a")}, "data": {"purpose": "assistants"}},
    "/threads": {},
    "/vector_stores": {"json": {}},
}


@pytest.mark.parametrize("path", MADE)
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_deleted_cursor_marks_its_place_in_every_list(
    client: httpx2.AsyncClient, path: str, order: str
) -> None:
    ids = [(await client.post(path, **MADE[path])).json()["id"] for _ in range(4)]
    expected = ids if order == "asc" else ids[::-1]
    (await client.delete(f"{path}/{expected[1]}")).raise_for_status()

    after = (await client.get(path, params={"order": order, "after": expected[1]})).json()

    assert [one["id"] for one in after["data"]] == expected[2:]
