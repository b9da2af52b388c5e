"""What the command line does is in the audit log, under the name of who did it; and it reads and verifies the log."""

import base64
import getpass
import os
from pathlib import Path
from typing import Any

import pytest

from infra.cli import app
from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.organization.test_commands import command, said
from tests.system import System, create_database

WRITING = {
    "encryption rewrap",
    "encryption seal",
    "keys create",
    "keys revoke",
    "projects archive",
    "projects budget",
    "projects create",
    "projects delete",
    "projects limit",
    "projects rename",
    "projects retention",
}
READING = {"audit list", "audit verify", "encryption status", "keys list", "projects limits", "projects list"}


def _system(room: Path, postgres: Postgres, name: str) -> System:
    root = room / name
    root.mkdir()
    return System(root, create_database(postgres.url, name), "redis://", "", sealed=False)


@pytest.fixture(scope="module")
def alone(room: Path, postgres: Postgres) -> System:
    """A database of its own, which nobody else notes anything in; its processes aren't needed."""
    return _system(room, postgres, "audit_commands")


@pytest.fixture
def sealed(room: Path, postgres: Postgres) -> System:
    """Another such, for whoever gives it master keys."""
    return _system(room, postgres, "audit_sealed")


def noted(system: System, resource_id: str) -> list[tuple[Any, ...]]:
    """Type, details and changed fields of what was noted of it; all by whoever runs this."""
    rows = system.query(
        "SELECT actor_kind, actor_id, ip_address, type, details, changed FROM audit_entries"
        " WHERE resource_id = %s ORDER BY created_at, id",
        resource_id,
    )
    assert {row[:3] for row in rows} <= {("command_line", getpass.getuser(), None)}
    return [row[3:] for row in rows]


def test_every_command_that_changes_something_was_thought_of() -> None:
    """Those without a group are processes, `prepare`, and what moves a project from one server to another."""
    every = {
        f"{group.name} {one.name}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for one in group.typer_instance.registered_commands
    }

    assert every == WRITING | READING


async def test_what_each_command_leaves(alone: System) -> None:
    (project,) = await said(alone, "projects", "create", "Babylon")
    await said(alone, "projects", "rename", project, "Borsippa")
    await said(alone, "projects", "limit", project, "--stored-bytes", "5", "--concurrent-runs", "none")
    await said(alone, "projects", "limit", project, "--model", "x", "--tokens-per-minute", "none")
    await said(alone, "projects", "budget", project, "--limit", "100")
    await said(alone, "projects", "budget", project, "--none")
    await said(alone, "projects", "retention", project, "--threads", "30d", "--files", "none")
    await said(alone, "projects", "retention", project)
    await command(alone, "projects", "delete", project, "--confirm", project)
    await said(alone, "projects", "archive", project)
    await said(alone, "projects", "archive", project)
    await said(alone, "projects", "delete", project, "--confirm", project)
    await command(alone, "projects", "rename", project, "Sippar")
    await command(alone, "projects", "archive", "proj_none")

    assert noted(alone, project) == [
        ("project.created", {"data": {"name": "Babylon", "title": "Babylon"}}, None),
        ("project.updated", {"changes_requested": {"title": "Borsippa"}}, ["name"]),
        ("project.updated", {"changes_requested": {}}, ["max_concurrent_runs", "max_stored_bytes"]),
        ("spend_limit.updated", {}, ["alert_amount", "threshold_amount"]),
        ("spend_limit.deleted", {}, None),
        ("project.updated", {"changes_requested": {}}, ["files_kept_s", "threads_kept_s"]),
        ("project.archived", {}, None),
        ("project.deleted", {}, None),
    ]
    assert noted(alone, "rl-x") == [
        (
            "rate_limit.updated",
            {"changes_requested": {"max_tokens_per_1_minute": 2147483647}},
            ["max_tokens_per_1_minute"],
        )
    ]
    assert noted(alone, "proj_none") == []


async def test_keys(alone: System) -> None:
    """The first key to a name makes a project and a service account, the second an account alone."""
    for _ in range(2):
        await said(alone, "keys", "create", "--project", "Kish", "--scope", "api.files.read")
    rows = alone.query("SELECT id, project_id, service_account_id FROM api_keys ORDER BY created_at")
    ((_, project, _), _) = rows
    for key, owner, account in rows:
        assert owner == project
        assert noted(alone, key) == [("api_key.created", {"data": {"scopes": ["api.files.read"]}}, None)]
        assert noted(alone, account) == [("service_account.created", {"data": {"role": "member"}}, None)]
    assert len(noted(alone, project)) == 1
    of_project = alone.query("SELECT count(*) FROM audit_entries WHERE project_id = %s", project)
    assert of_project == [(5,)]

    await said(alone, "keys", "create", "--admin")
    ((admin,),) = alone.query("SELECT id FROM admin_keys")
    for key in (rows[0][0], admin):
        await said(alone, "keys", "revoke", key)
        assert (await command(alone, "keys", "revoke", key)).returncode == 1
        assert [one[0] for one in noted(alone, key)] == ["api_key.created", "api_key.deleted"]
    assert alone.query("SELECT project_id FROM audit_entries WHERE resource_id = %s", admin) == [(None,), (None,)]


async def test_keys_of_what_is_stored(sealed: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each data key that is wrapped by another master, gives way to a new one, or is forgotten."""
    former, master = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    (project,) = await said(sealed, "projects", "create", "Ur")
    async with Database(sealed.database_url, pool_size=1) as db:
        key = str((await Vault(db, MasterKeys.parse(former)).current(project)).id)
    monkeypatch.setenv("ASSISTANTD_DATA_DIR", str(sealed.root))
    monkeypatch.setenv("ASSISTANTD_ENCRYPTION_KEYS", f"{master},{former}")

    await said(sealed, "encryption", "rewrap")
    await said(sealed, "encryption", "rewrap")
    await said(sealed, "encryption", "seal", "--new-keys")
    sealed.query("UPDATE data_keys SET retired_at = now() - interval '1 day' WHERE id = %s", key)
    await said(sealed, "encryption", "seal")

    assert [one[0] for one in noted(sealed, key)] == ["data_key.rewrapped", "data_key.retired", "data_key.deleted"]
    projects = "SELECT DISTINCT project_id FROM audit_entries WHERE resource_id = %s"
    assert sealed.query(projects, key) == [(project,)]


async def test_moving_a_project(alone: System, tmp_path: Path) -> None:
    """Whoever takes it along is noted at once; what was refused before anything was read or written is not."""
    (project,) = await said(alone, "projects", "create", "Nippur")
    directory = str(tmp_path / "export")
    await said(alone, "export", "--project", project, directory)
    await said(alone, "import", "--project", project, directory)
    refused = await command(alone, "export", "--project", project, str(alone.root.parent))
    assert refused.returncode == 1
    empty = await command(alone, "import", "--project", project, str(tmp_path / "nothing"))
    assert empty.returncode == 1
    await command(alone, "export", "--project", "proj_none", str(tmp_path / "none"))

    assert noted(alone, project)[1:] == [("project.exported", {}, None), ("project.imported", {}, None)]
    assert noted(alone, "proj_none") == []


async def test_preparing_is_an_act_too(alone: System) -> None:
    """`up` makes its key so, once."""
    done = await command(alone, "prepare", "--project", "Mari")
    assert done.returncode == 0, done.stderr

    types = alone.query(
        "SELECT type FROM audit_entries WHERE project_id = (SELECT id FROM projects WHERE name = 'Mari') ORDER BY type"
    )
    assert types == [("api_key.created",), ("project.created",), ("service_account.created",)]


async def test_the_list(alone: System) -> None:
    (project,) = await said(alone, "projects", "create", "Uruk")
    await said(alone, "projects", "rename", project, "Erech")

    first, second = await said(alone, "audit", "list", "--project", project)

    assert f"  project.created  {project}  {project}  command_line {getpass.getuser()}  -" in first
    assert "  (name)  " in second
    assert await said(alone, "audit", "list", "--resource", project, "--event", "project.updated") == [second]
    assert (await said(alone, "audit", "list", "--actor", getpass.getuser(), "--limit", "1")) == [second]
    unknown = await command(alone, "audit", "list", "--event", "project.renamed")
    assert unknown.returncode == 2


async def test_verifying(alone: System) -> None:
    await said(alone, "projects", "create", "Larsa")
    told, head = await said(alone, "audit", "verify")
    ((entries,),) = alone.query("SELECT count(*) FROM audit_entries")
    assert told == f"{entries} entries, none of them changed"
    assert head.startswith(f"{entries}:")
    await said(alone, "projects", "create", "Isin")
    assert len(await said(alone, "audit", "verify", "--expect", head)) == 2

    alone.query("ALTER TABLE audit_links DISABLE TRIGGER ALL")
    alone.query("DELETE FROM audit_links WHERE number >= %s", entries)
    alone.query("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
    alone.query("DELETE FROM audit_entries WHERE NOT EXISTS (SELECT FROM audit_links WHERE entry_id = id)")

    assert (await command(alone, "audit", "verify")).returncode == 0
    cut = await command(alone, "audit", "verify", "--expect", head)
    assert (cut.returncode, cut.stdout) == (1, "")
    assert cut.stderr == f"the log: it ends with entry {entries - 1}, and once had {entries}\n"
    assert (await command(alone, "audit", "verify", "--expect", "x")).returncode == 2
    alone.query("UPDATE audit_links SET hash = repeat('0', 64) WHERE number = 2")
    changed = await command(alone, "audit", "verify")
    assert changed.stderr.startswith("entry 2 (audit_log-")
