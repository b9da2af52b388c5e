"""The SQL of reading a file, stage by stage; the status that comes of it is `statements.py`'s alone.

Each statement is guarded by the ingestion and its term: no row means that the file has passed on. Each sets what is
true after it and adds to nothing, so that one that was cut off, and may have been committed, can be sent again.
"""

from sqlalchemy import text

from shared.vector_stores.ranking import INDEXED_STORE, INDEXED_WORDS
from shared.vector_stores.statements import EMPTIED

_STORE = INDEXED_STORE.format(text="theirs.text", store="held.vector_store_id")

# What a former attempt left goes with the same statement; the lease was lost, or given back, in the middle of it.
BEGIN = text("""
WITH begun AS (
  UPDATE vector_store_files SET stage = 'reading', format = NULL, reader = NULL, pages = NULL, pages_read = 0,
    pages_unread = 0, chunks = 0, chunks_embedded = 0, passages = 0, space = NULL, usage_bytes = 0
  WHERE ingestion = :ingestion AND term = :term AND status = 'in_progress' AND stage <> 'read' RETURNING ingestion),
  forgotten AS (DELETE FROM chunks USING begun WHERE chunks.ingestion = begun.ingestion)
SELECT ingestion FROM begun""")

# The same bytes, cut in the same way, by the same code, read as what their name lets them be, in the same language:
# theirs are our chunks, passages included. Whatever happens to the former file meanwhile, it is copied whole or not at
# all.
COPY = text(f"""
WITH held AS (
  SELECT file.ingestion, file.project_id, file.vector_store_id, file.max_chunk_size_tokens, file.chunk_overlap_tokens,
    files.sha256, lower(substring(files.filename from '[.][^.]*$')) AS suffix, store.language
  FROM vector_store_files AS file JOIN files ON files.id = file.id JOIN vector_stores AS store
    ON store.id = file.vector_store_id
  WHERE file.ingestion = :ingestion AND file.term = :term AND file.status = 'in_progress'),
  former AS (
  SELECT former.* FROM held JOIN files ON files.project_id = held.project_id AND files.sha256 = held.sha256
    AND lower(substring(files.filename from '[.][^.]*$')) IS NOT DISTINCT FROM held.suffix
  JOIN vector_store_files AS former ON former.id = files.id AND former.project_id = held.project_id
  JOIN vector_stores AS store ON store.id = former.vector_store_id AND store.language = held.language
  WHERE former.status = 'completed' AND former.reader = :reader AND former.chunks > 0
    AND former.max_chunk_size_tokens = held.max_chunk_size_tokens
    AND former.chunk_overlap_tokens = held.chunk_overlap_tokens
  LIMIT 1),
  marked AS (
  UPDATE vector_store_files AS file SET stage = 'read', format = former.format, reader = former.reader,
    pages = former.pages, pages_read = former.pages_read, pages_unread = former.pages_unread, chunks = former.chunks,
    chunks_embedded = former.chunks_embedded, passages = former.passages, space = former.space,
    usage_bytes = former.usage_bytes
  FROM former WHERE file.ingestion = :ingestion AND file.term = :term AND file.status = 'in_progress'
  RETURNING file.ingestion),
  kept AS (
  INSERT INTO chunks (ingestion, position, project_id, vector_store_id, text, tokens, begins, ends, page, headings,
    pages, search)
  SELECT held.ingestion, theirs.position, held.project_id, held.vector_store_id, theirs.text, theirs.tokens,
    theirs.begins, theirs.ends, theirs.page, theirs.headings, theirs.pages,
    ts_delete(theirs.search, ARRAY[theirs.vector_store_id, theirs.vector_store_id || '*']) || {_STORE}
  FROM held, marked, former JOIN chunks AS theirs ON theirs.ingestion = former.ingestion
  ON CONFLICT (ingestion, position) DO NOTHING),
  passed_on AS (
  INSERT INTO passages (ingestion, chunk, space, number, last_chunk, project_id, vector_store_id, embedding)
  SELECT held.ingestion, theirs.chunk, theirs.space, theirs.number, theirs.last_chunk, held.project_id,
    held.vector_store_id, theirs.embedding
  FROM held, marked, former JOIN passages AS theirs ON theirs.ingestion = former.ingestion
    AND theirs.space = former.space
  ON CONFLICT (ingestion, chunk, space, number) DO NOTHING)
SELECT held.ingestion, EXISTS (SELECT FROM marked) AS copied FROM held""")

_WORDS = INDEXED_WORDS.format(language="store.language", text="new.text", store="store.id")

# `new_chunks` is a JSON array of objects; `chunks`, `usage_bytes` and `pages_read` are the totals with these.
KEEP = text(f"""
WITH held AS (
  UPDATE vector_store_files SET chunks = greatest(chunks, :chunks), usage_bytes = greatest(usage_bytes, :usage_bytes),
    pages = CAST(:pages AS int), pages_read = greatest(pages_read, :pages_read),
    pages_unread = :pages_unread
  WHERE ingestion = :ingestion AND term = :term AND status = 'in_progress' AND stage = 'reading'
  RETURNING ingestion, project_id, vector_store_id),
  kept AS (
  INSERT INTO chunks (ingestion, position, project_id, vector_store_id, text, tokens, begins, ends, page, headings,
    pages, search)
  SELECT held.ingestion, new.position, held.project_id, held.vector_store_id, new.text, new.tokens, new.begins,
    new.ends, new.page, new.headings, new.pages, {_WORDS}
  FROM held JOIN vector_stores AS store ON store.id = held.vector_store_id
    CROSS JOIN json_to_recordset(CAST(:new_chunks AS json)) AS new(
      position int, text text, tokens int, begins int, ends int, page int, headings text[], pages jsonb)
  ON CONFLICT (ingestion, position) DO NOTHING)
SELECT ingestion FROM held""")

# The count is the proof that nothing is missing, however late a statement of before may have been carried out.
MARK_READ = text("""
UPDATE vector_store_files SET stage = 'read', format = :format, reader = :reader, pages_read = coalesce(pages, 0)
WHERE ingestion = :ingestion AND term = :term AND status = 'in_progress'
AND (SELECT count(*) FROM chunks WHERE chunks.ingestion = vector_store_files.ingestion) = :chunks
RETURNING *""")

# Whoever failed or cancelled a file can't see what its worker keeps at that very moment; a second later it is seen.
FORGET_LEFT_OVER = text(f"""
UPDATE vector_store_files SET {EMPTIED} WHERE ingestion IN (
  SELECT ingestion FROM vector_store_files WHERE status IN ('failed', 'cancelled') AND chunks > 0
  LIMIT :at_most FOR UPDATE SKIP LOCKED) RETURNING id""")
