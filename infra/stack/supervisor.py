"""Starting, watching and stopping a set of parts. Knows nothing of what they are."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import timedelta
from types import FrameType

from infra.embedded import process
from infra.embedded.process import EmbeddedError
from infra.part import UNUSABLE, Part

MAX_DEATHS = 5
DEATH_WINDOW = timedelta(minutes=1)
FIRST_PAUSE = timedelta(milliseconds=250)  # before the first restart; doubles with each death in the window
START_TIMEOUT = timedelta(seconds=90)
POLL = timedelta(milliseconds=20)  # while something is starting; afterwards only signals wake us

Say = Callable[[str, str], None]
"""Tells the user about a part: its name, what happened."""


class StackError(Exception):
    """The stack can't go on; the message says which part failed and how."""


class StoppedError(Exception):
    """Somebody asked for the end before everything was ready."""


class Watched:
    """One part and what has become of it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.spawned_at = 0.0
        self.is_ready = False
        self.is_released = False
        self.is_given_up = False
        self.restart_at: float | None = None
        self.deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    def ended(self) -> int | None:
        """The exit status of the process, or None while it runs or is about to be started again."""
        if self.restart_at is not None or self.part.process is None or self.is_given_up:
            return None
        return self.part.process.poll()

    def recent_deaths(self) -> int:
        """How often it died in the last minute."""
        return sum(at > time.monotonic() - DEATH_WINDOW.total_seconds() for at in self.deaths)


class Supervisor:
    """Runs parts, given in stages: started all at once, stopped stage by stage from the last to the first.

    A part with `after` is loaded at once too, but goes on only when those that it names are ready. A part that dies
    is started again after a pause; dying MAX_DEATHS times within DEATH_WINDOW ends the stack. Must be used from the
    main thread: signals arrive there, and the kernel ties the children's lives to the thread that started them.
    """

    def __init__(self, stages: Sequence[Sequence[Part]], say: Say, *, on_change: Callable[[], None]) -> None:
        """`on_change` is called whenever a process has been started."""
        self._stages = [[Watched(part) for part in stage] for stage in stages]
        self._say = say
        self._on_change = on_change
        self._words: dict[str, str] = {}
        self._signals = 0

    @property
    def _all(self) -> Iterator[Watched]:
        return (watched for stage in self._stages for watched in stage)

    @contextlib.contextmanager
    def session(self) -> Generator[None]:
        """Within it SIGINT and SIGTERM ask for the end; when it is left, however that is, everything is stopped."""
        self._wake_read, wake_write = socket.socketpair()
        with self._wake_read, wake_write:
            self._wake_read.settimeout(0)
            wake_write.settimeout(0)
            previous = signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
            handlers = {number: signal.signal(number, self._count) for number in (signal.SIGINT, signal.SIGTERM)}
            handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _notice)
            try:
                yield
            finally:
                self._stop()
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(previous)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def start(self, words: dict[str, str] | None = None) -> None:
        """Start everything and wait until it is ready. `words` are told to parts when they may go on, by name.

        Raises StackError if a part can't be started, StoppedError if somebody asks for the end meanwhile.
        """
        self._words = words or {}
        deadline = time.monotonic() + START_TIMEOUT.total_seconds()
        # Those that wait for others load while the others are prepared, so they come first.
        for watched in sorted(self._all, key=lambda watched: not watched.part.after):
            self._spawn(watched)
        self._look()
        while not all(watched.is_ready for watched in self._all):
            self._wait(self._patience())
            self._look()
            if self._signals:
                raise StoppedError
            if time.monotonic() > deadline:
                late = [watched.part for watched in self._all if not watched.is_ready]
                raise StackError("\n".join(_obituary(part, "did not get ready") for part in late))

    def run(self) -> None:
        """Watch until somebody asks for the end. Raises StackError if a part keeps dying."""
        while not self._signals:
            self._wait(self._patience())
            self._look()

    def _look(self) -> None:
        """Look at every part once and do what is due."""
        for watched in self._all:
            status = watched.ended()
            if status is not None and not (watched.part.once and status == 0):
                self._bury(watched, status)
            if watched.restart_at is not None and watched.restart_at <= time.monotonic():
                self._spawn(watched)
            self._advance(watched)

    def _advance(self, watched: Watched) -> None:
        """Let a part go on whose predecessors are ready; say so when it gets ready itself."""
        part = watched.part
        if not watched.is_released and self._are_ready(part.after):
            watched.is_released = True
            if part.after:
                part.release(self._words.get(part.name, ""))
        if not watched.is_ready and watched.restart_at is None and part.ready():
            watched.is_ready = True
            self._say(part.name, f"{'done' if part.once else 'ready'} ({time.monotonic() - watched.spawned_at:.1f} s)")

    def _are_ready(self, names: Iterable[str]) -> bool:
        return all(watched.is_ready for watched in self._all if watched.part.name in names)

    def _spawn(self, watched: Watched) -> None:
        watched.restart_at = None
        watched.is_ready = watched.is_released = False
        watched.spawned_at = time.monotonic()
        self._say(watched.part.name, "starting")
        watched.part.close()
        try:
            watched.part.spawn()
        except (EmbeddedError, OSError) as error:
            raise StackError(f"{watched.part.name} can't be started: {error}") from error
        self._on_change()

    def _bury(self, watched: Watched, status: int) -> None:
        """Note a death and when to start again. Raises StackError where there is no sense in that."""
        part = watched.part
        if part.dispensable and status == UNUSABLE:
            watched.is_given_up = watched.is_ready = True
            self._say(part.name, f"can't be had here: {process.last_lines(part.log, 1)}")
            return
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        watched.is_ready = False
        watched.deaths.append(time.monotonic())
        deaths = watched.recent_deaths()
        if part.once or deaths == MAX_DEATHS:
            times = "" if part.once else f", {MAX_DEATHS} times within {DEATH_WINDOW.total_seconds():.0f} s"
            raise StackError(_obituary(part, how + times))
        pause = FIRST_PAUSE * 2 ** (deaths - 1)
        watched.restart_at = time.monotonic() + pause.total_seconds()
        self._say(part.name, f"{how}; starting it again in {pause.total_seconds():g} s (its log: {part.log})")

    def _patience(self) -> float | None:
        """Seconds until something has to be looked at even if no signal comes; None for never."""
        if any(not watched.is_ready and watched.restart_at is None for watched in self._all):
            return POLL.total_seconds()
        restarts = [watched.restart_at for watched in self._all if watched.restart_at is not None]
        return max(0.0, min(restarts) - time.monotonic()) if restarts else None

    def _wait(self, seconds: float | None) -> None:
        """Sleep until a signal arrives (the end of a child is one), or that long."""
        readable, _, _ = select.select([self._wake_read], [], [], seconds)
        if readable:
            self._wake_read.recv(4096)

    def _stop(self) -> None:
        """Stop stage by stage, last first. A part that ignores its signal is killed after its grace period.

        One more signal while this goes on cuts the grace of every program short; servers still end in good order,
        for that takes them no longer than recovering from a kill would.
        """
        asked = self._signals
        for stage in reversed(self._stages):
            living = [watched.part for watched in stage if _lives(watched.part)]
            for part in living:
                self._say(part.name, "stopping")
                _signal(part, part.stop_signal)
            deadlines = {part.name: time.monotonic() + part.grace.total_seconds() for part in living}
            while living := [part for part in living if _lives(part)]:
                for part in living:
                    hurried = self._signals > asked and not part.keeps_data
                    if hurried or time.monotonic() > deadlines[part.name]:
                        self._say(part.name, "killing it" if hurried else "does not stop; killing it")
                        _signal(part, signal.SIGKILL)
                        _reap(part)
                self._wait(POLL.total_seconds())
        for watched in self._all:
            watched.part.close()


def _notice(_number: int, _frame: FrameType | None) -> None:
    """A handler, so that the signal is written to the wakeup socket."""


def _lives(part: Part) -> bool:
    return part.process is not None and part.process.poll() is None


def _signal(part: Part, number: signal.Signals) -> None:
    """Signal the process; to kill it means to kill whatever it has started, too: each part leads a process group."""
    if part.process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(part.process.pid, number)
        else:
            part.process.send_signal(number)


def _reap(part: Part) -> None:
    if part.process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            part.process.wait(1)


def _obituary(part: Part, how: str) -> str:
    return f"{part.name} {how}. The end of {part.log}:\n{process.last_lines(part.log)}"
