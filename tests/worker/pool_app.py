"""The Celery application of test_pool.py, run by real workers: tasks that tell a stage server what they do.

What happens is pushed to the list `<event>:<name>`; a task that holds waits until the test pushes to `go:<name>`. The
stage is a server apart from the broker, which tests restart.
"""

import asyncio
import json
import os
import sys
import threading
from contextvars import ContextVar
from typing import Any

from celery import Celery, signals
from celery.worker.request import Request
from kombu.entity import Queue
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from worker.pool import AsyncTask, TaskPool

STAGE_URL = os.environ["STAGE_URL"]

app = Celery("pool_app", broker=os.environ["BROKER_URL"])
app.conf.update(
    worker_pool="worker.pool:TaskPool",
    worker_hijack_root_logger=False,
    worker_disable_prefetch=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_drain_seconds=20,
)
if "CONFIGURATION" in os.environ:
    app.conf.update(json.loads(os.environ["CONFIGURATION"]))
if "NO_ACK_QUEUE" in os.environ:
    app.conf.task_queues = [Queue(app.conf.task_default_queue, no_ack=True)]

seen_in_prerun: ContextVar[str] = ContextVar("seen_in_prerun", default="nothing")


async def tell(event: str, name: str, value: str = "") -> None:
    async with AsyncRedis.from_url(STAGE_URL) as stage:
        await stage.rpush(f"{event}:{name}", value)


def tell_at_once(event: str, name: str) -> None:
    with Redis.from_url(STAGE_URL) as stage:
        stage.rpush(f"{event}:{name}", "")


async def wait_for_go(name: str) -> None:
    async with AsyncRedis.from_url(STAGE_URL, socket_timeout=None) as stage:
        await stage.blpop([f"go:{name}"])


class FaultyRequest(Request):
    """A request whose own bookkeeping fails once its task is accepted."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        super().on_accepted(pid, time_accepted)
        raise LookupError("scripted: on_accepted fails")


@app.task(base=AsyncTask)
async def hold(name: str) -> None:
    try:
        await tell("started", name)
        await wait_for_go(name)
    except asyncio.CancelledError:
        await tell("cancelled", name)
        await asyncio.sleep(0.1)  # a second cancellation would find it here
        await tell("cleaned", name)
        raise
    await tell("finished", name)


@app.task(base=AsyncTask)
async def clean_up_for_ever(name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await tell("cancelled", name)
        await asyncio.Event().wait()


@app.task(base=AsyncTask, Request=FaultyRequest)
async def hold_faultily(name: str) -> None:
    await tell("started", name)
    await wait_for_go(name)


@app.task(base=AsyncTask)
async def fail(name: str) -> None:
    await asyncio.sleep(0)
    raise ValueError(f"scripted: {name}")


@app.task(base=AsyncTask)
async def leave(name: str) -> None:
    await tell("started", name)
    sys.exit(3)


@app.task(base=AsyncTask)
async def cancel_itself(name: str) -> None:
    await tell("started", name)
    raise asyncio.CancelledError


@app.task(base=AsyncTask)
async def look(name: str) -> None:
    before = seen_in_prerun.get()
    seen_in_prerun.set(f"changed by {name}")
    await wait_for_go(name)
    await tell("looked", name, json.dumps([before, seen_in_prerun.get()]))


@app.task(base=AsyncTask)
async def block_the_loop(name: str) -> None:
    await tell("started", name)
    threading.Event().wait()


@app.task(base=AsyncTask)
async def end_the_loop() -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.Event().wait()


@signals.task_prerun.connect
def set_context(task_id: str, **_: Any) -> None:
    seen_in_prerun.set(task_id)


KEPT: list[object] = []
"""A loop refers weakly to its tasks: one that nobody else refers to may be collected while it waits."""


@signals.worker_process_init.connect
def use_hooks(sender: TaskPool, **_: Any) -> None:
    def fail_to_drain() -> None:
        raise LookupError("scripted: a drain hook fails")

    async def fail_to_close() -> None:
        raise LookupError("scripted: a close hook fails")

    async def live_long() -> None:
        await tell("began", "background")
        try:
            await asyncio.Event().wait()
        finally:
            await tell("ended", "background")

    sender.drain_hooks += [fail_to_drain, lambda: tell_at_once("drain", "hook")]
    sender.close_hooks += [lambda: tell("close", "hook"), fail_to_close]
    KEPT.append(asyncio.run_coroutine_threadsafe(live_long(), sender.loop))


class HastyPool(TaskPool):
    """Gives up early on what does not end."""

    CLEANUP_SECONDS = 0.5
    CLOSE_SECONDS = 0.5
