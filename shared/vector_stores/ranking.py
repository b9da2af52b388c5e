"""The SQL of searching: which chunks answer a question, and how well.

Two witnesses are heard. *Words*: the question's words, each weighing the more the fewer chunks have it. *Vectors*: how
near the chunk's nearest passage is to the question. Each names its best chunks; all of these are judged by both.
"""

from enum import StrEnum
from functools import cache

from sqlalchemy import TextClause, text

from shared.tracing.sql import named as statement_named
from shared.vector_stores.statements import ACTIVE_NOW


class Vectors(StrEnum):
    """How vectors are looked at."""

    NONE = "none"
    """Not at all: there is no model, or it is away."""

    EACH = "each"
    """One by one: exact, and fast enough where they are few."""

    INDEXED = "indexed"
    """Those of stores that have an index by that: nearly exact, and as fast however many there are. The others' one by
    one.
    """


ENOUGH = 1000
"""Of the chunks that have a term, no more are looked at."""

CANDIDATES = {Vectors.NONE: 200, Vectors.EACH: 60, Vectors.INDEXED: 60}
"""How many each witness names. Many chunks have the same words of a short question: who is alone names more."""

MANY = 4
"""Of more questions than this each has fewer candidates: to judge one costs as much as the question has words."""

SAMPLED = 64
"""One chunk of so many is in its store's sample."""

RARE = 10_000
"""A term that, by the sample, more chunks of the stores have is common: it is not looked up in all of them, which takes
a tenth of a second where there are a million, and finds little that is better than chosen by chance.
"""

FEW = 2_000
"""So many wanted chunks of a large store are looked at for common terms."""

INDEXED_STORE = f"""
    array_to_tsvector(CASE WHEN hashtext({{text}}) & {SAMPLED - 1} = 0 THEN ARRAY[{{store}}, {{store}} || '*']
      ELSE ARRAY[{{store}}] END)"""
"""The store's id, so that the index tells stores apart; with a star in the store's sample."""

INDEXED_WORDS = rf"""
    to_tsvector(CAST({{language}} AS regconfig), {{text}}) || {INDEXED_STORE} ||
    to_tsvector('simple', concat('x', regexp_replace(replace({{text}}, '_', 'qq'), '\W+', ' x', 'g')))"""
"""What is kept of a text for search by words, to be filled in: its words by their stems; each as it is written, marked
by an x; and its store.
"""

_WANTED = """status = 'completed' AND (CAST(:filter AS jsonpath) IS NULL OR attributes @@ CAST(:filter AS jsonpath))"""

SIZE = text(f"""
SELECT id, expired_at IS NOT NULL AS expired,
  (SELECT coalesce(sum(passages), 0) FROM vector_store_files WHERE vector_store_id = store.id AND {_WANTED}) AS passages
FROM vector_stores AS store WHERE id = ANY(:store_ids) AND project_id = :project_id AND deleted_at IS NULL""")

# A store counts as active for a search to the minute: each search would otherwise wait for the one before it, for the
# store's row.
_ACTIVE = f"""
active AS (
  UPDATE vector_stores SET {ACTIVE_NOW} WHERE id = ANY(:store_ids) AND project_id = :project_id
  AND expired_at IS NULL AND last_active_at < now() - interval '1 minute')"""

_READABLE = f"""
readable AS MATERIALIZED (
  SELECT file.ingestion, file.vector_store_id, file.id, file.attributes, file.chunks,
    file.max_chunk_size_tokens AS size, store.language
  FROM vector_store_files AS file JOIN vector_stores AS store ON store.id = file.vector_store_id
  WHERE file.vector_store_id = ANY(:store_ids) AND file.project_id = :project_id AND {_WANTED})"""

# A question's terms are its words by their stems, and what stands together without a space as a whole: `max_wal_size`
# are three words, and one term that only those three in a row fulfil. They are put into queries by hand because every
# function that reads questions joins all of their words with AND. The index is asked for the store's id together with
# a term, so that other stores' chunks cost nothing.
_TERMS = r"""
asked AS (
  SELECT number, words, l2_normalize(CAST(vector AS halfvec)) AS vector
  FROM unnest(CAST(:queries AS text[]), CAST(:vectors AS text[])) WITH ORDINALITY AS one(words, vector, number)),
scope AS (
  SELECT language, CAST(string_agg(quote_literal(id), ' | ') AS tsquery) AS inside,
    CAST(string_agg(quote_literal(id || '*'), ' | ') AS tsquery) AS sample
  FROM vector_stores WHERE id = ANY(:store_ids) AND project_id = :project_id GROUP BY language),
written AS MATERIALIZED (
  SELECT DISTINCT number, language, word, phraseto_tsquery(CAST(language AS regconfig), word) AS term
  FROM asked CROSS JOIN scope CROSS JOIN regexp_split_to_table(lower(words), '\W+') AS word
  WHERE word <> '' AND octet_length(word) < 1000),
terms AS MATERIALIZED (
  SELECT row_number() OVER () AS n, number, language, inside, sample, term FROM scope JOIN (
    SELECT number, language, term FROM written
    UNION
    SELECT number, language, phraseto_tsquery(CAST(language AS regconfig), unit)
    FROM asked CROSS JOIN scope CROSS JOIN regexp_split_to_table(words, '\s+') AS unit
    UNION
    SELECT number, language, CAST(quote_literal(word) AS tsquery)
    FROM asked CROSS JOIN scope
    CROSS JOIN unnest(tsvector_to_array(to_tsvector(CAST(language AS regconfig), words))) AS word
    WHERE word !~ '[\\'']') AS found USING (language) WHERE numnode(term) > 0)"""

# Whether a term is common is seen from the sample. One that is not is looked up; of one that is, what the sample has of
# it, or, where few chunks are wanted, all of these are looked at. As often as it is found there, `times` the sample's
# share, do chunks have it; where that is more than are looked at, the middle between these and all is taken for it, as
# powers go. A term that no chunk has weighs most: what is asked for is not there.
# IS TRUE keeps the planner from looking a term up once for each file. In the index a tenant looks terms up through the
# view alone; why, says the migration that makes it (0019).
_FOUND = """(
    SELECT ingestion, position FROM chunks_of_tenant WHERE search @@ ({where} && terms.term)
    AND (ingestion IN (SELECT ingestion FROM readable)) IS TRUE LIMIT :enough) AS hit"""

_WEIGHTS = f"""
total AS MATERIALIZED (SELECT CAST(sum(chunks) AS float8) AS chunks FROM readable),
known AS MATERIALIZED (
  SELECT terms.*, :rare / {SAMPLED} < (
    SELECT count(*) FROM (
      SELECT FROM chunks_of_tenant WHERE search @@ (sample && term) LIMIT :rare / {SAMPLED} + 1) AS enough
  ) AS is_common FROM terms),
hits AS MATERIALIZED (
  SELECT n, number, ingestion, position, 1 AS times
  FROM (SELECT * FROM known WHERE NOT is_common) AS terms CROSS JOIN LATERAL {_FOUND.format(where="inside")}
  UNION ALL
  SELECT n, number, ingestion, position, {SAMPLED}
  FROM (SELECT * FROM known WHERE is_common) AS terms CROSS JOIN LATERAL {_FOUND.format(where="sample")}
  WHERE (SELECT chunks FROM total) > :few
  UNION ALL
  SELECT n, number, ingestion, position, 1
  FROM readable JOIN chunks USING (ingestion) JOIN known USING (language)
  WHERE is_common AND search @@ term AND (SELECT chunks FROM total) <= :few),
counted AS (
  SELECT n, CAST(count(*) * max(times) AS float8) AS chunks, count(*) >= :enough AS is_cut FROM hits GROUP BY n),
weights AS MATERIALIZED (
  SELECT n, number, language, term, numnode(term) = 1 AS is_word, ln(1 + total.chunks / least(total.chunks,
    coalesce(CASE WHEN is_cut THEN sqrt(counted.chunks * total.chunks) ELSE counted.chunks END, 0.5))) AS weight
  FROM known LEFT JOIN counted USING (n) CROSS JOIN total),
by_words AS (
  SELECT number, ingestion, position FROM (
    SELECT hits.number, ingestion, position,
      row_number() OVER (PARTITION BY hits.number ORDER BY sum(weight) DESC) AS place
    FROM hits JOIN weights USING (n) GROUP BY hits.number, ingestion, position) AS ranked
  WHERE place <= :candidates)"""

# OFFSET 0 keeps the planner from reading all stores' passages in place of each file's.
_EACH = """
  SELECT passages.ingestion, chunk, last_chunk FROM readable CROSS JOIN LATERAL (
    SELECT ingestion, chunk, last_chunk, embedding FROM passages
    WHERE passages.ingestion = readable.ingestion AND space = :space OFFSET 0) AS passages
  WHERE {which} ORDER BY embedding <=> vector LIMIT :candidates"""

_INDEXED = f"""
  ({_EACH.format(which="readable.vector_store_id <> ALL(:indexed)")})
  UNION ALL
  SELECT near.* FROM unnest(CAST(:indexed AS text[])) AS store CROSS JOIN nearest_passages(:space, :dimensions, store,
    vector, CAST(:filter AS jsonpath), :candidates) AS near"""

_NEAREST = {Vectors.EACH: _EACH.format(which="true"), Vectors.INDEXED: _INDEXED}

_BY_VECTORS = """
by_vectors AS (
  SELECT number, near.ingestion, chunk + later AS position
  FROM asked CROSS JOIN LATERAL ({nearest}) AS near
    JOIN (VALUES (0), (1), (2)) AS neighbours(later) ON chunk + later <= last_chunk)"""

# Of a chunk's passages the nearest counts most and the second nearest somewhat; one that is alone is both.
_CLOSENESS = """(
    SELECT 0.7 * max(cosine) + 0.3 * min(cosine) FROM (
      SELECT 1 - (embedding <=> vector) AS cosine FROM passages, asked
      WHERE passages.ingestion = candidates.ingestion AND chunk BETWEEN candidates.position - 2 AND candidates.position
      AND last_chunk >= candidates.position AND space = :space AND asked.number = candidates.number
      ORDER BY embedding <=> vector LIMIT 2) AS nearest)"""

# How often a word is in a text is seen from `ts_rank`: of one word it is 6/pi^2 times the sum of 1/i^2 for each i up to
# that number. What comes of it is BM25's share, with k = 2 and b = 0.75: the first time counts most, and the more the
# shorter the text. A phrase is there or not. Words as they are written count as much as by their stems; those that have
# none, because they are everywhere, as if all chunks had them. The text's words are unpacked once, not for each term.
# OFFSET 0 has each candidate looked up: the planner takes them for so many that it would read all stores' chunks.
_JUDGED = r"""
scored AS MATERIALIZED (
  SELECT number, language, term, is_word, weight FROM weights
  UNION ALL
  SELECT number, language, CAST(quote_literal(concat('x', replace(word, '_', 'qq'))) AS tsquery), true,
    coalesce(weight, ln(2))
  FROM written LEFT JOIN weights USING (number, language, term)),
candidates AS MATERIALIZED (
  SELECT number, ingestion, position, chunks.search || CAST('' AS tsvector) AS search, chunks.tokens
  FROM ({named}) AS named CROSS JOIN LATERAL (
    SELECT search, tokens FROM chunks WHERE ingestion = named.ingestion AND position = named.position OFFSET 0
  ) AS chunks),
judged AS MATERIALIZED (
  SELECT candidates.ingestion, candidates.position, greatest(0, {closeness}) AS closeness, coalesce((
    SELECT sum(weight * CASE WHEN NOT is_word THEN CAST(candidates.search @@ term AS int)
      WHEN candidates.search @@ term THEN 1 - length / (
        length + 0.61 / greatest(0.001, 1 - ts_rank('{{1, 1, 1, 1}}', candidates.search, term)) - 0.5) ELSE 0 END)
      / sum(weight)
    FROM scored CROSS JOIN (SELECT 0.5 + 1.5 * candidates.tokens / readable.size AS length) AS of_text
    WHERE scored.number = candidates.number AND scored.language = readable.language), 0) AS words
  FROM candidates JOIN readable USING (ingestion)),
best AS MATERIALIZED (
  SELECT ingestion, position, max({score}) AS score FROM judged GROUP BY ingestion, position)"""

_BOTH = "0.6 * words + 0.4 * closeness"  # from .5 to .65 it makes little difference (tests/benchmarks/retrieval)

_ANSWER = """
SELECT readable.id AS file_id, files.filename, readable.attributes, chunks.text, best.score,
  concat(best.ingestion, '-', best.position) AS chunk_id, chunks.page, chunks.pages
FROM best JOIN chunks USING (ingestion, position) JOIN readable USING (ingestion) JOIN files ON files.id = readable.id
WHERE best.score >= :threshold ORDER BY best.score DESC, readable.id, best.position LIMIT :limit"""


def candidates(vectors: Vectors, questions: int, limit: int) -> int:
    """How many chunks each witness names for each question; no fewer than results are asked for."""
    most = CANDIDATES[vectors]
    return min(most, max(limit, most * MANY // questions))


@cache
def search(vectors: Vectors) -> TextClause:
    """The statement. It takes `store_ids`, `project_id`, `filter`, `queries`, `threshold`, `limit`; `enough`, `rare`,
    `few` and `candidates`, which are above; and `vectors`, which are null without a model, else with their `space`, its
    `dimensions`, and the stores whose index is to be asked, `indexed`.
    """
    named, closeness, score = "SELECT * FROM by_words", "0", "words"
    parts = [_ACTIVE, _READABLE, _TERMS, _WEIGHTS]
    if vectors is not Vectors.NONE:
        parts.append(_BY_VECTORS.format(nearest=_NEAREST[vectors]))
        named, closeness, score = f"{named} UNION SELECT * FROM by_vectors", _CLOSENESS, _BOTH
    parts.append(_JUDGED.format(named=named, closeness=closeness, score=score))
    return statement_named("vector_stores.search", f"WITH {', '.join(parts)} {_ANSWER}")
