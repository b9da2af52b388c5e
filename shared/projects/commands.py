"""What can be done to projects and to the service accounts in them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError

from shared import ids, table
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Database, Executor, Row
from shared.errors import InvalidRequest, NotFound, found
from shared.projects import statements
from shared.projects.rows import Project, ServiceAccount
from shared.table import ALL, Listing, Only, Page

_ACTIVE = Only("archived_at IS NULL", {})


async def create(db: Executor, by: Actor, name: str) -> Row:
    """Make a project. Raises InvalidRequest if one that isn't archived has the name."""
    project_id = ids.new("proj")
    made = {"id": project_id, "name": name, "entry": entry_of_new(by, project_id, name)}
    try:
        row = await db.one(statements.CREATE, made)
    except IntegrityError:
        raise _taken(name) from None
    if row is None:
        raise LookupError("INSERT INTO projects returned no row")
    return row


def entry_of_new(by: Actor, project_id: str, name: str) -> str:
    """What is noted of a project's making."""
    return entry(by, "project.created", project_id, project_id, {"data": {"name": name, "title": name}})


async def get(db: Executor, project_id: str) -> Row:
    """The project, also an archived one. Raises NotFound."""
    return found(await table.get(db, Project, {"id": project_id}), "project", project_id)


async def page(db: Executor, page: Page, *, include_archived: bool) -> Listing:
    """A page of the projects. Raises InvalidRequest."""
    return await table.page(db, Project, {}, page, ALL if include_archived else _ACTIVE)


async def list_all(db: Database) -> Sequence[Row]:
    """Every project, oldest first, with the number of its `keys` that were not revoked."""
    return await db.all(statements.LIST_PROJECTS)


async def modify(db: Executor, by: Actor, project_id: str, changes: Mapping[str, Any]) -> Row:
    """Change the project's name, limits or retention, those columns that are given. Raises NotFound, or InvalidRequest
    if it is archived or the name is taken.
    """
    row = None
    if changes:
        requested = {"title": changes["name"]} if "name" in changes else {}
        told = entry(by, "project.updated", project_id, project_id, {"changes_requested": requested}, list(changes))
        try:
            row = await db.one(statements.modify(tuple(changes)), {**changes, "id": project_id, "entry": told})
        except IntegrityError:
            raise _taken(changes["name"]) from None
    return row or await require_active(db, project_id)


async def archive(db: Executor, by: Actor, project_id: str) -> Row:
    """Close the project for good: its keys open nothing any more, its data stay, runs that were accepted are finished.
    Archiving twice is harmless, and noted once. Raises NotFound.
    """
    params = {"id": project_id, "entry": entry(by, "project.archived", project_id, project_id)}
    return await db.one(statements.ARCHIVE, params) or await get(db, project_id)


async def delete(db: Executor, by: Actor, project_id: str) -> None:
    """Delete an archived project with everything in it; it is gone at once, and its rows follow (`shared/removals`).
    Raises NotFound, or InvalidRequest if it isn't archived.
    """
    params = {"id": project_id, "entry": entry(by, "project.deleted", project_id, project_id)}
    if await db.one(statements.DELETE, params) is None:
        await get(db, project_id)
        raise InvalidRequest(f"Project {project_id} is not archived: archive it first.", code="project_active")


async def note(
    db: Executor, by: Actor, event: Literal["project.exported", "project.imported"], project_id: str
) -> None:
    """Note that something is about to be done with the project as a whole, however far it comes."""
    await db.all(statements.NOTE, {"id": project_id, "entry": entry(by, event, project_id, project_id)})


async def require_active(db: Executor, project_id: str) -> Row:
    """The project. Raises NotFound, or InvalidRequest if it is archived."""
    row = await get(db, project_id)
    if row["archived_at"] is not None:
        raise InvalidRequest(f"Project {project_id} is archived and can't be changed.", code="project_archived")
    return row


async def create_account(db: Executor, by: Actor, project_id: str, name: str) -> Row:
    """Make a service account without a key. Raises NotFound, or InvalidRequest if the project is archived."""
    params = new_account(by, project_id, name)
    row = await db.one(statements.CREATE_ACCOUNT, params)
    if row is None:
        await require_active(db, project_id)
        raise NotFound("project", project_id)
    return row


def new_account(by: Actor, project_id: str | None, name: str) -> dict[str, Any]:
    """A service account, as the statements that make one take it, with what is noted of that."""
    account_id = ids.new("svc_acct")
    told = entry(by, "service_account.created", account_id, project_id, {"data": {"role": "member"}})
    return {"account_id": account_id, "project_id": project_id, "account_name": name, "account_entry": told}


async def get_account(db: Executor, project_id: str, account_id: str) -> Row:
    """The service account. Raises NotFound."""
    row = await table.get(db, ServiceAccount, {"id": account_id, "project_id": project_id})
    return found(row, "service account", account_id)


async def page_of_accounts(db: Executor, project_id: str, page: Page) -> Listing:
    """A page of the project's service accounts. Raises NotFound, InvalidRequest."""
    await get(db, project_id)
    return await table.page(db, ServiceAccount, {"project_id": project_id}, page)


async def modify_account(db: Executor, by: Actor, project_id: str, account_id: str, name: str | None) -> Row:
    """Give the service account another name, if there is one. Raises NotFound."""
    if name is None:
        return await get_account(db, project_id, account_id)
    told = entry(by, "service_account.updated", account_id, project_id, {"changes_requested": {}}, ["name"])
    params = {"id": account_id, "project_id": project_id, "name": name, "entry": told}
    return found(await db.one(statements.MODIFY_ACCOUNT, params), "service account", account_id)


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(f"There is already a project named '{name}'.", param="name", code="name_taken")
