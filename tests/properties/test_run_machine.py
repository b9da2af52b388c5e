"""Whatever clients, workers, the sweeper and time do to runs, in whatever order: the promises hold.

The machine below foretells, in a few lines of plain Python, what becomes of each run; the engine has to agree after
every step, and so do the promises that the database can check by itself.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.errors import InvalidRequest
from shared.runs.commands import WhenBusy
from shared.runs.status import ACTIVE, TERMINAL, RunStatus
from tests.properties.conftest import chosen
from tests.properties.stage import EXPIRES_AFTER, LEASE, MAX_ATTEMPTS, Cut, Job, Stage
from worker.deps import Deps
from worker.models.errors import ModelError

USED = 5
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": USED}}
WORD = {"choices": [{"index": 0, "delta": {"content": "word "}}]}
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
LENGTH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
FUNCTION = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALL = {"choices": [{"index": 0, "delta": {"tool_calls": [FUNCTION]}}]}
LOOK = {"name": "file_search", "arguments": '{"queries": ["anything"]}'}
SEARCH = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "type": "function", "function": LOOK}]}}]}
CALLED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}

NO_TIME = timedelta(0)
ANY = st.integers(0, 11)
CUT = st.sampled_from([None, None, *Cut])
WORKER = st.sampled_from(["A", "B"])
PERHAPS = st.sampled_from(["A", "B", None])  # who hears the bell at once


@dataclass
class Expected:
    """What must be in a run's row, and how long until its instants."""

    thread_id: str
    waiting: bool
    status: RunStatus = RunStatus.QUEUED
    term: int = 0
    attempts: int = 0
    cancel: bool = False
    lease: timedelta | None = None
    expires: timedelta = EXPIRES_AFTER
    messages: int = 0
    steps: int = 0
    tokens: int = 0

    def move(self, to: RunStatus, *, new_term: bool) -> None:
        self.status = to
        self.term += new_term
        self.lease = LEASE if to is RunStatus.IN_PROGRESS else None

    @property
    def locks_thread(self) -> bool:
        return self.status in ACTIVE and not self.waiting

    @property
    def claimable(self) -> bool:
        return self.status is RunStatus.QUEUED and not self.waiting and self.expires > NO_TIME

    @property
    def on_last_attempt(self) -> bool:
        return self.attempts == MAX_ATTEMPTS - 1

    @property
    def unheld(self) -> bool:
        return self.lease is None or self.lease < NO_TIME


@dataclass(eq=False)
class Open:
    """A job that has not ended yet, whatever its worker's fate; what the model has said in it."""

    job: Job
    term: int
    said: int = 0
    called: int = 0
    used: int = 0


@dataclass
class Thread:
    runs: list[str] = field(default_factory=list[str])
    outputs: int = 0


class RunMachine(RuleBasedStateMachine):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        stage.reset()
        self.threads: dict[str, Thread] = {}
        self.runs: dict[str, Expected] = {}
        self.jobs: list[Open] = []
        self.last_attempts: list[Job] = []
        self.workers = {name: stage.new_worker(name) for name in ("A", "B")}
        self.whole_logs = set[str]()

    # Clients.

    @initialize()
    def begin(self) -> None:
        """Two threads are enough for runs to be in each other's way, and not to be; one of them is busy already."""
        for _ in range(2):
            self.threads[self.stage.run(self.stage.create_thread())] = Thread()
        self.create_run(0, "reject", "A")

    @rule(which=ANY, when_busy=st.sampled_from(["reject", "enqueue"]), by=PERHAPS)
    def create_run(self, which: int, when_busy: WhenBusy, by: str | None) -> None:
        """[RUN-5]: refused on a busy thread, or made to wait."""
        thread_id = self._thread(which)
        busy = self._busy(thread_id)
        if busy and when_busy == "reject":
            with pytest.raises(InvalidRequest, match="already has an active run"):
                self.stage.run(self.stage.create_run(thread_id, when_busy))
            return
        row = self.stage.run(self.stage.create_run(thread_id, when_busy))
        self.runs[row["id"]] = Expected(thread_id, busy)
        self.threads[thread_id].runs.append(row["id"])
        self.whole_logs.add(row["id"])
        if by is not None:
            self._answer(row["id"], self.workers[by])

    @rule(which=ANY)
    def add_message(self, which: int) -> None:
        thread_id = self._thread(which)
        if self._busy(thread_id):
            with pytest.raises(InvalidRequest, match="is active"):
                self.stage.run(self.stage.add_message(thread_id))
        else:
            self.stage.run(self.stage.add_message(thread_id))

    @rule(which=ANY)
    def cancel(self, which: int) -> None:
        """[RUN-6]."""
        run_id, run = self._run(which)
        if run.status in TERMINAL:
            with pytest.raises(InvalidRequest, match="Cannot cancel"):
                self.stage.run(self.stage.cancel(run.thread_id, run_id))
            return
        self.stage.run(self.stage.cancel(run.thread_id, run_id))
        if run.status is RunStatus.IN_PROGRESS:
            run.cancel = True
        else:
            run.move(RunStatus.CANCELLED, new_term=True)
            self._promote(run.thread_id)

    @rule(which=ANY, right=st.booleans(), by=PERHAPS)
    def submit(self, which: int, right: bool, by: str | None) -> None:  # noqa: FBT001
        run_id, _ = self._run(which)
        self._submit(run_id, right=right)
        if by is not None:
            self._answer(run_id, self.workers[by])

    # Workers.

    @rule(which=ANY, worker=WORKER)
    def ring(self, which: int, worker: str) -> None:
        """Rung for or not, for the first time or again, in whatever state the run is: a claim decides."""
        self._answer(self._run(which)[0], self.workers[worker])

    @precondition(lambda self: self.stage.redis.rings)
    @rule(worker=WORKER)
    def answer_rings(self, worker: str) -> None:
        rings = sorted(self.stage.redis.rings)  # workers that drain ring in whatever order they come to it
        self.stage.redis.rings.clear()
        for run_id in rings:
            self._answer(run_id, self.workers[worker])

    @rule(worker=WORKER)
    def beat(self, worker: str) -> None:
        deps = self.workers[worker]
        for one in [one for one in self.jobs if one.job.deps is deps and one.job.in_sight]:
            run = self.runs[one.job.run_id]
            if self._holds(one):
                run.lease = LEASE
            if not self._holds(one) or run.cancel:
                self._end(one, RunStatus.CANCELLED)
        self.stage.run(self.stage.beat(deps))

    @precondition(lambda self: self.jobs)
    @rule(worker=WORKER)
    def drain(self, worker: str) -> None:
        """The worker leaves and hands over what it has; another process takes its place."""
        deps = self.workers[worker]
        leaving = [one for one in self.jobs if one.job.deps is deps]
        for one in leaving:
            self._end(one, RunStatus.QUEUED)
        self.stage.run(self.stage.leave([one.job for one in leaving]))
        self.workers[worker] = self.stage.new_worker(worker)

    @precondition(lambda self: self.jobs)
    @rule(worker=WORKER)
    def crash(self, worker: str) -> None:
        """Its heart beats no more. Its jobs stay open: should the model go on, they are zombies'."""
        self.workers[worker] = self.stage.new_worker(worker)

    @precondition(lambda self: self.jobs)
    @rule(which=ANY)
    def take_over(self, which: int) -> None:
        """All that it takes for two workers to believe that a run is theirs."""
        run_id = self._job(which).job.run_id
        self.crash("A")
        self.crash("B")
        self.pass_time(11)
        self.sweep("A")
        self._answer(run_id, self.workers["A"])

    @precondition(lambda self: any(self.runs[one.job.run_id].cancel and one.job.in_sight for one in self.jobs))
    @rule()
    def hear_cancels(self) -> None:
        for one in [one for one in self.jobs if self.runs[one.job.run_id].cancel and one.job.in_sight]:
            self._end(one, RunStatus.CANCELLED)
            self.stage.run(self.stage.hear_cancel(one.job))

    # The model, in anybody's job.

    @precondition(lambda self: self.jobs)
    @rule(which=ANY, counts=st.booleans())
    def say(self, which: int, counts: bool) -> None:  # noqa: FBT001
        """Tokens may be counted before the answer's end: what happens now costs them too."""
        one = self._job(which)
        if not one.called:
            one.said = 1
            one.used = USED if counts else one.used
            self.stage.run(self.stage.say(one.job, WORD, *([USAGE] if counts else [])))

    @precondition(lambda self: self.jobs)
    @rule(which=ANY)
    def begin_call(self, which: int) -> None:
        one = self._job(which)
        if not one.called:
            one.called = 1
            self.stage.run(self.stage.say(one.job, CALL))

    @precondition(lambda self: self.jobs)
    @rule(which=ANY, cut=CUT)
    def search(self, which: int, cut: Cut | None) -> None:
        """[RUN-2] [RUN-3]: what led to a call of our own tool is recorded, and the model asked again."""
        one = self._job(which)
        if one.called:
            return
        goes_on = self._holds(one)
        assert self.stage.run(self.stage.search(one.job, SEARCH, CALLED, USAGE, None, cut=cut)) is goes_on
        if goes_on:
            run = self.runs[one.job.run_id]
            run.messages += one.said
            run.steps += one.said + 1
            run.tokens += USED
            self.threads[run.thread_id].outputs += 1
            one.said = one.used = 0
        else:
            self.jobs.remove(one)

    @precondition(lambda self: self.jobs)
    @rule(which=ANY, cut=CUT)
    def finish(self, which: int, cut: Cut | None) -> None:
        self._finish(self._job(which), cut)

    @precondition(lambda self: self.jobs)
    @rule(which=ANY, cut=CUT)
    def reach_limit(self, which: int, cut: Cut | None) -> None:
        one = self._job(which)
        if not one.called:
            one.said, one.used = 1, USED
            self._end(one, RunStatus.INCOMPLETE)
            self.stage.run(self.stage.say(one.job, LENGTH, USAGE, None, cut=cut))

    @precondition(lambda self: self.jobs)
    @rule(which=ANY, cut=CUT)
    def fail(self, which: int, cut: Cut | None) -> None:
        one = self._job(which)
        self._end(one, RunStatus.FAILED)
        self.stage.run(self.stage.say(one.job, ModelError("server_error", "It went up in smoke."), cut=cut))

    # The world.

    @rule(hours=st.sampled_from([3, 3, 11, 11, 61]))
    def pass_time(self, hours: int) -> None:
        self.stage.run(self.stage.pass_time(hours))
        for run in self.runs.values():
            run.expires -= timedelta(hours=hours)
            run.lease = None if run.lease is None else run.lease - timedelta(hours=hours)

    @rule(worker=WORKER)
    def sweep(self, worker: str) -> None:
        for run in self.runs.values():
            dead = run.status is RunStatus.IN_PROGRESS and run.unheld
            if dead and run.cancel:
                run.move(RunStatus.CANCELLED, new_term=True)
            elif dead:
                run.attempts += 1
                given_up = run.attempts >= MAX_ATTEMPTS
                run.move(RunStatus.FAILED if given_up else RunStatus.QUEUED, new_term=True)
            if run.status in ACTIVE and run.unheld and run.expires < NO_TIME:
                run.move(RunStatus.EXPIRED, new_term=True)
        for thread_id in self.threads:
            self._promote(thread_id)
        self.stage.run(self.stage.sweep(self.workers[worker]))

    @rule()
    def flush_redis(self) -> None:
        self.stage.redis.rings.clear()
        self.stage.redis.logs.clear()
        self.whole_logs.clear()

    def teardown(self) -> None:
        """[RUN-1]: once faults end, every run does, rung for by nobody but the engine itself."""
        self.crash("A")
        self.crash("B")
        self.flush_redis()
        self.pass_time(11)
        for _ in self.runs:
            self.pass_time(1)  # patience with rings is a matter of seconds
            self.sweep("A")
            self._submit_all()
            while self.stage.redis.rings:
                self.answer_rings("A")
                for one in [one for one in self.jobs if self._holds(one)]:
                    self._finish(one, None)
                self._submit_all()
            self.promises_are_kept()
        assert all(run.status in TERMINAL for run in self.runs.values()), self.runs

    # What holds after every step.

    @invariant()
    def promises_are_kept(self) -> None:
        """[RUN-1] [RUN-2] [RUN-3] [RUN-5] [RUN-6], as the database sees them; statuses, terms and records are those
        foretold, and no zombie's.
        """
        runs, broken = self.stage.run(self.stage.look())
        assert broken == []
        found = {run["id"]: tuple(run[name] for name in _FORETOLD) for run in runs}
        assert found == {run_id: tuple(vars(run)[name] for name in _FORETOLD) for run_id, run in self.runs.items()}

    @invariant()
    def events_are_in_order(self) -> None:
        """[RUN-4]: within a term each number follows the one before; a later term comes later."""
        for run_id in self.whole_logs:
            last = (-1, 0)
            for event_id, name in self.stage.events(run_id):
                term, sequence = event_id
                assert sequence == (last[1] + 1 if term == last[0] else 1), (run_id, event_id, name)
                assert term >= last[0], (run_id, event_id, name)
                last = (term, sequence)

    @invariant()
    def streams_end(self) -> None:
        """[RUN-7]: the log of a run that has ended says so, last of all and once."""
        for run_id in self.whole_logs:
            status = self.runs[run_id].status
            names = [name for _, name in self.stage.events(run_id)]
            ends = [name for name in names if name in _ENDS]
            assert ends == ([f"thread.run.{status}"] if status in TERMINAL else []), names
            assert (names[-2:] == [f"thread.run.{status}", "done"]) == (status in _STOPS), names

    # How it is foretold.

    def _answer(self, run_id: str, deps: Deps) -> None:
        """With a backlog the ring is for whose turn it is: in one project, for the oldest. Of runs on their last
        attempt a worker takes one at a time.
        """
        room = not any(job.in_sight for job in self.last_attempts if job.deps is deps)
        claimable = [known for known, run in self.runs.items() if run.claimable and (room or not run.on_last_attempt)]
        wanted = claimable[:1] if deps.live.backlog else [known for known in claimable if known == run_id]
        job = self.stage.run(self.stage.answer(run_id, deps))
        assert ([] if job is None else [job.run_id]) == wanted, "[RUN-2]"
        if job is not None:
            for former in [one for one in self.jobs if one.job.run_id == job.run_id and one.job.task.done()]:
                self.jobs.remove(former)
            run = self.runs[job.run_id]
            run.move(RunStatus.IN_PROGRESS, new_term=True)
            self.jobs.append(Open(job, run.term))
            if run.on_last_attempt:
                self.last_attempts.append(job)
            told = [message for message in job.call.request["messages"] if message["role"] == "tool"]
            assert len(told) == self.threads[run.thread_id].outputs, "[RUN-2] a recorded step is told, not done again"

    def _submit(self, run_id: str, *, right: bool) -> None:
        run = self.runs[run_id]
        calls = self.stage.run(self.stage.calls_of(run_id)) if run.status is RunStatus.REQUIRES_ACTION else ["call_1"]
        outputs = dict.fromkeys(calls if right else ["call_of_nobody"], "done")
        if run.status is RunStatus.REQUIRES_ACTION and right and run.expires > NO_TIME:
            self.stage.run(self.stage.submit(run.thread_id, run_id, outputs))
            run.move(RunStatus.QUEUED, new_term=True)
            self.threads[run.thread_id].outputs += 1
        else:
            with pytest.raises(InvalidRequest):
                self.stage.run(self.stage.submit(run.thread_id, run_id, outputs))

    def _submit_all(self) -> None:
        for run_id, run in self.runs.items():
            if run.status is RunStatus.REQUIRES_ACTION:
                self._submit(run_id, right=True)

    def _promote(self, thread_id: str) -> None:
        runs = [self.runs[run_id] for run_id in self.threads[thread_id].runs]
        if not any(run.locks_thread for run in runs):
            for run in [run for run in runs if run.status is RunStatus.QUEUED][:1]:
                run.waiting = False

    def _finish(self, one: Open, cut: Cut | None) -> None:
        """An answer without calls ends the run; silence is recorded as an empty message."""
        one.used = USED
        if not one.called:
            one.said = 1
        self._end(one, RunStatus.REQUIRES_ACTION if one.called else RunStatus.COMPLETED)
        self.stage.run(self.stage.say(one.job, CALLED if one.called else STOP, USAGE, None, cut=cut))

    def _end(self, one: Open, wanted: RunStatus) -> None:
        """The coroutine comes to its end and wants to move the run; whether it may is the run's to say."""
        self.jobs.remove(one)
        if not self._holds(one):
            return
        run = self.runs[one.job.run_id]
        run.move(RunStatus.CANCELLED if run.cancel else wanted, new_term=False)
        if run.status is not RunStatus.QUEUED:
            run.messages += one.said
            run.steps += one.said + one.called
            run.tokens += one.used
        self._promote(run.thread_id)

    def _holds(self, one: Open) -> bool:
        run = self.runs[one.job.run_id]
        return run.status is RunStatus.IN_PROGRESS and run.term == one.term

    def _busy(self, thread_id: str) -> bool:
        return any(self.runs[run_id].status in ACTIVE for run_id in self.threads[thread_id].runs)

    def _thread(self, which: int) -> str:
        """Mostly one without a run, if there is one."""
        return sorted(self.threads, key=self._busy)[which % 4 // 3]

    def _run(self, which: int) -> tuple[str, Expected]:
        """Most happens to runs that have not ended, and to the newest of them."""
        ordered = sorted(self.runs.items(), key=lambda item: item[1].status in ACTIVE)
        return ordered[-1 - which % len(ordered)]

    def _job(self, which: int) -> Open:
        return self.jobs[-1 - which % len(self.jobs)]


_STOPS = TERMINAL | {RunStatus.REQUIRES_ACTION}
_ENDS = frozenset(f"thread.run.{status}" for status in TERMINAL)
_FORETOLD = ("status", "waiting", "term", "attempts", "messages", "steps", "tokens")


def test_runs_keep_their_promises(stage: Stage) -> None:
    """The same programs each time; `--hypothesis-profile=long` takes new and longer ones."""
    machine: Any = lambda: RunMachine(stage)  # noqa: E731 # any factory will do, the annotation wants a class
    run_state_machine_as_test(machine, settings=chosen())
