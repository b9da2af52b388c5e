"""The audit log as administrators read it: what an entry says, filters, pages."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests import http
from tests.organization.conftest import Admin
from tests.system import Project, System

PATH = "/organization/audit_logs"


async def logs(admin: Admin, **query: Any) -> list[dict[str, Any]]:
    """The entries that a question finds, newest first."""
    answer = await admin.http.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def without_place(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is not different each time."""
    kept = {name: value for name, value in entry.items() if name not in ("id", "effective_at")}
    kept["assistantd"] = {name: value for name, value in entry["assistantd"].items() if name not in ("number", "hash")}
    return kept


async def test_what_entries_say(admin: Admin, system: System) -> None:
    agent = {"user-agent": "terraform/1.9"}
    project_id = await admin.project()
    path = f"/organization/projects/{project_id}"
    name = uuid4().hex
    for where, body in (
        (path, {"name": name, "assistantd": {"limits": {"max_requests_per_1_minute": 5, "max_stored_bytes": None}}}),
        (f"{path}/rate_limits/rl-x", {"max_tokens_per_1_minute": 7, "max_requests_per_1_minute": None}),
        (f"{path}/spend_limit", {"threshold_amount": 100}),
    ):
        system.query("INSERT INTO rate_limits VALUES (%s, 'x') ON CONFLICT DO NOTHING", project_id)
        (await admin.http.post(where, json=body, headers=agent)).raise_for_status()

    spent, rate, updated, created = await logs(admin, **{"project_ids[]": project_id})

    ((key_id,),) = system.query("SELECT id FROM admin_keys ORDER BY created_at DESC, id DESC LIMIT 1")
    same = {
        "actor": {"type": "api_key", "api_key": {"id": key_id, "type": "user"}},
        "project": {"id": project_id, "name": name},
    }
    facts = {"via": "api", "ip_address": "127.0.0.1", "user_agent": "terraform/1.9"}
    assert without_place(updated) == {
        **same,
        "type": "project.updated",
        "project.updated": {"id": project_id, "changes_requested": {"title": name}},
        "assistantd": {**facts, "changed": ["max_requests_per_1_minute", "max_stored_bytes", "name"]},
    }
    assert without_place(rate) == {
        **same,
        "type": "rate_limit.updated",
        "rate_limit.updated": {
            "id": "rl-x",
            "changes_requested": {"max_requests_per_1_minute": 2147483647, "max_tokens_per_1_minute": 7},
        },
        "assistantd": {**facts, "changed": ["max_requests_per_1_minute", "max_tokens_per_1_minute"]},
    }
    assert spent["spend_limit.updated"] == {"id": project_id}
    assert spent["assistantd"]["changed"] == ["alert_amount", "threshold_amount"]
    assert created["project.created"]["data"]["name"] == created["project.created"]["data"]["title"] != name
    assert abs(created["effective_at"] - time.time()) < 60


async def test_a_key_is_told_without_its_value(admin: Admin) -> None:
    project_id = await admin.project()
    accounts = admin.client.admin.organization.projects.service_accounts
    account = await accounts.create(project_id=project_id, name="a")
    key = await accounts.api_keys.create(account.id, project_id=project_id, scopes=["api.files.read"])
    revoked = await accounts.api_keys.create(account.id, project_id=project_id)
    await admin.client.admin.organization.projects.api_keys.delete(revoked.id, project_id=project_id)
    await accounts.delete(account.id, project_id=project_id)

    entries = await logs(admin, **{"project_ids[]": project_id})

    assert account.api_key is not None
    assert [(entry["type"], entry[entry["type"]]["id"]) for entry in entries[:6]] == [
        ("service_account.deleted", account.id),
        ("api_key.deleted", key.id),
        ("api_key.deleted", account.api_key.id),
        ("api_key.deleted", revoked.id),
        ("api_key.created", revoked.id),
        ("api_key.created", key.id),
    ]
    assert entries[5]["api_key.created"] == {"id": key.id, "data": {"scopes": ["api.files.read"]}}
    assert {entry["type"] for entry in entries[6:8]} == {"service_account.created", "api_key.created"}
    assert not [value for value in (key.value, account.api_key.value) if value in str(entries)]


async def test_deletions_are_told_without_content(admin: Admin, project: Project, system: System) -> None:
    client = project.client
    thread = await client.beta.threads.create(
        messages=[{"role": "user", "content": "a secret"}], metadata={"of": "a secret"}
    )
    (message,) = (await client.beta.threads.messages.list(thread.id)).data
    await client.beta.threads.messages.delete(message.id, thread_id=thread.id)
    await client.beta.threads.delete(thread.id)
    ((project_id, account_id, key_id),) = system.query(
        "SELECT project_id, actor_account_id, actor_id FROM audit_entries WHERE resource_id = %s", thread.id
    )

    whole, part = await logs(admin, **{"actor_ids[]": account_id})

    assert part["thread.message.deleted"] == {"id": message.id, "thread_id": thread.id}
    assert whole["thread.deleted"] == {"id": thread.id}
    assert whole["actor"] == {
        "type": "api_key",
        "api_key": {"id": key_id, "type": "service_account", "service_account": {"id": account_id}},
    }
    assert whole["project"]["id"] == project_id
    assert "secret" not in str((whole, part))


async def test_filters(admin: Admin, project: Project, system: System) -> None:
    """Each alone, and together; the official client spells lists and ranges as OpenAI's does."""
    thread = await project.client.beta.threads.create()
    await project.client.beta.threads.delete(thread.id)
    ((project_id, key_id),) = system.query(
        "SELECT project_id, actor_id FROM audit_entries WHERE resource_id = %s", thread.id
    )
    other = await admin.project()
    listed = admin.client.admin.organization.audit_logs.list
    now = int(time.time())

    (by_client,) = (await listed(project_ids=[other], effective_at={"gte": now - 60, "lt": now + 60})).data
    assert by_client.type == "project.created"
    assert by_client.project is not None
    assert by_client.project.id == other
    (of_thread,) = await logs(admin, **{"resource_ids[]": [thread.id, "thread_none"]})
    assert [of_thread] == await logs(admin, **{"event_types[]": "thread.deleted", "actor_ids[]": key_id})
    assert [of_thread] == await logs(admin, **{"project_ids[]": project_id, "event_types[]": "thread.deleted"})
    at = of_thread["effective_at"]
    same = {"resource_ids[]": thread.id}
    for condition, found in (
        ({"gt": at - 1}, True),
        ({"gt": at}, False),
        ({"gte": at}, True),
        ({"gte": at + 1}, False),
        ({"lt": at + 1}, True),
        ({"lt": at}, False),
        ({"lte": at}, True),
        ({"lte": at - 1}, False),
    ):
        spelt = {f"effective_at[{name}]": value for name, value in condition.items()}
        assert await logs(admin, **same, **spelt) == ([of_thread] if found else []), condition
    assert await logs(admin, **same, **{"actor_emails[]": "a@example.com"}) == []
    assert await logs(admin, **same, tenant_only="true") == []
    assert await logs(admin, **{"event_types[]": "file.deleted", **same}) == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"event_types[]": "thread.delete"}, "event_types[]"),
        ({"effective_at[gt]": "yesterday"}, "effective_at[gt]"),
        ({"effective_at": "1"}, "effective_at"),
        ({"order": "asc"}, "order"),
        ({"limit": "101"}, "limit"),
        ({"after": "audit_log-none"}, "after"),
    ],
)
async def test_what_can_not_be_meant(admin: Admin, query: Mapping[str, str], param: str) -> None:
    answer = await admin.http.get(PATH, params=query)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(param.removesuffix("[]"))


async def test_pages_whose_entries_have_the_same_instant(admin: Admin, system: System) -> None:
    """One statement makes two entries of the same instant here, again and again."""
    project_id = await admin.project()
    accounts = admin.client.admin.organization.projects.service_accounts
    for number in range(3):
        await accounts.create(project_id=project_id, name=f"{number}")
    every = system.query(
        "SELECT id FROM audit_entries WHERE project_id = %s ORDER BY created_at DESC, id DESC", project_id
    )
    ties = "SELECT count(*) - count(DISTINCT created_at) FROM audit_entries WHERE project_id = %s"
    assert system.query(ties, project_id) == [(3,)]

    forwards = await _walk(admin, project_id, "after")
    backwards = await _walk(admin, project_id, "before", every[-1][0])

    assert forwards == [one for (one,) in every]
    assert backwards == forwards[-2::-1]


async def _walk(admin: Admin, project_id: str, which: str, cursor: str | None = None) -> list[str]:
    found: list[str] = []
    while True:
        query = {"project_ids[]": project_id, "limit": "1"} | ({} if cursor is None else {which: cursor})
        page = (await admin.http.get(PATH, params=query)).json()
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            return found
        cursor = page["last_id"]


async def test_entries_of_a_project_that_is_gone_stay(admin: Admin, system: System) -> None:
    """Projects are archived, never deleted; if somebody does it all the same, their entries know them by their ids."""
    project_id = await admin.project()
    await admin.client.admin.organization.projects.archive(project_id)
    system.query("DELETE FROM projects WHERE id = %s", project_id)

    archived, created = await logs(admin, **{"project_ids[]": project_id})

    assert archived["project.archived"] == {"id": project_id}
    assert created["project"] == {"id": project_id}


async def test_a_proxy_is_believed_on_this_machine(admin: Admin, project: Project) -> None:
    """As uvicorn has it by default; who that is, is said in FORWARDED_ALLOW_IPS."""
    thread = await project.client.beta.threads.create()
    async with http.session(project, x_forwarded_for="203.0.113.7") as client:
        (await client.delete(f"/threads/{thread.id}")).raise_for_status()

    (entry,) = await logs(admin, **{"resource_ids[]": thread.id})

    assert entry["assistantd"]["ip_address"] == "203.0.113.7"


async def test_odd_clients(admin: Admin, project: Project) -> None:
    thread = await project.client.beta.threads.create()
    async with http.session(project, user_agent="x" * 300) as client:
        (await client.delete(f"/threads/{thread.id}")).raise_for_status()

    (entry,) = await logs(admin, **{"resource_ids[]": thread.id})

    assert entry["assistantd"]["user_agent"] == "x" * 256
