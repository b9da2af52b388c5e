"""An index of vectors for each large store, in place of one for all of them; how many vectors a file has; a sample of
each store among its words.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# One for each space, or for each large store.
DROP_INDEXES = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT CAST(CAST(indexrelid AS regclass) AS text) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = CAST('passages' AS regclass) AND relname LIKE 'passages\\_near\\_%'
  LOOP
    EXECUTE 'DROP INDEX ' || name;
  END LOOP;
END $$"""

# The planner takes a store's index where it can prove that all that is asked for is in there: space and store stand in
# the statement as they stand in the index. It is asked for more until enough of what it gives are wanted ones; whether
# one is wanted is looked up for each that it gives, which are some hundred, where files may be ten thousand.
NEAREST = """
CREATE FUNCTION nearest_passages(space int, dimensions int, store text, asked halfvec, filter jsonpath, at_most int)
RETURNS TABLE (ingestion text, chunk int, last_chunk int)
LANGUAGE plpgsql STABLE
SET hnsw.iterative_scan = 'relaxed_order' SET hnsw.ef_search = '200' SET enable_sort = off AS $$
BEGIN
  RETURN QUERY EXECUTE format(
    'SELECT ingestion, chunk, last_chunk FROM passages WHERE space = %s AND vector_store_id = %L
       AND (SELECT file.status = ''completed'' AND ($2 IS NULL OR file.attributes @@ $2)
         FROM vector_store_files AS file WHERE file.ingestion = passages.ingestion)
     ORDER BY CAST(embedding AS halfvec(%s)) <=> $1 LIMIT $3', space, store, dimensions)
  USING asked, filter, at_most;
END $$"""

# As they were.
CODE = """
CREATE FUNCTION store_code(store text) RETURNS halfvec LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CAST(concat('[', string_agg(CASE get_bit(decode(md5(store), 'hex'), bit)
    WHEN 1 THEN '0.1767767' ELSE '-0.1767767' END, ',' ORDER BY bit), ']') AS halfvec)
  FROM generate_series(0, 31) AS bit
$$"""
NEAREST_OF_ALL = """
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


def upgrade() -> None:
    op.execute("SELECT '[1]'::vector")  # loads the extension's library: a statement below names its settings
    op.execute(DROP_INDEXES)
    op.execute("DROP FUNCTION nearest_passages")
    op.execute("DROP FUNCTION store_code")
    op.execute(NEAREST)
    vector = "subvector(embedding, 1, vector_dims(embedding) - 32)"  # without the store's code
    op.execute(f"ALTER TABLE passages ALTER embedding TYPE halfvec USING {vector}")
    # Beside the row it would be fetched piece by piece, at ten times the time, from 1,000 dimensions on.
    op.execute("ALTER TABLE passages ALTER embedding SET STORAGE MAIN")
    op.add_column(
        "vector_store_files", sa.Column("passages", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.execute("""
      UPDATE vector_store_files AS file SET passages = (SELECT count(*) FROM passages
        WHERE passages.ingestion = file.ingestion AND passages.space = file.space) WHERE space IS NOT NULL""")
    # As `shared/vector_stores/ranking.py` had it when this was written.
    op.execute("""
      UPDATE chunks SET search = search || array_to_tsvector(ARRAY[vector_store_id || '*'])
      WHERE hashtext(text) & 63 = 0""")


def downgrade() -> None:
    op.execute("UPDATE chunks SET search = ts_delete(search, vector_store_id || '*') WHERE hashtext(text) & 63 = 0")
    op.drop_column("vector_store_files", "passages")
    op.execute("SELECT '[1]'::vector")
    op.execute(DROP_INDEXES)
    op.execute("DROP FUNCTION nearest_passages")
    op.execute(CODE)
    op.execute(NEAREST_OF_ALL)
    op.execute("ALTER TABLE passages ALTER embedding SET STORAGE EXTENDED")
    op.execute("UPDATE passages SET embedding = embedding || store_code(vector_store_id)")
