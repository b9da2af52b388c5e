"""API keys: made, listed, revoked, recognised.

A key is 32 random bytes, so a plain SHA-256 of it is as good as any slow hash (there is nothing to guess) and costs a
microsecond a request. The key is shown once; the table keeps its hash and a hint by which its owner knows it again.
"""

import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import text

from shared import ids
from shared.database import Database, Row
from shared.settings import KEY_PREFIX

# The name decides: the second key of a name belongs to the same project, also when two are made at once.
_CREATE = text("""
WITH made AS (INSERT INTO projects (id, name) VALUES (:new_id, :project) ON CONFLICT (name) DO NOTHING RETURNING id),
  project AS (SELECT id FROM made UNION ALL SELECT id FROM projects WHERE name = :project)
INSERT INTO api_keys (id, project_id, hash, hint) SELECT :key_id, project.id, :hash, :hint FROM project LIMIT 1
RETURNING id""")

_LIST = text("""
SELECT api_keys.id, projects.name AS project, hint, api_keys.created_at, revoked_at
FROM api_keys JOIN projects ON projects.id = project_id ORDER BY api_keys.created_at, api_keys.id""")

_REVOKE = text("UPDATE api_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL RETURNING id")

_RECOGNISE = text("SELECT project_id FROM api_keys WHERE hash = :hash AND revoked_at IS NULL")


async def create(db: Database, project: str) -> str:
    """Make a key to the project of that name, and the project if there is none yet. The key is returned only here."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    params = {
        "new_id": ids.new("proj"),
        "project": project,
        "key_id": ids.new("key"),
        "hash": digest(key),
        "hint": redact(key),
    }
    while await db.one(_CREATE, params) is None:
        pass  # somebody else made the project between the two looks of the statement; now it can be seen
    return key


async def list_all(db: Database) -> Sequence[Row]:
    """Every key, oldest first: id, project (its name), hint, created_at, revoked_at."""
    return await db.all(_LIST)


async def revoke(db: Database, key_id: str) -> bool:
    """Close a key for good; False if there is no such key or it was closed already."""
    return await db.one(_REVOKE, {"id": key_id}) is not None


async def recognise(db: Database, key_digest: str) -> str | None:
    """The id of the project that the key with this digest opens, or None."""
    row = await db.one(_RECOGNISE, {"hash": key_digest})
    return None if row is None else row["project_id"]


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def redact(key: str) -> str:
    """A key that may be shown: its first and last characters."""
    return f"{key[:6]}…{key[-4:]}" if len(key) > 12 else "…"  # noqa: PLR2004 # shorter ones would be shown whole
