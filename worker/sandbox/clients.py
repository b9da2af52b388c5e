"""Several services as one. A session lives in one of them: which one is decided by its id and the list, by everybody
alike, so that no table says it. Where a service goes or comes, the sessions of that one service move, and no other.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import structlog

from worker.sandbox.client import SandboxClient, SandboxSession, UnavailableError
from worker.sandbox.errors import DrainingError, NotFoundError

log = structlog.get_logger(__name__)


class SandboxClients:
    """One client for each of `urls`, all with the same secret; their order means nothing."""

    def __init__(self, urls: Sequence[str], secret: str, authorities: Path | None = None) -> None:
        """`urls` are one at least. Nothing is connected before the first request."""
        self._clients = {url: SandboxClient(url, secret, authorities) for url in urls}

    async def open(self, session_id: str, idle: timedelta | None = None) -> SandboxSession:
        """The session of that id in the service that it belongs to or, while that one is away or about to end, in the
        next. There it is another generation, as it is when it comes back.

        Raises UnavailableError if nobody answers, and what `SandboxClient.open` raises.
        """
        *others, last = sorted(self._clients, key=lambda url: _weight(url, session_id), reverse=True)
        for url in others:
            try:
                return await self._clients[url].open(session_id, idle)
            except (UnavailableError, DrainingError) as error:
                log.warning("sandbox.away", url=url, error=str(error))
        return await self._clients[last].open(session_id, idle)

    async def end(self, session_id: str) -> None:
        """End the session of that id wherever there is one; where nobody answers it ends by itself when it has idled
        for long enough.
        """
        for url, client in self._clients.items():
            try:
                await client.end(session_id)
            except NotFoundError:
                continue
            except (UnavailableError, DrainingError) as error:
                log.warning("sandbox.away", url=url, error=str(error))

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))


def _weight(url: str, session_id: str) -> bytes:
    """How strongly a session belongs to a service: the greatest decides (highest random weight hashing)."""
    return hashlib.sha256(f"{url} {session_id}".encode()).digest()
