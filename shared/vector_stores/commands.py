"""What can be done to vector stores."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy.exc import IntegrityError

from shared import ids, table
from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row, to_json
from shared.errors import InvalidRequest, NotFound, found
from shared.table import Listing, Page
from shared.vector_stores import counts, statements
from shared.vector_stores.rows import VectorStore


class Scope(NamedTuple):
    """Where the file_search of a run looks, and which of the thread's calls of tools it is."""

    store_ids: list[str]
    thread_store_ids: list[str]
    number: int


TRIES = 5  # of a statement that something else got in the way of; each further one is as unlikely as the first


async def create(
    db: Executor, project_id: str, columns: Mapping[str, Any], new_files: Sequence[Mapping[str, Any]], language: str
) -> Row:
    """Insert a store with its first files, which wait to be read; `columns` are those of `wire.vector_stores`. Words in
    it are compared as those of `language`.
    """
    params = {
        "description": None,
        "days": None,
        "name": None,
        **columns,
        "id": ids.new("vs"),
        "project_id": project_id,
        "metadata": to_json(columns.get("metadata") or {}),
        "files": to_json(new_files),
        "batch_id": None,
        "language": language,
    }
    row = (await persistently(db, statements.CREATE, params))[0]
    return await counts.of_store(db, row)


async def get(db: Executor, project_id: str, store_id: str) -> Row:
    """The store, with the counts of its files. Raises NotFound."""
    return await counts.of_store(db, await _plain(db, project_id, store_id))


async def page(db: Executor, project_id: str, which: Page) -> Listing:
    """One page of the project's stores, with counts."""
    plain = await table.page(db, VectorStore, {"project_id": project_id}, which)
    return Listing(await counts.of_stores(db, project_id, plain.rows), plain.has_more)


async def modify(db: Executor, project_id: str, store_id: str, columns: Mapping[str, Any]) -> Row:
    """Change the store. Raises NotFound, or InvalidRequest for another expiry of one that has expired."""
    values = {name: value for name, value in columns.items() if name != "days"}
    if "days" in columns:
        if (await _plain(db, project_id, store_id))["expired_at"] is not None:
            raise InvalidRequest(f"Vector store {store_id} has expired.", param="expires_after")
        values |= {"expires_after_days": columns["days"], "expires_at": statements.expiry(columns["days"])}
    row = await table.modify(db, VectorStore, {"id": store_id, "project_id": project_id}, values)
    return await counts.of_store(db, found(row, "vector store", store_id))


async def delete(db: Executor, by: Actor, project_id: str, store_id: str) -> None:
    """Delete the store with all that is in it; the files themselves stay. It is gone for everybody at once; its rows
    follow (`shared/removals`). Raises NotFound.
    """
    told = entry(by, "vector_store.deleted", store_id, project_id)
    if await db.one(statements.DELETE, {"id": store_id, "project_id": project_id, "entry": told}) is None:
        raise NotFound("vector store", store_id)


async def require(db: Executor, project_id: str, store_ids: Sequence[str]) -> None:
    """Make sure that the project has all of these stores. Raises NotFound."""
    if not store_ids:
        return
    missing = await db.one(statements.MISSING, {"ids": list(store_ids), "project_id": project_id})
    if missing is not None:
        raise NotFound("vector store", missing["id"])


async def require_live(db: Executor, project_id: str, store_id: str) -> None:
    """Make sure that the store is there and can be used. Raises NotFound, or InvalidRequest if it has expired."""
    if (await _plain(db, project_id, store_id))["expired_at"] is not None:
        raise InvalidRequest(f"Vector store {store_id} has expired.", code="vector_store_expired")


async def scope(db: Executor, project_id: str, assistant_id: str, thread_id: str) -> Scope:
    """The stores that a run on this thread searches. Raises InvalidRequest if one has expired, like the original."""
    params = {"project_id": project_id, "assistant_id": assistant_id, "thread_id": thread_id}
    rows = await db.all(statements.SCOPE, params)
    for row in rows:
        if row["expired"]:
            raise InvalidRequest(f"Vector store {row['id']} has expired.", code="vector_store_expired")
    return Scope(
        [row["id"] for row in rows],
        [row["id"] for row in rows if row["of_thread"]],
        rows[0]["number"] if rows else 0,
    )


async def name_store(
    db: Executor, project_id: str, owner: Literal["assistants", "threads"], owner_id: str, former: str | None, new: str
) -> bool:
    """Make `new` the store of an assistant or a thread, whose store was `former`; False if it has become another one,
    or the owner is gone.
    """
    params = {"id": owner_id, "project_id": project_id, "former": former, "store_id": new}
    return await db.one(statements.NAME_STORE[owner], params) is not None


async def unread(
    db: Executor, project_id: str, store_ids: Sequence[str], *, at_most: int, fresh: timedelta
) -> Sequence[Row]:
    """The newest files that are still being read: `filename`, and whether they came in the last `fresh`."""
    params = {"project_id": project_id, "store_ids": list(store_ids), "at_most": at_most, "fresh": fresh}
    return await db.all(statements.UNREAD, params)


async def persistently(db: Executor, statement: Any, params: Mapping[str, Any]) -> Sequence[Row]:
    """Execute a statement again whose references were broken while it ran: the next one sees what broke them."""
    for _ in range(TRIES - 1):
        try:
            return await db.all(statement, params)
        except IntegrityError:
            continue
    return await db.all(statement, params)


async def _plain(db: Executor, project_id: str, store_id: str) -> Row:
    row = await table.get(db, VectorStore, {"id": store_id, "project_id": project_id})
    return found(row, "vector store", store_id)
