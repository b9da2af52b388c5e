"""The SQL of vector stores: the only place where a file's status is written.

As with runs, each statement is one round trip and one commit, and all moves are guarded: no row returned means that
somebody else was faster.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any, Literal

from sqlalchemy import DateTime, TextClause, column, null, text

from shared.audit.statements import note
from shared.database import to_json
from shared.runs.statements import Statement
from shared.tracing.sql import named
from shared.vector_stores.status import HELD, WAITS_FOR_WORKER, FileStatus
from shared.vector_stores.transitions import ONE_MORE, Holder, Reason, Transition, cancel

# Files that went between the look and this statement are left out, as if they had gone right after it.
_INSERT_FILES = """
INSERT INTO vector_store_files (id, vector_store_id, project_id, ingestion, batch_id, attributes,
  max_chunk_size_tokens, chunk_overlap_tokens)
SELECT files.id, store.id, store.project_id, new.ingestion, CAST(:batch_id AS text), new.attributes,
  new.max_chunk_size_tokens, new.chunk_overlap_tokens
FROM store CROSS JOIN jsonb_to_recordset(CAST(:files AS jsonb))
  AS new(id text, ingestion text, attributes jsonb, max_chunk_size_tokens int, chunk_overlap_tokens int)
JOIN files ON files.id = new.id AND files.project_id = store.project_id"""

CREATE = text(f"""
WITH store AS (
  INSERT INTO vector_stores (id, project_id, name, description, expires_after_days, expires_at, metadata, language)
  VALUES (:id, :project_id, coalesce(:name, ''), :description, CAST(:days AS int),
    now() + make_interval(days => CAST(:days AS int)), CAST(:metadata AS jsonb), :language) RETURNING *),
  added AS ({_INSERT_FILES})
SELECT * FROM store""")

ACTIVE_NOW = "last_active_at = now(), expires_at = now() + make_interval(days => expires_after_days)"

# A file that is in the store already begins anew, whatever has become of it: what it was asked to be may have changed.
# Its chunks are those of the former ingestion, which nobody has any more: they follow in the background, like those of
# a file that is taken out.
ADD_FILES = text(f"""
WITH store AS (
  UPDATE vector_stores SET {ACTIVE_NOW}
  WHERE id = :id AND project_id = :project_id AND expired_at IS NULL AND deleted_at IS NULL RETURNING *),
  batch AS (
  INSERT INTO vector_store_batches (id, project_id, vector_store_id)
  SELECT :batch_id, project_id, id FROM store WHERE CAST(:batch_id AS text) IS NOT NULL)
{_INSERT_FILES}
ON CONFLICT (vector_store_id, id) DO UPDATE SET ingestion = excluded.ingestion, batch_id = excluded.batch_id,
  attributes = excluded.attributes, max_chunk_size_tokens = excluded.max_chunk_size_tokens,
  chunk_overlap_tokens = excluded.chunk_overlap_tokens, created_at = now(), status = 'in_progress', reason = 'added',
  term = 0, attempts = 0, lease_owner = NULL, lease_expires_at = NULL, finished_at = NULL, last_error = NULL,
  usage_bytes = 0, stage = 'waiting', format = NULL, reader = NULL, pages = NULL, pages_read = 0, pages_unread = 0,
  chunks = 0, chunks_embedded = 0, passages = 0, space = NULL, embedding_until = NULL
RETURNING *""")


def expiry(days: int | None) -> Any:
    """`expires_at` of a store with that many days, as an expression of its row; null never expires."""
    return null() if days is None else column("last_active_at", DateTime(timezone=True)) + timedelta(days=days)


MISSING = text("""
SELECT wanted.id FROM unnest(CAST(:ids AS text[])) AS wanted(id)
LEFT JOIN vector_stores AS store ON store.id = wanted.id AND project_id = :project_id AND deleted_at IS NULL
WHERE store.id IS NULL LIMIT 1""")


def counts(owner: Literal["vector_store_id", "batch_id"]) -> TextClause:
    """How many files of each status, and the bytes of their chunks, by store or by batch."""
    return _COUNTS[owner]


_COUNTS = {
    owner: text(f"""
SELECT {owner} AS owner, status, count(*) AS files, CAST(sum(usage_bytes) AS bigint) AS bytes
FROM vector_store_files WHERE {owner} = ANY(:ids) AND project_id = :project_id GROUP BY {owner}, status""")
    for owner in ("vector_store_id", "batch_id")
}

CONTENT = text("SELECT text FROM chunks WHERE ingestion = :ingestion AND project_id = :project_id ORDER BY position")

# Where the file_search of a run looks: in the stores of its assistant and of its thread, as they are now. `number` is
# that of the thread's steps that call tools, the one in progress included.
SCOPE = text("""
WITH named AS (
  SELECT jsonb_array_elements_text(tool_resources #> '{file_search,vector_store_ids}') AS id, false AS of_thread
  FROM assistants WHERE id = :assistant_id AND project_id = :project_id
  UNION ALL
  SELECT jsonb_array_elements_text(tool_resources #> '{file_search,vector_store_ids}'), true
  FROM threads WHERE id = :thread_id AND project_id = :project_id)
SELECT named.id, bool_or(of_thread) AS of_thread, bool_or(expired_at IS NOT NULL) AS expired,
  (SELECT count(*) FROM run_steps WHERE thread_id = :thread_id AND type = 'tool_calls') AS number
FROM named JOIN vector_stores ON vector_stores.id = named.id AND project_id = :project_id AND deleted_at IS NULL
GROUP BY named.id""")

# The store that file_search looks in becomes this one, if it still is the one that it was, or none.
NAME_STORE = {
    owner: text(f"""
UPDATE {owner} SET tool_resources = tool_resources ||
  jsonb_build_object('file_search', jsonb_build_object('vector_store_ids', jsonb_build_array(CAST(:store_id AS text))))
WHERE id = :id AND project_id = :project_id
AND tool_resources #>> '{{file_search,vector_store_ids,0}}' IS NOT DISTINCT FROM CAST(:former AS text) RETURNING id""")
    for owner in ("assistants", "threads")
}

KNOWN_FILES = text("""
SELECT id FROM vector_store_files
WHERE vector_store_id = :vector_store_id AND project_id = :project_id AND id = ANY(:file_ids)""")

UNREAD = text("""
SELECT filename, file.created_at > now() - :fresh AS fresh
FROM vector_store_files AS file JOIN files ON files.id = file.id
WHERE vector_store_id = ANY(:store_ids) AND file.project_id = :project_id AND status = 'in_progress'
ORDER BY file.created_at DESC LIMIT :at_most""")

MARK_CANCELLED = text("""
UPDATE vector_store_batches SET cancelled_at = coalesce(cancelled_at, now())
WHERE id = :id AND vector_store_id = :vector_store_id AND project_id = :project_id RETURNING *""")

RENEW = text("""
UPDATE vector_store_files SET lease_expires_at = now() + :lease
WHERE status = 'in_progress' AND lease_expires_at IS NOT NULL
AND (ingestion, term) IN (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:terms AS int[])))
RETURNING ingestion AS id, false AS cancel_requested, true AS renewed""")

DELETE = text(f"""
WITH gone AS (
  UPDATE vector_stores SET deleted_at = now() WHERE id = :id AND project_id = :project_id AND deleted_at IS NULL
  RETURNING id), {note("gone")}
SELECT id FROM gone""")

EMPTIED = """ingestion = concat('emptied_', ingestion), usage_bytes = 0, chunks = 0, chunks_embedded = 0, passages = 0,
  space = NULL"""
"""In SQL: a file has no chunks any more. What it had are those of an ingestion that is nobody's."""

FORGET_REMOVED = text("""
DELETE FROM vector_store_files_removed WHERE (vector_store_id, id) IN (
  SELECT vector_store_id, id FROM vector_store_files_removed WHERE removed_at < now() - interval '1 day'
  LIMIT :at_most FOR UPDATE SKIP LOCKED)""")

WAITING = text(f"""
SELECT vector_store_id FROM vector_store_files WHERE {WAITS_FOR_WORKER} AND created_at < now() - :patience
LIMIT :at_most""")

# Whose turn it is: the project of which the fewest files are being read, and of these its oldest. Projects are found by
# leaping from one to the next in the index, so that one row a project is looked at however many wait. A file whose
# bytes somebody is reading waits until they can be copied.
_FAIREST = f"""(
WITH RECURSIVE projects AS (
  (SELECT project_id FROM vector_store_files WHERE {WAITS_FOR_WORKER} ORDER BY project_id LIMIT 1)
  UNION ALL
  SELECT (SELECT project_id FROM vector_store_files WHERE {WAITS_FOR_WORKER} AND project_id > projects.project_id
          ORDER BY project_id LIMIT 1)
  FROM projects WHERE projects.project_id IS NOT NULL),
candidates AS (
  SELECT oldest.*, (
    SELECT count(*) FROM vector_store_files WHERE project_id = projects.project_id AND {HELD}) AS held
  FROM projects, LATERAL (
    SELECT ingestion, created_at FROM vector_store_files AS waiting
    WHERE project_id = projects.project_id AND {WAITS_FOR_WORKER} AND NOT EXISTS (
      SELECT FROM files AS own JOIN files AS same ON same.project_id = own.project_id AND same.sha256 = own.sha256
      JOIN vector_store_files AS twin ON twin.id = same.id AND twin.{HELD}
      WHERE own.id = waiting.id AND twin.max_chunk_size_tokens = waiting.max_chunk_size_tokens
      AND twin.chunk_overlap_tokens = waiting.chunk_overlap_tokens)
    ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS oldest)
SELECT ingestion FROM candidates ORDER BY held, created_at LIMIT 1)"""


def claim_fairly(move: Transition) -> Statement:
    """Carry out `transitions.claim` on the file whose turn it is. Returns it with `filename`, `bytes` and `sha256` of
    the file itself; None is returned also where others have hold of every candidate.
    """
    return Statement(_claim(_shape(move)), _values(move))


def settle(move: Transition, ingestion: str, term: int) -> Statement:
    """Carry out a worker's move."""
    return Statement(_moved(_shape(move), "true"), {**_values(move), "ingestion": ingestion, "term": term})


def cancel_batch(batch_id: str, project_id: str) -> Statement:
    """Cancel all files of a batch that are in progress."""
    move = cancel(Reason.BATCH_CANCELLED)
    return Statement(_moved(_shape(move), _OF_BATCH), {**_values(move), "id": batch_id, "project_id": project_id})


def sweep(move: Transition, due: str, params: Mapping[str, Any]) -> Statement:
    """Carry out a move on every file that is `due` (a condition in SQL), leaving alone those that somebody else has
    hold of. Returns the moved files.
    """
    return Statement(_sweep(_shape(move), due), {**_values(move), **params})


def expire_stores(at_most: int) -> Statement:
    """Expire stores whose time has come, with what goes with it: their chunks, and the reading of their files."""
    move = cancel(Reason.STORE_EXPIRED)
    return Statement(_expire(_shape(move)), {**_values(move), "at_most": at_most})


_OF_BATCH = "batch_id = :id AND project_id = :project_id"
_Shape = tuple[Reason, FileStatus, Holder, tuple[tuple[str, str], ...]]
"""What of a transition decides the text of its statement: everything but the values."""


def _shape(move: Transition) -> _Shape:
    return move.reason, move.to, move.holder, tuple((name, _expression(name, v)) for name, v in move.values.items())


def _expression(column: str, value: Any) -> str:
    match value:
        case _ if value is ONE_MORE:
            return f"{column} + 1"
        case timedelta():
            return f"now() + :set_{column}"
        case dict():
            return f"CAST(:set_{column} AS jsonb)"
        case _:
            return f":set_{column}"


def _values(move: Transition) -> dict[str, Any]:
    return {
        f"set_{name}": to_json(value) if isinstance(value, dict) else value
        for name, value in move.values.items()
        if value is not ONE_MORE
    }


def _update(shape: _Shape, which: str) -> str:
    """The guarded UPDATE: it sets what the new status implies and what the move names, where the move is legal."""
    guards = f"status = 'in_progress' AND {_HOLDS[shape[2]]}"
    sets = ", ".join(_sets(shape))
    return f"UPDATE vector_store_files SET {sets} WHERE {which.format(guards=guards)} AND {guards} RETURNING *"


def _sets(shape: _Shape) -> Iterator[str]:
    reason, to, holder, columns = shape
    yield f"status = '{to}'"
    yield f"reason = '{reason}'"
    if holder is not Holder.WORKER:
        yield "term = term + 1"
    if to is not FileStatus.IN_PROGRESS:
        yield "finished_at = now()"
    if holder is not Holder.CLAIMANT:
        yield "lease_owner = NULL"
        yield "lease_expires_at = NULL"
    for name, expression in columns:
        yield f"{name} = {expression}"


_HOLDS = {
    Holder.WORKER: "ingestion = :ingestion AND term = :term",
    Holder.CLAIMANT: "lease_expires_at IS NULL",
    Holder.SWEEPER: "lease_expires_at < now()",
    Holder.CLIENT: "true",
}


@cache
def _claim(shape: _Shape) -> TextClause:
    return named(
        "files.claim",
        f"""
WITH claimed AS ({_update(shape, f"ingestion = {_FAIREST}")})
SELECT claimed.*, files.filename, files.bytes, files.sha256 FROM claimed JOIN files ON files.id = claimed.id""",
    )


@cache
def _moved(shape: _Shape, which: str) -> TextClause:
    return named("files.move", _update(shape, which))


@cache
def _sweep(shape: _Shape, due: str) -> TextClause:
    which = f"""ingestion IN (
SELECT ingestion FROM vector_store_files WHERE {due} AND {{guards}} LIMIT :at_most FOR UPDATE SKIP LOCKED)"""
    return named("files.sweep", _update(shape, which))


# Chunks of former ingestions follow in the background.
@cache
def _expire(shape: _Shape) -> TextClause:
    of_them = "vector_store_id IN (SELECT id FROM expired)"
    return named(
        "vector_stores.expire",
        f"""
WITH expired AS (
  UPDATE vector_stores SET expired_at = now() WHERE id IN (
    SELECT id FROM vector_stores WHERE expires_at < now() AND expired_at IS NULL AND deleted_at IS NULL
    LIMIT :at_most FOR UPDATE SKIP LOCKED)
  RETURNING id),
  stopped AS ({_update(shape, of_them)}),
  emptied AS (
  UPDATE vector_store_files SET {EMPTIED} WHERE status = 'completed' AND {of_them})
SELECT id FROM expired""",
    )
