"""A data key that is no project's, by which keys of clients are hashed."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("data_keys", "project_id", nullable=True)
    op.create_index(
        "data_keys_of_organization",
        "data_keys",
        [sa.text("(project_id IS NULL)")],
        unique=True,
        postgresql_where=sa.text("project_id IS NULL"),
    )
    op.create_check_constraint("data_keys_never_retired", "data_keys", "project_id IS NOT NULL OR retired_at IS NULL")


def downgrade() -> None:
    """Keys that were hashed by it open nothing afterwards."""
    op.execute("DELETE FROM data_keys WHERE project_id IS NULL")
    op.drop_constraint("data_keys_never_retired", "data_keys")
    op.drop_index("data_keys_of_organization", "data_keys")
    op.alter_column("data_keys", "project_id", nullable=False)
