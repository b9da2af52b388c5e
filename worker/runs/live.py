"""The runs that this process holds, and how one is told to stop."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from shared.metrics.worker import LEASES_LOST

PROBATION = timedelta(seconds=1)


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
            if why is Stop.LEASE_LOST:
                LEASES_LOST.inc()
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
    to whose turn it is and not to who rang; `limited`, that some project may hold only so many. `claiming` is how many
    claims may be under way.

    Of runs on their last attempt one at a time is on probation, for its first second: what kills workers mostly does so
    at once, and then takes no other such run with it. A second is also all that each of many healthy ones waits for the
    one before it, when they have lost the same workers.
    """

    def __init__(self, lease: timedelta, *, claims: int = 1, probation: timedelta = PROBATION) -> None:
        self._lease_s = lease.total_seconds()
        self._probation_s = probation.total_seconds()
        self._held: dict[str, Held] = {}
        self._on_probation: tuple[str, int] | None = None
        self._room_asked = False
        self.claiming = asyncio.Semaphore(claims)
        self.backlog = False
        self.limited = False

    @contextmanager
    def room(self) -> Generator[bool]:
        """While a run is claimed: may it be one on its last attempt? Of claims at the same time one may."""
        free = self._on_probation is None and not self._room_asked
        self._room_asked = self._room_asked or free
        try:
            yield free
        finally:
            if free:
                self._room_asked = False

    def begin_probation(self, run_id: str, term: int) -> None:
        """It takes up the room for a while, or until it has left."""
        self._on_probation = run_id, term
        asyncio.get_running_loop().call_later(self._probation_s, self.end_probation, run_id, term)

    def end_probation(self, run_id: str, term: int) -> None:
        """It has left, or its while is over."""
        if self._on_probation == (run_id, term):
            self._on_probation = None

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
        self.end_probation(held.run_id, held.term)

    def __len__(self) -> int:
        return len(self._held)

    def all(self) -> list[Held]:
        """Everything that is held now."""
        return list(self._held.values())

    def get(self, run_id: str) -> Held | None:
        """The holding of this run, if this process has it."""
        return self._held.get(run_id)

    def renewed(self, held: Held, sent: float) -> None:
        """The lease was renewed by a statement sent at `sent`."""
        held.trusted_until = sent + self._lease_s
