"""When something last happened on each thread; threads by metadata, and by the files that they refer to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "thread_activity",
        sa.Column("thread_id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("thread_id"),
    )
    op.execute("""
INSERT INTO thread_activity (thread_id, project_id, active_at)
SELECT id, project_id, greatest(created_at,
  (SELECT max(created_at) FROM messages WHERE thread_id = threads.id),
  (SELECT max(created_at) FROM runs WHERE thread_id = threads.id))
FROM threads""")
    op.create_index("thread_activity_listed", "thread_activity", ["project_id", "active_at", "thread_id"], unique=False)
    op.create_index(
        "threads_metadata",
        "threads",
        ["metadata"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )
    op.create_index(
        "threads_files",
        "threads",
        [sa.text("(tool_resources #> '{code_interpreter,file_ids}')")],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("tool_resources <> '{}'::jsonb"),
    )


def downgrade() -> None:
    op.drop_index("threads_files", table_name="threads", postgresql_where=sa.text("tool_resources <> '{}'::jsonb"))
    op.drop_index(
        "threads_metadata",
        table_name="threads",
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )
    op.drop_table("thread_activity")
