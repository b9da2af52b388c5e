"""`python -m tests.benchmarks.client`: a plan on standard input, a report on standard output, JSON both.

A process of its own, so that its CPU time is known and takes nothing from whom it measures but the cores.
"""

import asyncio
import os
import sys
import time

import orjson
import uvloop

from tests.benchmarks.calls import CALLS, Marks, Target
from tests.benchmarks.http1 import Connection
from tests.benchmarks.load import Plan, Report

PATIENCE_S = 90


class Client:
    """Carries a plan out; a call that fails is reported and not tried again."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left = list(reversed(plan.threads or [""] * plan.calls))
        self._done: list[Marks] = []
        self._errors: list[str] = []
        self._idle: list[Connection] = []

    async def report(self) -> Report:
        """Make all calls."""
        cpu_s, began = time.process_time(), time.perf_counter()
        await (self._closed_loop() if self._plan.rate is None else self._open_loop(self._plan.rate))
        return Report(self._done, self._errors, time.perf_counter() - began, time.process_time() - cpu_s)

    async def _closed_loop(self) -> None:
        """So many clients, each beginning its next call when the last one has ended."""

        async def client() -> None:
            while self._left:
                await self._call(self._left.pop())

        await asyncio.gather(*(client() for _ in range(self._plan.clients)))

    async def _open_loop(self, rate: float) -> None:
        """So many arrivals a second, whatever becomes of those before."""
        began, calls = time.perf_counter(), list[asyncio.Task[None]]()
        while self._left:
            calls.append(asyncio.create_task(self._call(self._left.pop())))
            await asyncio.sleep(max(0.0, began + len(calls) / rate - time.perf_counter()))
        await asyncio.gather(*calls)

    async def _call(self, thread_id: str) -> None:
        plan = self._plan
        connection = self._idle.pop() if self._idle else Connection(plan.port, plan.key)
        target = Target(connection, plan.assistant_id, plan.model, thread_id)
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._done.append(await CALLS[plan.call](target))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the report
            self._errors.append(repr(error)[:500])
            connection.close()
        else:
            self._idle.append(connection)


if __name__ == "__main__":
    report = uvloop.run(Client(Plan(**orjson.loads(sys.stdin.buffer.read()))).report())
    with os.fdopen(sys.stdout.fileno(), "wb") as output:  # writes all of it, also where Python's own doesn't buffer
        output.write(orjson.dumps(report))
