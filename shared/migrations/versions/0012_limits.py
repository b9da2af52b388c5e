"""Limits of projects and of their use of each model, and who has a session where those are limited."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LIMITS = ("max_requests_per_minute", "max_concurrent_runs", "max_stored_bytes", "max_sandbox_sessions")


def upgrade() -> None:
    for column in LIMITS:
        op.add_column("projects", sa.Column(column, sa.BigInteger(), nullable=True))
    op.create_index(
        "projects_limited",
        "projects",
        ["id"],
        unique=False,
        postgresql_where=sa.text("max_concurrent_runs IS NOT NULL"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(collation="C"), nullable=False),
        sa.Column("max_requests", sa.BigInteger(), nullable=True),
        sa.Column("max_tokens", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "model"),
    )
    op.create_table(
        "sandbox_places",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("thread_id"),
    )
    op.create_index("sandbox_places_of_project", "sandbox_places", ["project_id"], unique=False)


def downgrade() -> None:
    op.drop_index("sandbox_places_of_project", table_name="sandbox_places")
    op.drop_table("sandbox_places")
    op.drop_table("rate_limits")
    op.drop_index("projects_limited", table_name="projects")
    for column in LIMITS:
        op.drop_column("projects", column)
