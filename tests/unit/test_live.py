"""Room for runs on their last attempt."""

import asyncio
import time
from datetime import timedelta

from tests.system import until
from worker.runs.live import Live

LEASE = timedelta(seconds=10)


async def test_room_grows_with_each_run_that_comes_through() -> None:
    live = Live(LEASE, probation=timedelta(days=1))

    async def hold(name: str, leave: asyncio.Event) -> None:
        live.begin_probation(name, 1)
        with live.holding(name, 1, time.monotonic()):
            await leave.wait()

    rooms: list[int] = []
    for turn in range(4):
        leave, holding = asyncio.Event(), list[asyncio.Task[None]]()
        while live.has_room:
            holding.append(asyncio.create_task(hold(f"run_{turn}_{len(holding)}", leave)))
            await asyncio.sleep(0)
        rooms.append(len(holding))
        leave.set()
        await asyncio.gather(*holding)

    assert rooms == [1, 2, 8, 2048]


async def test_a_probation_ends_by_itself() -> None:
    live = Live(LEASE, probation=timedelta(milliseconds=1))
    live.begin_probation("run_1", 1)
    assert not live.has_room

    await until(lambda: live.has_room)
