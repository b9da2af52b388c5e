"""Projects, the service accounts in them, and the keys that open them."""

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Text, text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant


def _limit() -> Any:
    return Field(default=None, sa_column=Column(BigInteger))


class Project(SQLModel, table=True):
    """The owner of everything else: one tenant. An archived one keeps its data, refuses work, and frees its name.
    Limits that are null are none. An exhausted one has spent what it may, and takes no new runs until then (see
    `shared/usage/budgets.py`). How long things are kept is said in seconds, null for ever (see
    `shared/removals/retention.py`), of events and sessions of the code interpreter null for as long as ever.
    """

    __tablename__ = "projects"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    archived_at: Instant | None = columns.instant()
    name: str = columns.required_text()
    max_requests_per_minute: int | None = _limit()
    max_concurrent_runs: int | None = _limit()
    max_stored_bytes: int | None = _limit()
    max_sandbox_sessions: int | None = _limit()
    exhausted_until: Instant | None = columns.instant()
    deleted_at: Instant | None = columns.instant()
    threads_kept_s: int | None = _limit()
    files_kept_s: int | None = _limit()
    outputs_kept_s: int | None = _limit()
    events_kept_s: int | None = _limit()
    sessions_kept_s: int | None = _limit()

    __table_args__ = (
        Index("projects_named", "name", unique=True, postgresql_where=text("archived_at IS NULL")),
        Index("projects_listed", "created_at", "id"),
        Index("projects_deleted", "id", postgresql_where=text("deleted_at IS NOT NULL")),
        Index("projects_limited", "id", postgresql_where=text("max_concurrent_runs IS NOT NULL")),
    )


class RateLimit(SQLModel, table=True):
    """What a project may do with one model in a minute; null is as much as it likes. The name is the one that runs
    bear, which need not be the endpoint's.
    """

    __tablename__ = "rate_limits"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    project_id: str = Field(
        sa_column=Column(Text, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True, nullable=False)
    )
    model: str = Field(sa_column=Column(Text(collation="C"), primary_key=True, nullable=False))
    max_requests: int | None = _limit()
    max_tokens: int | None = _limit()


class ServiceAccount(SQLModel, table=True):
    """A program that works in a project. Its keys go with it."""

    __tablename__ = "service_accounts"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    project_id: str = columns.reference("projects.id")
    name: str = columns.required_text()

    __table_args__ = (Index("service_accounts_listed", "project_id", "created_at", "id"),)


class ApiKey(SQLModel, table=True):
    """A key to a project. The key itself is nowhere: only its hash, and a hint by which its owner knows it again.

    One without scopes opens all of its project.
    """

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    project_id: str = columns.reference("projects.id")
    service_account_id: str = columns.reference("service_accounts.id")
    name: str = columns.required_text()
    hash: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    hint: str = columns.required_text()
    scopes: Any = columns.optional_json()
    last_used_at: Instant | None = columns.instant()
    expires_at: Instant | None = columns.instant()
    revoked_at: Instant | None = columns.instant()

    __table_args__ = (
        Index("api_keys_listed", "project_id", "created_at", "id"),
        Index("api_keys_of_account", "service_account_id"),
    )


class AdminKey(SQLModel, table=True):
    """A key to the administration of all projects, and to nothing within them."""

    __tablename__ = "admin_keys"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    name: str = columns.required_text()
    hash: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    hint: str = columns.required_text()
    scopes: Any = columns.optional_json()
    last_used_at: Instant | None = columns.instant()
    expires_at: Instant | None = columns.instant()
    revoked_at: Instant | None = columns.instant()

    __table_args__ = (Index("admin_keys_listed", "created_at", "id"),)
