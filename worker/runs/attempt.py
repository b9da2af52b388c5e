"""A run in the hands of one worker: what it has done, kept write by write."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from shared.crashpoints import crossing
from shared.database import Row
from shared.events import replay
from shared.events.log import keeping
from shared.events.writer import EventWriter
from shared.metrics import worker as metrics
from shared.runs import statements, transitions
from shared.runs.records import Records, Telling
from shared.runs.status import RunStatus, StepStatus
from shared.runs.transitions import Cancel, Transition
from shared.vault.opened import Opened
from shared.wire.objects import Object
from shared.wire.runs import run_object
from shared.wire.steps import step_object
from worker.deps import Deps
from worker.models.deltas import USAGE
from worker.runs import turn, write
from worker.runs.bill import Bill
from worker.runs.citations import Sources
from worker.runs.claim import CONTEXT
from worker.runs.clock import RunClock
from worker.runs.following import make_room
from worker.runs.live import Held
from worker.runs.outcome import Failed
from worker.runs.turn import Ending, Record, Turn

log = structlog.get_logger(__name__)

UNSTORABLE = (DataError, IntegrityError, ProgrammingError, TypeError, ValueError)
UNSTORABLE_ANSWER = "The model's answer could not be stored."


class PassedOn(Exception):
    """The run is in other hands: whatever this worker still wanted to do, it doesn't."""


class Attempt:
    """A run in the hands of one worker, from claim to settlement."""

    def __init__(self, deps: Deps, claimed: Row, held: Held, sealed_with: Opened | None) -> None:
        """`sealed_with` is what seals the run's events."""
        self.deps = deps
        self.context: list[Row] | None = claimed.pop("context") or []
        self.unfinished: Record | None = _revived(claimed.pop("unfinished"))
        self.opened = self.unfinished is not None
        self.run = claimed
        self.held = held
        self.clock = RunClock(claimed["claimed_at"])
        self.position: int = claimed["steps"]
        self.turns = 0
        self.turn: Turn | None = None
        self.bill = Bill(claimed["used"])
        self.doubtful: Telling | None = None
        self.writer = EventWriter(
            deps.outbox, claimed["id"], claimed["term"], sealed_with=sealed_with, keep=keeping(claimed)
        )

    @property
    def time_left(self) -> timedelta:
        """Until the run expires."""
        return self.clock.until(self.run["expires_at"])

    def begin_turn(self, sources: Sources, model: str) -> Turn:
        """The next turn, at the next free position."""
        self.turns += 1
        self.turn = Turn(self.run, self.position, self.clock, self.writer, sources, model)
        return self.turn

    async def take_context(self) -> list[Row]:
        """What is known of the thread: as it was claimed, and after calls of tools as it is now. It isn't kept, for
        the model may speak for minutes, and a context be megabytes.
        """
        if self.context is not None:
            context, self.context = self.context, None
            return context
        statement = statements.read_context(self.run["thread_id"], CONTEXT)
        row = await self.deps.database.one(statement.sql, statement.params)
        return [] if row is None else row["context"] or []

    @property
    def usage(self) -> dict[str, int]:
        """What the run has cost up to now, the turn that is under way included."""
        before = self.run["usage"] or turn.NO_USAGE
        now = (self.turn and self.turn.answer.usage) or turn.NO_USAGE
        return {name: before[name] + now[name] for name in USAGE}

    async def record_turn(self) -> None:
        """Keep a turn that called our tools, before they are called: none of it is done again after a crash [RUN-2].

        Raises Failed, or PassedOn.
        """
        if self.turn is None:
            raise LookupError("there is no turn")
        messages, steps = self.turn.end(turn.FINISHED)
        self.opened = True
        row = await self._record(Records(messages, steps), Telling(self.position))
        self.turn.announce(row["written_at"])
        self.unfinished = self.turn.tool_step
        self.run |= {"usage": row["usage"]}
        self.position += len(steps)
        self.turn = None
        crossing("calls.recorded")

    async def record_outputs(self) -> None:
        """Finish the step of the calls: all tools have answered. Raises Failed, or PassedOn."""
        if self.unfinished is None:
            raise LookupError("no step waits for outputs")
        step = {**self.unfinished, "status": StepStatus.COMPLETED}
        row = await self._record(Records(answered=[step]), Telling(self.position - 1, StepStatus.IN_PROGRESS))
        step["ended_at"] = row["written_at"]
        self.unfinished = self.context = None  # what was claimed doesn't know of this step's end
        contents = self.run["include_contents"]
        self.writer.put("thread.run.step.completed", step_object(step, self.run["dialect"], contents=contents))
        crossing("outputs.recorded")

    def tell_call(self, _: int, piece: Object) -> None:
        """Tell of what is new of a call in the step in progress."""
        if self.unfinished is not None:
            delta = {"step_details": {"type": "tool_calls", "tool_calls": [piece]}}
            told = {"id": self.unfinished["id"], "object": "thread.run.step.delta", "delta": delta}
            self.writer.put("thread.run.step.delta", told)

    def tell_again(self) -> None:
        """Tell of a step that others left in progress, for it begins anew: clients then replace what they had of it."""
        if self.unfinished is not None:
            for event, data in replay.step_begun(self.unfinished, self.run["dialect"]):
                self.writer.put(event, data)

    async def _record(self, records: Records, telling: Telling) -> Row:
        move = transitions.record(self.usage)
        statement = statements.settle(move, self.run["id"], self.run["term"], self._with_bill(records))
        self.doubtful = telling
        try:
            row = await write.certain(self.deps.database, statement, RunStatus.IN_PROGRESS, self.held)
        except UNSTORABLE as error:
            self.doubtful = None
            self._drop_unstorable(error)
            raise Failed("server_error", UNSTORABLE_ANSWER) from None
        if row is None:
            raise PassedOn
        self.doubtful = None
        self.bill.take()
        return row

    def _with_bill(self, records: Records) -> Records:
        self._charge()
        total = self.bill.total if self.bill.changed else None
        return records._replace(used=self.bill.unwritten, total=total, doubtful=self.doubtful)

    def _charge(self) -> None:
        for used in self.turn.charge() if self.turn is not None else ():
            self.bill.spend(used)

    async def settle(self, move: Transition, ending: Ending) -> Row | None:
        """End this worker's part in the run, with all that led to it, and tell whoever listens; returns the run.

        A cancel that was acknowledged meanwhile wins [RUN-6]. If the run has passed on, nothing is written or told, but
        what it has used.
        """
        self.deps.live.leave(self.held)
        try:
            return await self._settle(move, ending)
        finally:
            if used := self.bill.take():
                self.deps.leftovers.add(self.run, used, self.doubtful or Telling(self.position))

    async def _settle(self, move: Transition, ending: Ending) -> Row | None:
        try:
            row = await self._write(move, ending)
        except UNSTORABLE as error:
            self._drop_unstorable(error)
            row = await self._write(transitions.fail(self.usage, "server_error", UNSTORABLE_ANSWER), ending)
        if row is None and move.cancel is Cancel.YIELDS:
            row = await self._write(transitions.acknowledge_cancel(self.usage), turn.CANCELLED)
        if row is None:
            log.info("run.passed_on")
            return None
        crossing("run.settled")
        metrics.settled(row)
        if row["status"] == RunStatus.QUEUED:
            self.deps.doorbell.ring(row)
        else:
            self._announce(row)
        self.writer.flush()
        log.info("run.settled", status=row["status"], reason=row["reason"])
        crossing("run.announced")
        await make_room(self.deps, row)
        return row

    def _drop_unstorable(self, error: Exception) -> None:
        self._charge()
        log.error("run.unstorable", error=type(error).__name__)  # its text would quote the answer
        self.turn = self.unfinished = None

    def _announce(self, row: Row) -> None:
        """Tell how the run ended, or that it waits."""
        if row["status"] == RunStatus.CANCELLED:
            before = {**row, "status": RunStatus.IN_PROGRESS, "finished_at": None}
            self.writer.put("thread.run.cancelling", run_object(before, row["dialect"]))
        if self.turn is not None:
            self.turn.announce(row["written_at"])
        if self.unfinished is not None and self.unfinished["status"] != StepStatus.IN_PROGRESS:
            step = {**self.unfinished, "ended_at": row["written_at"]}
            self.writer.put(f"thread.run.step.{step['status']}", step_object(step, self.run["dialect"]))
        self.writer.put(f"thread.run.{row['status']}", run_object(row, row["dialect"]))
        self.writer.done()

    async def _write(self, move: Transition, ending: Ending) -> Row | None:
        records = Records(opened=self.opened)
        if self.turn is not None and move.to is not RunStatus.QUEUED:  # otherwise the next worker takes it again
            messages, steps = self.turn.end(ending)
            records = records._replace(messages=messages, steps=steps)
        if self.unfinished is not None:
            if move.final:
                self.unfinished |= {"status": ending.tool_step, "last_error": ending.last_error}
            records = records._replace(answered=[self.unfinished])
        statement = statements.settle(move, self.run["id"], self.run["term"], self._with_bill(records))
        row = await write.certain(self.deps.database, statement, move.to, self.held)
        if row is not None:
            self.bill.take()
        return row


def _revived(step: Mapping[str, Any] | None) -> Record | None:
    """A step as the database gives it in JSON, for others' hands left it in progress."""
    if step is None:
        return None
    instants = {name: datetime.fromisoformat(step[name]) for name in ("created_at", "expires_at") if step[name]}
    return {**step, **instants}
