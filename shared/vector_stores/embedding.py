"""The SQL of keeping vectors, for a file that is being read and for one that is to have others than it has.

As in `reading.py` each statement is guarded, sets what is true after it, and can be sent again.
"""

from sqlalchemy import text

from shared.usage.facts import insert

# Another space than before begins with nothing. Returns how many chunks have all of their vectors.
BEGIN = text("""
WITH begun AS (
  UPDATE vector_store_files SET space = :space,
    chunks_embedded = CASE WHEN space = :space THEN chunks_embedded ELSE 0 END
  WHERE ingestion = :ingestion AND term = :term AND status = 'in_progress' AND stage = 'read'
  RETURNING ingestion, chunks_embedded),
  forgotten AS (
  DELETE FROM passages USING begun WHERE passages.ingestion = begun.ingestion AND passages.space <> :space)
SELECT chunks_embedded FROM begun""")

CHUNKS = text("""
SELECT position, text, begins, ends, headings FROM chunks
WHERE ingestion = :ingestion AND position >= :first ORDER BY position LIMIT :at_most""")

_KEPT = """
  INSERT INTO passages (ingestion, chunk, space, number, last_chunk, project_id, vector_store_id, embedding)
  SELECT held.ingestion, new.chunk, :space, new.number, new.last_chunk, held.project_id, held.vector_store_id,
    l2_normalize(CAST(CAST(new.embedding AS text) AS halfvec))
  FROM held, json_to_recordset(CAST(:passages AS json)) AS new(chunk int, number int, last_chunk int, embedding json)
  ON CONFLICT (ingestion, chunk, space, number) DO NOTHING RETURNING ingestion"""

# What vectors cost counts where one of them is new: sent again, the statement keeps none. Whose key a file came with is
# not known any more, and doesn't matter: its bytes are read once for all of its project.
_USED = f"""
  whose AS (SELECT project_id, CAST(NULL AS text) AS api_key_id, CAST('' AS text) AS assistant_id FROM held),
  used AS ({insert("whose", once="EXISTS (SELECT FROM kept)")})"""

# `passages` is a JSON array of objects; `embedded` is how many chunks have all of theirs with these.
KEEP = text(f"""
WITH held AS (
  UPDATE vector_store_files SET chunks_embedded = greatest(chunks_embedded, :embedded)
  WHERE ingestion = :ingestion AND term = :term AND status = 'in_progress' AND stage = 'read' AND space = :space
  RETURNING ingestion, project_id, vector_store_id),
  kept AS ({_KEPT}),{_USED}
SELECT ingestion FROM held""")

# Counted when all are kept: a statement that is sent again adds nothing.
END = text("""
UPDATE vector_store_files AS file SET passages = (
  SELECT count(*) FROM passages WHERE passages.ingestion = file.ingestion AND passages.space = file.space)
WHERE ingestion = :ingestion AND term = :term AND status = 'in_progress' AND stage = 'read' AND space = :space
RETURNING ingestion""")

# A file whose vectors are in another space than the model's, or that has none. Nobody but who embeds it anew is kept
# from anything; another one does once `lease` is over without a word. `until` says whose it is: the next statement is
# carried out if it is still the same, and answers with another.
CLAIM_STALE = text("""
UPDATE vector_store_files SET embedding_until = now() + :lease WHERE ingestion = (
  SELECT ingestion FROM vector_store_files
  WHERE status = 'completed' AND chunks > 0 AND (space < :space OR space > :space OR space IS NULL)
    AND (embedding_until IS NULL OR embedding_until < now())
  LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING ingestion, id, project_id, vector_store_id, embedding_until AS until""")

KEEP_ANEW = text(f"""
WITH held AS (
  UPDATE vector_store_files SET embedding_until = now() + :lease
  WHERE ingestion = :ingestion AND status = 'completed' AND embedding_until = :until
  RETURNING ingestion, project_id, vector_store_id, embedding_until),
  kept AS ({_KEPT}),{_USED}
SELECT embedding_until AS until FROM held""")

# From here on the file's vectors are these; the former ones go. They are left alone for a while: workers that still
# have the former model would make its vectors anew, and we ours, for as long as they run.
SWITCH = text("""
WITH switched AS (
  UPDATE vector_store_files AS file SET space = :space, chunks_embedded = chunks, embedding_until = now() + :rest,
    passages = (SELECT count(*) FROM passages WHERE passages.ingestion = file.ingestion AND passages.space = :space)
  WHERE ingestion = :ingestion AND status = 'completed' AND embedding_until = :until RETURNING ingestion),
  forgotten AS (
  DELETE FROM passages USING switched WHERE passages.ingestion = switched.ingestion AND passages.space <> :space)
SELECT ingestion FROM switched""")
