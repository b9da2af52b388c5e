"""The real engine on one event loop: API commands, workers' coroutines and sweeper, over a real database.

Only what would need other processes is played: the model speaks when it is told to, Redis is a list of rings and the
logs of runs. A worker that crashes is one that is never told anything again, or much later: then it is a zombie.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

import uvloop
from sqlalchemy import Executable, text
from sqlalchemy.exc import OperationalError

from api import launch
from api.auth import KeyRing
from api.catalog import Catalog
from api.services import Services
from api.streams import Streams
from shared import ids, table
from shared.assistants import commands as assistants
from shared.database import Database, Row
from shared.events.types import Entry, EventId, Packed
from shared.limits.windows import Windows
from shared.projects.rows import Project
from shared.queue import RUNS_QUEUE, Doorbell
from shared.redis import Command, Outbox, connect
from shared.runs import commands as runs
from shared.runs.status import TERMINAL
from shared.settings import Settings
from shared.threads import commands as threads
from shared.usage.prices import PriceList
from shared.vector_stores.search import Searcher
from shared.wire.runs import CreateRun
from shared.wire.threads import CreateMessage, CreateThread
from tests.properties.promises import ALL_BROKEN
from worker import sweep
from worker.deps import Deps
from worker.ingest.children import Children
from worker.ingest.slots import Slots
from worker.models.client import ModelClient, Patience
from worker.models.errors import ModelError
from worker.runs import heartbeat
from worker.runs.executor import execute
from worker.runs.leftovers import Leftovers
from worker.runs.live import Held, Live, Stop
from worker.runs.quota import Quota

LEASE = timedelta(hours=10, minutes=30)
EXPIRES_AFTER = timedelta(hours=60, minutes=30)
MAX_ATTEMPTS = 3
"""Time passes by whole hours, all at once: no instant ever comes near another one by chance."""

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

_LOOK = text(f"""
SELECT
  (SELECT coalesce(jsonb_agg(run), '[]') FROM (
    SELECT id, status, waiting, term, attempts, coalesce(CAST(usage ->> 'total_tokens' AS int), 0) AS tokens,
      (SELECT count(*) FROM messages WHERE run_id = runs.id) AS messages,
      (SELECT count(*) FROM run_steps WHERE run_id = runs.id) AS steps
    FROM runs) AS run) AS runs,
  (SELECT coalesce(jsonb_agg(broken), '[]') FROM ({ALL_BROKEN}) AS broken) AS broken""")

_INSTANTS = {
    "runs": (
        *("started_at", "finished_at", "expires_at"),  # ids of messages follow from the run's created_at
        *("lease_expires_at", "rung_at", "cancel_requested_at"),
    ),
    "messages": ("created_at", "ended_at"),
    "run_steps": ("created_at", "ended_at"),
    "moves": ("at",),
}
_LATER = text(
    "WITH "
    + ", ".join(
        f"{name}_later AS (UPDATE {name} SET " + ", ".join(f"{one} = {one} - :hours" for one in instants) + ")"
        for name, instants in _INSTANTS.items()
    )
    + " SELECT"
)

T = TypeVar("T")
Heard = dict[str, Any] | ModelError | None


class Cut(StrEnum):
    """When a connection broke under a write."""

    BEFORE = "before it was committed"
    AFTER = "after it was committed"


class CutDatabase(Database):
    """Breaks the connection under the next write of a worker, if told to."""

    cut: Cut | None = None

    async def all(
        self, statement: Executable, params: Mapping[str, Any] | None = None, project_id: str | None = None
    ) -> Sequence[Row]:
        cut = self.cut
        if cut is None or not str(statement).startswith("WITH moved AS"):
            return await super().all(statement, params, project_id)
        self.cut = None
        if cut is Cut.AFTER:
            await super().all(statement, params, project_id)
        raise OperationalError(cut, None, ConnectionError())


@dataclass
class Call:
    """One request to the model, and what it will say; None ends the answer."""

    request: Mapping[str, Any]
    says: asyncio.Queue[Heard] = field(default_factory=asyncio.Queue[Heard])
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Everything said was heard."""


class StagedModel(ModelClient):
    """Says what it is told to, when it is told to."""

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall] # no connection is wanted
        self.counts_as = "max_tokens"
        self.calls: asyncio.Queue[Call] = asyncio.Queue()

    def upstream_name(self, model: str) -> str:
        return model

    async def stream(self, request: Mapping[str, Any], patience: Patience) -> AsyncGenerator[dict[str, Any]]:
        del patience  # it is asked once
        call = Call(request)
        self.calls.put_nowait(call)
        while True:
            call.idle.set()
            match await call.says.get():
                case None:
                    return
                case ModelError() as error:
                    raise error
                case chunk:
                    yield chunk


class StagedRedis(Outbox):
    """Rings that nobody has answered, and the logs of runs under the rule that an id must be above the last."""

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall] # no connection is wanted
        self.rings: list[str] = []
        self.logs: dict[str, list[Entry]] = {}

    def send(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case ("XADD", str() as key, "MAXLEN", "~", _, str() as event_id, "e", bytes() as packed):
                    log = self.logs.setdefault(key.removeprefix("ev:"), [])
                    if not log or EventId.parse(event_id) > log[-1].last:
                        log.append(Packed.parse(packed).open(key.removeprefix("ev:"), None))
                case _:
                    pass

    async def length(self, key: str) -> int | None:
        assert key == RUNS_QUEUE
        return len(self.rings)


class StagedDoorbell(Doorbell):
    """Rings by name."""

    def __init__(self, redis: StagedRedis) -> None:
        super().__init__(redis)
        self._redis = redis

    def ring(self, run: Mapping[str, Any], *before: Command) -> None:
        self._redis.send(before)
        self._redis.rings.append(run["id"])

    def cancel(self, run_id: str) -> None:
        """A published cancel is heard or not: the machine decides."""


@dataclass(eq=False)
class Job:
    """A worker's coroutine with a run, and its talk with the model."""

    run_id: str
    deps: Deps
    held: Held
    task: asyncio.Task[Any]
    call: Call

    @property
    def in_sight(self) -> bool:
        """Does its worker's heartbeat still see it?"""
        return self.deps.live.get(self.run_id) is self.held


class Stage:
    """One database, one loop; `reset` makes everything else anew."""

    def __init__(self, database_url: str) -> None:
        # Without set_event_loop: the session has a loop of its own.
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.settings = Settings.model_validate(
            {
                "database_url": database_url,
                "redis_url": "redis://127.0.0.1:1/0",
                "model_base_url": "http://127.0.0.1:1/v1",
                "lease_duration": LEASE,
                "run_expires_after": EXPIRES_AFTER,
                "run_max_attempts": MAX_ATTEMPTS,
            }
        )
        self.database = CutDatabase(database_url, pool_size=4)
        self.project_id = ids.new("proj")
        self._tasks: list[asyncio.Task[Any]] = []
        self.run(table.add(self.database, Project, {"id": self.project_id, "name": "staged"}))
        columns = {"model": "staged", "tools": [FUNCTION, {"type": "file_search"}]}
        self.assistant_id: str = self.run(assistants.create(self.database, self.project_id, columns))["id"]
        self.reset()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await it on the stage's loop."""
        return self._runner.run(coroutine)

    def reset(self) -> None:
        """Forget every thread, run, ring and coroutine."""
        self.redis = StagedRedis()
        settings, database, doorbell = self.settings, self.database, StagedDoorbell(self.redis)
        away = connect(settings.redis_url)
        no_store: Any = None  # nobody uploads anything
        self.services = Services(
            settings=settings,
            database=database,
            executor=database,
            redis=away,
            outbox=self.redis,
            doorbell=doorbell,
            streams=Streams(database, away, settings.redis_url),
            keys=KeyRing(database),
            windows=Windows(settings.redis_url),
            store=no_store,
            catalog=Catalog(settings),
            searcher=Searcher(),
            rewriter=None,
            prices=PriceList.load(None),
        )
        self.run(self._forget())

    async def _forget(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.database.all(text("DELETE FROM threads"))
        await self.database.all(text("DELETE FROM moves"))
        await self.database.all(text("DELETE FROM usage_facts"))

    def close(self) -> None:
        """Leave nothing behind."""
        self.reset()
        self.run(self.database.close())
        self._runner.close()

    def new_worker(self, name: str) -> Deps:
        """What a worker process holds on to."""
        return Deps(
            settings=self.settings,
            owner=f"{name}:{ids.new('key')}",
            system=self.database,
            database=self.database,
            vital=self.database,
            outbox=self.redis,
            windows=self.services.windows,
            doorbell=self.services.doorbell,
            model=StagedModel(),
            searcher=Searcher(),
            store=self.services.store,
            sandbox=None,
            leftovers=Leftovers(),
            prices=PriceList.load(None),
            quota=Quota(),
            live=Live(LEASE, probation=timedelta(days=1)),
            ingesting=Live(LEASE),
            slots=Slots(),
            readers=Children(),
        )

    # What clients do.

    async def create_thread(self) -> str:
        """A thread with a question."""
        question = CreateMessage(role="user", content="Hello?")
        row = await threads.create(self.database, self.project_id, CreateThread(messages=[question]).params())
        return row["id"]

    async def create_run(self, thread_id: str, when_busy: runs.WhenBusy) -> Row:
        """POST /threads/{thread_id}/runs. Raises InvalidRequest."""
        row = await runs.create(
            self.database,
            self.project_id,
            ids.new("run"),
            thread_id,
            CreateRun(assistant_id=self.assistant_id).params(),
            dialect="v2",
            defaults=runs.Defaults(EXPIRES_AFTER, MAX_ATTEMPTS),
            when_busy=when_busy,
        )
        await launch.started(self.services, row, "v2", stream=False)
        return row

    async def add_message(self, thread_id: str) -> None:
        """POST /threads/{thread_id}/messages. Raises InvalidRequest."""
        record = CreateMessage(role="user", content="And?").record()
        await threads.add_message(self.database, self.project_id, thread_id, record)

    async def cancel(self, thread_id: str, run_id: str) -> Row:
        """POST …/cancel. Raises InvalidRequest."""
        row = await runs.cancel(self.database, self.project_id, thread_id, run_id)
        if row["status"] in TERMINAL and row["has_next"]:
            launch.promoted(self.services, await runs.promote(self.database, thread_id))
        await launch.cancelled(self.services, row, "v2")
        return row

    async def submit(self, thread_id: str, run_id: str, outputs: Mapping[str, str]) -> None:
        """POST …/submit_tool_outputs. Raises InvalidRequest."""
        row, step = await runs.submit_tool_outputs(self.database, self.project_id, thread_id, run_id, outputs)
        await launch.resumed(self.services, row, step, "v2", stream=False)

    # What workers do.

    async def answer(self, run_id: str, deps: Deps) -> Job | None:
        """Answer a ring; returns the job once the model has been asked, or None if nothing was to be done."""
        assert isinstance(deps.model, StagedModel)
        before = {held.run_id: held for held in deps.live.all()}
        task = asyncio.create_task(execute(run_id, deps))
        asked = asyncio.create_task(deps.model.calls.get())
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            asked.cancel()
            await task
            return None
        self._tasks.append(task)
        held = next(held for held in deps.live.all() if before.get(held.run_id) is not held)
        if held.run_id in before:  # the same worker's, whose lease was lost meanwhile
            await asyncio.gather(before[held.run_id].task)
        return Job(held.run_id, deps, held, task, asked.result())

    async def say(self, job: Job, *words: Heard, cut: Cut | None = None) -> None:
        """Let the model say something, and wait until it was heard; what is written then may meet with a `cut`."""
        self.database.cut = cut
        job.call.idle.clear()
        for word in words:
            job.call.says.put_nowait(word)
        if words[-1] is None or isinstance(words[-1], ModelError):
            await job.task
            self.database.cut = None
            return
        idle = asyncio.create_task(job.call.idle.wait())
        await asyncio.wait({job.task, idle}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        self.database.cut = None
        if job.task.done():
            await job.task

    async def search(self, job: Job, *words: Heard, cut: Cut | None = None) -> bool:
        """Let the model's answer end with a call of file_search, which is carried out; the first write that follows may
        meet with a `cut`. Returns whether the model was asked again: otherwise the job is over.
        """
        assert isinstance(job.deps.model, StagedModel)
        self.database.cut = cut
        for word in words:
            job.call.says.put_nowait(word)
        asked = asyncio.create_task(job.deps.model.calls.get())
        await asyncio.wait({job.task, asked}, return_when=asyncio.FIRST_COMPLETED)
        self.database.cut = None
        if asked.done():
            job.call = asked.result()
            return True
        asked.cancel()
        await job.task
        return False

    async def leave(self, jobs: Sequence[Job]) -> None:
        """The process has no more patience: what it still does is cancelled by the pool."""
        for job in jobs:
            job.task.cancel()
        await asyncio.gather(*(job.task for job in jobs))

    async def beat(self, deps: Deps) -> None:
        """One heartbeat, and the ends of what it stopped."""
        held = deps.live.all()
        await heartbeat.beat(deps)
        await asyncio.gather(*(one.task for one in held if one.why is not None))

    async def hear_cancel(self, job: Job) -> None:
        """The cancel that was published reaches the worker."""
        job.held.stop(Stop.CANCEL_REQUESTED)
        await job.task

    async def sweep(self, deps: Deps) -> None:
        """Each duty of the sweeper once."""
        await sweep.sweep(deps)

    # What happens, and what can be seen.

    async def pass_time(self, hours: int) -> None:
        """Move all that has happened into the past: the database's clock is the one that counts."""
        await self.database.all(_LATER, {"hours": timedelta(hours=hours)})

    async def look(self) -> tuple[list[Row], list[Row]]:
        """Every run with what was recorded of it, and the promises that the database shows broken."""
        row = await self.database.one(_LOOK)
        assert row is not None
        return row["runs"], row["broken"]

    async def calls_of(self, run_id: str) -> list[str]:
        """Ids of the calls whose outputs the run waits for."""
        row = await self.database.one(text("SELECT required_action FROM runs WHERE id = :id"), {"id": run_id})
        return [call["id"] for call in row["required_action"]["tool_calls"]] if row else []

    def events(self, run_id: str) -> list[tuple[EventId, str]]:
        """Ids and names in the run's log; `done` is the last of a stream."""
        frames = b"".join(entry.frames for entry in self.redis.logs.get(run_id, [])).decode()
        found: list[tuple[EventId, str]] = []
        for frame in frames.split("\n\n")[:-1]:
            event_id, name, _ = frame.split("\n", 2)
            found.append((EventId.parse(event_id.removeprefix("id: ")), name.removeprefix("event: ")))
        return found
