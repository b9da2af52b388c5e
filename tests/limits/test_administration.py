"""Limits by the official client and by the command line: set, shown, lifted, refused where they mean nothing here."""

import asyncio
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.limits.conftest import Limited, Tenant
from tests.organization.conftest import Admin
from tests.organization.test_administration import listed, problem
from tests.organization.test_commands import command, said
from tests.scripted_model import ScriptedModel

NO_LIMIT = 2147483647
NONE = dict.fromkeys(
    ("max_requests_per_1_minute", "max_concurrent_runs", "max_stored_bytes", "max_sandbox_sessions"), None
)


async def test_every_model_has_an_entry_and_none_a_limit_until_it_gets_one(
    tenant: Tenant, model: ScriptedModel, admin: Admin
) -> None:
    name = model.script()
    rate_limits = admin.client.admin.organization.projects.rate_limits
    await tenant.limit_model(name, max_requests_per_1_minute=7)

    every = {one.id: one for one in await listed(rate_limits.list_rate_limits(tenant.id))}
    assert set(every) >= {f"rl-{one.id}" for one in (await tenant.project.client.models.list()).data}
    ours = every.pop(f"rl-{name}")
    assert (ours.model, ours.max_requests_per_1_minute, ours.max_tokens_per_1_minute) == (name, 7, NO_LIMIT)
    for other in every.values():
        assert (other.max_requests_per_1_minute, other.max_tokens_per_1_minute) == (NO_LIMIT, NO_LIMIT)

    changed = await rate_limits.update_rate_limit(f"rl-{name}", project_id=tenant.id, max_tokens_per_1_minute=9)
    assert (changed.max_requests_per_1_minute, changed.max_tokens_per_1_minute) == (7, 9), "the other one stays"
    lifted = await rate_limits.update_rate_limit(f"rl-{name}", project_id=tenant.id, max_requests_per_1_minute=NO_LIMIT)
    assert (lifted.max_requests_per_1_minute, lifted.max_tokens_per_1_minute) == (NO_LIMIT, 9)
    at = f"/organization/projects/{tenant.id}/rate_limits/rl-{name}"
    nulled = (await admin.http.post(at, json={"max_tokens_per_1_minute": None})).json()
    assert nulled == lifted.to_dict() | {"max_tokens_per_1_minute": NO_LIMIT}
    assert (await admin.http.post(at, json={})).json() == nulled


async def test_pages_go_by_name_in_both_directions(tenant: Tenant, model: ScriptedModel, admin: Admin) -> None:
    for number in range(3):
        await tenant.limit_model(model.script(), max_tokens_per_1_minute=number + 1)
    at = f"/organization/projects/{tenant.id}/rate_limits"
    rate_limits = admin.client.admin.organization.projects.rate_limits
    ids = [one.id for one in await listed(rate_limits.list_rate_limits(tenant.id))]
    assert ids == sorted(ids)
    assert len(ids) >= 3
    whole = (await admin.http.get(at)).json()
    assert [one["id"] for one in whole["data"]] == ids[:100]
    assert (whole["first_id"], whole["last_id"]) == (ids[0], ids[:100][-1])
    assert whole["has_more"] == (len(ids) > 100), "other tests' models count as well"

    async def page(**query: Any) -> tuple[list[str], bool]:
        answer = (await admin.http.get(at, params=query)).json()
        return [one["id"] for one in answer["data"]], answer["has_more"]

    assert await page(limit=2) == (ids[:2], True)
    assert await page(limit=2, after=ids[0]) == (ids[1:3], len(ids) > 3)
    assert await page(limit=1, before=ids[2]) == (ids[1:2], True)
    assert await page(before=ids[1]) == (ids[:1], False)
    assert await page(after=ids[-1]) == ([], False)
    assert [one.id for one in await listed(rate_limits.list_rate_limits(tenant.id, limit=40))] == ids
    assert problem(await admin.http.get(f"{at}?after=asst_1"), 400)[1] == "after"
    assert problem(await admin.http.get(f"{at}?limit=101"), 400)[1] == "limit"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"max_images_per_1_minute": 1}, "max_images_per_1_minute", "unknown_parameter"),
        ({"max_audio_megabytes_per_1_minute": 1}, "max_audio_megabytes_per_1_minute", "unknown_parameter"),
        ({"max_requests_per_1_day": 1}, "max_requests_per_1_day", "unknown_parameter"),
        ({"batch_1_day_max_input_tokens": 1}, "batch_1_day_max_input_tokens", "unknown_parameter"),
        ({"max_requests_per_1_minute": 0}, "max_requests_per_1_minute", "integer_below_min_value"),
        ({"max_tokens_per_1_minute": NO_LIMIT + 1}, "max_tokens_per_1_minute", "integer_above_max_value"),
        ({"max_tokens_per_1_minute": "9"}, "max_tokens_per_1_minute", "invalid_type"),
    ],
)
async def test_what_has_no_meaning_here_is_refused_by_name(
    tenant: Tenant, model: ScriptedModel, admin: Admin, body: dict[str, Any], param: str, code: str
) -> None:
    at = f"/organization/projects/{tenant.id}/rate_limits/rl-{model.script()}"
    assert problem(await admin.http.post(at, json=body), 400)[1:] == (param, code)
    assert tenant.system.query("SELECT FROM rate_limits WHERE project_id = %s", tenant.id) == []


async def test_models_that_nobody_has_and_projects_that_are_none(tenant: Tenant, admin: Admin) -> None:
    rate_limits = admin.client.admin.organization.projects.rate_limits
    for rate_limit_id in ("rl-none", "none", "rl-", "rl-owner/none"):
        with pytest.raises(openai.NotFoundError, match=f"No rate limit found with id '{rate_limit_id}'"):
            await rate_limits.update_rate_limit(rate_limit_id, project_id=tenant.id, max_tokens_per_1_minute=1)
    with pytest.raises(openai.NotFoundError, match="No project found"):
        await rate_limits.update_rate_limit("rl-none", project_id="proj_none", max_tokens_per_1_minute=1)
    with pytest.raises(openai.NotFoundError, match="No project found"):
        await listed(rate_limits.list_rate_limits("proj_none"))


async def test_names_with_slashes(tenant: Tenant, model: ScriptedModel, admin: Admin) -> None:
    name = model.script(name=f"owner/{uuid4().hex[:8]}")
    await tenant.limit_model(name, max_tokens_per_1_minute=5)

    listing = admin.client.admin.organization.projects.rate_limits.list_rate_limits(tenant.id)
    (found,) = [one for one in await listed(listing) if one.model == name]
    assert (found.id, found.max_tokens_per_1_minute) == (f"rl-{name}", 5)


async def test_limits_of_a_project_are_shown_with_it(tenant: Tenant, admin: Admin) -> None:
    at = f"/organization/projects/{tenant.id}"
    assert (await admin.http.get(at)).json()["assistantd"]["limits"] == NONE

    given = {"max_concurrent_runs": 3, "max_stored_bytes": 2**40}
    named = await admin.http.post(at, json={"name": f"{tenant.id}-b", "assistantd": {"limits": given}})
    assert named.json()["assistantd"]["limits"] == NONE | given
    assert named.json()["name"] == f"{tenant.id}-b"
    lifted = await admin.http.post(at, json={"assistantd": {"limits": {"max_stored_bytes": None}}})
    assert lifted.json()["assistantd"]["limits"] == NONE | {"max_concurrent_runs": 3}
    assert (await admin.http.post(at, json={})).json() == lifted.json()

    for limits, param in (
        ({"max_sandbox_sessions": 0}, "assistantd.limits.max_sandbox_sessions"),
        ({"max_stored_bytes": 1.5}, "assistantd.limits.max_stored_bytes"),
        ({"max_tokens_per_1_minute": 5}, "assistantd.limits.max_tokens_per_1_minute"),
    ):
        assert problem(await admin.http.post(at, json={"assistantd": {"limits": limits}}), 400)[1] == param


async def test_an_archived_project_keeps_its_limits(tenant: Tenant, model: ScriptedModel, admin: Admin) -> None:
    name = model.script()
    await tenant.limit_model(name, max_tokens_per_1_minute=5)
    await admin.client.admin.organization.projects.archive(tenant.id)

    at = f"/organization/projects/{tenant.id}"
    for path, body in (
        (at, {"assistantd": {"limits": {"max_stored_bytes": 1}}}),
        (f"{at}/rate_limits/rl-{name}", {"max_tokens_per_1_minute": 6}),
    ):
        assert problem(await admin.http.post(path, json=body), 400)[2] == "project_archived"
    (kept,) = tenant.system.query("SELECT max_tokens FROM rate_limits WHERE project_id = %s", tenant.id)
    assert kept == (5,)


async def test_the_command_line(tenant: Tenant, system: Limited) -> None:
    """It asks nobody whether there is such a model: an endpoint may not list what it serves."""
    limit = ("projects", "limit", tenant.id)
    await said(system, *limit, "--requests-per-minute", "60", "--concurrent-runs", "4", "--stored-bytes", "1000")
    await said(system, *limit, "--model", "unlisted", "--requests-per-minute", "5", "--tokens-per-minute", "3000")
    await said(system, *limit, "--concurrent-runs", "none", "--sandbox-sessions", "2")

    assert await said(system, "projects", "limits", tenant.id) == [
        "60  requests a minute",
        "1000  bytes of files",
        "2  sessions of the code interpreter at once",
        "5  new runs of unlisted a minute",
        "3000  tokens of unlisted a minute",
    ]
    wrong = [
        limit,
        (*limit, "--stored-bytes", "0"),
        (*limit, "--stored-bytes", "many"),
        (*limit, "--tokens-per-minute", "5"),
        (*limit, "--model", "m", "--stored-bytes", "5"),
    ]
    done = await asyncio.gather(*(command(system, *arguments) for arguments in wrong))
    assert [one.returncode for one in done] == [2] * len(wrong)
    missing = await command(system, "projects", "limit", "proj_none", "--stored-bytes", "5")
    assert (missing.returncode, missing.stderr) == (1, "No project found with id 'proj_none'.\n")
