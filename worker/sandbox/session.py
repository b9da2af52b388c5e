"""One session: an interpreter with an id, a generation, a beginning, an end, and the calls that it has executed."""

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from shared.metrics.sandbox import CALLS
from worker.sandbox.errors import BadRequestError, BusyError, NotFoundError, TooLargeError
from worker.sandbox.interpreter import Interpreter
from worker.sandbox.limits import Limits
from worker.sandbox.record import Record

if TYPE_CHECKING:
    from worker.sandbox.files import Found

log = structlog.get_logger(__name__)

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
QUEUE_WITHIN_S = 5  # a call that was cancelled ends within two; who comes next needn't be refused


@dataclass(frozen=True)
class Ended:
    """What is left of a session: for whoever asks after it, and for the bill."""

    id: str
    generation: str
    started_at: datetime
    ended_at: datetime
    seconds: float
    reason: str

    def state(self) -> dict[str, Any]:
        """As clients see it."""
        return {
            "id": self.id,
            "generation": self.generation,
            "state": "ended",
            "started_at": self.started_at.timestamp(),
            "ended_at": self.ended_at.timestamp(),
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
        }


class Session:
    """A living session; `interpreter.ended` says when it isn't any more."""

    def __init__(
        self,
        session_id: str,
        interpreter: Interpreter,
        limits: Limits,
        calls: Path,
        lifetime: timedelta,
        idle_timeout: timedelta,
    ) -> None:
        """`calls` is made, for the records."""
        calls.mkdir(mode=0o700, parents=True)
        self.id = session_id
        self.generation = secrets.token_hex(8)
        self.interpreter = interpreter
        self._limits = limits
        self._place = calls
        self._lifetime = lifetime
        self.idle_timeout = idle_timeout  # what whoever opened it last asked for
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._running: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.listed: dict[str, Found] = {}  # files by the names that clients have been told
        self.started_at = datetime.now(UTC)
        self._began = self.used = time.monotonic()

    @property
    def is_busy(self) -> bool:
        """Whether code is being executed."""
        return self._running is not None

    @property
    def age(self) -> timedelta:
        """Since it was handed to its client."""
        return timedelta(seconds=time.monotonic() - self._began)

    @property
    def idle(self) -> timedelta:
        """Since somebody last wanted something of it."""
        return timedelta(seconds=0 if self.is_busy else time.monotonic() - self.used)

    async def until_free(self) -> None:
        """Wait for the call under way to end."""
        await self._is_free.wait()

    def touch(self) -> None:
        """Somebody wants something of it."""
        self.used = time.monotonic()

    def state(self) -> dict[str, Any]:
        """As clients see it."""
        return {
            "id": self.id,
            "generation": self.generation,
            "state": "busy" if self.is_busy else "idle",
            "started_at": self.started_at.timestamp(),
            "expires_at": (self.started_at + self._lifetime).timestamp(),
            "idle_timeout": self.idle_timeout.total_seconds(),
            "seconds": round(self.age.total_seconds(), 3),
            "calls": list(self._records),
        }

    def ended(self) -> Ended:
        """It is over now."""
        reason = self.interpreter.ended or "closed"
        return Ended(self.id, self.generation, self.started_at, datetime.now(UTC), self.age.total_seconds(), reason)

    def knows(self, call_id: str) -> bool:
        """Whether a call of that id was made, and is remembered."""
        return call_id in self._records

    async def execute(self, call_id: str, code: str, within: timedelta) -> Record:
        """Begin to execute code, or join the call of that id. The call goes on without whoever asked for it.

        Raises BusyError, BadRequestError, TooLargeError.
        """
        if ID.fullmatch(call_id) is None:
            raise BadRequestError("call_id: expected 1 to 128 letters, digits, - and _")
        if len(code.encode("utf-8", "surrogatepass")) > self._limits.code:
            raise TooLargeError(f"code has at most {self._limits.code} bytes")
        if call_id not in self._records:
            await self._wait_for_turn()
        known = self._records.get(call_id)  # perhaps of somebody who has waited as long as this one
        if known is None:
            known = self._begin(call_id, code, within)
        if not known.is_of(code):
            raise BusyError(f"the call {call_id} was made for other code")
        return known

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(QUEUE_WITHIN_S):
                while self.is_busy:
                    await self._is_free.wait()
        except TimeoutError:
            raise BusyError(f"the call {self._running} is under way in this session") from None

    def _begin(self, call_id: str, code: str, within: timedelta) -> Record:
        record = Record(self._place / call_id, code)
        self._records[call_id] = record
        self._running = call_id
        self._is_free.clear()
        task = asyncio.create_task(self._run(record, code, within))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return record

    async def _run(self, record: Record, code: str, within: timedelta) -> None:
        began = time.monotonic()
        try:
            outcome, reason, truncated = await self.interpreter.run(
                code, within, lambda event: record.append(event.body)
            )
        except Exception as error:  # a defect or a full disk: the call must end all the same
            log.exception("sandbox.call_failed", session=self.id)
            await self.interpreter.end("failed")
            outcome, reason, truncated = "killed", f"failed: {type(error).__name__}", False
        seconds = round(time.monotonic() - began, 4)
        CALLS.labels(outcome).inc()
        done = {"type": "done", "status": outcome, "reason": reason, "seconds": seconds, "truncated": truncated}
        try:
            record.append({**done, "session": "lost" if self.interpreter.ended else "alive"})
        finally:
            record.finish()
            self._running = None
            self.touch()
            self._is_free.set()
            self._forget_old()

    def _forget_old(self) -> None:
        """Keep the newest records, up to the limit, this one in any case."""
        total = 0
        for call_id, record in list(reversed(self._records.items())):
            total += record.size
            if total > self._limits.records and record.is_finished and call_id != next(reversed(self._records)):
                record.remove()
                del self._records[call_id]

    def cancel(self, call_id: str) -> None:
        """Ask a call to end, if it is under way. Raises NotFoundError if there was none of that id."""
        if call_id not in self._records:
            raise NotFoundError(f"no call {call_id}")
        if self._running == call_id:
            self.interpreter.interrupt()

    async def end(self, reason: str) -> None:
        """Kill it. A call under way ends as killed."""
        await self.interpreter.end(reason)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def forget(self) -> None:
        """Remove the records."""
        for record in self._records.values():
            record.remove()
        self._place.rmdir()
