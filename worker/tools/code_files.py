"""Files on their way into a session of the code interpreter and out of it."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import structlog

from shared import ids
from shared.code_sessions import commands as sessions
from shared.database import Row
from shared.files import commands as files
from worker.deps import Deps
from worker.sandbox.client import Ended, RefusalError, SandboxSession

log = structlog.get_logger(__name__)

FILES = 100  # that a session gets
KEPT_OF_A_CALL = 50  # new or changed files of one call that become file objects
PURPOSE = "assistants_output"
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]+")
_LONGEST = 120  # characters of a name


class Prepared(NamedTuple):
    """A session with its files in it; `files` are file ids by name, `notes` what the model has to know."""

    session: SandboxSession
    files: dict[str, str]
    notes: list[str]


async def prepare(deps: Deps, run: Row, session: SandboxSession) -> Prepared:
    """Put into the session what the run's code is to find and isn't there: files of the assistant, the thread and its
    messages, and where the session is another one than before, what was in that one.

    A crash leaves files that are put again. Raises LostError, UnavailableError.
    """
    db, project_id, thread_id = deps.database, run["project_id"], run["thread_id"]
    before = await sessions.newest(db, project_id, thread_id)
    same = before is not None and before["id"] == session.generation
    there: dict[str, str] = dict(before["files"]) if before is not None else {}
    notes: list[str] = []
    if before is not None and not same:
        await _end(db, project_id, thread_id, session.previous)
        notes.append("This is a new session: variables of earlier calls are gone. Files have been put back.")
    wanted = await sessions.files_of(db, project_id, run["assistant_id"], thread_id, at_most=FILES)
    new = placed(wanted, there)
    for name, file_id in (new if same else {**there, **new}).items():
        if (problem := await _put(deps, session, name, file_id)) is not None:
            notes.append(problem)
    there |= new
    if new or not same:
        await sessions.keep(db, project_id, thread_id, session.generation, session.started_at, there)
    return Prepared(session, there, notes)


def placed(wanted: Any, there: Mapping[str, str]) -> dict[str, str]:
    """Names for files that have none yet: their own, numbered where that is taken."""
    known, taken = set(there.values()), set(there)
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
    """Put one file there; returns what the model has to know if that can't be."""
    try:
        await session.put(name, _content(deps, file_id))
    except FileNotFoundError:
        return None  # it was deleted since
    except RefusalError as error:
        if error.code == "lost":
            raise
        log.warning("code.file_refused", file_id=file_id, code=error.code)
        return f"{name} could not be put into the session: {error.message}"
    return None


async def _content(deps: Deps, file_id: str) -> AsyncIterator[bytes]:
    async for block in deps.store.open(file_id):
        yield block


async def _end(db: Any, project_id: str, thread_id: str, ended: Ended | None) -> None:
    if ended is not None:
        await sessions.end(db, project_id, thread_id, ended.generation, ended.ended_at, ended.seconds)


async def versions(session: SandboxSession) -> dict[str, str]:
    """Which content each file has. Raises LostError, UnavailableError."""
    return {file.name: file.version for file in await session.files()}


async def collect(deps: Deps, run: Row, prepared: Prepared, before: Mapping[str, str]) -> dict[str, str]:
    """Make file objects of what is new or changed since `before`; returns their ids by name.

    Ids follow from the content's version, so that a call that is joined again after a crash makes the same ones.
    Raises LostError, UnavailableError.
    """
    made: dict[str, str] = {}
    changed = [file for file in await prepared.session.files() if before.get(file.name) != file.version]
    for file in changed[:KEPT_OF_A_CALL]:
        seed = (prepared.session.generation, file.name, file.version)
        made[file.name] = await keep(deps, run, seed, safe(file.name), prepared.session.stream(file.name))
    if made:
        there = {**prepared.files, **made}
        session = prepared.session
        await sessions.keep(
            deps.database, run["project_id"], run["thread_id"], session.generation, session.started_at, there
        )
    return made


async def keep(deps: Deps, run: Row, seed: tuple[object, ...], filename: str, chunks: AsyncIterator[bytes]) -> str:
    """Make a file object of what code wrote or showed; `seed` makes its id. Returns it."""
    file_id = ids.derive("file", run["created_at"], 0, run["id"], *seed)
    await files.keep_generated(
        deps.database, deps.store, run["project_id"], file_id, filename=filename, purpose=PURPOSE, chunks=chunks
    )
    return file_id
