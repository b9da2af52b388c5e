"""The command line does what the administration's endpoints do, and makes the first admin key."""

import asyncio
import os
import subprocess
import sys

from openai import AsyncOpenAI

from tests.system import ENCRYPTION_KEY, System


async def command(system: System, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "infra.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "ASSISTANTD_DATABASE_URL": system.database_url,
            **({"ASSISTANTD_ENCRYPTION_KEYS": ENCRYPTION_KEY} if system.sealed else {}),
        },
        timeout=60,
    )


async def said(system: System, *arguments: str) -> list[str]:
    """The lines that a command printed, which succeeded."""
    done = await command(system, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def test_the_first_admin_key(system: System) -> None:
    (value,) = await said(system, "keys", "create", "--admin", "--name", "first")

    async with AsyncOpenAI(base_url=system.base_url, api_key="none", admin_api_key=value, max_retries=0) as client:
        newest = (await client.admin.organization.admin_api_keys.list(order="desc", limit=1)).data[0]

    assert newest.name == "first"
    (line,) = [line for line in await said(system, "keys", "list") if newest.id in line]
    assert "(administration)" in line
    assert value not in line
    await said(system, "keys", "revoke", newest.id)
    again = await command(system, "keys", "revoke", newest.id)
    assert (again.returncode, again.stderr) == (1, f"there is no open key {newest.id}\n")


async def test_a_project(system: System) -> None:
    (project,) = await said(system, "projects", "create", "Nineveh")
    assert (await command(system, "projects", "create", "Nineveh")).stderr == (
        "There is already a project named 'Nineveh'.\n"
    )
    await said(system, "projects", "rename", project, "Nippur")
    scope = ("--scope", "api.files.read", "--scope", "api.threads.write")
    (value,) = await said(system, "keys", "create", "--project", "Nippur", *scope, "--expires-in-days", "1")

    (line,) = [line for line in await said(system, "keys", "list") if "Nippur" in line]
    await said(system, "keys", "create", "--project", project, "--name", "by id")
    assert sum("Nippur" in line for line in await said(system, "keys", "list")) == 2
    unknown = await command(system, "keys", "create", "--project", "proj_none")
    assert unknown.stderr == "No project found with id 'proj_none'.\n"
    assert f"{value[:6]}…{value[-4:]}" in line
    assert line.endswith("api.files.read api.threads.write")
    assert "until" in line
    (line,) = [line for line in await said(system, "projects", "list") if project in line]
    assert line.endswith("active  2 keys")
    await said(system, "projects", "archive", project)
    (line,) = [line for line in await said(system, "projects", "list") if project in line]
    assert "archived" in line
    missing = await command(system, "projects", "archive", "proj_none")
    assert (missing.returncode, missing.stderr) == (1, "No project found with id 'proj_none'.\n")


async def test_what_can_not_be_meant(system: System) -> None:
    for arguments in ((), ("--admin", "--project", "x")):
        assert (await command(system, "keys", "create", *arguments)).returncode == 2
    for arguments in (("--project", "Lagash", "--scope", "api.file.read"), ("--admin", "--scope", "api.files.read")):
        refused = await command(system, "keys", "create", *arguments)
        assert refused.returncode == 1
        assert refused.stderr.startswith("Invalid value: 'api.file")
    assert system.query("SELECT FROM projects WHERE name = 'Lagash'") == []
    for arguments in (
        ("projects", "create", " "),
        ("projects", "rename", "proj_none", ""),
        ("keys", "create", "--project", ""),
    ):
        nameless = await command(system, *arguments)
        assert (nameless.returncode, "needs a name" in nameless.stderr) == (2, True)


async def test_a_budget(system: System) -> None:
    (project,) = await said(system, "projects", "create", "Eridu")
    (line,) = await said(system, "projects", "budget", project, "--limit", "100", "--alert", "79.5")
    assert line == f"{project}  limit $100.00  alert $79.50  spent $0.00 this month"
    system.query(
        "INSERT INTO usage_minutes VALUES ('completions', date_trunc('minute', now()), %s, '', 'gpt-4o', 1, %s, 0, 0)",
        project,
        40_000_000,
    )
    (line,) = await said(system, "projects", "budget", project, "--limit", "100")
    assert line == f"{project}  limit $100.00  spent $100.00 this month  no quota: new runs are refused"
    assert await said(system, "projects", "budget", project) == [line]
    assert await said(system, "projects", "budget", project, "--none") == []
    refused = await command(system, "projects", "budget", project)
    assert (refused.returncode, refused.stderr) == (1, f"No spend limit found with id '{project}'.\n")
