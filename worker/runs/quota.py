"""Which projects have spent what they may: as the accounts said a moment ago, so that no run has to ask."""

from shared.usage.budgets import NO_QUOTA
from worker.runs.outcome import Failed


class Quota:
    """Those that have none left."""

    def __init__(self) -> None:
        self.exhausted: frozenset[str] = frozenset()

    def require(self, project_id: str) -> None:
        """Go on, if the project has any. Raises Failed, with what the original's runs ended with."""
        if project_id in self.exhausted:
            raise Failed("rate_limit_exceeded", NO_QUOTA)
