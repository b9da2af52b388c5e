"""The SQL of adding up what was used."""

from sqlalchemy import text

from shared.usage.facts import COUNTS
from shared.usage.rows import BY_THE_HOUR

KEPT_BY_THE_MINUTE = "interval '2 days'"

_NAMES = ", ".join(COUNTS)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
_KEYS = "kind, at, project_id, api_key_id, subject"


def _more(table: str) -> str:
    return "DO UPDATE SET " + ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTS)


# One at a time, whoever comes first: two at once would wait for each other's rows. A fact is taken out of its table and
# added to the sums in one commit, so that whoever reads both tables in one statement sees it once.
_ALONE = "pg_try_advisory_xact_lock(hashtextextended('usage', 0))"

ADD_UP = text(f"""
WITH turn AS MATERIALIZED (SELECT {_ALONE} AS ours),
  taken AS (
  DELETE FROM usage_facts WHERE (SELECT ours FROM turn) RETURNING *),
  of_assistants AS (
  INSERT INTO usage_of_assistants (assistant_id, day, kind, subject, project_id, {_NAMES})
  SELECT assistant_id, CAST(at AT TIME ZONE 'UTC' AS date), kind, subject, min(project_id), {_SUMS}
  FROM taken WHERE assistant_id <> '' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (assistant_id, day, kind, subject) {_more("usage_of_assistants")})
INSERT INTO usage_minutes ({_KEYS}, {_NAMES})
SELECT kind, date_bin('1 minute', at, '2001-01-01T00:00:00Z'), project_id, api_key_id, subject, {_SUMS}
FROM taken GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT ({_KEYS}) {_more("usage_minutes")}
RETURNING project_id""")

# Minutes become hours: those that are the first of their hour stay, and take the others in.
COARSEN = text(f"""
WITH taken AS (
  DELETE FROM usage_minutes WHERE NOT ({BY_THE_HOUR}) AND at < now() - {KEPT_BY_THE_MINUTE} - interval '1 hour'
  AND {_ALONE} RETURNING *)
INSERT INTO usage_minutes ({_KEYS}, {_NAMES})
SELECT kind, date_bin('1 hour', at, '2001-01-01T00:00:00Z'), project_id, api_key_id, subject, {_SUMS}
FROM taken GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT ({_KEYS}) {_more("usage_minutes")}""")

FORGET_HOURS = text("DELETE FROM code_interpreter_hours WHERE began_at < now() - interval '1 hour'")

# What is kept is looked at once an hour, by whoever comes first. Hours in which nobody looked, because no worker ran,
# are as the next one that somebody did: without a worker no store grows. The row of no project says that somebody has.
# What is deleted is no longer kept, however long it takes to remove it.
LOOK_AT_BYTES = text("""
WITH last AS (SELECT max(hour) AS hour FROM usage_bytes WHERE kind = 'vector_stores'),
  hours AS (
  SELECT generate_series(
    greatest(coalesce(last.hour + interval '1 hour', this.hour), this.hour - interval '31 days'),
    this.hour, '1 hour') AS hour
  FROM last, (SELECT date_bin('1 hour', now(), '2001-01-01T00:00:00Z') AS hour) AS this),
  living AS (SELECT id FROM projects WHERE deleted_at IS NULL),
  kept AS (
  SELECT 'vector_stores' AS kind, file.project_id, sum(usage_bytes) AS bytes
  FROM vector_store_files AS file JOIN vector_stores AS store ON store.id = vector_store_id AND deleted_at IS NULL
    JOIN living ON living.id = file.project_id
  WHERE EXISTS (SELECT FROM hours) GROUP BY 2
  UNION ALL
  SELECT 'files', project_id, sum(bytes) FROM files JOIN living ON living.id = project_id
  WHERE EXISTS (SELECT FROM hours) GROUP BY 2
  UNION ALL
  SELECT 'vector_stores', '', 0)
INSERT INTO usage_bytes (kind, hour, project_id, bytes)
SELECT kind, hour, project_id, bytes FROM kept, hours WHERE bytes > 0 OR project_id = '' ORDER BY 1, 2, 3
ON CONFLICT (kind, hour, project_id) DO NOTHING""")
