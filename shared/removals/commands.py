"""Removing what was deleted, some rows of it at a time."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.exc import SQLAlchemyError

from shared.database import Executor
from shared.events import log as events
from shared.files.storage import BlobStore
from shared.redis import Sender
from shared.removals import statements
from shared.removals.note import What

AT_MOST = 1000  # rows of one statement
AT_ONCE = 20  # times that a statement is executed before others have their turn
THREADS = 200  # looked at together
STORES = 50
PROJECTS = 10

EndSession = Callable[[str], Awaitable[None]]
"""Ends the sandbox's session of a thread, if there is one."""


class Removing:
    """One round: a bounded part of what there is to do. `removed` counts it by what it was."""

    def __init__(self, db: Executor, store: BlobStore, outbox: Sender, end_session: EndSession) -> None:
        self._db = db
        self._store = store
        self._outbox = outbox
        self._end_session = end_session
        self.removed: Counter[str] = Counter()

    async def round(self) -> bool:
        """Do a part of each duty; says whether there may be more to do. One that fails, because the store or the
        database is away, keeps none of the others waiting: its StoreUnavailable or SQLAlchemyError comes after them.
        """
        self.removed.clear()
        found = await self._db.one(statements.ANYTHING)
        if found is None or not found["there"]:
            return False
        duties = (
            self._projects,
            self._threads,
            self._stores,
            self._chunks,
            self._files,
            self._assistants,
            self._runs,
            self._sessions,
        )
        failed: Exception | None = None
        for duty in duties:
            try:
                await duty()
            except (SQLAlchemyError, OSError) as error:
                failed = error
        if failed is not None:
            raise failed
        return self.removed.total() > 0

    async def _threads(self) -> None:
        ids = await self._due(statements.THREADS_DUE, THREADS)
        if ids and await self._all(statements.OF_THREADS, {"ids": ids}):
            await self._some("thread", statements.FORGET_THREADS, {"ids": ids})

    async def _stores(self) -> None:
        ids = await self._due(statements.STORES_DUE, STORES)
        if ids and await self._all(statements.OF_STORES, {"ids": ids}):
            await self._some("store", statements.FORGET_STORES, {"ids": ids})

    async def _projects(self) -> None:
        for project_id in await self._due(statements.PROJECTS_DUE, PROJECTS):
            if await self._all(statements.OF_PROJECT, {"id": project_id}):
                await self._some("project", statements.FORGET_PROJECT, {"id": project_id})

    async def _chunks(self) -> None:
        ids = await self._noted("ingestion", THREADS)
        if ids and await self._many("chunk", statements.CHUNKS, {"ids": ids}):
            await self._forget("ingestion", ids)

    async def _files(self) -> None:
        """Bytes first: whoever is interrupted here finds the note again."""
        if ids := await self._noted("file", THREADS):
            for file_id in ids:
                await self._store.delete(file_id)
            if await self._all({"reference": statements.REFERENCES, "answer": statements.ANSWERS}, {"ids": ids}):
                await self._forget("file", ids)

    async def _assistants(self) -> None:
        ids = await self._noted("assistant", AT_MOST)
        if ids and await self._many("answer", statements.ANSWERS, {"ids": ids}):
            await self._forget("assistant", ids)

    async def _runs(self) -> None:
        if ids := await self._noted("run", AT_MOST):
            self._outbox.send([command for run_id in ids for command in events.forget(run_id)])
            await self._forget("run", ids)

    async def _sessions(self) -> None:
        if ids := await self._noted("session", THREADS):
            for thread_id in ids:
                await self._end_session(thread_id)
            await self._forget("session", ids)

    async def _all(self, parts: Mapping[str, Executable], params: Mapping[str, Any]) -> bool:
        """Do some of every part; says whether none of them has more."""
        return all([await self._many(what, part, params) for what, part in parts.items()])

    async def _many(self, what: str, statement: Executable, params: Mapping[str, Any]) -> bool:
        """Execute a statement until it finds no more, or often enough for one round; says whether it found no more."""
        for _ in range(AT_ONCE):
            if await self._some(what, statement, params) < AT_MOST:
                return True
        return False

    async def _some(self, what: str, statement: Executable, params: Mapping[str, Any]) -> int:
        row = await self._db.one(statement, {**params, "at_most": AT_MOST})
        removed: int = row["n"] if row else 0
        if removed:
            self.removed[what] += removed
        return removed

    async def _due(self, statement: Executable, at_most: int) -> list[str]:
        return [row["id"] for row in await self._db.all(statement, {"at_most": at_most})]

    async def _noted(self, kind: What, at_most: int) -> list[str]:
        return [row["id"] for row in await self._db.all(statements.NOTES, {"kind": kind, "at_most": at_most})]

    async def _forget(self, kind: What, ids: Sequence[str]) -> None:
        gone = await self._db.all(statements.FORGET_NOTES, {"kind": kind, "ids": list(ids)})
        self.removed[f"note_of_{kind}"] += len(gone)
