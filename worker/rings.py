"""What those who watch Celery, with Flower, see of runs, and what a revocation there does.

A ring is a task in their words. It is shown with the ids of its run, thread and project, and its result says which run
it led to and what this worker's part in it came to: `run_… completed`. A run that was cancelled is a task that was
revoked; one that failed or expired, a task that failed. With a backlog the slot goes to another run than the one that
was rung for; the task is then shown as that run's.

To revoke a task is to cancel its run, in OpenAI's sense, whether it is queued, in progress or waits for its client.
Celery itself would drop the rings of a revoked id, and with `terminate` cut off the coroutine: the run would be handed
on to another worker, which is what is meant by neither.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import structlog
from celery.signals import task_prerun
from celery.utils.functional import maybe_list
from celery.worker import state as worker_state
from celery.worker.control import Panel, control_command
from celery.worker.request import Request

from shared.database import Row
from shared.queue import rung_for, shown_of
from shared.runs.status import RunStatus
from worker.deps import Deps
from worker.pool import TaskPool
from worker.runs.cancels import cancel

log = structlog.get_logger(__name__)

_TASK_ID: ContextVar[str] = ContextVar("task_id")
_FAILED = (RunStatus.FAILED, RunStatus.EXPIRED)


class Ring(Request):
    """A message of a queue that takes no acknowledgements."""

    def acknowledge(self) -> None:
        """Note it down, for Celery alone.

        Celery acknowledges every message. kombu ignores that as long as the connection lives; once it is lost, it looks
        for it, finds none, and the AttributeError ends the worker.
        """
        self.acknowledged = True

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 # Celery's name for it
        """Tell those who watch. What a run came to decides what its task is said to have come to."""
        if type == "task-succeeded":
            match _status(fields["result"]):
                case RunStatus.CANCELLED:
                    type, fields = "task-revoked", {**fields, "terminated": True, "signum": None, "expired": False}  # noqa: A001
                case status if status in _FAILED:
                    type, fields = "task-failed", {**fields, "exception": fields["result"], "traceback": None}  # noqa: A001
                case _:
                    pass
        super().send_event(type, **fields)


def result(run: Row | None) -> str:
    """What a task that was a ring says that it came to; None where there was no run to be taken."""
    if run is None:
        return "nothing to do"
    code = (run["last_error"] or {}).get("code")
    return f"{run['id']} {run['status']}" + (f": {code}" if code else "")


def _status(shown: str) -> str | None:
    words = shown.strip("'").replace(":", "").split()
    return words[1] if words[0].startswith("run_") else None


class Rings:
    """The rings of one worker process, from when its pool runs."""

    def __init__(self, deps: Callable[[], Deps]) -> None:
        self._deps = deps
        self._cancelling: set[object] = set()

    def start_on(self, pool: TaskPool) -> None:
        """Begin to obey revocations, in Celery's main thread."""
        self._pool = pool
        task_prerun.connect(_remember)
        about = Panel.meta["revoke"]
        control_command(name="revoke", args=about.args, variadic=about.variadic, signature=about.signature)(
            self._revoke
        )
        about = Panel.meta["terminate"]
        control_command(name="terminate", args=about.args, variadic=about.variadic, signature=about.signature)(
            self._terminate
        )

    def show(self, run: Row) -> None:
        """The task that this coroutine is leads to another run than was rung for: show that one's ids."""
        self._pool.post(_show, _TASK_ID.get(), shown_of(run["id"], run["thread_id"], run["project_id"]))

    def _revoke(self, _: Any, task_id: Any, **__: Any) -> dict[str, str]:
        """Cancel the runs of tasks by id (or list of ids), whatever else is asked for."""
        object_ids = sorted({rung_for(one) for one in maybe_list(task_id) or []})
        for object_id in object_ids:
            if object_id.startswith("run_"):
                asked = asyncio.run_coroutine_threadsafe(cancel(self._deps(), object_id), self._pool.loop)
                self._cancelling.add(asked)  # the loop itself refers to it weakly
                asked.add_done_callback(self._cancelling.discard)
            else:
                log.warning("revoke.refused", task_id=object_id)  # a file is taken back by deleting it, through the API
        return {"ok": f"asked to cancel: {', '.join(object_ids)}"}

    def _terminate(self, state: Any, signal: str, task_id: Any, **_: Any) -> dict[str, str]:
        """The same; there are no processes to be sent a signal."""
        del signal
        return self._revoke(state, task_id)


def _remember(task_id: str, **_: Any) -> None:
    _TASK_ID.set(task_id)


def _show(task_id: str, ids: str) -> None:
    request: Any = worker_state.requests.get(task_id)
    if request is not None:
        request.send_event("task-started", args=ids)
