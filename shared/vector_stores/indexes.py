"""Which stores have an index of their vectors (HNSW), one each: the large ones.

One index over all stores can't do it: what is near a question is for the most part in other stores, and of a store that
isn't the largest it finds a third. An index of one store alone finds nearly all (`infra/README.md` has the figures).
It is a partial one on `passages`, and bears the names of its space and its store, from which everything else follows:
nobody keeps a list of them. Stores without one are looked through passage by passage, which is exact, so that a search
is right whatever there is; an index makes it fast.

One process builds and drops them, the one that has the lock: it belongs to the database session in which the building
is done. A process that dies leaves the session to Postgres, which builds to the end and then lets go of the lock.
Where the session dies, with Postgres or by somebody's hand, it leaves an index that is not valid: no search sees it,
and since whoever has the lock knows that nobody is building, it is dropped and built anew.
"""

from sqlalchemy import text

EACH_UP_TO = 20_000
"""So many passages are looked at one by one, at about a microsecond each; a store of more has an index."""

KEPT_DOWN_TO = EACH_UP_TO // 2
"""A store that shrinks keeps its index until it has no more than so many passages: it may grow again."""

AT_MOST = 100
"""Indexes. Each takes 3 us of every search's planning; a store that has one keeps it before others get theirs."""

INDEXABLE = 4000
"""Numbers, at most, of a vector that pgvector's HNSW takes."""

CARE = 128
"""Taken in building: with half of it one question of 300 found none of its ten nearest, of 100,000 passages."""

MEMORY_KB = 524_288
"""For building, unless the server gives more: enough for 350,000 passages of 384 numbers; what doesn't fit in is built
much more slowly."""

# Building takes as long as it takes, and one processor: parallel workers would share all of the memory by /dev/shm,
# of which containers have 64 MB. Answers whether we are the one.
BEGIN = text("""
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false),
  set_config('idle_session_timeout', '0', false), set_config('max_parallel_maintenance_workers', '0', false),
  (SELECT set_config(name, CAST(greatest(CAST(setting AS bigint), :memory_kb) AS text), false)
   FROM pg_settings WHERE name = 'maintenance_work_mem'),
  pg_try_advisory_lock(hashtext('passages'), hashtext('indexes')) AS alone""")

_NAME = "format('passages_near_%s_%s', space, vector_store_id)"

_INDEXES = """
  SELECT relname AS name, indexrelid, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
  WHERE indrelid = CAST('passages' AS regclass) AND relname LIKE 'passages\\_near\\_%'"""

# What is to be done, the next thing first: what is not valid or not wanted any more goes, then the largest store comes.
DUE = text(f"""
WITH indexes AS ({_INDEXES}),
stores AS (
  SELECT {_NAME} AS name, space, vector_store_id, sum(passages) AS passages
  FROM vector_store_files WHERE status = 'completed' AND space IS NOT NULL GROUP BY space, vector_store_id),
wanted AS (
  SELECT stores.*, dimensions, indisvalid FROM stores JOIN embedding_spaces ON embedding_spaces.id = space
    LEFT JOIN indexes ON indexes.name = stores.name AND indisvalid
  WHERE passages > CASE WHEN indisvalid THEN :kept_down_to ELSE :each_up_to END AND dimensions <= :indexable
  ORDER BY indisvalid DESC NULLS LAST, passages DESC LIMIT :at_most)
SELECT name, format('DROP INDEX CONCURRENTLY IF EXISTS %s', CAST(indexrelid AS regclass)) AS statement, NULL AS passages
FROM indexes WHERE NOT indisvalid OR name NOT IN (SELECT name FROM wanted)
UNION ALL
SELECT name, format(
  'CREATE INDEX CONCURRENTLY %I ON passages USING hnsw ((CAST(embedding AS halfvec(%s))) halfvec_cosine_ops) '
  'WITH (ef_construction = {CARE}) WHERE space = %s AND vector_store_id = %L',
  name, dimensions, space, vector_store_id), passages
FROM wanted WHERE indisvalid IS NULL ORDER BY passages DESC NULLS FIRST""")

# Of these stores, those whose index can be used.
READY = text(f"""
WITH indexes AS ({_INDEXES} AND indisvalid)
SELECT vector_store_id AS id FROM unnest(CAST(:store_ids AS text[])) AS vector_store_id,
  (SELECT CAST(:space AS int) AS space) AS asked WHERE {_NAME} IN (SELECT name FROM indexes)""")
