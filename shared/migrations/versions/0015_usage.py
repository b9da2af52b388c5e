"""Usage: facts, what they add up to, whose key made a run, and what a project may spend."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _name(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(collation="C"), server_default="", nullable=False)


def _key(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(collation="C"), nullable=False)


def _figures(kind: type[sa.Integer]) -> list[sa.Column[int]]:
    names = ("requests", "input_tokens", "cached_tokens", "output_tokens")
    return [sa.Column(name, kind(), server_default=sa.text("0"), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "usage_facts",
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        _name("api_key_id"),
        _name("assistant_id"),
        sa.Column("kind", sa.Text(), nullable=False),
        _name("subject"),
        *_figures(sa.Integer),
    )
    op.execute("ALTER TABLE usage_facts REPLICA IDENTITY FULL")  # logical replication deletes by a key, or by all
    op.create_table(
        "usage_minutes",
        _key("kind"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        _key("project_id"),
        _key("api_key_id"),
        _key("subject"),
        *_figures(sa.BigInteger),
        sa.PrimaryKeyConstraint("kind", "at", "project_id", "api_key_id", "subject"),
    )
    op.create_index(
        "usage_minutes_not_hours",
        "usage_minutes",
        ["at"],
        unique=False,
        postgresql_where=sa.text("NOT (date_bin('1 hour', at, '2001-01-01T00:00:00Z') = at)"),
    )
    op.create_table(
        "usage_of_assistants",
        _key("assistant_id"),
        sa.Column("day", sa.Date(), nullable=False),
        _key("kind"),
        _key("subject"),
        sa.Column("project_id", sa.Text(), nullable=False),
        *_figures(sa.BigInteger),
        sa.PrimaryKeyConstraint("assistant_id", "day", "kind", "subject"),
    )
    op.create_table(
        "usage_bytes",
        _key("kind"),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        _key("project_id"),
        sa.Column("bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "hour", "project_id"),
    )
    op.create_table(
        "code_interpreter_hours",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("thread_id"),
    )
    op.create_table(
        "budgets",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("limit_cents", sa.BigInteger(), nullable=True),
        sa.Column("alert_cents", sa.BigInteger(), nullable=True),
        sa.Column("alerted_for", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id"),
    )
    op.add_column("projects", sa.Column("exhausted_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("api_key_id", sa.Text(), nullable=True))
    op.add_column(
        "runs",
        sa.Column("used", postgresql.JSONB(none_as_null=True), server_default=sa.text("'[]'::jsonb"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("runs", "used")
    op.drop_column("runs", "api_key_id")
    op.drop_column("projects", "exhausted_until")
    op.drop_table("budgets")
    op.drop_table("code_interpreter_hours")
    op.drop_table("usage_bytes")
    op.drop_table("usage_of_assistants")
    op.drop_index("usage_minutes_not_hours", table_name="usage_minutes")
    op.drop_table("usage_minutes")
    op.drop_table("usage_facts")
