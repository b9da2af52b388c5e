"""What was used by runs that somebody else has by now, or that are gone: it was used, so it is written."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.database import Executor
from shared.runs.records import Telling
from shared.runs.remains import record_used
from shared.usage.facts import Used

if TYPE_CHECKING:
    from shared.runs.statements import Statement


class Leftovers:
    """What no settlement could take along. It is written within seconds, as soon as the database answers."""

    def __init__(self) -> None:
        self._statements: deque[Statement] = deque()

    def add(self, run: Mapping[str, Any], used: Sequence[Used], telling: Telling) -> None:
        """Keep it; `telling` is the step that would tell that it has been written."""
        self._statements.append(record_used(run, used, telling))

    async def write(self, db: Executor) -> None:
        """Write what there is. Raises the database's errors, and keeps what it could not write for the next time."""
        while self._statements:
            await db.all(self._statements[0].sql, self._statements[0].params)
            self._statements.popleft()
