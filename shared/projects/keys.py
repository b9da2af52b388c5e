"""Keys: made, listed, revoked, recognised.

A key is shown once; the tables keep its hash (`hashes.py`) and a hint by which its owner knows it again.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from shared import ids, table
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Database, Executor, Row, Transactional, to_json
from shared.errors import InvalidRequest, NotFound, found
from shared.projects import commands as projects
from shared.projects import hashes, statements
from shared.projects.limits import Limits
from shared.projects.rows import AdminKey, ApiKey, ServiceAccount
from shared.projects.scopes import OF_ADMINS, OF_PROJECTS, opened
from shared.settings import KEY_PREFIX
from shared.table import Listing, Only, Page
from shared.vault.contents import Contents

ADMIN_PREFIX = f"{KEY_PREFIX}admin-"
UNNAMED = "Secret Key"
NOTED_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is; a statement a minute for a key in use
IDLE_WITHIN = timedelta(seconds=5)  # of a transaction, if this process is frozen meanwhile

_VALID = Only("revoked_at IS NULL", {})


class Made(NamedTuple):
    """A new key: its row, and what it opens things with, which is nowhere else."""

    row: Row
    value: str


@dataclass(frozen=True, slots=True)
class Known:
    """A key that opens something: a project, of which it tells the limits, or without one the administration."""

    id: str
    project_id: str | None
    account_id: str | None
    scopes: frozenset[str]
    archived: bool
    exhausted: bool
    expires_in_s: float | None
    limits: Limits


async def create(
    db: Database,
    by: Actor,
    project: str,
    name: str = UNNAMED,
    scopes: Sequence[str] | None = None,
    expires_in: timedelta | None = None,
) -> str:
    """Make a key to the project of that name, and the project if there is none yet; a service account of the key's name
    owns it. The key is returned only here. Raises ContentUnavailable.
    """
    value = _new_value(KEY_PREFIX)
    project_id = ids.new("proj")
    params = {
        **projects.new_account(by, None, name),
        **_facts(by, None, value, name, scopes, expires_in),
        "new_id": project_id,
        "project": project,
        "project_entry": projects.entry_of_new(by, project_id, project),
    }
    while await hashes.insert(db, db.contents, statements.CREATE_KEY_BY_NAME, params, value) is None:
        pass  # somebody else made the project between the two looks of the statement; now it can be seen
    return value


async def add(
    db: Executor,
    contents: Contents,
    by: Actor,
    project_id: str,
    account_id: str,
    name: str = UNNAMED,
    scopes: Sequence[str] | None = None,
    expires_in: timedelta | None = None,
) -> Made:
    """Make a key for a service account. Raises NotFound, ContentUnavailable, or InvalidRequest if the project is
    archived.
    """
    value = _new_value(KEY_PREFIX)
    facts = _facts(by, project_id, value, name, scopes, expires_in)
    params = {**facts, "project_id": project_id, "account_id": account_id}
    row = await hashes.insert(db, contents, statements.CREATE_KEY, params, value)
    if row is None:
        await projects.require_active(db, project_id)
        raise NotFound("service account", account_id)
    return Made(row, value)


async def create_account(db: Executor, contents: Contents, by: Actor, project_id: str, name: str) -> tuple[Row, Made]:
    """Make a service account and a key that opens all of its project. Raises NotFound, ContentUnavailable, or
    InvalidRequest if the project is archived.
    """
    value = _new_value(KEY_PREFIX)
    account = projects.new_account(by, project_id, name)
    key = _facts(by, project_id, value, UNNAMED, None, None)
    row = await hashes.insert(db, contents, statements.CREATE_ACCOUNT_WITH_KEY, {**key, **account}, value)
    if row is None:
        await projects.require_active(db, project_id)
        raise NotFound("project", project_id)
    return {"id": account["account_id"], "name": name, "created_at": row["created_at"]}, Made(row, value)


async def create_admin(
    db: Executor,
    contents: Contents,
    by: Actor,
    name: str,
    scopes: Sequence[str] | None = None,
    expires_in: timedelta | None = None,
) -> Made:
    """Make a key to the administration. Raises ContentUnavailable."""
    value = _new_value(ADMIN_PREFIX)
    facts = _facts(by, None, value, name, scopes, expires_in)
    row = await hashes.insert(db, contents, statements.CREATE_ADMIN_KEY, facts, value)
    if row is None:
        raise LookupError("INSERT INTO admin_keys returned no row")
    return Made(row, value)


async def get(db: Executor, project_id: str, key_id: str) -> Row:
    """A project's key, with its `owner`. Raises NotFound, for a revoked one too."""
    row = await table.get(db, ApiKey, {"id": key_id, "project_id": project_id})
    return (await _owned(db, [_not_revoked(row, key_id)]))[0]


async def page(db: Executor, project_id: str, page: Page) -> Listing:
    """A page of the project's keys that were not revoked, each with its `owner`. Raises NotFound, InvalidRequest."""
    await projects.get(db, project_id)
    listing = await table.page(db, ApiKey, {"project_id": project_id}, page, _VALID)
    return Listing(await _owned(db, listing.rows), listing.has_more)


async def get_admin(db: Executor, key_id: str) -> Row:
    """A key to the administration. Raises NotFound, for a revoked one too."""
    return _not_revoked(await table.get(db, AdminKey, {"id": key_id}), key_id)


async def page_of_admins(db: Executor, page: Page) -> Listing:
    """A page of the administration's keys that were not revoked. Raises InvalidRequest."""
    return await table.page(db, AdminKey, {}, page, _VALID)


async def list_all(db: Database) -> Sequence[Row]:
    """Every key, oldest first, revoked ones too; `project` is the name of its project, or empty for an admin key."""
    return await db.all(statements.LIST_KEYS)


async def remove(db: Executor, by: Actor, project_id: str, key_id: str) -> None:
    """Close a project's key for good. Raises NotFound."""
    told = entry(by, "api_key.deleted", key_id, project_id)
    if await db.one(statements.REVOKE, {"id": key_id, "project_id": project_id, "entry": told}) is None:
        raise NotFound("API key", key_id)


async def remove_admin(db: Executor, by: Actor, key_id: str) -> None:
    """Close a key to the administration for good. Raises NotFound."""
    told = entry(by, "api_key.deleted", key_id, None)
    if await db.one(statements.REVOKE_ADMIN, {"id": key_id, "entry": told}) is None:
        raise NotFound("API key", key_id)


async def remove_account(db: Transactional, by: Actor, project_id: str, account_id: str) -> None:
    """Delete the service account, and its keys with it, each of which that was open is noted. Raises NotFound."""
    account = {"id": account_id, "project_id": project_id}
    async with db.transaction(IDLE_WITHIN) as together:
        found(await together.one(statements.LOCK_ACCOUNT, account), "service account", account_id)
        for key in await together.all(statements.OPEN_KEYS_OF, account):
            await remove(together, by, project_id, key["id"])
        await table.remove(
            together, ServiceAccount, account, entry(by, "service_account.deleted", account_id, project_id)
        )


async def revoke(db: Database, by: Actor, key_id: str) -> bool:
    """Close a key of either kind for good; False if there is no such key or it was closed already."""
    told = entry(by, "api_key.deleted", key_id, None)
    return await db.one(statements.REVOKE_ANY, {"id": key_id, "entry": told}) is not None


async def recognise(db: Database, key_digest: str) -> Known | None:
    """What the key with this digest opens, if it opens anything; notes that it is used. Raises ContentUnavailable
    where keys are hashed by a secret that this process can't have.
    """
    row = await _find(db, key_digest)
    if row is None:
        return None
    of_admin = row["project_id"] is None
    if row["to_note"]:
        used = statements.NOTE_USE_BY_ADMIN if of_admin else statements.NOTE_USE
        await db.all(used, {"id": row["id"], "noted_every": NOTED_EVERY})
    scopes = opened(row["scopes"], OF_ADMINS if of_admin else OF_PROJECTS)
    return Known(
        id=row["id"],
        project_id=row["project_id"],
        account_id=row["service_account_id"],
        scopes=scopes,
        archived=row["archived"],
        exhausted=row["exhausted"],
        expires_in_s=row["expires_in_s"],
        limits=Limits.of(row),
    )


async def _find(db: Database, key_digest: str) -> Row | None:
    """The row of the key with this digest. One that isn't found may just have been hashed by a secret which this
    process had not seen: then it is looked for once more.
    """
    hashed = await hashes.kept(db.contents, key_digest)
    wanted = {"hash": hashed, "noted_every": NOTED_EVERY}
    row = await db.one(statements.RECOGNISE, wanted)
    if row is None and hashed == key_digest:
        since = await hashes.kept_since(db, db.contents, key_digest)
        row = None if since is None else await db.one(statements.RECOGNISE, {**wanted, "hash": since})
    return row


def check_scopes(scopes: Sequence[str], every: frozenset[str]) -> None:
    """Raises InvalidRequest for a scope that there isn't: a key with a misspelt one would open less than was meant."""
    for number, scope in enumerate(scopes):
        if scope not in every:
            raise InvalidRequest(
                f"Invalid value: '{scope}'. Supported values are: {', '.join(sorted(every))}.",
                param=f"scopes[{number}]",
                code="invalid_value",
            )


def redact(key: str) -> str:
    """A key that may be shown: its first and last characters."""
    return f"{key[:6]}…{key[-4:]}" if len(key) > 12 else "…"  # noqa: PLR2004 # shorter ones would be shown whole


def _new_value(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def _facts(
    by: Actor,
    project_id: str | None,
    value: str,
    name: str,
    scopes: Sequence[str] | None,
    expires_in: timedelta | None,
) -> dict[str, Any]:
    key_id = ids.new("key")
    shown = {} if scopes is None else {"scopes": list(scopes)}
    return {
        "key_id": key_id,
        "key_entry": entry(by, "api_key.created", key_id, project_id, {"data": shown}),
        "name": name,
        "hint": redact(value),
        "scopes": None if scopes is None else to_json(list(scopes)),
        "expires_in": expires_in,
    }


def _not_revoked(row: Row | None, key_id: str) -> Row:
    return found(None if row is not None and row["revoked_at"] else row, "API key", key_id)


async def _owned(db: Executor, rows: Sequence[Row]) -> list[Row]:
    """The keys with the service accounts that own them. One that was deleted in between took its keys with it."""
    wanted = {"ids": [row["service_account_id"] for row in rows]}
    owners = {row["id"]: row for row in await db.all(statements.OWNERS, wanted)} if rows else {}
    owned = [{**row, "owner": owners.get(row["service_account_id"])} for row in rows]
    return [row for row in owned if row["owner"] is not None]
