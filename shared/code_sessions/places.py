"""Places for sessions of the code interpreter, where a project may have only so many at once.

A thread has a place from a call of its on, and for as long after its last one as its session may idle. That a session
ended earlier is known to nobody here, so its place is kept until then; its own thread may use it meanwhile.
"""

from datetime import timedelta

from sqlalchemy import text

from shared.database import Transactional

KEPT = timedelta(minutes=20)  # the service's own default, where the project says nothing
CALL = timedelta(minutes=2)  # that one may take, likewise: the session idles from its end
_IDLE_WITHIN = timedelta(seconds=5)  # of the lock on a project's places

_LIMIT = text("""
SELECT max_sandbox_sessions AS at_most, make_interval(secs => sessions_kept_s) AS kept FROM projects
WHERE id = :project_id""")

# One after the other: two that counted at the same time would both find the last place free.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:project_id, 2))")

_TAKE = text("""
WITH over AS (DELETE FROM sandbox_places WHERE project_id = :project_id AND until < now() AND thread_id <> :thread_id)
INSERT INTO sandbox_places (thread_id, project_id, until)
SELECT :thread_id, :project_id, now() + :kept WHERE :at_most > (
  SELECT count(*) FROM sandbox_places WHERE project_id = :project_id AND until > now() AND thread_id <> :thread_id)
ON CONFLICT (thread_id) DO UPDATE SET until = excluded.until
RETURNING thread_id""")


class NoPlace(Exception):
    """The project has as many sessions as it may, `at_most`."""

    def __init__(self, at_most: int) -> None:
        super().__init__(at_most)
        self.at_most = at_most


async def take(db: Transactional, project_id: str, thread_id: str) -> timedelta | None:
    """Keep a place for the thread, if its project's are limited; returns for how long its sessions may idle, None for
    as long as the service lets them. Raises NoPlace.
    """
    project = await db.one(_LIMIT, {"project_id": project_id})
    if project is None:
        return None
    kept: timedelta | None = project["kept"]
    if project["at_most"] is None:
        return kept
    params = {
        "project_id": project_id,
        "thread_id": thread_id,
        "kept": CALL + (kept or KEPT),
        "at_most": project["at_most"],
    }
    async with db.transaction(_IDLE_WITHIN) as transaction:
        await transaction.one(_LOCK, {"project_id": project_id})
        if await transaction.one(_TAKE, params) is None:
            raise NoPlace(project["at_most"])
    return kept
