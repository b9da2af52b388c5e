"""Time as a run knows it: the database's, carried forward by this machine's monotonic clock.

Instants in rows all come from the database's clock. A worker whose own clock is wrong, or is set while it works, still
writes instants that fit between those that Postgres writes.
"""

import time
from datetime import datetime, timedelta


class RunClock:
    """Started with the database's instant of the claim."""

    def __init__(self, claimed_at: datetime) -> None:
        self._claimed_at = claimed_at
        self._began = time.monotonic()

    def now(self) -> datetime:
        """The present instant, at most a round trip behind the database's."""
        return self._claimed_at + timedelta(seconds=time.monotonic() - self._began)

    def until(self, instant: datetime) -> timedelta:
        """How long from now; negative if it has passed."""
        return instant - self.now()
