"""What an examination comes to."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and somebody should know."""
    FAIL = "FAIL"
    """It does not work; the finding says what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, and what was seen."""

    what: str
    level: Level
    told: str

    def __str__(self) -> str:
        return f"{self.level:<5} {self.what:<11} {self.told}"


def ok(what: str, told: str) -> Finding:
    """All is well."""
    return Finding(what, Level.OK, told)


def warn(what: str, told: str) -> Finding:
    """It works, but."""
    return Finding(what, Level.WARN, told)


def fail(what: str, told: str) -> Finding:
    """It does not work."""
    return Finding(what, Level.FAIL, told)


def first_line(error: BaseException) -> str:
    """Of what an error says; drivers say more, over many lines. Its name, where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
