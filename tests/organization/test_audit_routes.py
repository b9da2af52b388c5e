"""Every route that administers or deletes leaves exactly the entries that it is to leave, if it does anything."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests import http
from tests.organization.matrix import ROUTES as EVERY
from tests.organization.matrix import Route
from tests.organization.test_matrix import NOBODYS
from tests.system import Project, System

AGENT = "auditor/1.0"
PROJECTS = "/organization/projects"
OF_PROJECT = f"{PROJECTS}/{{project_id}}"
OF_ACCOUNT = f"{OF_PROJECT}/service_accounts/{{service_account_id}}"

NOTED: dict[str, list[str]] = {
    "DELETE /assistants/{assistant_id}": ["assistant.deleted"],
    "DELETE /assistants/{assistant_id}/files/{file_id}": ["assistant.file.deleted"],
    "DELETE /files/{file_id}": ["file.deleted"],
    "DELETE /threads/{thread_id}": ["thread.deleted"],
    "DELETE /threads/{thread_id}/messages/{message_id}": ["thread.message.deleted"],
    "DELETE /vector_stores/{vector_store_id}": ["vector_store.deleted"],
    "DELETE /vector_stores/{vector_store_id}/files/{file_id}": ["vector_store.file.deleted"],
    "POST /uploads/{upload_id}/cancel": ["upload.cancelled"],
    "POST /organization/admin_api_keys": ["api_key.created"],
    "DELETE /organization/admin_api_keys/{key_id}": ["api_key.deleted"],
    f"POST {PROJECTS}": ["project.created"],
    f"POST {OF_PROJECT}": ["project.updated"],
    f"POST {OF_PROJECT}/archive": ["project.archived"],
    f"DELETE {OF_PROJECT}/api_keys/{{api_key_id}}": ["api_key.deleted"],
    f"POST {OF_PROJECT}/rate_limits/{{rate_limit_id}}": ["rate_limit.updated"],
    f"POST {OF_PROJECT}/service_accounts": ["api_key.created", "service_account.created"],
    f"POST {OF_ACCOUNT}": ["service_account.updated"],
    f"DELETE {OF_ACCOUNT}": ["api_key.deleted", "service_account.deleted"],
    f"POST {OF_ACCOUNT}/api_keys": ["api_key.created"],
    f"POST {OF_PROJECT}/spend_limit": ["spend_limit.updated"],
    f"DELETE {OF_PROJECT}/spend_limit": ["spend_limit.deleted"],
}

NOT_NOTED = {
    # what a project does with its own things, other than deleting them
    "POST /assistants",
    "POST /assistants/{assistant_id}",
    "POST /assistants/{assistant_id}/files",
    "POST /files",
    "POST /threads",
    "POST /threads/runs",
    "POST /threads/{thread_id}",
    "POST /threads/{thread_id}/messages",
    "POST /threads/{thread_id}/messages/{message_id}",
    "POST /threads/{thread_id}/runs",
    "POST /threads/{thread_id}/runs/{run_id}",
    "POST /threads/{thread_id}/runs/{run_id}/cancel",
    "POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
    "POST /uploads",
    "POST /uploads/{upload_id}/complete",
    "POST /uploads/{upload_id}/parts",
    "POST /vector_stores",
    "POST /vector_stores/{vector_store_id}",
    "POST /vector_stores/{vector_store_id}/file_batches",
    "POST /vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
    "POST /vector_stores/{vector_store_id}/files",
    "POST /vector_stores/{vector_store_id}/files/{file_id}",
    "POST /vector_stores/{vector_store_id}/search",
}

CHANGING = [route for route in EVERY if route.method != "GET"]
ROUTES = [route for route in CHANGING if str(route) in NOTED]
RESOURCES = {  # which id an entry is about, where it isn't the last one in the path
    "POST /uploads/{upload_id}/cancel": "upload_id",
    f"POST {OF_PROJECT}/service_accounts": None,  # what it makes has a new id
    f"POST {OF_ACCOUNT}/api_keys": None,
    f"DELETE {OF_ACCOUNT}": None,  # its keys as well
    f"POST {PROJECTS}": None,
    "POST /organization/admin_api_keys": None,
}


@dataclass(frozen=True)
class Stage:
    """A project with what can be deleted, keys that are this test's alone, and the ids of all that."""

    system: System
    client: httpx2.AsyncClient
    admin: httpx2.AsyncClient
    ids: Mapping[str, str]
    key_ids: list[str]

    async def ask(self, route: Route, **others: str) -> httpx2.Response:
        request = route.request({**self.ids, "new_name": uuid4().hex, **others})
        request["headers"] = {**request["headers"], "user-agent": AGENT}
        return await (self.admin if route.of_organization else self.client).request(**request)

    def entries(self) -> list[dict[str, Any]]:
        """What was noted of these keys, by type."""
        names = ("type", "actor_kind", "actor_id", "project_id", "resource_id", "ip_address", "user_agent")
        rows = self.system.query(
            f"SELECT {', '.join(names)} FROM audit_entries WHERE actor_id = ANY(%s) ORDER BY type", self.key_ids
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


async def _things(system: System, project: Project) -> dict[str, str]:
    """Nothing of it is read by a model or by anybody's worker, so that nobody else changes it."""
    client = project.client
    file = await client.files.create(file=("a.txt", b"content"), purpose="assistants")
    assistant = await client.beta.assistants.create(model="x")
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
    (message,) = (await client.beta.threads.messages.list(thread.id)).data
    upload = await client.uploads.create(filename="b.txt", bytes=1, mime_type="text/plain", purpose="assistants")
    store = await client.vector_stores.create()
    await client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=20)
    async with http.session(project, openai_beta="assistants=v1") as v1:
        (await v1.post(f"/assistants/{assistant.id}/files", json={"file_id": file.id})).raise_for_status()
    ((project_id, account_id, key_id),) = system.query(
        "SELECT project_id, service_account_id, api_keys.id FROM api_keys WHERE project_id ="
        " (SELECT project_id FROM threads WHERE id = %s)",
        thread.id,
    )
    return {
        "assistant_id": assistant.id,
        "thread_id": thread.id,
        "message_id": message.id,
        "file_id": file.id,
        "upload_id": upload.id,
        "vector_store_id": store.id,
        "project_id": project_id,
        "service_account_id": account_id,
        "api_key_id": key_id,
        "rate_limit_id": "rl-x",
    }


@pytest.fixture
async def stage(system: System, project: Project) -> AsyncIterator[Stage]:
    key = await system.admin_key()
    async with http.session(project) as client, http.stranger(project, authorization=f"Bearer {key}") as admin:
        ids = await _things(system, project)
        (admin_key,) = (await admin.get("/organization/admin_api_keys?order=desc&limit=1")).json()["data"]
        system.query("INSERT INTO budgets (project_id, limit_cents) VALUES (%s, 100)", ids["project_id"])
        system.query("INSERT INTO rate_limits (project_id, model) VALUES (%s, 'x')", ids["project_id"])
        key_ids = [ids["api_key_id"], admin_key["id"]]
        yield Stage(system, client, admin, {**ids, "key_id": admin_key["id"]}, key_ids)


def test_every_route_that_changes_something_was_thought_of() -> None:
    assert {str(route) for route in CHANGING} == NOTED.keys() | NOT_NOTED
    assert not NOTED.keys() & NOT_NOTED


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_what_is_done_is_noted(stage: Stage, route: Route) -> None:
    answer = await stage.ask(route)
    assert answer.status_code == 200, answer.text

    noted = stage.entries()

    assert [one["type"] for one in noted] == NOTED[str(route)]
    last = RESOURCES.get(str(route), route.names()[-1] if route.names() else None)
    of_organization = "/admin_api_keys" in route.path
    for one in noted:
        assert (one["ip_address"], one["user_agent"]) == ("127.0.0.1", AGENT)
        assert one["actor_kind"] == ("admin_key" if route.of_organization else "api_key")
        assert one["actor_id"] == stage.key_ids[1 if route.of_organization else 0]
        if last is not None and "rate_limit" not in route.path:
            assert one["resource_id"] == stage.ids[last]
        if route.path != PROJECTS:
            assert one["project_id"] == (None if of_organization else stage.ids["project_id"])


@pytest.mark.parametrize(
    ("route", "place"), [(route, place) for route in ROUTES for place in route.names() if route.path != PROJECTS]
)
async def test_what_is_not_there_is_not_noted(stage: Stage, route: Route, place: str) -> None:
    assert (await stage.ask(route, **{place: NOBODYS[place]})).status_code == 404

    assert stage.entries() == []


async def test_what_was_done_already_is_not_noted_again(stage: Stage) -> None:
    by_name = {str(route): route for route in ROUTES}
    archive = by_name[f"POST {OF_PROJECT}/archive"]
    for _ in range(2):
        assert (await stage.ask(archive)).status_code == 200
    for name in (f"POST {OF_PROJECT}", f"POST {OF_PROJECT}/spend_limit", f"POST {OF_PROJECT}/service_accounts"):
        assert (await stage.ask(by_name[name])).status_code == 400

    assert [one["type"] for one in stage.entries()] == ["project.archived"]


async def test_a_repeated_request_is_noted_once(stage: Stage) -> None:
    path = f"/uploads/{stage.ids['upload_id']}/cancel"
    for _ in range(2):
        (await stage.client.post(path, headers={"idempotency-key": "once"})).raise_for_status()

    assert [one["type"] for one in stage.entries()] == ["upload.cancelled"]
