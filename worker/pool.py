"""A Celery pool that runs `async def` tasks as coroutines on one event loop, thousands in a process.

    app.conf.worker_pool = "worker.pool:TaskPool"
    app.conf.worker_drain_seconds = 30.0

    @app.task(base=AsyncTask)
    async def execute(run_id: str) -> None: ...

Two threads. The *main thread* is Celery's: its hub talks to the broker, and every callback of a request (accepted,
succeeded, failed, timed out; hence acks, events and the worker's state) is called there, as with prefork. The *loop
thread* runs the coroutines. Between them: `call_soon_threadsafe` one way; the other way a queue of callbacks and
`Hub.call_soon`, which other threads may call since kombu 5.7.

Celery's tracer is synchronous and is used as it is (signals, `Ignore`, `Reject`, events). It runs in a greenlet of the
loop thread; where it calls an `AsyncTask` it switches away with the coroutine, an asyncio task awaits that and switches
back with what came of it. Celery's own stacks are kept per greenlet, so `self.request` and `current_task` are empty
inside the coroutine: pass what it needs as arguments. Context variables set by receivers of `task_prerun` are visible.

What is promised:

- Exactly `worker_concurrency` coroutines run at once. A message counts as accepted, and is acknowledged where that
  happens early, once its coroutine has a slot.
- Time limits, `revoke(terminate=True)` and both shutdowns cancel the coroutine: it sees `CancelledError`, may clean up,
  and keeps its slot meanwhile. It is not cancelled a second time, except by a hard limit or a shutdown after a soft
  limit. One that finishes although it was cancelled has finished. A soft limit is recorded as `SoftTimeLimitExceeded`.
- Warm shutdown (SIGTERM) begins the drain: nothing new starts, `drain_hooks` are called, running coroutines may finish
  within `worker_drain_seconds` of the signal. Those that do not are cancelled, and get `CLEANUP_SECONDS` to release
  what they hold. Cold shutdown (SIGQUIT) cancels at once.
- A message whose coroutine was cancelled by a shutdown, or never started, is left without acknowledgement: with late
  acks the broker has it again. One that was acknowledged before, or comes from a `no_ack` queue, is gone.
- Then `close_hooks` are awaited on the loop and the loop ends. A loop that is blocked delays the end of the process by
  bounded times, never for ever: drain + `CLEANUP_SECONDS` + `CLOSE_SECONDS`, all told.
- A loop that dies takes the worker with it, with a non-zero exit code: one that took messages and ran none would be
  worse.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from signal import SIGTERM
from typing import Any, TypeAlias

import uvloop
from billiard.einfo import ExceptionInfo
from celery import Task, signals
from celery.concurrency.base import BasePool
from celery.exceptions import SoftTimeLimitExceeded, Terminated, WorkerLostError
from celery.platforms import EX_FAILURE
from celery.utils import log as celery_log
from celery.worker import state as worker_state
from greenlet import getcurrent, greenlet
from kombu.asynchronous import Hub

logger = celery_log.get_logger(__name__)

Callback: TypeAlias = Callable[..., object]

DEFAULT_DRAIN_SECONDS = 30.0


class Ending(Enum):
    """Why the pool cancelled a coroutine."""

    SOFT_LIMIT = auto()
    HARD_LIMIT = auto()
    TERMINATED = auto()
    SHUTDOWN = auto()


@dataclass(eq=False, slots=True, weakref_slot=True)
class Job:
    """A message on its way through the pool. Celery's request keeps a weak reference, to terminate it."""

    pool: "TaskPool"
    number: int
    """Stands where other pools have a process id."""
    trace: Callable[[], Any]
    on_accepted: Callback
    on_done: Callback
    on_failed: Callback
    on_timeout: Callback
    soft_limit_seconds: float | None
    hard_limit_seconds: float | None
    accepted: bool = False
    ending: Ending | None = None
    runner: asyncio.Task[Any] | None = None

    def terminate(self, signal: int | None = None) -> None:
        """Cancel the coroutine, or the wait for a slot."""
        self.pool.terminate_job(self.number, signal)


class Tracer(greenlet):
    """Celery's synchronous tracer; switches to its parent with what it wants awaited."""


class AsyncTask(Task):
    """Base class of `async def` tasks. Only a worker with this pool can call one."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Called by the tracer, in its greenlet: suspend it until the coroutine has ended."""
        tracer = getcurrent()
        if not isinstance(tracer, Tracer) or tracer.parent is None:
            raise RuntimeError(f"{self.name} runs in worker.pool:TaskPool only; elsewhere, await its run() method")
        return tracer.parent.switch(self.run(*args, **kwargs))


class TaskPool(BasePool):
    """The pool; see the module for what it promises.

    `worker_process_init` is sent with the pool as its sender once `loop` runs. Its receivers may add hooks, and start
    what lives as long as the worker with `asyncio.run_coroutine_threadsafe(..., pool.loop)`; its result is to be kept,
    for the loop refers to its tasks weakly.
    """

    CLEANUP_SECONDS = 5.0
    """What cancelled coroutines get for their cleanup."""
    CLOSE_SECONDS = 5.0
    """What all close hooks get together."""

    signal_safe = False
    body_can_be_buffer = True

    app: Any
    limit: Any
    loop: asyncio.AbstractEventLoop

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.drain_hooks: list[Callable[[], None]] = []
        """Called in the loop thread when a warm shutdown begins, in order; must not block."""
        self.close_hooks: list[Callable[[], Awaitable[None]]] = []
        """Awaited on the loop after the last coroutine, in reverse order; what else runs there is cancelled next."""
        self._jobs: dict[int, Job] = {}  # of the main thread: what has not been reported to Celery
        self._live: set[Job] = set()  # of the loop thread: what has not ended
        self._callbacks: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._numbers = 0
        self._hub: Hub | None = None
        self._drain_deadline: float | None = None
        self._draining = False  # of the loop thread

    # Called by Celery, in the main thread.

    def on_start(self) -> None:
        """Return once the loop runs. Raises `RuntimeError` when it does not."""
        self._drain_seconds = float(self.app.conf.get("worker_drain_seconds", DEFAULT_DRAIN_SECONDS))
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="event-loop", daemon=True)
        self._thread.start()
        if not started.wait(timeout=30):
            raise RuntimeError("the event loop did not start within 30 seconds")
        signals.worker_shutting_down.connect(self._on_shutting_down)
        signals.worker_process_init.send(sender=self)

    def register_with_event_loop(self, loop: Hub) -> None:
        """Called again after each reconnection; callbacks have waited while the broker was away."""
        self._hub = loop
        loop.call_soon(self._deliver)

    def on_apply(  # pyright: ignore[reportIncompatibleMethodOverride] - the base returns nothing, every pool a result
        self,
        target: Callback,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        callback: Callback,
        accept_callback: Callback,
        error_callback: Callback,
        timeout_callback: Callback,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Job:
        """Take a message; its coroutine begins when a slot is free."""
        self._numbers += 1
        job = Job(
            pool=self,
            number=self._numbers,
            trace=partial(target, *args, **(kwargs or {})),
            on_accepted=accept_callback,
            on_done=callback,
            on_failed=error_callback,
            on_timeout=timeout_callback,
            soft_limit_seconds=soft_timeout or self.options.get("soft_timeout"),
            hard_limit_seconds=timeout or self.options.get("timeout"),
        )
        self._jobs[job.number] = job
        self._call_in_loop(self._begin, job)
        return job

    def terminate_job(self, pid: int, signal: int | None = None) -> None:  # noqa: ARG002 - there is one way to cancel
        """Cancel a job; Celery calls this twice for one revocation."""
        job = self._jobs.get(pid)
        if job is not None:
            self._call_in_loop(self._cancel, job, Ending.TERMINATED)

    def on_stop(self) -> None:
        """Warm shutdown: wait for the coroutines up to the deadline, then go on as a cold one does.

        Celery's handler of SIGQUIT calls this too. It may have interrupted this very wait, or somebody who holds a lock
        that the loop thread needs (logging's, for one): so it only cancels and shortens the wait. The main thread comes
        by again, here or in `on_terminate`.
        """
        if celery_log._in_sighandler:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one thing that tells
            self._drain_deadline = time.monotonic()
            self._callbacks.put(_nothing)
            self._call_in_loop(self._cancel_all)
            return
        self._begin_drain()
        try:
            if not self._deliver_until_idle(lambda: self._drain_deadline or 0.0):
                logger.warning("%d tasks did not end in time to drain: cancelling them", len(self._jobs))
        finally:
            self.on_terminate()

    def on_terminate(self) -> None:
        """Cold shutdown: cancel, let the coroutines clean up, end the loop."""
        self._call_in_loop(self._cancel_all)
        cleanup_deadline = time.monotonic() + self.CLEANUP_SECONDS
        try:
            if not self._deliver_until_idle(lambda: cleanup_deadline):
                logger.error("%d tasks did not end when cancelled: leaving them behind", len(self._jobs))
        finally:
            self._call_in_loop(self._closing_asked.set)
            self._thread.join(self.CLOSE_SECONDS)
            if self._thread.is_alive():
                logger.error("the event loop did not end, something blocks it: leaving it behind")

    def _get_info(self) -> dict[str, Any]:
        running = sum(job.accepted for job in self._jobs.values())
        return {**super()._get_info(), "running": running, "draining": self._drain_deadline is not None}

    # The rest of the main thread.

    def _on_shutting_down(self, how: str, **_: Any) -> None:
        """Begin the drain right when the signal comes; the hub might sleep for seconds before it looks.

        Runs in the signal handler. It may have interrupted the hub in possession of its lock, so the hub is woken from
        the loop thread.
        """
        if how == "Warm":
            self._begin_drain()
        self._call_in_loop(self.post, _nothing)

    def _begin_drain(self) -> None:
        """Begin the drain, unless it has begun; the deadline counts from the first call."""
        if self._drain_deadline is None:
            self._drain_deadline = time.monotonic() + self._drain_seconds
            self._call_in_loop(self._drain)

    def _deliver(self) -> None:
        """Call the callbacks that the loop thread has posted."""
        with contextlib.suppress(queue.Empty):
            while True:
                _call(self._callbacks.get_nowait())

    def _deliver_until_idle(self, deadline: Callable[[], float]) -> bool:
        """Deliver callbacks, without the hub, until every job is reported; False when the deadline comes first."""
        while self._jobs:
            try:
                _call(self._callbacks.get(timeout=max(0.0, deadline() - time.monotonic())))
            except queue.Empty:
                return False
        return True

    def _call_in_loop(self, function: Callable[..., object], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nothing left to be told
            self.loop.call_soon_threadsafe(function, *args)

    # The loop thread.

    def _serve(self, started: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._live_and_close(started))
        finally:
            if not self._closing_asked.is_set():
                logger.critical("the event loop ended by itself: ending the worker")
                worker_state.should_stop = EX_FAILURE
                self.post(_nothing)

    async def _live_and_close(self, started: threading.Event) -> None:
        """Be there until asked to close; then the hooks. The runner ends the tasks that are left."""
        self.loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(self.limit)
        self._closing_asked = asyncio.Event()
        started.set()
        await self._closing_asked.wait()
        for hook in reversed(self.close_hooks):
            try:
                await hook()
            except Exception:
                logger.exception("a close hook failed")

    def post(self, callback: Callback, *args: Any, **kwargs: Any) -> None:
        """Have a callback called in the main thread; for the loop thread."""
        self._callbacks.put(partial(callback, *args, **kwargs))
        if self._hub is not None:
            self._hub.call_soon(self._deliver)

    def _begin(self, job: Job) -> None:
        self._live.add(job)
        job.runner = self.loop.create_task(self._run(job))
        # A runner that is cancelled before its first step runs none of its own code.
        job.runner.add_done_callback(partial(self._report, job))
        if self._draining:
            self._cancel(job, Ending.SHUTDOWN)

    async def _run(self, job: Job) -> Any:
        async with self._slots:
            job.accepted = True
            self.post(job.on_accepted, job.number, time.monotonic())
            with self._limits(job):
                try:
                    return await _drive(job)
                except (SystemExit, KeyboardInterrupt) as exit_:
                    # The tracer lets them through, and asyncio would let them end the loop.
                    raise WorkerLostError(repr(exit_)) from exit_

    @contextlib.contextmanager
    def _limits(self, job: Job) -> Generator[None]:
        timers: list[asyncio.TimerHandle] = []
        if job.soft_limit_seconds:
            timers.append(self.loop.call_later(job.soft_limit_seconds, self._reach_soft_limit, job))
        if job.hard_limit_seconds:
            timers.append(self.loop.call_later(job.hard_limit_seconds, self._cancel, job, Ending.HARD_LIMIT))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()

    def _reach_soft_limit(self, job: Job) -> None:
        if job.ending is None:
            self.post(job.on_timeout, soft=True, timeout=job.soft_limit_seconds)
            self._cancel(job, Ending.SOFT_LIMIT)

    def _cancel(self, job: Job, ending: Ending) -> None:
        """Cancel once: a second cancellation would interrupt the cleanup after the first."""
        if job.runner is not None and job.ending in (None, Ending.SOFT_LIMIT):
            job.ending = ending
            job.runner.cancel()

    def _cancel_all(self) -> None:
        self._draining = True
        for job in self._live:
            self._cancel(job, Ending.SHUTDOWN)

    def _drain(self) -> None:
        self._draining = True
        for job in self._live:
            if not job.accepted:
                self._cancel(job, Ending.SHUTDOWN)
        for hook in self.drain_hooks:
            _call(hook)

    def _report(self, job: Job, runner: "asyncio.Task[Any]") -> None:
        """Have Celery told what became of a job; nothing, where a shutdown ended it."""
        self._live.discard(job)
        if not runner.cancelled():
            error = runner.exception()
            if error is None:
                self.post(job.on_done, runner.result())
            else:
                self.post(job.on_failed, _described(error))
        elif job.ending is Ending.HARD_LIMIT:
            self.post(job.on_timeout, soft=False, timeout=job.hard_limit_seconds)
        elif job.ending is Ending.TERMINATED:
            self.post(job.on_failed, _described(Terminated(int(SIGTERM))))
        self.post(self._jobs.pop, job.number)


async def _drive(job: Job) -> Any:
    """Run the tracer, awaiting what it wants awaited; returns what it returns."""
    tracer = Tracer(job.trace, getcurrent())
    tracer.gr_context = getcurrent().gr_context  # one context for signal handlers and the coroutine
    wanted: Any = tracer.switch()
    while not tracer.dead:
        try:
            outcome = await wanted
        except asyncio.CancelledError as cancelled:
            error = _as_tracer_sees(cancelled, job)
            wanted = tracer.throw(type(error), error, error.__traceback__)
        except BaseException as error:  # noqa: BLE001 - all of it is the tracer's to judge
            wanted = tracer.throw(type(error), error, error.__traceback__)
        else:
            wanted = tracer.switch(outcome)
    return wanted


def _as_tracer_sees(cancelled: asyncio.CancelledError, job: Job) -> BaseException:
    """The tracer records ordinary exceptions as failures and gets out of the way of a `CancelledError`."""
    match job.ending:
        case Ending.SOFT_LIMIT if job.runner is not None:
            job.runner.uncancel()
            error = SoftTimeLimitExceeded(job.soft_limit_seconds)
        case None:
            error = RuntimeError("the coroutine was cancelled, and not by the pool")
        case _:
            return cancelled
    error.__cause__ = cancelled
    return error.with_traceback(cancelled.__traceback__)


def _described(error: BaseException) -> ExceptionInfo:
    """The form in which Celery takes failures. It wants a traceback, so the error is raised."""
    try:
        raise error
    except type(error):
        info = ExceptionInfo()
    info.exception = error  # pyright: ignore[reportAttributeAccessIssue] - unwrapped, as prefork's pickling does
    return info


def _call(callback: Callable[[], object]) -> None:
    """Call it and log its failure, so that the next in line is called too."""
    try:
        callback()
    except Exception:
        logger.exception("the callback %r failed", callback)


def _nothing() -> None:
    """Posted for the wake-up alone."""
