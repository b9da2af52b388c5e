"""What a level of isolation has to offer."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

LevelName = Literal["landlock", "bwrap"]
LEVELS: tuple[LevelName, ...] = ("landlock", "bwrap")  # from the weaker to the stronger
WORKPLACE = ("data", "tmp", "home", "shm")  # directories of a session, all that it can write to
MOUNTED = "/mnt/data"  # how users know `data`


class UnavailableError(Exception):
    """A level can't be had on this machine, or no level that is good enough; the message says why."""


@dataclass(frozen=True)
class Launch:
    """How one interpreter is started."""

    command: Sequence[str | Path]
    environment: Mapping[str, str]
    descriptors: Sequence[int]  # opened for this launch, to be inherited, then closed here


class Isolation(abc.ABC):
    """One level, ready for use on this machine."""

    name: LevelName
    HOLES: Sequence[str]

    @abc.abstractmethod
    def launch(self, workplace: Path, socket: int, limits: Mapping[str, int]) -> Launch:
        """The interpreter that writes below `workplace` alone and talks on `socket`."""

    @abc.abstractmethod
    def processes(self, leader: int) -> list[int]:
        """Every process of a session, by the process that was started for it, which is not among them if it is ours."""

    @property
    def details(self) -> dict[str, Any]:
        """What else an operator might like to know."""
        return {}
