"""One isolated interpreter: started, fed with code, watched, frozen between calls, killed.

Nothing in here knows of clients or ids. A crash of the service takes all interpreters along (bubblewrap ends with it).
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from worker.sandbox import files, frames, processes
from worker.sandbox.frames import Done, Event, ProtocolError, Ready
from worker.sandbox.isolation import make_workplace
from worker.sandbox.isolation.level import Isolation
from worker.sandbox.limits import MB, Limits
from worker.sandbox.removal import remove_later
from worker.sandbox.users import User, Users, spawning

START_WITHIN = timedelta(seconds=60)
LOOK_EVERY = timedelta(milliseconds=100)
LOG_SIZE = 16 * 1024  # bytes of what an interpreter says before it has its own channel
Outcome = Literal["ok", "error", "interrupted", "killed"]


class StartError(Exception):
    """An interpreter could not be started; the message is the end of what it said."""


class Interpreter:
    """One session's worth of processes and files."""

    def __init__(self, isolation: Isolation, place: Path, limits: Limits, users: Users) -> None:
        """`place` is made, and removed at the end."""
        self._isolation = isolation
        self._place = place
        self._limits = limits
        self._users = users
        self._user: User | None = users.take()
        self._calls = 0
        self._interrupt = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self.ended: str | None = None  # why, once it has

    @classmethod
    async def start(cls, isolation: Isolation, place: Path, limits: Limits, users: Users) -> Self:
        """An interpreter with its packages loaded, frozen. Raises StartError."""
        interpreter = cls(isolation, place, limits, users)
        try:
            await interpreter._start()
        except BaseException:
            await interpreter.end("it could not be started")
            raise
        return interpreter

    @property
    def is_alive(self) -> bool:
        """Whether it can take a call."""
        return self.ended is None and self._process.returncode is None

    @property
    def data(self) -> Path:
        """The directory that is /mnt/data inside."""
        return self._place / "data"

    @property
    def owner(self) -> User | None:
        """Whose the files are."""
        return self._user

    def memory(self) -> int:
        """Bytes, exactly."""
        return processes.exact_memory(self._processes())

    async def _start(self) -> None:
        make_workplace(self._place, self._user)
        ours, theirs = socket.socketpair()
        log = (self._place / "log").open("w+b")
        with theirs, log:
            limits = {**asdict(self._limits), "cpu": round(self._limits.cpu.total_seconds())}
            told = {name: value for name, value in limits.items() if isinstance(value, int)}
            launch = self._isolation.launch(self._place, theirs.fileno(), told)
            try:
                # From the loop's thread: the kernel ties bubblewrap's life to the thread that started it.
                self._process = await asyncio.create_subprocess_exec(
                    *launch.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=launch.environment,
                    cwd=self.data,
                    pass_fds=launch.descriptors,
                    start_new_session=True,
                    **spawning(self._user),
                )
            finally:
                for descriptor in launch.descriptors:
                    if descriptor != theirs.fileno():
                        os.close(descriptor)
            self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=MB // 4)
            try:
                async with asyncio.timeout(START_WITHIN.total_seconds()):
                    frames.expect_ready(await frames.read(self._reader, self._limits.frame))
            except (TimeoutError, ProtocolError, OSError, asyncio.IncompleteReadError) as error:
                log.seek(0)
                said = log.read(LOG_SIZE).decode(errors="replace").strip()
                raise StartError(f"an interpreter could not be started ({error!r}): {said}") from error
        # Before any code of others has run: what hangs there now is the one that interrupts go to.
        self._pidfd = os.pidfd_open(self._isolation.processes(self._process.pid)[0])
        self.freeze()

    def _processes(self) -> list[int]:
        return self._isolation.processes(self._process.pid)

    def freeze(self) -> None:
        """Nothing inside runs until the next call."""
        processes.stop(self._processes)

    def thaw(self) -> None:
        """Everything inside goes on."""
        processes.send(self._processes(), signal.SIGCONT)

    def interrupt(self) -> None:
        """Ask the call under way to end; after the limit's `grace` it is killed. Harmless between calls."""
        self._interrupt.set()

    async def run(
        self, code: str, within: timedelta, emit: Callable[[Event], None]
    ) -> tuple[Outcome, str | None, bool]:
        """Execute code; `emit` gets what it shows. Returns how it ended, why if not by itself, and if output was cut.

        Ends within `within` and the limit's grace, whatever the code does. "killed" means that the interpreter is no
        more.
        """
        self._calls += 1
        self._interrupt.clear()
        self.thaw()
        self._writer.write(frames.pack({"call": self._calls, "code": code}))
        reading = asyncio.create_task(self._read(emit))
        watching = asyncio.create_task(self._watch())
        dying = asyncio.create_task(self._process.wait())
        asked = asyncio.create_task(self._interrupt.wait())
        tasks: set[asyncio.Task[Any]] = {reading, watching, dying, asked}
        why: str | None = None
        try:
            await asyncio.wait(tasks, timeout=within.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
            if not (reading.done() or watching.done() or dying.done()):
                why = "cancelled" if asked.done() else "timeout"
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGINT)
                grace = self._limits.grace.total_seconds()
                await asyncio.wait({reading, watching, dying}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            return await self._outcome(reading, watching, dying, why)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _outcome(
        self,
        reading: "asyncio.Task[Done]",
        watching: "asyncio.Task[str]",
        dying: "asyncio.Task[int]",
        why: str | None,
    ) -> tuple[Outcome, str | None, bool]:
        breach = watching.result() if watching.done() else None
        if breach is None and not reading.done() and dying.done():
            with contextlib.suppress(TimeoutError):  # what it said last may still be on the way
                await asyncio.wait_for(asyncio.shield(asyncio.wait({reading})), 0.2)
        problem = reading.exception() if reading.done() else None
        if breach is None and reading.done() and problem is None:
            breach = await self._breach()
            if breach is None:
                self.freeze()
                done = reading.result()
                return ("interrupted" if why is not None else done.status), why, done.truncated
        if breach is None and why is None:
            breach = "protocol" if isinstance(problem, ProtocolError) else await self._death()
        reason = breach or why or "died"
        await self.end(reason)
        return "killed", reason, False

    async def _death(self) -> str:
        """The interpreter is gone: what is to be said of it."""
        try:
            status = await asyncio.wait_for(self._process.wait(), 1)
        except TimeoutError:
            return "died"  # something that it left behind holds the place; it is killed next
        # bubblewrap tells a death by signal as 128 + its number
        return "memory" if status in (-signal.SIGKILL, 128 + signal.SIGKILL) else "died"

    async def _read(self, emit: Callable[[Event], None]) -> Done:
        """Hand on what the call shows, up to what an honest runner would show, until it is done."""
        budget = frames.Budget(self._limits)
        while True:
            body = await frames.read(self._reader, self._limits.frame)
            if budget.take(len(body)):
                await asyncio.sleep(0)  # what has arrived already is read without waiting: others want a turn, too
            match frames.parse(body, self._calls):
                case Done() as done:
                    return done
                case Event() as event:
                    budget.show(event)
                    emit(event)
                case Ready():
                    raise ProtocolError("ready twice")
                case None:
                    pass

    async def _watch(self) -> str:
        """Which limit is broken, once one is."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            breach = await self._breach()
            if breach is not None:
                return breach

    async def _breach(self) -> str | None:
        limits, found = self._limits, self._processes()
        if processes.memory(found) > limits.memory:
            exact = await asyncio.to_thread(processes.exact_memory, found)
            if exact > limits.memory:
                return "memory"
        size, entries = await asyncio.to_thread(files.usage, self._place, limits.disk_entries)
        return "disk" if size > limits.disk or entries > limits.disk_entries else None

    async def end(self, reason: str) -> None:
        """Kill everything, and let the files be removed. Returns when nothing runs; harmless the second time."""
        if self._ending is None:
            self.ended = reason
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        process: Any = getattr(self, "_process", None)
        if process is not None:
            while True:
                left = [*self._processes()]
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                processes.send(left, signal.SIGKILL)
                if process.returncode is not None and not left:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 0.05)
                await asyncio.sleep(0.002)
        if hasattr(self, "_pidfd"):
            os.close(self._pidfd)
        if hasattr(self, "_writer"):
            self._writer.close()
        remove_later(self._place, self._users, self._user)
