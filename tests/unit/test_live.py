"""Room for runs on their last attempt."""

import asyncio
import time
from datetime import timedelta

from tests.system import until
from worker.runs.live import Live

LEASE = timedelta(seconds=10)


def has_room(live: Live) -> bool:
    with live.room() as room:
        return room


def test_of_claims_at_the_same_time_one_has_room() -> None:
    live = Live(LEASE)
    with live.room() as first, live.room() as second:
        assert (first, second) == (True, False)
    assert has_room(live)


async def test_there_is_room_for_one_until_it_leaves() -> None:
    live = Live(LEASE, probation=timedelta(days=1))
    leave = asyncio.Event()

    async def hold() -> None:
        live.begin_probation("run_1", 3)
        with live.holding("run_1", 3, time.monotonic()):
            await leave.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    assert not has_room(live)
    live.end_probation("run_1", 2)  # of an earlier term
    assert not has_room(live)
    leave.set()
    await holding
    assert has_room(live)


async def test_a_probation_ends_by_itself() -> None:
    live = Live(LEASE, probation=timedelta(milliseconds=1))
    live.begin_probation("run_1", 1)
    assert not has_room(live)

    await until(lambda: has_room(live))
