"""The runs that this process holds, and how one is told to stop."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

PROBATION = timedelta(seconds=5)
MOST_ROOMS = 10_000


class Stop(StrEnum):
    """Why a run's coroutine was cancelled."""

    CANCEL_REQUESTED = "cancel_requested"
    LEASE_LOST = "lease_lost"


@dataclass(eq=False, slots=True)
class Held:
    """One run in one term, in the hands of one coroutine."""

    run_id: str
    term: int
    task: "asyncio.Task[object]"
    trusted_until: float  # of time.monotonic(): after that the lease may be somebody else's
    why: Stop | None = field(default=None)
    alarm: asyncio.TimerHandle | None = field(default=None)

    def stop(self, why: Stop) -> None:
        """Cancel the coroutine, once."""
        if self.why is None:
            self.why = why
            self.task.cancel()

    def watch(self) -> None:
        """Stop by ourselves when trust runs out, however busy the heartbeat is."""
        left_s = self.trusted_until - time.monotonic()
        if left_s <= 0:
            self.stop(Stop.LEASE_LOST)
        else:
            self.alarm = asyncio.get_running_loop().call_later(left_s, self.watch)


class Live:
    """What the heartbeat renews. `backlog` says that more runs are queued than workers take, so that a free slot goes
    to whose turn it is and not to who rang. `claiming` is how many claims may be under way.

    Runs on their last attempt spend their first seconds on probation: what kills workers mostly does so at once, and
    takes with it whoever is there. At first there is room for one of them at a time; with each that comes through there
    is room for twice as many, so that many healthy runs that lost the same worker get through soon.
    """

    def __init__(self, lease: timedelta, *, claims: int = 1, probation: timedelta = PROBATION) -> None:
        self._lease_s = lease.total_seconds()
        self._probation_s = probation.total_seconds()
        self._held: dict[str, Held] = {}
        self._on_probation: dict[tuple[str, int], asyncio.TimerHandle] = {}
        self._rooms = 1
        self.claiming = asyncio.Semaphore(claims)
        self.backlog = False

    @property
    def has_room(self) -> bool:
        """For one more run on its last attempt."""
        return len(self._on_probation) < self._rooms

    def begin_probation(self, run_id: str, term: int) -> None:
        """It takes up room for some seconds, or until it has left."""
        timer = asyncio.get_running_loop().call_later(self._probation_s, self._end_probation, run_id, term)
        self._on_probation[run_id, term] = timer

    def _end_probation(self, run_id: str, term: int) -> None:
        """This process lives: it has come through."""
        timer = self._on_probation.pop((run_id, term), None)
        if timer is not None:
            timer.cancel()
            self._rooms = min(self._rooms * 2, MOST_ROOMS)

    @contextmanager
    def holding(self, run_id: str, term: int, claim_sent: float) -> Generator[Held]:
        """Keep the run, or whatever else has an id and a term, among the living for the block; `claim_sent` is from
        before the claim, by time.monotonic().
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a run is held by a coroutine")
        held = Held(run_id, term, task, claim_sent + self._lease_s)
        if (former := self._held.get(run_id)) is not None:  # ours, before its lease was lost
            former.stop(Stop.LEASE_LOST)
        self._held[run_id] = held
        held.watch()
        try:
            yield held
        finally:
            self.leave(held)

    def leave(self, held: Held) -> None:
        """Out of the heartbeat's sight, before the write that ends the run: a renewal between that write and its reply
        would not find the run in progress any more and would cancel the winner, its last events included.
        """
        if held.alarm is not None:
            held.alarm.cancel()
        if self._held.get(held.run_id) is held:
            del self._held[held.run_id]
        self._end_probation(held.run_id, held.term)

    def all(self) -> list[Held]:
        """Everything that is held now."""
        return list(self._held.values())

    def get(self, run_id: str) -> Held | None:
        """The holding of this run, if this process has it."""
        return self._held.get(run_id)

    def renewed(self, held: Held, sent: float) -> None:
        """The lease was renewed by a statement sent at `sent`."""
        held.trusted_until = sent + self._lease_s
