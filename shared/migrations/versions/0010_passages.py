"""Vectors of the passages of chunks, and search by them; the language of a store, and its id among the words."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.columns import HalfVector

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# 32 numbers for a store, of length 1, that hardly two stores have in common. A vector is kept with its store's behind
# it: whatever is in the same store is then nearer than what is not, so that one index serves any number of stores.
CODE = """
CREATE FUNCTION store_code(store text) RETURNS halfvec LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CAST(concat('[', string_agg(CASE get_bit(decode(md5(store), 'hex'), bit)
    WHEN 1 THEN '0.1767767' ELSE '-0.1767767' END, ',' ORDER BY bit), ']') AS halfvec)
  FROM generate_series(0, 31) AS bit
$$"""

# The index is asked for more until enough of what it gives are wanted ones.
NEAREST = """
CREATE FUNCTION nearest_passages(space int, numbers int, asked halfvec, store text, ingestions text[], at_most int)
RETURNS TABLE (ingestion text, chunk int, last_chunk int)
LANGUAGE plpgsql STABLE
SET hnsw.iterative_scan = 'relaxed_order' SET hnsw.ef_search = '200' AS $$
BEGIN
  RETURN QUERY EXECUTE format(
    'SELECT ingestion, chunk, last_chunk FROM passages
     WHERE space = %1$s AND vector_store_id = $2 AND ingestion = ANY($3)
     ORDER BY embedding::halfvec(%2$s) <=> $1::halfvec(%2$s) LIMIT $4', space, numbers)
  USING asked, store, ingestions, at_most;
END $$"""

# As `shared/vector_stores/ranking.py` had it when this was written.
WORDS = r"""
UPDATE chunks SET search = search || array_to_tsvector(ARRAY[vector_store_id]) ||
  to_tsvector('simple', concat('x', regexp_replace(replace(text, '_', 'qq'), '\W+', ' x', 'g')))"""


def upgrade() -> None:
    op.create_table(
        "embedding_spaces",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("window", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("model", "dimensions", "window", name="embedding_spaces_one_each"),
    )
    op.create_table(
        "passages",
        sa.Column("ingestion", sa.Text(), nullable=False),
        sa.Column("chunk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("space", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_chunk", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("vector_store_id", sa.Text(), nullable=False),
        sa.Column("embedding", HalfVector(), nullable=False),
        sa.ForeignKeyConstraint(["ingestion", "chunk"], ["chunks.ingestion", "chunks.position"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["space"], ["embedding_spaces.id"]),
        sa.PrimaryKeyConstraint("ingestion", "chunk", "space", "number"),
    )
    op.execute("SELECT '[1]'::vector")  # loads the extension's library: a statement below names its settings
    op.execute(CODE)
    op.execute(NEAREST)
    op.add_column("vector_stores", sa.Column("language", sa.Text(), server_default="english", nullable=False))
    op.add_column("vector_store_files", sa.Column("space", sa.Integer(), nullable=True))
    unread = sa.Column("pages_unread", sa.Integer(), server_default=sa.text("0"), nullable=False)
    op.add_column("vector_store_files", unread)
    op.add_column("vector_store_files", sa.Column("embedding_until", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(None, "vector_store_files", "embedding_spaces", ["space"], ["id"])
    op.create_index(
        "vector_store_files_by_space",
        "vector_store_files",
        ["space", "ingestion"],
        unique=False,
        postgresql_where=sa.text("status = 'completed'"),
    )
    op.drop_column("chunks", "embedding")
    op.execute("ALTER TABLE chunks ALTER COLUMN search DROP EXPRESSION")
    op.execute(WORDS)


def downgrade() -> None:
    op.drop_column("chunks", "search")
    words = sa.Computed("to_tsvector('english', text)", persisted=True)
    op.add_column("chunks", sa.Column("search", postgresql.TSVECTOR(), words, nullable=False))
    op.create_index("chunks_search", "chunks", ["search"], unique=False, postgresql_using="gin")
    op.add_column("chunks", sa.Column("embedding", HalfVector(), nullable=True))
    op.drop_index("vector_store_files_by_space", table_name="vector_store_files")
    op.drop_column("vector_store_files", "embedding_until")
    op.drop_column("vector_store_files", "pages_unread")
    op.drop_column("vector_store_files", "space")
    op.drop_column("vector_stores", "language")
    op.execute("DROP FUNCTION nearest_passages")
    op.execute("DROP FUNCTION store_code")
    op.drop_table("passages")
    op.drop_table("embedding_spaces")
