"""Every route with every key that doesn't open it, and with the one that does: the status of each.

The routes are the application's own: a new one is in the matrix by being there, and a POST without a body to try it
with fails the first test. What becomes of other projects' ids is in `test_others.py`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from shared import ids
from shared.audit.actor import command_line
from shared.database import Database
from shared.projects import commands as projects
from shared.projects.keys import redact
from shared.projects.scopes import OF_ADMINS, OF_PROJECTS
from tests.organization.bodies import BODIES
from tests.organization.matrix import ROUTES, Route
from tests.system import System, until

NO_KEY, INCORRECT, MISSING, ARCHIVED = (
    "You didn't provide an API key.",
    "Incorrect API key provided:",
    "You have insufficient permissions for this operation. Missing scopes: ",
    "The project you are requesting has been archived",
)
NOBODYS = {
    "assistant_id": ids.new("asst"),
    "thread_id": ids.new("thread"),
    "message_id": ids.new("msg"),
    "run_id": ids.new("run"),
    "step_id": ids.new("step"),
    "call_id": ids.new("call"),
    "file_id": ids.new("file"),
    "loose_file_id": ids.new("file"),
    "upload_id": ids.new("upload"),
    "part_id": ids.new("part"),
    "vector_store_id": ids.new("vs"),
    "batch_id": ids.new("vsfb"),
    "project_id": ids.new("proj"),
    "service_account_id": ids.new("svc_acct"),
    "api_key_id": ids.new("key"),
    "key_id": ids.new("key"),
    "rate_limit_id": "rl-none",
    "model": "none",
    "new_name": f"test-{uuid4().hex[:12]}",
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

    async def ask(self, route: Route, key: str | None) -> tuple[int, str]:
        """Status and message of the answer to the route's request, for things that nobody has."""
        request = route.request(NOBODYS)
        if key is not None:
            request["headers"]["authorization"] = f"Bearer {key}"
        answer = await self.client.request(**request)
        return answer.status_code, answer.json()["error"]["message"] if answer.is_error else ""


def _close(system: System, key: str, statement: str) -> str:
    """The key, after a change to its row."""
    system.query(statement, redact(key))
    return key


async def _deleted(system: System, key: str) -> str:
    """The key, after its project was deleted and has gone."""
    ((project_id,),) = system.query("SELECT project_id FROM api_keys WHERE hint = %s", redact(key))
    async with Database(system.database_url, pool_size=1) as database:
        await projects.archive(database, command_line(), project_id)
        await projects.delete(database, command_line(), project_id)
    await until(lambda: not system.query("SELECT id FROM projects WHERE id = %s", project_id))
    return key


@pytest.fixture(scope="module")
async def keys(system: System) -> AsyncIterator[Keys]:
    name = f"test-{uuid4().hex[:12]}"
    revoke = "UPDATE api_keys SET revoked_at = now() WHERE hint = %s"
    revoke_admin = "UPDATE admin_keys SET revoked_at = now() WHERE hint = %s"
    expire_admin = "UPDATE admin_keys SET expires_at = now() WHERE hint = %s"
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
                "expired admin's": _close(system, await system.admin_key(), expire_admin),
                "archived": _close(system, await system.key(f"{name}-archived"), archive),
                "deleted": await _deleted(system, await system.key(f"{name}-deleted")),
            },
            limited={scope: await limited_to(frozenset({scope}), kind_of(scope)) for scope in scopes},
            lacking={
                scope: await limited_to(scopes - {scope, scope.replace(".read", ".write")}, kind_of(scope))
                for scope in scopes
            },
        )


def test_every_post_has_a_body_and_every_body_a_post() -> None:
    assert {route.path for route in ROUTES if route.method == "POST"} == BODIES.keys()
    assert len(ROUTES) > 90


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


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_the_scope_that_is_asked_for_is_enough(keys: Keys, route: Route) -> None:
    """What is asked for isn't there, as the answer says; where nothing is asked for, something is listed or made."""
    status, message = await keys.ask(route, keys.limited[route.scope])

    assert status == (404 if route.asks_for_something() else 200), message


def assert_refused(answer: tuple[int, str], why: str) -> None:
    status, message = answer
    assert status == 401
    assert message.startswith(why)
