"""Who is calling: a bearer key opens one project, or the administration of all of them and nothing within them.

What a key opens is remembered for a second: one that is revoked, and every key of a project that is archived, stops
within that second on each process, by nothing but its own look at the row. No message can be lost, so none is sent.
"""

import time
from dataclasses import dataclass

from shared.audit.actor import Actor
from shared.database import Database
from shared.projects import keys
from shared.projects.hashes import digest
from shared.projects.keys import Known
from shared.projects.limits import Limits
from shared.wire.fields import Dialect

REMEMBERED_FOR_S = 1.0
MAX_REMEMBERED = 10_000

MISSING_SCOPE = (
    "You have insufficient permissions for this operation. Missing scopes: {scope}. Check that you use a key of the "
    "right kind, and if it is limited to some scopes, that it has the necessary ones."
)


class Unauthorized(Exception):
    """No key, or one that doesn't open this; the message says which, and never repeats a key."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Caller:
    """The project on whose behalf a request is made, by which of its keys and from where, the dialect that it
    speaks, and what the project may do. One that is `exhausted` has spent what it may.
    """

    project_id: str
    key_id: str
    actor: Actor
    exhausted: bool
    dialect: Dialect
    limits: Limits


class KeyRing:
    """Recognises keys, remembering each for a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: dict[str, tuple[Known | None, float]] = {}

    async def open(self, authorization: str | None, scope: str) -> Known:
        """The key in an Authorization header, if it opens what this scope stands for. Raises Unauthorized."""
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise Unauthorized(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
        known = await self._look_up(digest(key))
        if known is None:
            raise Unauthorized(f"Incorrect API key provided: {keys.redact(key)}.", "invalid_api_key")
        if known.archived:
            message = "The project you are requesting has been archived and is no longer accessible."
            raise Unauthorized(message, "not_authorized_invalid_project")
        if scope not in known.scopes:
            raise Unauthorized(MISSING_SCOPE.format(scope=scope))
        return known

    async def _look_up(self, key_digest: str) -> Known | None:
        now = time.monotonic()
        remembered = self._remembered.get(key_digest)
        if remembered is not None and remembered[1] > now:
            return remembered[0]
        known = await keys.recognise(self._database, key_digest)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        until = now + REMEMBERED_FOR_S
        if known is not None and known.expires_in_s is not None:
            until = min(until, now + known.expires_in_s)
        self._remembered[key_digest] = known, until
        return known
