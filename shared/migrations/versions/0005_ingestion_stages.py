"""How far the reading of a file has come, and where in the file a chunk stands."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LEFT_OVER = sa.text("status IN ('failed', 'cancelled') AND chunks > 0")


def upgrade() -> None:
    op.add_column("vector_store_files", sa.Column("stage", sa.Text(), server_default="waiting", nullable=False))
    op.add_column("vector_store_files", sa.Column("format", sa.Text(), nullable=True))
    op.add_column("vector_store_files", sa.Column("reader", sa.Integer(), nullable=True))
    op.add_column("vector_store_files", sa.Column("pages", sa.Integer(), nullable=True))
    for name in ("pages_read", "chunks", "chunks_embedded"):
        op.add_column("vector_store_files", sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(
        "vector_store_files_stage", "vector_store_files", "stage IN ('waiting', 'reading', 'read')"
    )
    op.create_index(
        "vector_store_files_left_over", "vector_store_files", ["ingestion"], unique=False, postgresql_where=LEFT_OVER
    )
    op.add_column("chunks", sa.Column("page", sa.Integer(), nullable=True))
    op.add_column(
        "chunks",
        sa.Column("headings", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
    )
    op.create_index("files_by_content", "files", ["project_id", "sha256"], unique=False)
    # What was completed before was read whole, in one commit.
    op.execute("""
UPDATE vector_store_files SET stage = 'read', format = 'text', chunks = (
  SELECT count(*) FROM chunks WHERE chunks.ingestion = vector_store_files.ingestion)
WHERE status = 'completed'""")


def downgrade() -> None:
    op.drop_index("files_by_content", table_name="files")
    op.drop_column("chunks", "headings")
    op.drop_column("chunks", "page")
    op.drop_index("vector_store_files_left_over", table_name="vector_store_files", postgresql_where=LEFT_OVER)
    op.drop_constraint("vector_store_files_stage", "vector_store_files", type_="check")
    for name in ("chunks_embedded", "chunks", "pages_read", "pages", "reader", "format", "stage"):
        op.drop_column("vector_store_files", name)
