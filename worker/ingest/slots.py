"""How many files one process reads at once."""

SLOTS = 2
"""Each is read by a process that keeps a core busy and may take `INGEST_MEMORY`."""


class Slots:
    """Counts what is under way; closed when the process begins to leave."""

    def __init__(self, number: int = SLOTS) -> None:
        self._free = number
        self.closed = False

    def take(self) -> bool:
        """Take a slot, if one is free."""
        if self.closed or not self._free:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """A slot is free again."""
        self._free += 1

    def close(self) -> None:
        """Nothing new begins."""
        self.closed = True
