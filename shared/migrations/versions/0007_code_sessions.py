"""Sessions of the code interpreter, and the messages that name files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WITH_FILES = sa.text("attachments <> '[]'::jsonb OR file_ids <> '[]'::jsonb")


def upgrade() -> None:
    op.create_table(
        "code_interpreter_sessions",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column(
            "files", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "code_interpreter_sessions_of_thread", "code_interpreter_sessions", ["thread_id", "started_at"], unique=False
    )
    op.create_index("messages_with_files", "messages", ["thread_id"], unique=False, postgresql_where=WITH_FILES)


def downgrade() -> None:
    op.drop_index("messages_with_files", table_name="messages", postgresql_where=WITH_FILES)
    op.drop_table("code_interpreter_sessions")
