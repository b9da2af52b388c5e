"""Entries, and the links of their chain. Neither refers to any other table: entries stay when what they are about goes.

They may be read and appended to, and nothing else: see migration 0018, and `shared/migrations/env.py`.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Text
from sqlmodel import Field, SQLModel

from shared import columns
from shared.columns import Instant, Json


class AuditEntry(SQLModel, table=True):
    """One act. `actor_account_id` is the service account of a project's key."""

    __tablename__ = "audit_entries"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    id: str = columns.primary_key()
    created_at: Instant = columns.created_at()
    type: str = columns.required_text()
    project_id: str | None = columns.optional_text()
    resource_id: str = columns.required_text()
    details: Json = columns.json(default="{}")
    changed: Any = columns.optional_json()
    actor_kind: str = columns.required_text()
    actor_id: str = columns.required_text()
    actor_account_id: str | None = columns.optional_text()
    ip_address: str | None = columns.optional_text()
    user_agent: str | None = columns.optional_text()

    __table_args__ = (
        Index("audit_entries_listed", "created_at", "id"),
        Index("audit_entries_of_project", "project_id", "created_at", "id"),
        Index("audit_entries_of_resource", "resource_id"),
        Index("audit_entries_by_type", "type", "created_at", "id"),
    )


class AuditLink(SQLModel, table=True):
    """An entry's place in the chain: made by a trigger when the entry is committed, never by us."""

    __tablename__ = "audit_links"  # pyright: ignore[reportAssignmentType] # as SQLModel documents it
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    entry_id: str = Field(sa_column=Column(Text(collation="C"), nullable=False, unique=True))
    hash: str = columns.required_text()
