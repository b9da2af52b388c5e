"""What a stack consists of, whoever starts it."""

import abc
import signal
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

UNUSABLE = 2  # the exit status of a program of ours that can't work with these settings on this machine


class Part(abc.ABC):
    """A process that can be started, watched and stopped."""

    name: str
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace: timedelta = timedelta(seconds=5)  # from the stop signal to force
    keeps_data: bool = False  # is given its grace even in a hurry: recovering from a kill takes longer than stopping
    dispensable: bool = False  # if it ends with UNUSABLE, it can't be had here, and the stack goes on without it
    once: bool = False  # ends by itself; if it ends badly, the stack can't go on
    after: Sequence[str] = ()  # parts that must be ready before this one, started already, may go on
    process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def spawn(self) -> None:
        """Start the process without waiting for it. Raises EmbeddedError or OSError if that is impossible."""

    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether the spawned process does its work."""

    def release(self, word: str) -> None:
        """Let a process go on that waits for others, with `word` to tell it. Only called where `after` names some."""
        raise NotImplementedError(f"{self.name} does not wait for others, so it can't be told {word!r}")

    def close(self) -> None:
        """Let go of what is left of a process that has ended."""
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
