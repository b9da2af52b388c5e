"""The SQL of projects, their limits, service accounts and keys."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import TextClause, text

from shared.audit.statements import note
from shared.tracing.sql import named
from shared.vault.statements import NEW_OF_ORGANIZATION, UNLESS_MADE

HMAC = "hmac."  # how hashes begin that were made with the secret of keys

_COLUMNS = "hash, hint, name, scopes, expires_at"
_VALUES = ":hash, :hint, :name, CAST(:scopes AS jsonb), now() + CAST(:expires_in AS interval)"

_KEY = f"""
key AS (
  INSERT INTO api_keys (id, project_id, service_account_id, {_COLUMNS})
  SELECT :key_id, account.project_id, account.id, {_VALUES} FROM account RETURNING *),
{note("key", "key_entry", project="key.project_id")}"""

CREATE = text(f"""
WITH project AS (INSERT INTO projects (id, name) VALUES (:id, :name) RETURNING *), {note("project")}
SELECT * FROM project""")


@cache
def modify(columns: Sequence[str]) -> TextClause:
    """A change of these columns of a project that isn't archived."""
    values = ", ".join(f"{name} = :{name}" for name in columns)
    changed = f"UPDATE projects SET {values} WHERE id = :id AND archived_at IS NULL RETURNING *"
    return named("update projects", f"WITH changed AS ({changed}), {note('changed')} SELECT * FROM changed")


# The name decides: the second key of a name belongs to the same project, also when two are made at once.
CREATE_KEY_BY_NAME = text(f"""
WITH made AS (
    INSERT INTO projects (id, name) VALUES (:new_id, :project)
    ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING RETURNING id),
  {note("made", "project_entry")},
  project AS (
    SELECT id FROM made UNION ALL SELECT id FROM projects WHERE name = :project AND archived_at IS NULL LIMIT 1),
  account AS (
    INSERT INTO service_accounts (id, project_id, name) SELECT :account_id, project.id, :account_name FROM project
    RETURNING id, project_id),
  {note("account", "account_entry", project="account.project_id")},
{_KEY}
SELECT * FROM key""")

# Locked, so that nothing is put into a project that is being archived at this moment.
_CREATE_ACCOUNT = """
INSERT INTO service_accounts (id, project_id, name)
SELECT :account_id, project.id, :account_name FROM (
  SELECT id FROM projects WHERE id = :project_id AND archived_at IS NULL FOR SHARE) AS project
RETURNING *"""

CREATE_ACCOUNT = text(f"""
WITH account AS ({_CREATE_ACCOUNT}), {note("account", "account_entry")}
SELECT * FROM account""")

CREATE_ACCOUNT_WITH_KEY = text(f"""
WITH account AS ({_CREATE_ACCOUNT}), {note("account", "account_entry")},
{_KEY}
SELECT * FROM key""")

MODIFY_ACCOUNT = text(f"""
WITH changed AS (
  UPDATE service_accounts SET name = :name WHERE id = :id AND project_id = :project_id RETURNING *), {note("changed")}
SELECT * FROM changed""")

CREATE_KEY = text(f"""
WITH account AS (
  SELECT service_accounts.id, project_id FROM service_accounts JOIN projects ON projects.id = project_id
  WHERE service_accounts.id = :account_id AND project_id = :project_id AND archived_at IS NULL
  FOR SHARE OF service_accounts, projects),
{_KEY}
SELECT * FROM key""")

CREATE_ADMIN_KEY = text(f"""
WITH key AS (INSERT INTO admin_keys (id, {_COLUMNS}) VALUES (:key_id, {_VALUES}) RETURNING *),
{note("key", "key_entry")}
SELECT * FROM key""")

ARCHIVE = text(f"""
WITH archived AS (
  UPDATE projects SET archived_at = now() WHERE id = :id AND archived_at IS NULL RETURNING *), {note("archived")}
SELECT * FROM archived""")

DELETE = text(f"""
WITH deleted AS (
  UPDATE projects SET deleted_at = now() WHERE id = :id AND archived_at IS NOT NULL AND deleted_at IS NULL
  RETURNING id), {note("deleted")}
SELECT id FROM deleted""")

# Of what is done with a project elsewhere than in its row.
NOTE = text(f"""
WITH project AS (SELECT id FROM projects WHERE id = :id), {note("project")}
SELECT id FROM project""")

OWNERS = text("SELECT * FROM service_accounts WHERE id = ANY(:ids)")

# Nobody gives it another key from then on.
LOCK_ACCOUNT = text("SELECT id FROM service_accounts WHERE id = :id AND project_id = :project_id FOR UPDATE")

OPEN_KEYS_OF = text("""
SELECT id FROM api_keys WHERE service_account_id = :id AND project_id = :project_id AND revoked_at IS NULL
AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at, id FOR UPDATE""")

LIST_KEYS = text("""
SELECT id, '' AS project, name, hint, created_at, last_used_at, expires_at, revoked_at, scopes FROM admin_keys
UNION ALL
SELECT api_keys.id, projects.name, api_keys.name, hint, api_keys.created_at, last_used_at, expires_at, revoked_at,
  scopes
FROM api_keys JOIN projects ON projects.id = project_id ORDER BY created_at, id""")

LIST_PROJECTS = text("""
SELECT projects.*, (SELECT count(*) FROM api_keys WHERE project_id = projects.id AND revoked_at IS NULL) AS keys
FROM projects WHERE deleted_at IS NULL ORDER BY created_at, id""")

REVOKE = text(f"""
WITH revoked AS (
  UPDATE api_keys SET revoked_at = now() WHERE id = :id AND project_id = :project_id AND revoked_at IS NULL
  RETURNING id), {note("revoked")}
SELECT id FROM revoked""")

REVOKE_ADMIN = text(f"""
WITH revoked AS (
  UPDATE admin_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL RETURNING id), {note("revoked")}
SELECT id FROM revoked""")

REVOKE_ANY = text(f"""
WITH of_projects AS (
    UPDATE api_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL RETURNING id, project_id),
  of_admins AS (UPDATE admin_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL RETURNING id),
  revoked AS (SELECT id, project_id FROM of_projects UNION ALL SELECT id, NULL FROM of_admins),
  {note("revoked", project="revoked.project_id")}
SELECT id FROM revoked""")

# A plain hash opens nothing where there is a secret, whoever looks, and whoever has put it there.
_KNOWN = f"(starts_with(:hash, '{HMAC}') OR NOT EXISTS (SELECT FROM data_keys WHERE project_id IS NULL))"
_OPEN = f"hash = :hash AND {_KNOWN} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
_TIMES = """extract(epoch FROM expires_at - now())::float8 AS expires_in_s,
  (last_used_at IS NULL OR last_used_at < now() - CAST(:noted_every AS interval)) AS to_note"""

# Two looks into unique indexes: which kind of key it is, is not known before. What the project may do comes with it.
RECOGNISE = text(f"""
SELECT api_keys.id, project_id, service_account_id, scopes, archived_at IS NOT NULL AS archived,
  coalesce(exhausted_until > now(), false) AS exhausted, {_TIMES}, max_requests_per_minute, max_stored_bytes, (
    SELECT jsonb_object_agg(model, jsonb_build_array(max_requests, max_tokens)) FROM rate_limits
    WHERE rate_limits.project_id = projects.id AND coalesce(max_requests, max_tokens) IS NOT NULL) AS rates
FROM api_keys JOIN projects ON projects.id = project_id WHERE {_OPEN}
UNION ALL
SELECT id, NULL, NULL, scopes, false, false, {_TIMES}, NULL, NULL, NULL FROM admin_keys WHERE {_OPEN}""")

_USED = "id = :id AND (last_used_at IS NULL OR last_used_at < now() - CAST(:noted_every AS interval))"

# With the first key of all.
ADD_SECRET = text(f"""
{NEW_OF_ORGANIZATION} WHERE NOT EXISTS (SELECT FROM api_keys) AND NOT EXISTS (SELECT FROM admin_keys)
{UNLESS_MADE}""")

_HASHES = "SELECT hash FROM api_keys UNION ALL SELECT hash FROM admin_keys"
_IS_PLAIN = f"NOT starts_with(hash, '{HMAC}')"

# Keys that are being made are waited for, and others wait; nobody who only shows one.
LOCK_KEYS = text("LOCK TABLE api_keys, admin_keys IN SHARE ROW EXCLUSIVE MODE")

PLAIN_HASHES = text(f"SELECT hash FROM ({_HASHES}) AS every WHERE {_IS_PLAIN}")

COUNT_HASHES = text(f"""
SELECT count(*) AS keys, count(*) FILTER (WHERE {_IS_PLAIN}) AS plain FROM ({_HASHES}) AS every""")

REHASH = text("""
WITH new AS (SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new(former text, hash text)),
  of_projects AS (UPDATE api_keys SET hash = new.hash FROM new WHERE api_keys.hash = former RETURNING id),
  of_admins AS (UPDATE admin_keys SET hash = new.hash FROM new WHERE admin_keys.hash = former RETURNING id)
SELECT id FROM of_projects UNION ALL SELECT id FROM of_admins""")

NOTE_USE = text(f"UPDATE api_keys SET last_used_at = now() WHERE {_USED}")

NOTE_USE_BY_ADMIN = text(f"UPDATE admin_keys SET last_used_at = now() WHERE {_USED}")

RATES = text("SELECT * FROM rate_limits WHERE project_id = :project_id ORDER BY model")

SET_RATE = text(f"""
WITH rate AS (
  INSERT INTO rate_limits AS kept (project_id, model, max_requests, max_tokens)
  SELECT id, :model, CAST(:max_requests AS bigint), CAST(:max_tokens AS bigint)
  FROM projects WHERE id = :project_id AND archived_at IS NULL FOR SHARE
  ON CONFLICT (project_id, model) DO UPDATE SET
    max_requests = CASE WHEN :set_max_requests THEN excluded.max_requests ELSE kept.max_requests END,
    max_tokens = CASE WHEN :set_max_tokens THEN excluded.max_tokens ELSE kept.max_tokens END
  RETURNING *), {note("rate")}
SELECT * FROM rate""")

LIMITED = text("SELECT id FROM projects WHERE max_concurrent_runs IS NOT NULL LIMIT 1")
