"""Limits of projects, and of their use of each model."""

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


def downgrade() -> None:
    op.drop_table("rate_limits")
    op.drop_index("projects_limited", table_name="projects")
    for column in LIMITS:
        op.drop_column("projects", column)
