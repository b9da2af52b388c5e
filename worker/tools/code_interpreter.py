"""code_interpreter: what the model is offered, how a call is carried out, and what the model is told of it.

The code runs in the sandbox, in the session of its thread. A worker that dies over a call leaves it running there; the
next one asks for it under the same name and joins it. So does the same worker where the service goes away for a moment.
Where the session is lost with it the code is executed anew, in a new session: it may have run before.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import structlog

from shared.code_sessions import commands as sessions
from shared.code_sessions import places
from shared.database import Row
from shared.metrics import limits as metrics
from shared.tracing.spans import span
from worker.deps import Deps
from worker.runs.bill import Bill
from worker.runs.outcome import Failed
from worker.sandbox.client import (
    Done,
    Failure,
    Image,
    LostError,
    RefusalError,
    SandboxSession,
    SilentError,
    Text,
    UnavailableError,
)
from worker.sandbox.clients import SandboxClients
from worker.sandbox.errors import DrainingError, FullError, StartingError
from worker.tools import code_files, code_input
from worker.tools.code_outputs import Outputs
from worker.tools.code_outputs import told as told_outputs

log = structlog.get_logger(__name__)

NAME = "code_interpreter"
DIRECTORY = "/mnt/data/"
ROOM_WITHIN = timedelta(seconds=30)  # for a service that is full to have room again
BACK_WITHIN = timedelta(seconds=8)  # for one that went away: a new version takes its place
UNANSWERED = "The code interpreter's service does not answer."
ASK_AGAIN_S = 1.0
NAMED = 50  # files in the description

Tell = Callable[[dict[str, Any]], None]
"""Told of each new output of a call."""

_DESCRIPTION = (
    "Run Python in a session that belongs to this conversation: variables and files stay between calls. The value of "
    "the last expression, everything printed and every figure is returned; figures are shown to the user. There is no "
    "network. Files are in /mnt/data; to give one to the user, save it there and link it in the answer as "
    "[name](sandbox:/mnt/data/name)."
)


def definition(files: Sequence[str] = ()) -> dict[str, Any]:
    """The function that the model is offered; `files` are the names of those in the session."""
    named = ", ".join(files[:NAMED]) + (", …" if len(files) > NAMED else "")
    parameters = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
    description = f"{_DESCRIPTION} There are now: {named}." if files else _DESCRIPTION
    return {"type": "function", "function": {"name": NAME, "description": description, "parameters": parameters}}


async def names(deps: Deps, run: Row) -> list[str]:
    """Names of the files that code finds in the run's session."""
    before = await sessions.newest(deps.database, run["project_id"], run["thread_id"])
    there: dict[str, code_files.Known] = before["files"] if before is not None else {}
    wanted = await sessions.files_of(
        deps.database, run["project_id"], run["assistant_id"], run["thread_id"], at_most=code_files.FILES
    )
    return [*there, *code_files.placed(wanted, there)]


async def carry_out(
    deps: Deps,
    run: Row,
    call: Mapping[str, Any],
    name: str,
    tell: Tell,
    tell_again: Callable[[], None],
    bill: Bill,
) -> dict[str, Any]:
    """The call with its outputs; `name` is the sandbox's name of it. `tell_again` says that what was told of the call
    begins anew. Raises Failed where there is no sandbox to ask.
    """
    if deps.sandbox is None:
        message = "The code interpreter is not configured on this server (ASSISTANTD_SANDBOX_URL)."
        raise Failed("server_error", message)
    give_up_at: float | None = None
    while True:
        try:
            session = await _begin(deps, run, deps.sandbox, bill)
            return await _in_session(deps, run, call, name, tell, session)
        except SilentError as error:
            log.warning("code.silent", error=str(error))
            raise Failed("server_error", UNANSWERED) from None
        except (UnavailableError, LostError, DrainingError) as error:
            log.warning("code.unavailable", error=str(error))
            give_up_at = give_up_at or time.monotonic() + BACK_WITHIN.total_seconds()
            if time.monotonic() > give_up_at:
                raise Failed("server_error", UNANSWERED) from None
        except RefusalError as error:
            raise Failed("server_error", f"The code interpreter refuses: {error.message}") from None
        await asyncio.sleep(ASK_AGAIN_S)
        tell_again()


def told(call: Mapping[str, Any]) -> str:
    """What the model is told of a finished call."""
    lines = [*call["notes"], told_outputs(call[NAME]["outputs"]).rstrip("\n")]
    if call["files"]:
        lines.append(f"Files written: {', '.join(DIRECTORY + name for name in call['files'])}")
    return "\n".join(line for line in lines if line) or "The code has run, and printed nothing."


def links(call: Mapping[str, Any]) -> dict[str, str]:
    """What a link in an answer may point to: file ids by link, with its characters as they are or percent-encoded."""
    return {
        f"sandbox:{DIRECTORY}{spelt}": file_id
        for name, file_id in call["files"].items()
        for spelt in (name, quote(name))
    }


def images(call: Mapping[str, Any]) -> list[str]:
    """File ids of the images that a finished call showed."""
    return [output["image"]["file_id"] for output in call[NAME]["outputs"] if output["type"] == "image"]


async def _in_session(
    deps: Deps, run: Row, call: Mapping[str, Any], name: str, tell: Tell, session: SandboxSession
) -> dict[str, Any]:
    prepared = await code_files.prepare(deps, run, session)
    outputs, notes, shown = Outputs(), list(prepared.notes), 0
    with span("sandbox.execute", kind="client"):
        async for event in session.execute(name, code_input.whole(call["arguments"])):
            match event:
                case Text():
                    _tell(tell, outputs.text(event.text))
                case Failure():
                    _tell(tell, outputs.text(event.traceback))
                case Image():
                    shown += 1
                    seed = (name, "shown", shown)
                    file_id = await code_files.keep(deps, run, seed, f"image-{shown}.png", _once(event.png))
                    tell(outputs.image(file_id))
                case Done():
                    if event.reason is not None:
                        notes.append(f"The code was stopped: {event.reason}")
                    if event.is_lost:
                        notes.append(
                            "The session ended with it: the next call begins a new one, without its variables."
                        )
    files: dict[str, str] = {}
    try:
        files = await code_files.collect(deps, run, prepared)
    except LostError:
        log.info("code.session_lost", thread_id=run["thread_id"])
    return {**call, NAME: {"input": call[NAME]["input"], "outputs": outputs.all}, "notes": notes, "files": files}


async def _begin(deps: Deps, run: Row, sandbox: SandboxClients, bill: Bill) -> SandboxSession:
    """The thread's session, with a place taken for it, and its hour counted. Raises what these do."""
    idle = await _take_place(deps, run)
    with span("sandbox.open", kind="client"):
        session = await _open(sandbox, run["thread_id"], idle)
    if await sessions.begin_hour(deps.database, run):
        bill.note(sessions.HOUR)
    return session


async def _take_place(deps: Deps, run: Row) -> timedelta | None:
    """Where the project may have only so many sessions, wait for a while until it may have this one; for how long it
    may idle. Raises Failed.
    """
    give_up_at = time.monotonic() + ROOM_WITHIN.total_seconds()
    while True:
        try:
            return await places.take(deps.database, run["project_id"], run["thread_id"])
        except places.NoPlace as error:
            if time.monotonic() > give_up_at:
                metrics.refused("sandbox_sessions")
                message = f"The project has as many sessions of the code interpreter as it may have: {error.at_most}."
                raise Failed("rate_limit_exceeded", message) from None
            await asyncio.sleep(ASK_AGAIN_S)


async def _open(sandbox: SandboxClients, thread_id: str, idle: timedelta | None) -> SandboxSession:
    """The thread's session. A service that is full, or about to end, is asked again for a while; one that is busy
    with beginning it, for as long as the run lives. Raises RefusalError and UnavailableError.
    """
    give_up_at = time.monotonic() + ROOM_WITHIN.total_seconds()
    while True:
        try:
            return await sandbox.open(thread_id, idle)
        except (FullError, DrainingError):
            if time.monotonic() > give_up_at:
                raise
        except StartingError:
            log.info("code.starting", thread_id=thread_id)
        await asyncio.sleep(ASK_AGAIN_S)


def _tell(tell: Tell, delta: dict[str, Any] | None) -> None:
    if delta is not None:
        tell(delta)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
