"""Who is calling: a bearer key opens one project."""

import time
from dataclasses import dataclass

from shared.database import Database
from shared.projects import keys
from shared.wire.fields import Dialect

REMEMBERED_FOR_S = 1.0  # so a revoked key stops within a second, and a busy client costs one look-up in that time
MAX_REMEMBERED = 10_000


class Unauthorized(Exception):
    """No key, or one that opens nothing; the message says which, and never repeats a key."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Caller:
    """The project on whose behalf a request is made, and the dialect that it speaks."""

    project_id: str
    dialect: Dialect


class KeyRing:
    """Recognises keys, remembering each for a moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[str | None, float]] = {}

    async def project_of(self, authorization: str | None) -> str:
        """The project that an Authorization header opens. Raises Unauthorized."""
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise Unauthorized(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
        project_id = await self._look_up(keys.digest(key))
        if project_id is None:
            raise Unauthorized(f"Incorrect API key provided: {keys.redact(key)}.", "invalid_api_key")
        return project_id

    async def _look_up(self, digest: str) -> str | None:
        now = time.monotonic()
        known = self._known.get(digest)
        if known is not None and known[1] > now:
            return known[0]
        project_id = await keys.recognise(self._database, digest)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = (project_id, now + REMEMBERED_FOR_S)
        return project_id
