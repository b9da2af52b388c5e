"""Deletions that are carried out in the background, and how long projects keep things."""

import sqlalchemy as sa
from alembic import op

from shared.migrations.walls import OURS, pull_down, wall_off

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MARKED = ("threads", "vector_stores")
SEEN = "id, project_id, created_at, tool_resources, metadata"  # of threads, by their project, through an index
KEPT = ("threads_kept_s", "files_kept_s", "outputs_kept_s")

# Of a store that goes as a whole nothing needs to be remembered.
REMEMBER_REMOVED = """
CREATE OR REPLACE FUNCTION remember_removed_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO vector_store_files_removed (vector_store_id, id, project_id, created_at)
  SELECT removed.vector_store_id, removed.id, removed.project_id, removed.created_at
  FROM removed JOIN vector_stores ON vector_stores.id = removed.vector_store_id {living}
  ON CONFLICT (vector_store_id, id) DO UPDATE SET created_at = excluded.created_at, removed_at = now();
  RETURN NULL;
END $$"""

# Chunks refer to an ingestion that some file has, or to one that is noted here.
NOTE_INGESTIONS = """
CREATE FUNCTION note_ingestions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO removals (kind, id, project_id) SELECT 'ingestion', former.ingestion, former.project_id FROM former
  WHERE NOT EXISTS (SELECT FROM vector_store_files WHERE vector_store_files.ingestion = former.ingestion)
  ON CONFLICT (kind, id) DO NOTHING;
  RETURN NULL;
END $$"""

ON_REMOVAL = """
CREATE TRIGGER vector_store_files_leave_chunks AFTER DELETE ON vector_store_files
REFERENCING OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION note_ingestions()"""

# One that is put in again has another ingestion. Row by row and not as a statement, whose old rows would be gathered
# at every move of a file.
NOTE_FORMER = """
CREATE FUNCTION note_former_ingestion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO removals (kind, id, project_id) VALUES ('ingestion', OLD.ingestion, OLD.project_id)
  ON CONFLICT (kind, id) DO NOTHING;
  RETURN NULL;
END $$"""

ON_RENEWAL = """
CREATE TRIGGER vector_store_files_renewed AFTER UPDATE ON vector_store_files FOR EACH ROW
WHEN (OLD.ingestion IS DISTINCT FROM NEW.ingestion) EXECUTE FUNCTION note_former_ingestion()"""


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('assistant', 'file', 'ingestion', 'run', 'session')", name="removals_kind"),
        sa.PrimaryKeyConstraint("kind", "id"),
    )
    op.create_index("removals_in_order", "removals", ["kind", "noted_at", "id"], unique=False)
    wall_off("removals")
    for table in MARKED:
        op.add_column(table, sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
        where = sa.text("deleted_at IS NOT NULL")
        op.create_index(f"{table}_deleted", table, ["deleted_at", "id"], unique=False, postgresql_where=where)
    op.execute(f"CREATE OR REPLACE VIEW threads_of_tenant AS SELECT {SEEN}, deleted_at FROM threads WHERE {OURS}")
    op.add_column("projects", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    where = sa.text("deleted_at IS NOT NULL")
    op.create_index("projects_deleted", "projects", ["id"], unique=False, postgresql_where=where)
    for column in KEPT:
        op.add_column("projects", sa.Column(column, sa.BigInteger(), nullable=True))
    op.add_column("idempotency_keys", sa.Column("subject", sa.Text(), nullable=True))
    where = sa.text("subject IS NOT NULL")
    op.create_index(
        "idempotency_keys_by_subject", "idempotency_keys", ["subject"], unique=False, postgresql_where=where
    )
    op.drop_constraint("chunks_ingestion_fkey", "chunks", type_="foreignkey")
    op.execute(NOTE_INGESTIONS)
    op.execute(ON_REMOVAL)
    op.execute(NOTE_FORMER)
    op.execute(ON_RENEWAL)
    op.execute(REMEMBER_REMOVED.format(living="AND vector_stores.deleted_at IS NULL"))


def downgrade() -> None:
    op.execute(REMEMBER_REMOVED.format(living=""))
    op.execute("DROP TRIGGER vector_store_files_renewed ON vector_store_files")
    op.execute("DROP FUNCTION note_former_ingestion")
    op.execute("DROP TRIGGER vector_store_files_leave_chunks ON vector_store_files")
    op.execute("DROP FUNCTION note_ingestions")
    op.execute("DELETE FROM threads WHERE deleted_at IS NOT NULL")
    op.execute("DELETE FROM vector_stores WHERE deleted_at IS NOT NULL")
    op.execute("DELETE FROM projects WHERE deleted_at IS NOT NULL")
    op.execute("""
DELETE FROM chunks WHERE NOT EXISTS (
  SELECT FROM vector_store_files WHERE vector_store_files.ingestion = chunks.ingestion)""")
    op.create_foreign_key(
        "chunks_ingestion_fkey", "chunks", "vector_store_files", ["ingestion"], ["ingestion"], ondelete="CASCADE"
    )
    op.drop_index("idempotency_keys_by_subject", table_name="idempotency_keys")
    op.drop_column("idempotency_keys", "subject")
    for column in KEPT:
        op.drop_column("projects", column)
    op.drop_index("projects_deleted", table_name="projects")
    op.drop_column("projects", "deleted_at")
    op.execute("DROP VIEW threads_of_tenant")
    op.execute(f"CREATE VIEW threads_of_tenant AS SELECT {SEEN} FROM threads WHERE {OURS}")
    for table in MARKED:
        op.drop_index(f"{table}_deleted", table_name=table)
        op.drop_column(table, "deleted_at")
    op.drop_index("removals_in_order", table_name="removals")
    pull_down("removals")
    op.drop_table("removals")
