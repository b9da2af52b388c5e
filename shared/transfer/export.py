"""Writing a project into a directory."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shared.audit.actor import Actor
from shared.database import Executor, Row, Session
from shared.errors import InvalidRequest
from shared.files.storage import BlobStore
from shared.projects import commands as projects
from shared.transfer import statements
from shared.transfer.kinds import EXTENSION, KINDS, Kind
from shared.transfer.manifest import Digest, Manifest
from shared.vector_stores import counts
from shared.wire.assistants import assistant_object
from shared.wire.files import file_object
from shared.wire.runs import run_object
from shared.wire.steps import step_object
from shared.wire.threads import message_object, thread_object
from shared.wire.vector_stores import store_file_object, store_object

CONTENTS = "files"
Tell = Callable[[str], None]
"""Told of each thing that its reader should know, in a sentence."""

_SHOWN: Mapping[str, Callable[[Row], Any]] = {
    "files": file_object,
    "vector_stores": store_object,
    "vector_store_files": store_file_object,
    "assistants": lambda row: assistant_object(row, "v2"),
    "threads": thread_object,
    "messages": lambda row: message_object(row, "v2"),
    "runs": lambda row: run_object(row, "v2"),
    "run_steps": lambda row: step_object(row, "v2", contents=True),
}


async def export(
    db: Session, by: Actor, store: BlobStore, project_id: str, directory: Path, tell: Tell
) -> dict[str, int]:
    """Write the project; returns how many objects of each kind there are. What can't be written whole is told. The
    audit log has it from the beginning, for what was read by then was read, even if the rest isn't.

    A directory in which an export was broken off is written anew, but for contents that are there. Raises NotFound, or
    InvalidRequest if the directory holds something else.
    """
    await projects.get(db, project_id)
    _take(directory)
    await projects.note(db, by, "project.exported", project_id)
    await db.all(statements.BEGIN)  # if something fails here, it ends with its session
    project = await projects.get(db, project_id)
    digests = {kind.name: await _write(db, kind, project_id, directory) for kind in KINDS.values()}
    await db.all(statements.END)
    await _copy_contents(store, directory, tell)
    Manifest.of(project, digests).write(directory)
    return {name: digest.objects for name, digest in digests.items()}


def show(kind: Kind, row: Row) -> dict[str, Any]:
    """One line: the object, and what it doesn't tell."""
    beside = {name: _plain(row[name]) for name in kind.beside}
    return {**_SHOWN[kind.name](row), EXTENSION: beside}


def _take(directory: Path) -> None:
    """Make the directory, or make sure that it is empty or an export's. Raises InvalidRequest."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is sealed here is not sealed there
    ours = {CONTENTS, *(f"{name}.jsonl" for name in KINDS)}
    for path in directory.iterdir():
        if path.name not in ours:
            raise InvalidRequest(f"{directory} holds something else, such as {path.name}: give an empty directory.")


async def _write(db: Session, kind: Kind, project_id: str, directory: Path) -> Digest:
    """Write all of a kind's lines."""
    digest = Digest()
    with (directory / f"{kind.name}.jsonl").open("wb") as file:
        async for row in _rows(db, kind, project_id):
            line = orjson.dumps(show(kind, row)) + b"\n"
            file.write(line)
            digest.add(line)
    return digest


async def _rows(db: Executor, kind: Kind, project_id: str) -> AsyncIterator[Row]:
    """All rows of a kind, in the order of their making, a few in memory at a time."""
    await db.all(statements.DECLARE[kind.name], {"project_id": project_id})
    while batch := await db.all(statements.FETCH[kind.name]):
        counted = await counts.of_stores(db, project_id, batch) if kind.name == "vector_stores" else batch
        for row in counted:
            yield row
    await db.all(statements.CLOSE[kind.name])


async def _copy_contents(store: BlobStore, directory: Path, tell: Tell) -> None:
    """Copy the bytes of every file in `files.jsonl`; those that are gone, or are not what they were, are told of."""
    contents = directory / CONTENTS
    contents.mkdir(exist_ok=True)
    with (directory / "files.jsonl").open("rb") as lines:
        for line in lines:
            shown = orjson.loads(line)
            await _copy(store, shown["id"], shown[EXTENSION]["sha256"], contents, tell)


async def _copy(store: BlobStore, file_id: str, sha256: str, contents: Path, tell: Tell) -> None:
    path, part = contents / file_id, contents / f"{file_id}.part"
    if path.exists() and sha256_of(path) == sha256:
        return
    try:
        with part.open("wb") as file:
            copied = await _pour(store, file_id, file)
    except FileNotFoundError:
        part.unlink()
        tell(f"{file_id}: its content is not in the store (it may have been deleted while this was going on)")
        return
    if copied != sha256:
        tell(f"{file_id}: its content is not what was uploaded: its SHA-256 is {copied}, not {sha256}")
    part.rename(path)


async def _pour(store: BlobStore, file_id: str, file: BinaryIO) -> str:
    told = hashlib.sha256()
    async for chunk in store.open(file_id):
        file.write(chunk)
        told.update(chunk)
    return told.hexdigest()


def sha256_of(path: Path) -> str:
    """Of a file, without holding it in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
