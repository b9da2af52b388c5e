"""The SQL of searching: which chunks answer a question, and how well.

Two witnesses are heard. *Words*: the question's words, each weighing the more the fewer chunks have it. *Vectors*: how
near the chunk's nearest passage is to the question. Each names its best chunks; all of these are judged by both.
"""

from enum import StrEnum
from functools import cache

from sqlalchemy import TextClause, text

from shared.vector_stores.statements import ACTIVE_NOW


class Vectors(StrEnum):
    """How vectors are looked at."""

    NONE = "none"
    """Not at all: there is no model, or it is away."""

    EACH = "each"
    """One by one: exact, and fast enough where they are few."""

    INDEXED = "indexed"
    """By the index of their space: nearly exact, and as fast however many there are."""


EACH_UP_TO = 20_000
"""So many chunks are looked at one by one."""

# A store counts as active for a search to the minute: each search would otherwise wait for the one before it, for the
# store's row.
_ACTIVE = f"""
active AS (
  UPDATE vector_stores SET {ACTIVE_NOW} WHERE id = ANY(:store_ids) AND project_id = :project_id
  AND expired_at IS NULL AND last_active_at < now() - interval '1 minute')"""

_READABLE = """
readable AS MATERIALIZED (
  SELECT file.ingestion, file.vector_store_id, file.id, file.attributes, file.chunks, store.language
  FROM vector_store_files AS file JOIN vector_stores AS store ON store.id = file.vector_store_id
  WHERE file.vector_store_id = ANY(:store_ids) AND file.project_id = :project_id AND file.status = 'completed'
  AND (CAST(:filter AS jsonpath) IS NULL OR file.attributes @@ CAST(:filter AS jsonpath)))"""

# A question's terms are its words by their stems, and what stands together without a space as a whole: `max_wal_size`
# are three words, and one term that only those three in a row fulfil. They are put into queries by hand because every
# function that reads questions joins all of their words with AND. The index is asked for the store's id together with
# a term, so that other stores' chunks cost nothing.
_TERMS = r"""
asked AS (
  SELECT number, words, l2_normalize(CAST(vector AS halfvec)) AS vector
  FROM unnest(CAST(:queries AS text[]), CAST(:vectors AS text[])) WITH ORDINALITY AS one(words, vector, number)),
scope AS (
  SELECT language, CAST(string_agg(quote_literal(id), ' | ') AS tsquery) AS inside
  FROM vector_stores WHERE id = ANY(:store_ids) AND project_id = :project_id GROUP BY language),
terms AS MATERIALIZED (
  SELECT asked.number, scope.language, scope.inside, term
  FROM asked CROSS JOIN scope CROSS JOIN LATERAL (
    SELECT phraseto_tsquery(CAST(language AS regconfig), word) AS term FROM regexp_split_to_table(words, '\s+') AS word
    UNION
    SELECT CAST(concat('''', replace(replace(word, '\', '\\'), '''', ''''''), '''') AS tsquery)
    FROM unnest(tsvector_to_array(to_tsvector(CAST(language AS regconfig), words))) AS word) AS found
  WHERE numnode(term) > 0)"""

# Of a term that more chunks have than are looked at it is not known how many do: the middle between these and all is
# taken for it, as powers go. One that no chunk has weighs most: what is asked for is not there.
_WEIGHTS = """
hits AS MATERIALIZED (
  SELECT terms.number, terms.language, terms.term, hit.ingestion, hit.position
  FROM terms CROSS JOIN LATERAL (
    SELECT chunks.ingestion, chunks.position FROM chunks JOIN readable USING (ingestion)
    WHERE chunks.search @@ (terms.inside && terms.term) AND readable.language = terms.language LIMIT :enough) AS hit),
found AS (
  SELECT number, language, term, count(hits.ingestion) AS chunks
  FROM terms LEFT JOIN hits USING (number, language, term) GROUP BY number, language, term),
weights AS MATERIALIZED (
  SELECT number, language, term, ln(1 + total.chunks / greatest(0.5, CASE
    WHEN found.chunks < :enough THEN found.chunks ELSE sqrt(found.chunks * total.chunks) END)) AS weight
  FROM found CROSS JOIN (SELECT CAST(sum(chunks) AS float8) AS chunks FROM readable) AS total),
by_words AS (
  SELECT number, ingestion, position FROM (
    SELECT number, ingestion, position, row_number() OVER (PARTITION BY number ORDER BY sum(weight) DESC) AS place
    FROM hits JOIN weights USING (number, language, term) GROUP BY number, ingestion, position) AS ranked
  WHERE place <= :candidates)"""

_NEAREST = {
    Vectors.EACH: """
    SELECT passages.ingestion, chunk, last_chunk FROM readable JOIN passages USING (ingestion)
    WHERE passages.space = :space AND readable.vector_store_id = store
    ORDER BY passages.embedding <=> coded LIMIT :candidates""",
    Vectors.INDEXED: """
    SELECT ingestion, chunk, last_chunk FROM nearest_passages(:space, :numbers, coded, store,
      ARRAY(SELECT ingestion FROM readable WHERE vector_store_id = store), :candidates)""",
}

# A question is asked of each store with the store's code behind it, as the vectors there are kept.
_BY_VECTORS = """
coded AS MATERIALIZED (
  SELECT number, store, vector || store_code(store) AS coded
  FROM asked CROSS JOIN unnest(CAST(:store_ids AS text[])) AS store),
by_vectors AS (
  SELECT number, near.ingestion, position
  FROM coded CROSS JOIN LATERAL ({nearest}) AS near
    CROSS JOIN LATERAL generate_series(chunk, last_chunk) AS position)"""

# Half of a kept vector is the code, which is the question's as well: the other half's cosine differs twice as much.
_CLOSENESS = """(
    SELECT max(1 - 2 * (embedding <=> coded)) FROM passages, coded
    WHERE passages.ingestion = candidates.ingestion AND chunk BETWEEN candidates.position - 2 AND candidates.position
    AND last_chunk >= candidates.position AND space = :space
    AND coded.number = candidates.number AND coded.store = readable.vector_store_id)"""

# The text's words are unpacked once, not for each term.
_JUDGED = """
candidates AS MATERIALIZED (
  SELECT number, ingestion, position, chunks.search || CAST('' AS tsvector) AS search
  FROM ({named}) AS named JOIN chunks USING (ingestion, position)),
judged AS (
  SELECT candidates.ingestion, candidates.position, coalesce((
    SELECT sum(weight * CASE WHEN numnode(term) = 1 THEN ts_rank('{{1, 1, 1, 1}}', candidates.search, term)
      ELSE CAST(candidates.search @@ term AS int) END) / sum(weight)
    FROM weights WHERE weights.number = candidates.number AND weights.language = readable.language), 0) AS words,
    greatest(0, {closeness}) AS closeness
  FROM candidates JOIN readable USING (ingestion)),
hits_of_all AS (
  SELECT ingestion, position, max({score}) AS score FROM judged GROUP BY ingestion, position)"""

_BOTH = "0.5 * words + 0.5 * closeness"

_ANSWER = """
SELECT readable.id AS file_id, files.filename, readable.attributes, chunks.text, best.score,
  concat(best.ingestion, '-', best.position) AS chunk_id, chunks.page, chunks.pages
FROM hits_of_all AS best JOIN chunks USING (ingestion, position) JOIN readable USING (ingestion)
  JOIN files ON files.id = readable.id
WHERE best.score >= :threshold ORDER BY best.score DESC, readable.id, best.position LIMIT :limit"""


@cache
def search(vectors: Vectors) -> TextClause:
    """The statement. It takes `store_ids`, `project_id`, `filter`, `queries`, `threshold`, `limit`; the figures of
    `FIGURES`; and `vectors`, which are null without a model, else with their `space` and how many `numbers` a vector
    is kept as.
    """
    named, closeness, score = "SELECT * FROM by_words", "0", "words"
    parts = [_ACTIVE, _READABLE, _TERMS, _WEIGHTS]
    if vectors is not Vectors.NONE:
        parts.append(_BY_VECTORS.format(nearest=_NEAREST[vectors]))
        named, closeness, score = f"{named} UNION SELECT * FROM by_vectors", _CLOSENESS, _BOTH
    parts.append(_JUDGED.format(named=named, closeness=closeness, score=score))
    return text(f"WITH {', '.join(parts)} {_ANSWER}")


FIGURES = {"enough": 1000, "candidates": 60}
"""`enough`: of the chunks that have a term, no more are looked at. `candidates`: those that each witness names."""

SIZE = text("""
SELECT id, expired_at IS NOT NULL AS expired,
  (SELECT coalesce(sum(chunks), 0) FROM vector_store_files WHERE vector_store_id = store.id) AS chunks
FROM vector_stores AS store WHERE id = ANY(:store_ids) AND project_id = :project_id""")
