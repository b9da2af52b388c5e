"""Every route with every key that doesn't open it, and with another project's id in every position: the status of each.

The routes are the application's own: a new one is in the matrix by being there, and a POST without a body to try it
with fails the first test.
"""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from shared.projects.keys import redact
from shared.projects.scopes import OF_ADMINS, OF_PROJECTS
from tests import http
from tests.organization.matrix import BODIES, Route, routes
from tests.scripted_model import CallFunctions, Say, ScriptedModel
from tests.system import Project, System

ROUTES = list(routes())
WITH_IDS = [(route, place) for route in ROUTES for place in route.places()]
WITH_OTHERS = [  # alone in a path, a project's id is one that an admin key opens, whichever project it is
    (route, place) for route, place in WITH_IDS if not route.of_organization or route.places() != ["project_id"]
]
NO_KEY, INCORRECT, MISSING, ARCHIVED = (
    "You didn't provide an API key.",
    "Incorrect API key provided:",
    "You have insufficient permissions for this operation. Missing scopes: ",
    "The project you are requesting has been archived",
)
NOBODYS = {
    "assistant_id": "asst_none",
    "thread_id": "thread_none",
    "message_id": "msg_none",
    "run_id": "run_none",
    "step_id": "step_none",
    "file_id": "file-none",
    "upload_id": "upload_none",
    "part_id": "part_none",
    "vector_store_id": "vs_none",
    "batch_id": "vsfb_none",
    "project_id": "proj_none",
    "service_account_id": "svc_acct_none",
    "api_key_id": "key_none",
    "key_id": "key_none",
    "rate_limit_id": "rl-none",
    "model": "none",
}
LISTED = {  # a body's list of parts is about what was sent to this upload, and what wasn't is said to be none of it
    ("POST /uploads/{upload_id}/complete", "part_id"): 400,
}


@dataclass(frozen=True)
class Keys:
    """Keys of all kinds to the system, by what they are."""

    client: httpx2.AsyncClient
    whole: str
    admin: str
    shut: Mapping[str, str]
    limited: Mapping[str, str]
    lacking: Mapping[str, str]

    async def ask(self, route: Route, key: str | None, ids: Mapping[str, str] = NOBODYS) -> tuple[int, str]:
        """Status and message of the answer to the route's request."""
        request = route.request(ids)
        if key is not None:
            request["headers"]["authorization"] = f"Bearer {key}"
        answer = await self.client.request(**request)
        return answer.status_code, answer.json()["error"]["message"] if answer.is_error else ""


def _close(system: System, key: str, statement: str) -> str:
    """The key, after a change to its row."""
    system.query(statement, redact(key))
    return key


@pytest.fixture(scope="module")
async def keys(system: System) -> AsyncIterator[Keys]:
    name = f"test-{uuid4().hex[:12]}"
    revoke = "UPDATE api_keys SET revoked_at = now() WHERE hint = %s"
    revoke_admin = "UPDATE admin_keys SET revoked_at = now() WHERE hint = %s"
    archive = "UPDATE projects SET archived_at = now() WHERE id = (SELECT project_id FROM api_keys WHERE hint = %s)"
    scopes = OF_PROJECTS | OF_ADMINS

    async def limited_to(some: frozenset[str], kind: frozenset[str]) -> str:
        given = sorted(some & kind)
        return await (system.admin_key(given) if kind is OF_ADMINS else system.key(name, given))

    def kind_of(scope: str) -> frozenset[str]:
        return OF_ADMINS if scope in OF_ADMINS else OF_PROJECTS

    async with httpx2.AsyncClient(base_url=system.base_url, timeout=30) as client:
        yield Keys(
            client=client,
            whole=await system.key(name),
            admin=await system.admin_key(),
            shut={
                "unknown": "sk-assistantd-unknown",
                "revoked": _close(system, await system.key(name), revoke),
                "revoked admin's": _close(system, await system.admin_key(), revoke_admin),
                "expired": await system.key(name, expires_in=timedelta(microseconds=1)),
                "archived": _close(system, await system.key(f"{name}-archived"), archive),
            },
            limited={scope: await limited_to(frozenset({scope}), kind_of(scope)) for scope in scopes},
            lacking={
                scope: await limited_to(scopes - {scope, scope.replace(".read", ".write")}, kind_of(scope))
                for scope in scopes
            },
        )


def test_every_post_has_a_body_and_every_body_a_post() -> None:
    assert {route.path for route in ROUTES if route.method == "POST"} == BODIES.keys()
    assert len(ROUTES) > 60
    assert len(WITH_IDS) > 90


def test_every_scope_is_asked_for() -> None:
    assert {route.scope for route in ROUTES} == OF_PROJECTS | OF_ADMINS


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_keys_that_open_nothing(keys: Keys, route: Route) -> None:
    assert_refused(await keys.ask(route, None), NO_KEY)
    for name, key in keys.shut.items():
        assert_refused(await keys.ask(route, key), ARCHIVED if name == "archived" else INCORRECT)


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_keys_that_open_something_else(keys: Keys, route: Route) -> None:
    other_kind = keys.whole if route.of_organization else keys.admin
    for key in (other_kind, keys.lacking[route.scope]):
        assert_refused(await keys.ask(route, key), f"{MISSING}{route.scope}.")

    status, _ = await keys.ask(route, keys.limited[route.scope])
    assert status != 401


def assert_refused(answer: tuple[int, str], why: str) -> None:
    status, message = answer
    assert status == 401
    assert message.startswith(why)


@dataclass(frozen=True)
class Stage:
    """Two projects with one of everything, and a client with a key to the first; one with an admin key."""

    client: httpx2.AsyncClient
    admin: httpx2.AsyncClient
    mine: Mapping[str, str]
    theirs: Mapping[str, str]

    async def ask(self, route: Route, ids: Mapping[str, str]) -> httpx2.Response:
        return await (self.admin if route.of_organization else self.client).request(**route.request(ids))


async def _one_of_everything(system: System, model: ScriptedModel, project: Project) -> dict[str, str]:
    """Runs wait for outputs or are over, so that nobody changes anything while the tests look."""
    name = model.script(Say("Hello."), CallFunctions([("look", {})]))
    client = project.client
    file = await client.files.create(file=("a.txt", b"content"), purpose="assistants")
    assistant = await client.beta.assistants.create(model=name)
    run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)).data
    upload = await client.uploads.create(filename="b.txt", bytes=1, mime_type="text/plain", purpose="assistants")
    part = await client.uploads.parts.create(upload.id, data=b"b")
    store = await client.vector_stores.create()
    batch = await client.vector_stores.file_batches.create_and_poll(store.id, file_ids=[file.id], poll_interval_ms=20)
    async with http.session(project, openai_beta="assistants=v1") as v1:
        (await v1.post(f"/assistants/{assistant.id}/files", json={"file_id": file.id})).raise_for_status()
        said = {"role": "user", "content": "x", "file_ids": [file.id]}
        message_id = (await v1.post(f"/threads/{run.thread_id}/messages", json=said)).json()["id"]
    ((project_id, account_id, key_id),) = system.query(
        "SELECT project_id, service_account_id, id FROM api_keys WHERE project_id ="
        " (SELECT project_id FROM threads WHERE id = %s)",
        run.thread_id,
    )
    return {
        "assistant_id": assistant.id,
        "thread_id": run.thread_id,
        "message_id": message_id,
        "run_id": run.id,
        "step_id": step.id,
        "file_id": file.id,
        "upload_id": upload.id,
        "part_id": part.id,
        "vector_store_id": store.id,
        "batch_id": batch.id,
        "project_id": project_id,
        "service_account_id": account_id,
        "api_key_id": key_id,
        "model": name,
        "rate_limit_id": f"rl-{name}",
    }


@pytest.fixture(scope="module")
async def stage(system: System, model: ScriptedModel) -> AsyncIterator[Stage]:
    async with Project.of(system) as mine, Project.of(system) as theirs, http.session(mine) as client:
        key = await system.admin_key()
        async with http.stranger(mine, authorization=f"Bearer {key}") as admin:
            (admin_key,) = (await admin.get("/organization/admin_api_keys?order=desc&limit=1")).json()["data"]
            first = await _one_of_everything(system, model, mine)
            second = await _one_of_everything(system, model, theirs)
            limit = f"/organization/projects/{first['project_id']}/spend_limit"
            (await admin.post(limit, json={"threshold_amount": 100})).raise_for_status()
            yield Stage(
                client,
                admin,
                {**first, "key_id": admin_key["id"]},
                {**second, "key_id": second["api_key_id"]},  # which no admin's is
            )


@pytest.mark.parametrize(("route", "place"), WITH_OTHERS, ids=str)
async def test_ids_of_another_project(stage: Stage, route: Route, place: str) -> None:
    """They are not told apart from ids that nobody has; nothing else about the request is wrong."""
    answers: list[tuple[int, Any]] = []
    for others in (stage.theirs, NOBODYS):
        answer = await stage.ask(route, {**stage.mine, place: others[place]})
        said: Any = answer.json()
        said["error"]["message"] = said["error"]["message"].replace(others[place], "{id}")
        answers.append((answer.status_code, said))

    assert answers[0] == answers[1] or route.of_organization  # whose keys may know of all projects
    assert answers[0][0] == LISTED.get((str(route), place), 404)
    if route.in_body(place):
        assert "{id}" in answers[0][1]["error"]["message"]


@pytest.mark.alone
async def test_time_does_not_tell_them_apart_either(stage: Stage) -> None:
    """Asked for in turn, so that whatever else the machine does slows both."""
    later_s: list[float] = []
    for route, place in WITH_OTHERS:
        if route.method != "GET" or route.of_organization:
            continue
        for _ in range(10):
            took = [await _timed(stage, route, {**stage.mine, place: ids[place]}) for ids in (NOBODYS, stage.theirs)]
            later_s.append(took[1] - took[0])

    assert len(later_s) > 200
    assert abs(median(later_s)) < 0.002


async def _timed(stage: Stage, route: Route, ids: Mapping[str, str]) -> float:
    began = time.perf_counter()
    answer = await stage.ask(route, ids)
    took = time.perf_counter() - began
    assert answer.status_code == 404
    return took


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=str)
async def test_what_is_ones_own_is_there(stage: Stage, route: Route) -> None:
    answer = await stage.ask(route, stage.mine)

    assert answer.status_code == 200
