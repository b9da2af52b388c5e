"""Vector stores, their files, batches and chunks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.columns import HalfVector

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


# Of a store that goes as a whole nothing needs to be remembered: its row is gone by then.
REMEMBER_REMOVED = """
CREATE FUNCTION remember_removed_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO vector_store_files_removed (vector_store_id, id, project_id, created_at)
  SELECT removed.vector_store_id, removed.id, removed.project_id, removed.created_at
  FROM removed JOIN vector_stores ON vector_stores.id = removed.vector_store_id
  ON CONFLICT (vector_store_id, id) DO UPDATE SET created_at = excluded.created_at, removed_at = now();
  RETURN NULL;
END $$"""

ON_REMOVAL = """
CREATE TRIGGER vector_store_files_on_removal AFTER DELETE ON vector_store_files
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION remember_removed_files()"""


def upgrade() -> None:
    op.create_table(
        "vector_stores",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("expires_after_days", sa.Integer(), nullable=True),
        sa.Column("last_active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.CheckConstraint("(expires_at IS NULL) = (expires_after_days IS NULL)", name="vector_stores_expiry"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "vector_stores_expiring",
        "vector_stores",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expired_at IS NULL"),
    )
    op.create_index("vector_stores_listed", "vector_stores", ["project_id", "created_at", "id"], unique=False)
    op.create_table(
        "vector_store_batches",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("vector_store_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["vector_store_id"], ["vector_stores.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("vector_store_batches_of_store", "vector_store_batches", ["vector_store_id"], unique=False)
    op.create_table(
        "vector_store_files",
        sa.Column("vector_store_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("ingestion", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "attributes", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("max_chunk_size_tokens", sa.Integer(), nullable=False),
        sa.Column("chunk_overlap_tokens", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="in_progress", nullable=False),
        sa.Column("reason", sa.Text(), server_default="added", nullable=False),
        sa.Column("term", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("usage_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("(finished_at IS NULL) = (status = 'in_progress')", name="vector_store_files_finished"),
        sa.CheckConstraint("(last_error IS NOT NULL) = (status = 'failed')", name="vector_store_files_error"),
        sa.CheckConstraint(
            "(lease_owner IS NULL) = (lease_expires_at IS NULL) AND (lease_owner IS NULL OR status = 'in_progress')",
            name="vector_store_files_lease",
        ),
        sa.CheckConstraint(
            "status IN ('in_progress', 'completed', 'failed', 'cancelled')", name="vector_store_files_status"
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["vector_store_batches.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["id"], ["files.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["vector_store_id"], ["vector_stores.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("vector_store_id", "id"),
        sa.UniqueConstraint("ingestion"),
    )
    op.create_index(
        "vector_store_files_counted", "vector_store_files", ["vector_store_id", "status", "usage_bytes"], unique=False
    )
    op.create_index(
        "vector_store_files_held",
        "vector_store_files",
        ["project_id"],
        unique=False,
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    op.create_index(
        "vector_store_files_leased",
        "vector_store_files",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    op.create_index(
        "vector_store_files_listed", "vector_store_files", ["vector_store_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "vector_store_files_of_batch", "vector_store_files", ["batch_id", "status", "usage_bytes"], unique=False
    )
    op.create_index("vector_store_files_of_file", "vector_store_files", ["id"], unique=False)
    op.create_index(
        "vector_store_files_waiting",
        "vector_store_files",
        ["project_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'in_progress' AND lease_expires_at IS NULL"),
    )
    op.create_table(
        "vector_store_files_removed",
        sa.Column("vector_store_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("vector_store_id", "id"),
    )
    op.create_index("vector_store_files_removed_by_age", "vector_store_files_removed", ["removed_at"], unique=False)
    op.execute(REMEMBER_REMOVED)
    op.execute(ON_REMOVAL)
    op.create_table(
        "chunks",
        sa.Column("ingestion", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("vector_store_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("begins", sa.Integer(), nullable=False),
        sa.Column("ends", sa.Integer(), nullable=False),
        sa.Column(
            "search", postgresql.TSVECTOR(), sa.Computed("to_tsvector('english', text)", persisted=True), nullable=False
        ),
        sa.Column("embedding", HalfVector(), nullable=True),
        sa.ForeignKeyConstraint(["ingestion"], ["vector_store_files.ingestion"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ingestion", "position"),
    )
    op.create_index("chunks_of_store", "chunks", ["vector_store_id"], unique=False)
    op.create_index("chunks_search", "chunks", ["search"], unique=False, postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("chunks_search", table_name="chunks", postgresql_using="gin")
    op.drop_index("chunks_of_store", table_name="chunks")
    op.drop_table("chunks")
    op.drop_index(
        "vector_store_files_waiting",
        table_name="vector_store_files",
        postgresql_where=sa.text("status = 'in_progress' AND lease_expires_at IS NULL"),
    )
    op.drop_index("vector_store_files_of_file", table_name="vector_store_files")
    op.drop_index("vector_store_files_of_batch", table_name="vector_store_files")
    op.drop_index("vector_store_files_listed", table_name="vector_store_files")
    op.drop_index(
        "vector_store_files_leased",
        table_name="vector_store_files",
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    op.drop_index(
        "vector_store_files_held",
        table_name="vector_store_files",
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )
    op.drop_index("vector_store_files_counted", table_name="vector_store_files")
    op.drop_table("vector_store_files")
    op.execute("DROP FUNCTION remember_removed_files")
    op.drop_index("vector_store_files_removed_by_age", table_name="vector_store_files_removed")
    op.drop_table("vector_store_files_removed")
    op.drop_index("vector_store_batches_of_store", table_name="vector_store_batches")
    op.drop_table("vector_store_batches")
    op.drop_index("vector_stores_listed", table_name="vector_stores")
    op.drop_index("vector_stores_expiring", table_name="vector_stores", postgresql_where=sa.text("expired_at IS NULL"))
    op.drop_table("vector_stores")
