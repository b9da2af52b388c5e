"""Files on their way into a session of the code interpreter and out of it."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple, TypedDict

import structlog

from shared import ids
from shared.code_sessions import commands as sessions
from shared.database import Row
from shared.files import commands as files
from worker.blobs import copy
from worker.deps import Deps
from worker.sandbox.client import Ended, LostError, RefusalError, SandboxSession

log = structlog.get_logger(__name__)

FILES = 100  # that a session gets
KEPT_OF_A_CALL = 50  # new or changed files of one call that become file objects
PURPOSE = "assistants_output"
BLOCK = 1024 * 1024
STORE_PATIENCE = timedelta(seconds=60)  # with a store that is away
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]+")
_LONGEST = 120  # characters of a name


class Known(TypedDict):
    """A file in a session that there is a file object of. Another version than this one is what code made of it."""

    file_id: str
    version: str | None  # None where it could not be put there


class Prepared(NamedTuple):
    """A session with its files in it, by name; `notes` are what the model has to know."""

    session: SandboxSession
    files: dict[str, Known]
    notes: list[str]


async def prepare(deps: Deps, run: Row, session: SandboxSession) -> Prepared:
    """Put into the session what the run's code is to find and isn't there: files of the assistant, the thread and its
    messages, and where the session is another one than before, what was in that one.

    A crash leaves files that are put again. Raises LostError, UnavailableError, StoreUnavailable.
    """
    db, project_id, thread_id = deps.database, run["project_id"], run["thread_id"]
    before = await sessions.newest(db, project_id, thread_id)
    same = before is not None and before["id"] == session.generation
    there: dict[str, Known] = dict(before["files"]) if before is not None else {}
    notes: list[str] = []
    if before is not None and not same:
        await _end(db, project_id, thread_id, session.previous)
        notes.append("This is a new session: variables of earlier calls are gone. Files have been put back.")
    wanted = await sessions.files_of(db, project_id, run["assistant_id"], thread_id, at_most=FILES)
    new = placed(wanted, there)
    put = new if same else {name: known["file_id"] for name, known in there.items()} | new
    for name, file_id in put.items():
        if (problem := await _put(deps, session, name, file_id)) is not None:
            notes.append(problem)
    if put or not same:
        versions = {file.name: file.version for file in await session.files()}
        there |= {name: Known(file_id=file_id, version=versions.get(name)) for name, file_id in put.items()}
        await _keep_session(deps, run, session, there)
    return Prepared(session, there, notes)


def placed(wanted: Sequence[Row], there: Mapping[str, Known]) -> dict[str, str]:
    """File ids by name of those that are not there yet: by their own names, numbered where these are taken."""
    known, taken = {one["file_id"] for one in there.values()}, set(there)
    new: dict[str, str] = {}
    for row in wanted:
        if row["id"] not in known:
            name = _free(safe(row["filename"]), taken)
            taken.add(name)
            new[name] = row["id"]
    return new


def safe(filename: str) -> str:
    """A name without directories or control characters."""
    name = _UNSAFE.sub("_", PurePosixPath(filename.replace("\\", "/")).name).strip(". ") or "file"
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix[:20]
    return stem[: _LONGEST - len(suffix)] + suffix


def _free(name: str, taken: set[str]) -> str:
    path, number = PurePosixPath(name), 2
    while name in taken:
        name = f"{path.stem} ({number}){path.suffix}"
        number += 1
    return name


async def _put(deps: Deps, session: SandboxSession, name: str, file_id: str) -> str | None:
    """Put one file there; returns what the model has to know if that can't be. It is copied to this machine's disk
    first: a store that is away is waited for while nothing else is.
    """
    with tempfile.TemporaryFile(prefix="assistantd-") as file:
        try:
            await copy(deps.store, file_id, file, STORE_PATIENCE)
            file.seek(0)
            await session.put(name, _blocks(file))
        except FileNotFoundError:
            return None  # it was deleted since
        except RefusalError as error:
            if isinstance(error, LostError):
                raise
            log.warning("code.file_refused", file_id=file_id, code=error.code)
            return f"{name} could not be put into the session: {error.message}"
    return None


async def _blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    while block := await asyncio.to_thread(file.read, BLOCK):
        yield block


async def _end(db: Any, project_id: str, thread_id: str, ended: Ended | None) -> None:
    if ended is not None:
        await sessions.end(db, project_id, thread_id, ended.generation, ended.ended_at, ended.seconds)


async def collect(deps: Deps, run: Row, prepared: Prepared) -> dict[str, str]:
    """Make file objects of what code made or changed; returns their ids by name.

    Ids follow from the content's version, and what is known of a session's files is kept: a call that is joined again
    after a crash has the same files. Raises LostError, UnavailableError, StoreUnavailable.
    """
    session, there = prepared.session, dict(prepared.files)
    made: dict[str, str] = {}
    for file in await session.files():
        if (file.name in there and there[file.name]["version"] == file.version) or len(made) == KEPT_OF_A_CALL:
            continue
        seed = (session.generation, file.name, file.version)
        made[file.name] = await keep(deps, run, seed, safe(file.name), session.stream(file.name))
        there[file.name] = Known(file_id=made[file.name], version=file.version)
    if made:
        await _keep_session(deps, run, session, there)
    return made


async def _keep_session(deps: Deps, run: Row, session: SandboxSession, files: Mapping[str, Known]) -> None:
    await sessions.keep(
        deps.database, run["project_id"], run["thread_id"], session.generation, session.started_at, files
    )


async def keep(deps: Deps, run: Row, seed: tuple[object, ...], filename: str, chunks: AsyncIterator[bytes]) -> str:
    """Make a file object of what code wrote or showed; `seed` makes its id. Returns it."""
    file_id = ids.derive("file", run["created_at"], 0, run["id"], *seed)
    await files.keep_generated(
        deps.database, deps.store, run["project_id"], file_id, filename=filename, purpose=PURPOSE, chunks=chunks
    )
    return file_id
