"""First tables: projects and keys, assistants, threads, messages, runs, steps, files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("thread_id", sa.Text(), nullable=True),
        sa.Column("stream_after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project_id", "key"),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "threads",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "tool_resources",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("threads_listed", "threads", ["project_id", "created_at", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index("api_keys_of_project", "api_keys", ["project_id"], unique=False)
    op.create_table(
        "assistants",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("instructions", sa.Text(), nullable=True),
        sa.Column(
            "tools", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "tool_resources",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "file_ids", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("top_p", sa.Float(), nullable=True),
        sa.Column("reasoning_effort", sa.Text(), nullable=True),
        sa.Column("response_format", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("assistants_listed", "assistants", ["project_id", "created_at", "id"], unique=False)
    op.create_table(
        "files",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "files_expiring", "files", ["expires_at"], unique=False, postgresql_where=sa.text("expires_at IS NOT NULL")
    )
    op.create_index("files_listed", "files", ["project_id", "created_at", "id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column(
            "content", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "attachments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "file_ids", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("assistant_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="completed", nullable=False),
        sa.Column("incomplete_reason", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.CheckConstraint("(incomplete_reason IS NOT NULL) = (status = 'incomplete')", name="messages_incomplete"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name="messages_role"),
        sa.CheckConstraint("status IN ('completed', 'incomplete')", name="messages_status"),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("messages_listed", "messages", ["thread_id", "created_at", "id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("assistant_id", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), server_default="v2", nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("reason", sa.Text(), server_default="created", nullable=False),
        sa.Column("term", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("model_retry", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waiting", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("instructions", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "tools", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "tool_choice",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'\"auto\"'::jsonb"),
            nullable=False,
        ),
        sa.Column("parallel_tool_calls", sa.Boolean(), nullable=False),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("top_p", sa.Float(), nullable=True),
        sa.Column("reasoning_effort", sa.Text(), nullable=True),
        sa.Column("response_format", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "truncation_strategy",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text('\'{"type": "auto", "last_messages": null}\'::jsonb'),
            nullable=False,
        ),
        sa.Column("max_prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("max_completion_tokens", sa.Integer(), nullable=True),
        sa.Column(
            "file_ids", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "messages_to_come",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "history", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("usage", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("required_action", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("incomplete_details", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("last_error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('cancelled', 'completed', 'expired', 'failed', 'incomplete'))",
            name="runs_finished",
        ),
        sa.CheckConstraint("(lease_expires_at IS NOT NULL) = (status = 'in_progress')", name="runs_lease"),
        sa.CheckConstraint("(lease_owner IS NOT NULL) = (status = 'in_progress')", name="runs_owner"),
        sa.CheckConstraint("(required_action IS NOT NULL) = (status = 'requires_action')", name="runs_action"),
        sa.CheckConstraint(
            "status IN ('cancelled', 'completed', 'expired', 'failed', 'in_progress', 'incomplete', 'queued', "
            "'requires_action')",
            name="runs_status",
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "runs_expiring",
        "runs",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('in_progress', 'queued', 'requires_action')"),
    )
    op.create_index(
        "runs_held", "runs", ["project_id"], unique=False, postgresql_where=sa.text("status = 'in_progress'")
    )
    op.create_index(
        "runs_leased", "runs", ["lease_expires_at"], unique=False, postgresql_where=sa.text("status = 'in_progress'")
    )
    op.create_index("runs_listed", "runs", ["thread_id", "created_at", "id"], unique=False)
    op.create_index(
        "runs_one_active",
        "runs",
        ["thread_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('in_progress', 'queued', 'requires_action') AND NOT waiting"),
    )
    op.create_index(
        "runs_queued",
        "runs",
        ["project_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND NOT waiting"),
    )
    op.create_index(
        "runs_waiting",
        "runs",
        ["thread_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND waiting"),
    )
    op.create_table(
        "run_steps",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("assistant_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("usage", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("last_error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (status = 'in_progress')", name="run_steps_ended"),
        sa.CheckConstraint(
            "status IN ('in_progress', 'completed', 'cancelled', 'failed', 'expired')", name="run_steps_status"
        ),
        sa.CheckConstraint("type IN ('message_creation', 'tool_calls')", name="run_steps_type"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "position", name="run_steps_position"),
    )
    op.create_index("run_steps_listed", "run_steps", ["run_id", "created_at", "id"], unique=False)
    op.create_index(
        "run_steps_of_thread",
        "run_steps",
        ["thread_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("type = 'tool_calls'"),
    )


def downgrade() -> None:
    op.drop_index("run_steps_of_thread", table_name="run_steps", postgresql_where=sa.text("type = 'tool_calls'"))
    op.drop_index("run_steps_listed", table_name="run_steps")
    op.drop_table("run_steps")
    op.drop_index("runs_waiting", table_name="runs", postgresql_where=sa.text("status = 'queued' AND waiting"))
    op.drop_index("runs_queued", table_name="runs", postgresql_where=sa.text("status = 'queued' AND NOT waiting"))
    op.drop_index(
        "runs_one_active",
        table_name="runs",
        postgresql_where=sa.text("status IN ('in_progress', 'queued', 'requires_action') AND NOT waiting"),
    )
    op.drop_index("runs_listed", table_name="runs")
    op.drop_index("runs_leased", table_name="runs", postgresql_where=sa.text("status = 'in_progress'"))
    op.drop_index("runs_held", table_name="runs", postgresql_where=sa.text("status = 'in_progress'"))
    op.drop_index(
        "runs_expiring",
        table_name="runs",
        postgresql_where=sa.text("status IN ('in_progress', 'queued', 'requires_action')"),
    )
    op.drop_table("runs")
    op.drop_index("messages_listed", table_name="messages")
    op.drop_table("messages")
    op.drop_index("files_listed", table_name="files")
    op.drop_index("files_expiring", table_name="files", postgresql_where=sa.text("expires_at IS NOT NULL"))
    op.drop_table("files")
    op.drop_index("assistants_listed", table_name="assistants")
    op.drop_table("assistants")
    op.drop_index("api_keys_of_project", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index("threads_listed", table_name="threads")
    op.drop_table("threads")
    op.drop_table("projects")
    op.drop_index("idempotency_keys_by_age", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
