"""The administration by the official client: projects, service accounts and keys from their beginning to their end."""

from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.organization.conftest import Admin
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import System, until


def speaking(system: System, key: str) -> AsyncOpenAI:
    """The official client with that key."""
    return AsyncOpenAI(base_url=system.base_url, api_key=key, max_retries=0)


async def listed(page: Any) -> list[Any]:
    return [one async for one in page]


def problem(answer: httpx2.Response, status: int) -> tuple[str, str | None, str | None]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    return error["message"], error["param"], error["code"]


async def test_a_project_from_its_beginning_to_its_end(admin: Admin, system: System) -> None:
    projects = admin.client.admin.organization.projects
    made = await projects.create(name="Library of Alexandria")
    assert (made.name, made.status, made.archived_at) == ("Library of Alexandria", "active", None)
    assert await projects.retrieve(made.id) == made

    renamed = await projects.update(made.id, name="Library of Pergamon")
    assert renamed == made.model_copy(update={"name": "Library of Pergamon"})
    account = await projects.service_accounts.create(project_id=made.id, name="librarian")
    assert account.api_key is not None
    async with speaking(system, account.api_key.value) as client:
        thread = await client.beta.threads.create()

        archived = await projects.archive(made.id)
        assert (archived.status, archived.archived_at is None) == ("archived", False)
        assert await projects.archive(made.id) == archived, "twice is harmless"

        async with speaking(system, await system.key("Library of Pergamon")) as another:
            with pytest.raises(openai.NotFoundError):  # the name is free again, the data are the other one's
                await another.beta.threads.retrieve(thread.id)
    assert system.query("SELECT project_id FROM threads WHERE id = %s", thread.id) == [(made.id,)]


async def test_an_archived_project_finishes_what_it_accepted(
    admin: Admin, system: System, model: ScriptedModel
) -> None:
    project = await admin.project()
    projects = admin.client.admin.organization.projects
    account = await projects.service_accounts.create(project_id=project, name="a")
    assert account.api_key is not None
    gate = Gate()
    async with speaking(system, account.api_key.value) as client:
        assistant = await client.beta.assistants.create(model=model.script(Say(["Half a", gate, " word."])))
        run = await client.beta.threads.create_and_run(assistant_id=assistant.id)
    await gate.reached()
    await projects.archive(project)
    gate.open()

    status = "SELECT status FROM runs WHERE id = %s"
    await until(lambda: system.query(status, run.id) == [("completed",)])


async def test_archived_projects_are_listed_on_request(admin: Admin) -> None:
    projects = admin.client.admin.organization.projects
    first, second, third = [await admin.project() for _ in range(3)]
    await projects.archive(second)

    assert [one.id for one in await listed(projects.list(after=first, limit=1))] == [third]
    every = await listed(projects.list(after=first, limit=1, include_archived=True))
    assert [one.id for one in every] == [second, third]


async def test_an_archived_project_is_not_changed(admin: Admin) -> None:
    project = await admin.project()
    accounts = admin.client.admin.organization.projects.service_accounts
    account = await accounts.create(project_id=project, name="a")
    await admin.client.admin.organization.projects.archive(project)

    at = f"/organization/projects/{project}"
    said = (f"Project {project} is archived and can't be changed.", None, "project_archived")
    for path, body in (
        (at, {"name": "new"}),
        (f"{at}/service_accounts", {"name": "b"}),
        (f"{at}/service_accounts", {"name": "b", "create_service_account_only": True}),
        (f"{at}/service_accounts/{account.id}/api_keys", {}),
    ):
        assert problem(await admin.http.post(path, json=body), 400) == said


async def test_a_name_is_one_projects(admin: Admin) -> None:
    projects = admin.client.admin.organization.projects
    one = await projects.create(name="Atlantis")
    other = await admin.project()

    said = ("There is already a project named 'Atlantis'.", "name", "name_taken")
    assert problem(await admin.http.post("/organization/projects", json={"name": "Atlantis"}), 400) == said
    assert problem(await admin.http.post(f"/organization/projects/{other}", json={"name": "Atlantis"}), 400) == said
    assert (await projects.update(one.id, name="Atlantis")).name == "Atlantis"
    await projects.archive(one.id)
    assert (await projects.update(other, name="Atlantis")).name == "Atlantis"


async def test_a_service_account_from_its_beginning_to_its_end(admin: Admin, system: System) -> None:
    project = await admin.project()
    accounts = admin.client.admin.organization.projects.service_accounts
    made = await accounts.create(project_id=project, name="importer")
    keyless = await accounts.create(project_id=project, name="exporter", create_service_account_only=True)

    assert made.api_key is not None
    assert keyless.api_key is None
    assert [one.id for one in await listed(accounts.list(project, limit=1))] == [made.id, keyless.id]
    renamed = await accounts.update(made.id, project_id=project, name="translator")
    assert (renamed.id, renamed.name, renamed.role) == (made.id, "translator", "member")
    assert await accounts.retrieve(made.id, project_id=project) == renamed

    async with speaking(system, made.api_key.value) as client:
        await client.beta.threads.create()
    assert (await accounts.delete(made.id, project_id=project)).deleted
    assert [one.id for one in await listed(accounts.list(project))] == [keyless.id]
    assert await listed(admin.client.admin.organization.projects.api_keys.list(project)) == []
    with pytest.raises(openai.NotFoundError):
        await accounts.retrieve(made.id, project_id=project)


async def test_a_key_is_shown_once_and_known_by_its_ends(admin: Admin, system: System) -> None:
    project = await admin.project()
    of_project = admin.client.admin.organization.projects
    account = await of_project.service_accounts.create(project_id=project, name="a")
    assert account.api_key is not None
    value = account.api_key.value

    (key,) = await listed(of_project.api_keys.list(project))

    assert key.id == account.api_key.id
    assert key.redacted_value == f"{value[:6]}…{value[-4:]}"
    assert (key.name, key.last_used_at, key.expires_at) == ("Secret Key", None, None)
    assert key.owner.service_account.id == account.id
    for rows in system.query("SELECT api_keys::text FROM api_keys UNION ALL SELECT admin_keys::text FROM admin_keys"):
        assert value not in rows[0]
        assert admin.key not in rows[0]

    async with speaking(system, value) as client:
        await client.models.list()
    used = await of_project.api_keys.retrieve(key.id, project_id=project)
    assert used.last_used_at is not None


async def test_keys_with_scopes_and_an_end(admin: Admin) -> None:
    project = await admin.project()
    of_project = admin.client.admin.organization.projects
    account = await of_project.service_accounts.create(project_id=project, name="a", create_service_account_only=True)
    made = await of_project.service_accounts.api_keys.create(
        account.id, project_id=project, name="reader", scopes=["api.files.read"], expires_in_seconds=3600
    )
    plain = await of_project.service_accounts.api_keys.create(account.id, project_id=project)

    (limited, all_opening) = (await admin.http.get(f"/organization/projects/{project}/api_keys")).json()["data"]
    assert (limited["id"], limited["name"]) == (made.id, "reader")
    assert limited["assistantd"] == {"scopes": ["api.files.read"]}
    assert limited["expires_at"] - limited["created_at"] == 3600
    assert (all_opening["id"], all_opening["assistantd"]) == (plain.id, {"scopes": None})
    misspelt = await admin.http.post(
        f"/organization/projects/{project}/service_accounts/{account.id}/api_keys", json={"scopes": ["api.files.raed"]}
    )
    assert problem(misspelt, 400)[1:] == ("scopes[0]", "invalid_value")
    assert (await of_project.api_keys.delete(made.id, project_id=project)).deleted
    with pytest.raises(openai.NotFoundError):
        await of_project.api_keys.retrieve(made.id, project_id=project)
    inactive = f"/organization/projects/{project}/api_keys?owner_project_access=inactive"
    assert (await admin.http.get(inactive)).json()["data"] == []


async def test_admin_keys_from_their_beginning_to_their_end(admin: Admin, system: System) -> None:
    admin_keys = admin.client.admin.organization.admin_api_keys
    made = await admin_keys.create(name="terraform", expires_in_seconds=60)
    assert made.value.startswith("sk-assistantd-admin-")
    assert made.expires_at is not None
    assert made.expires_at - made.created_at == 60

    second = AsyncOpenAI(base_url=system.base_url, api_key="none", admin_api_key=made.value, max_retries=0)
    async with second:
        newest = await second.admin.organization.admin_api_keys.list(order="desc", limit=1)
        assert [one.id for one in newest.data] == [made.id]
    assert (await admin_keys.delete(made.id)).deleted
    oldest_first = [one.id for one in await listed(admin_keys.list(limit=2))]
    assert made.id not in oldest_first
    assert oldest_first == sorted(oldest_first)
    with pytest.raises(openai.NotFoundError):
        await admin_keys.retrieve(made.id)
    kept = await admin_keys.retrieve(oldest_first[-1])
    assert kept.last_used_at is not None


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 1}, {"name": "x" * 257}, {"name": "x", "colour": "red"}])
@pytest.mark.parametrize("path", ["projects", "admin_api_keys", "projects/{project}/service_accounts"])
async def test_malformed_bodies_make_nothing(admin: Admin, system: System, path: str, body: dict[str, Any]) -> None:
    path = path.format(project=await admin.project())
    count = "SELECT (SELECT count(*) FROM projects), (SELECT count(*) FROM admin_keys), (SELECT count(*) FROM api_keys)"
    before = system.query(count)

    message, param, _ = problem(await admin.http.post(f"/organization/{path}", json=body), 400)

    assert param is not None
    assert param in message
    assert system.query(count) == before


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("projects/undefined", "project_id"),
        ("projects/proj_x/service_accounts/key_x", "service_account_id"),
        ("projects/proj_x/api_keys/svc_acct_x", "api_key_id"),
        ("admin_api_keys/proj_x", "key_id"),
        ("projects?limit=101", "limit"),
        ("projects?after=thread_x", "after"),
        ("projects?order=desc", "order"),
        ("admin_api_keys?order=up", "order"),
    ],
)
async def test_malformed_addresses(admin: Admin, path: str, param: str) -> None:
    assert problem(await admin.http.get(f"/organization/{path}"), 400)[1] == param


async def test_places_of_deleted_things_are_kept_in_lists(admin: Admin) -> None:
    """Clients delete while they page."""
    project = await admin.project()
    accounts = admin.client.admin.organization.projects.service_accounts
    made = [await accounts.create(project_id=project, name=str(number)) for number in range(3)]
    await accounts.delete(made[1].id, project_id=project)

    assert [one.id for one in await listed(accounts.list(project, after=made[1].id))] == [made[2].id]
    keys = admin.client.admin.organization.projects.api_keys
    assert made[1].api_key is not None
    assert made[2].api_key is not None
    assert [one.id for one in await listed(keys.list(project, after=made[1].api_key.id))] == [made[2].api_key.id]


async def test_what_has_no_effect_here_is_refused_by_name(admin: Admin) -> None:
    body = {"name": "x", "residency": "EU_STORAGE_PROCESSING"}
    assert problem(await admin.http.post("/organization/projects", json=body), 400)[1] == "residency"


async def test_answers_with_secrets_are_not_kept(admin: Admin, system: System) -> None:
    answer = await admin.http.post(
        "/organization/admin_api_keys", json={"name": "x"}, headers={"idempotency-key": "once"}
    )

    assert problem(answer, 400)[1] == "Idempotency-Key"
    assert system.query("SELECT FROM idempotency_keys WHERE key = 'once'") == []
