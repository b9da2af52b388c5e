"""Uploads and their parts; files by purpose."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parts_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("parts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("file_expires_after_s", sa.Integer(), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'completed', 'cancelled', 'expired')", name="uploads_status"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uploads_by_age", "uploads", ["expires_at"], unique=False)
    op.create_index(
        "uploads_due", "uploads", ["parts_due_at"], unique=False, postgresql_where=sa.text("parts_due_at IS NOT NULL")
    )
    op.create_table(
        "upload_parts",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("upload_parts_of_upload", "upload_parts", ["upload_id"], unique=False)
    op.create_index("files_listed_by_purpose", "files", ["project_id", "purpose", "created_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("files_listed_by_purpose", table_name="files")
    op.drop_index("upload_parts_of_upload", table_name="upload_parts")
    op.drop_table("upload_parts")
    op.drop_index("uploads_due", table_name="uploads", postgresql_where=sa.text("parts_due_at IS NOT NULL"))
    op.drop_index("uploads_by_age", table_name="uploads")
    op.drop_table("uploads")
