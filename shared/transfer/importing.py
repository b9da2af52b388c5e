"""Reading a dump into a project."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.audit.actor import Actor
from shared.database import REFUSED, Executor
from shared.errors import InvalidRequest
from shared.files.storage import BlobStore, keep_if_written
from shared.projects import commands as projects
from shared.transfer import reading, statements
from shared.transfer.columns import ACTIVE, Columns, Unusable, columns
from shared.transfer.contents import Contents, chunks, files_below, line_of, may_be_dump
from shared.transfer.export import Tell, sha256_of
from shared.transfer.kinds import KINDS, Kind
from shared.transfer.manifest import MANIFEST, Manifest
from shared.transfer.statements import AT_ONCE, SECRETS
from shared.vault.contents import Json, UnstorableError, secret

_GIVE_AGAIN = "its file_ids are not searched before a v1 client gives them to it again"
_MICROSECONDS = 1_000_000
_LAST = 2**31 - 1  # place of a step


@dataclass(slots=True)
class Counts:
    """What became of the objects of a dump, by kind."""

    added: Counter[str] = field(default_factory=Counter[str])
    there: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    @property
    def whole(self) -> bool:
        """Is everything in the project now?"""
        return not self.refused


async def import_into(
    db: Executor, by: Actor, store: BlobStore, project_id: str, directory: Path, tell: Tell
) -> Counts:
    """Add what is in the directory to the project; each thing that is not added, or not as it was, is told. The audit
    log has it before the first of them is added.

    A crash leaves what has been added; the next import passes it over. Raises NotFound, or InvalidRequest if the
    project is archived, another import is going on, or the directory is damaged: then nothing is added.
    """
    await projects.require_active(db, project_id)
    locked = await db.one(statements.LOCK)
    if locked is None or not locked["locked"]:
        raise InvalidRequest("Another import is going on.")
    manifest = Manifest.read(directory)
    paths = [path for path in files_below(directory) if path != directory / MANIFEST]
    if not paths:
        raise InvalidRequest(f"There is nothing in {directory}.")
    found = reading.survey(directory, _dumps(directory, paths, manifest))
    dumps = {path for of_kind in found.files.values() for path in of_kind}
    contents = Contents(path for path in paths if path not in dumps)
    await projects.note(db, by, "project.imported", project_id)
    work = _Import(db, store, project_id, contents, tell)
    for kind in KINDS.values():
        await work.add_all(kind, found)
    work.tell_unknown(found)
    return work.counts


def _dumps(directory: Path, paths: Sequence[Path], manifest: Manifest | None) -> list[Path]:
    if manifest is not None:
        return [directory / name for name in manifest.told["files"]]
    return [path for path in paths if may_be_dump(directory, path)]


@dataclass(slots=True)
class _Import:
    """An import that is going on."""

    db: Executor
    store: BlobStore
    project_id: str
    contents: Contents
    tell: Tell
    counts: Counts = field(default_factory=Counts)

    async def add_all(self, kind: Kind, found: reading.Survey) -> None:
        """Add all objects of a kind."""
        if kind.name == "files":
            for row in self._rows(kind, found):
                await self._add_file(kind, row)
            return
        rows = self._rows(kind, found)
        while batch := list(itertools.islice(rows, AT_ONCE)):
            for _, alike in itertools.groupby(batch, key=tuple):  # of the same columns
                await self._add(kind, list(alike))

    def tell_unknown(self, found: reading.Survey) -> None:
        """Say what there was no place for."""
        for (name, unknown), times in self.counts.unknown.items():
            self.tell(f"{name}: unknown field '{unknown}' is not kept ({times} times)")
        for word, times in found.unknown.items():
            self.tell(f"objects of kind '{word}' are not kept ({times} times)")
        for path in found.unread:
            self.tell(f"{path.name}: holds no objects; taken for the content of a file")

    def _rows(self, kind: Kind, found: reading.Survey) -> Iterator[Columns]:
        """Rows of all objects of a kind that can be kept."""
        rising = found.oldest_first(kind)
        for number, item in enumerate(reading.of_kind(found, kind)):
            self.counts.unknown.update((kind.object, name) for name in reading.unknown_fields(kind, item))
            place = number if rising else _LAST - number
            try:
                row = columns(kind, item, timedelta(microseconds=place % _MICROSECONDS), place)
            except Unusable as error:
                self._refuse(kind, item.get("id"), str(error))
                continue
            yield row
            if kind.name == "runs" and item.get("status") in ACTIVE:
                self.tell(f"{item['id']}: was {item['status']}; it is kept as expired, and is not gone on with")
            if kind.name == "assistants" and row["file_ids"] and _searches_none(row):
                self.tell(f"{item['id']}: {_GIVE_AGAIN}")

    def _refuse(self, kind: Kind, object_id: Any, why: str) -> None:
        self.counts.refused[kind.name] += 1
        self.tell(f"{line_of(object_id)}: refused: {why}")

    async def _add(self, kind: Kind, rows: Sequence[Columns]) -> None:
        """Add rows of the same columns in one commit; if that is refused, one by one."""
        listed = tuple(name for name in rows[0] if name != "active_at")
        params = self._params(rows)
        try:
            added = await self.db.all(statements.insert(kind, listed), params)
        except (*REFUSED, UnstorableError) as error:
            if len(rows) == 1:
                name = type(getattr(error, "orig", error)).__name__
                self._refuse(kind, rows[0]["id"], f"the database does not take it: {name}")
                return
            for row in rows:
                await self._add(kind, [row])
            return
        if added:
            self.counts.added[kind.name] += len(added)
        if len(added) < len(rows):
            await self._account(kind, listed, rows, Counter(row["id"] for row in added))

    def _params(self, rows: Sequence[Columns]) -> dict[str, Any]:
        return {"project_id": self.project_id, "rows": Json([secret(row, *SECRETS) for row in rows])}

    async def _account(self, kind: Kind, listed: tuple[str, ...], rows: Sequence[Columns], added: Counter[str]) -> None:
        """Find out why rows were not added: those that are there as they are to be are passed over."""
        given = {row["id"]: row for row in rows}
        for row in await self.db.all(statements.look(kind, listed), self._params(rows)):
            said = given[row["id"]]
            if added[row["id"]]:
                added[row["id"]] -= 1
            elif row["same"] and all(row[name] == said[name] for name in SECRETS if name in listed):
                self.counts.there[kind.name] += 1
            elif row["ours"]:
                self._refuse(kind, row["id"], "it is there with other content")
            elif not row["belongs"]:
                of = " or ".join(f"{table.removesuffix('s').replace('_', ' ')}" for _, table in kind.parents)
                self._refuse(kind, row["id"], f"the {of} that it belongs to is not in this project")
            else:
                self._refuse(kind, row["id"], "its id is taken")

    async def _add_file(self, kind: Kind, row: Columns) -> None:
        """Store a file's bytes, then its row, as an upload does."""
        file_id, told = row["id"], row.pop("sha256", None)
        path = self.contents.find(file_id, row["filename"], row["bytes"])
        kept = await self.db.one(statements.FILE, {"id": file_id})
        if path is None:
            if kept is not None and kept["project_id"] == self.project_id and kept["sha256"] == told:
                self.counts.there[kind.name] += 1
            else:
                self._refuse(kind, file_id, f"its content is missing ({row['filename']}, {row['bytes']} bytes)")
            return
        sha256, size = sha256_of(path), path.stat().st_size
        if told not in (None, sha256) or size != row["bytes"]:
            self._refuse(kind, file_id, f"{path.name} is not its content: {size} bytes, SHA-256 {sha256}")
            return
        row["sha256"] = sha256
        if kept is not None:  # whoever's it is, its bytes are not touched
            await self._add(kind, [row])
            return
        await self.store.owned_by(self.project_id).put(file_id, chunks(path))
        listed = tuple(row)
        writing = self.db.one(statements.insert(kind, listed), self._params([row]))
        if await keep_if_written(self.store, file_id, writing) is None:
            await self._account(kind, listed, [row], Counter())
        else:
            self.counts.added[kind.name] += 1


def _searches_none(assistant: Columns) -> bool:
    """Was it v1's, whose files were searched without a vector store?"""
    searches = any(tool["type"] == "file_search" for tool in assistant["tools"])
    return searches and not assistant["tool_resources"].get("file_search", {}).get("vector_store_ids")
