"""Runs and their steps, with the rules that the database itself keeps."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Float, Index, Integer, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant, Json, JsonList
from shared.runs.status import (
    ACTIVE,
    LOCKS_THREAD,
    TERMINAL,
    WAITS_FOR_THREAD,
    WAITS_FOR_WORKER,
    RunStatus,
    StepStatus,
    in_sql,
)


def _counter() -> Any:
    return Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))


def _limit() -> Any:
    return Field(default=None, sa_column=Column(Integer))


def _number() -> Any:
    return Field(default=None, sa_column=Column(Float))


class Run(SQLModel, table=True):
    """One execution of an assistant on a thread, with its own copy of all that it was told.

    `term` counts the hands that the run has passed through and fences off earlier ones; `attempts` counts the workers
    that died holding it, `max_attempts` how many may; `model_retry` is how patient it is with the model, null where the
    server's settings decide; `rung_at` is when a worker was last told of it. A run that is `waiting` is queued behind
    another one of its thread, and `messages_to_come` are added to the thread when its turn comes. `include_contents`
    says that its events show the texts that file_search finds. `traceparent` is the span of the request that created
    it, where there are traces. `history` tells of every move: at, reason, term, worker.
    `events_kept_s` is how long its log stays after its end, null as long as ever.
    `api_key_id` is the key that made it, and `used` what it has cost, as `usage/facts.py` says it.
    """

    __tablename__ = "runs"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    thread_id: str = columns.reference("threads.id")
    assistant_id: str = columns.required_text()
    api_key_id: str | None = columns.optional_text()
    dialect: str = columns.required_text("v2")  # in whose shapes the run's events are rendered: v1 or v2

    status: str = columns.required_text("queued")
    reason: str = columns.required_text("created")
    term: int = _counter()
    attempts: int = _counter()
    max_attempts: int = Field(sa_column=Column(Integer, nullable=False, server_default=text("3")))
    model_retry: Json | None = columns.optional_json()
    traceparent: str | None = columns.optional_text()
    lease_owner: str | None = columns.optional_text()
    lease_expires_at: Instant | None = columns.instant()
    rung_at: Instant | None = columns.instant()
    waiting: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    cancel_requested_at: Instant | None = columns.instant()
    created_at: Instant = columns.created_at()
    started_at: Instant | None = columns.instant()
    expires_at: Instant = columns.required_instant()
    events_kept_s: int | None = Field(default=None, sa_column=Column(BigInteger))
    finished_at: Instant | None = columns.instant()

    model: str = columns.required_text()
    instructions: str = columns.required_text("")
    tools: JsonList = columns.json(default="[]")
    tool_choice: Any = columns.json(default='"auto"')
    parallel_tool_calls: bool = Field(default=True)
    temperature: float | None = _number()
    top_p: float | None = _number()
    reasoning_effort: str | None = columns.optional_text()
    response_format: Any = columns.optional_json()
    truncation_strategy: Json = columns.json(default='{"type": "auto", "last_messages": null}')
    max_prompt_tokens: int | None = _limit()
    max_completion_tokens: int | None = _limit()
    include_contents: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    file_ids: JsonList = columns.json(default="[]")  # v1 alone
    meta: Json = columns.metadata()

    messages_to_come: JsonList = columns.json(default="[]")
    history: JsonList = columns.json(default="[]")
    usage: Json | None = columns.optional_json()
    used: JsonList = columns.json(default="[]")
    required_action: Json | None = columns.optional_json()
    incomplete_details: Json | None = columns.optional_json()
    last_error: Json | None = columns.optional_json()

    __table_args__ = (
        Index("runs_listed", "thread_id", "created_at", "id"),
        Index("runs_one_active", "thread_id", unique=True, postgresql_where=text(LOCKS_THREAD)),
        Index("runs_waiting", "thread_id", "created_at", "id", postgresql_where=text(WAITS_FOR_THREAD)),
        Index("runs_queued", "project_id", "created_at", "id", postgresql_where=text(WAITS_FOR_WORKER)),
        Index("runs_held", "project_id", postgresql_where=text("status = 'in_progress'")),
        Index("runs_leased", "lease_expires_at", postgresql_where=text("status = 'in_progress'")),
        Index("runs_expiring", "expires_at", postgresql_where=text(f"status IN {in_sql(ACTIVE)}")),
        CheckConstraint(f"status IN {in_sql(frozenset(RunStatus))}", name="runs_status"),
        CheckConstraint(f"(finished_at IS NOT NULL) = (status IN {in_sql(TERMINAL)})", name="runs_finished"),
        CheckConstraint("(lease_expires_at IS NOT NULL) = (status = 'in_progress')", name="runs_lease"),
        CheckConstraint("(lease_owner IS NOT NULL) = (status = 'in_progress')", name="runs_owner"),
        CheckConstraint("(required_action IS NOT NULL) = (status = 'requires_action')", name="runs_action"),
    )


class RunStep(SQLModel, table=True):
    """One thing that a run did: a message, or calls of tools. A message is written once, when it is done; calls are
    written in progress, and finished when all of their tools have answered: ours, or the client by its submission.
    `expires_at` is its run's; there is none where an older release wrote the step.
    """

    __tablename__ = "run_steps"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    project_id: str = columns.project()
    thread_id: str = columns.required_text()
    run_id: str = columns.reference("runs.id")
    assistant_id: str = columns.required_text()
    position: int = Field(sa_column=Column(Integer, nullable=False))
    term: int = Field(sa_column=Column(Integer, nullable=False))
    created_at: Instant = columns.created_at()
    expires_at: Instant | None = columns.instant()
    ended_at: Instant | None = columns.instant()
    type: str = columns.required_text()
    status: str = columns.required_text()
    details: Json = columns.json(default="{}")
    usage: Json | None = columns.optional_json()
    last_error: Json | None = columns.optional_json()
    meta: Json = columns.metadata()

    __table_args__ = (
        UniqueConstraint("run_id", "position", name="run_steps_position"),
        Index("run_steps_listed", "run_id", "created_at", "id"),
        Index("run_steps_of_thread", "thread_id", "created_at", postgresql_where=text("type = 'tool_calls'")),
        CheckConstraint("type IN ('message_creation', 'tool_calls')", name="run_steps_type"),
        CheckConstraint(
            f"status IN ({', '.join(repr(str(status)) for status in StepStatus)})", name="run_steps_status"
        ),
        CheckConstraint("(ended_at IS NULL) = (status = 'in_progress')", name="run_steps_ended"),
    )
