"""All sessions of a service: opened from a warm pool, found by id and generation, ended when their time is over."""

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from shared.metrics.sandbox import ENDED
from worker.sandbox import processes
from worker.sandbox.errors import BadRequestError, DrainingError, FullError, LostError, NotFoundError, StartingError
from worker.sandbox.interpreter import Interpreter, StartError
from worker.sandbox.isolation.level import Isolation
from worker.sandbox.limits import DEFAULT, MB, Limits
from worker.sandbox.removal import until_removed
from worker.sandbox.session import ID, Ended, Session
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.users import Users

log = structlog.get_logger(__name__)

EACH = 160 * MB  # what a session is reckoned with where the capacity is not set: an idle one, and some data
SHARE = 0.6  # of the memory that is available at the start
MOST = 500
RESERVE = 512 * MB  # available memory below which idle sessions have to go
SPARED = timedelta(seconds=10)  # a session that was just used is not taken from its client
LOOK_EVERY_S = 1.0
REMEMBERED = 10_000  # ended sessions
LAST_MOMENTS = timedelta(seconds=2)  # of a session, in which no call begins
OPEN_WITHIN_S = 5.0  # whoever asks for a session gets an answer, so that a busy service is not taken for a dead one
RETRY_S = 5.0  # after an interpreter could not be started


class Sessions:
    """The living sessions, the interpreters that wait for one, and what is known of those that have ended."""

    def __init__(self, settings: SandboxSettings, isolation: Isolation, users: Users) -> None:
        self._settings = settings
        self._isolation = isolation
        self._users = users
        self.limits: Limits = replace(DEFAULT, memory=settings.memory_mb * MB, call=settings.call_timeout)
        self.capacity = settings.capacity or _by_memory()
        self.is_draining = False
        self._living: dict[str, Session] = {}
        self._opening: dict[str, asyncio.Task[Session]] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._warm: list[Interpreter] = []
        self._wanted = asyncio.Event()
        self._starting = asyncio.Semaphore(2)
        self._duties: list[asyncio.Task[None]] = []

    @property
    def counts(self) -> dict[str, int]:
        """How full it is."""
        busy = sum(session.is_busy for session in self._living.values())
        return {"sessions": len(self._living), "busy": busy, "warm": len(self._warm), "capacity": self.capacity}

    @property
    def all(self) -> list[Session]:
        """The living ones."""
        return list(self._living.values())

    async def start(self) -> None:
        """Start a first interpreter, so that what doesn't work is known at once, then the others in the background.

        Raises StartError.
        """
        if self._settings.warm:
            self._warm.append(await self._start_one())
        self._duties = [asyncio.create_task(self._keep_warm()), asyncio.create_task(self._look_after())]
        self._wanted.set()

    async def stop(self) -> None:
        """Take no more sessions, let calls end within the drain timeout, then kill everything."""
        self.is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout.total_seconds()):
                await asyncio.gather(*(session.until_free() for session in self.all))
        for duty in self._duties:
            duty.cancel()
        await asyncio.gather(*self._duties, *self._opening.values(), return_exceptions=True)
        await asyncio.gather(*(self._close(session, "stopped") for session in self.all))
        await asyncio.gather(*(interpreter.end("stopped") for interpreter in self._warm))
        await until_removed()

    async def open(self, session_id: str) -> tuple[Session, bool]:
        """The session of that id, and whether it is new. Raises BadRequestError, DrainingError, FullError, and
        StartingError where it takes long to begin: it goes on beginning, and whoever asks again gets it.
        """
        if ID.fullmatch(session_id) is None:
            raise BadRequestError("a session's id has 1 to 128 letters, digits, - and _")
        session = await self._current(session_id)
        if self.is_draining and (session is None or not session.is_busy):
            raise DrainingError("the service is about to end")
        if session is not None:
            return session, False
        task = self._opening.get(session_id)
        is_new = task is None
        if task is None:
            task = self._opening[session_id] = asyncio.create_task(self._open(session_id))
            task.add_done_callback(partial(self._opened, session_id))
        try:
            return await asyncio.wait_for(asyncio.shield(task), OPEN_WITHIN_S), is_new
        except TimeoutError:
            raise StartingError("no interpreter is ready yet") from None

    def _opened(self, session_id: str, task: asyncio.Task[Session]) -> None:
        del self._opening[session_id]
        if not task.cancelled() and (error := task.exception()) is not None:  # perhaps nobody waits for it any more
            log.info("sandbox.session_not_opened", session=session_id, problem=str(error))

    async def get(self, session_id: str, generation: str) -> Session:
        """The living session of that generation. Raises LostError with what became of it."""
        session = await self._current(session_id)
        if session is not None and session.generation == generation:
            session.touch()
            return session
        ended = self._ended.get(generation)
        raise LostError("unknown here" if ended is None else ended.reason)

    def last_ended(self, session_id: str) -> Ended | None:
        """The newest ended session of that id, if it is still remembered."""
        return next((ended for ended in reversed(self._ended.values()) if ended.id == session_id), None)

    async def close(self, session_id: str) -> Ended:
        """End a session by its client's wish. Raises NotFoundError."""
        session = self._living.get(session_id)
        if session is None:
            ended = self.last_ended(session_id)
            if ended is None:
                raise NotFoundError(f"no session {session_id}")
            return ended
        return await self._close(session, "closed")

    async def _current(self, session_id: str) -> Session | None:
        """The session of that id if it is alive and has some time to live."""
        session = self._living.get(session_id)
        if session is None:
            return None
        if not session.interpreter.is_alive:
            await self._close(session, session.interpreter.ended or "died")
        elif not session.is_busy and session.age > self._settings.lifetime - LAST_MOMENTS:
            await self._close(session, "expired")
        else:
            return session
        return None

    async def _open(self, session_id: str) -> Session:
        if len(self._living) + len(self._opening) > self.capacity:
            await self._make_room()
        interpreter = await self._claim()
        calls = self._settings.state / "calls" / secrets.token_hex(8)
        session = Session(
            session_id, interpreter, self.limits, calls, self._settings.lifetime, self._settings.idle_timeout
        )
        self._living[session_id] = session
        log.info("sandbox.session_opened", session=session_id, generation=session.generation)
        return session

    async def _claim(self) -> Interpreter:
        """A warm interpreter, else one that is started now. Raises FullError."""
        interpreter = await self._take_warm()
        if interpreter is not None:
            return interpreter
        async with self._starting:
            try:
                return await self._take_warm() or await self._start_one()
            except StartError as error:
                log.warning("sandbox.not_started", problem=str(error))
                raise FullError("no interpreter could be started") from error

    async def _take_warm(self) -> Interpreter | None:
        while self._warm:
            interpreter = self._warm.pop(0)
            self._wanted.set()
            if interpreter.is_alive:
                return interpreter
            await interpreter.end("died")
        return None

    async def _start_one(self) -> Interpreter:
        place = self._settings.state / "sessions" / secrets.token_hex(8)
        return await Interpreter.start(self._isolation, place, self.limits, self._users)

    async def _make_room(self) -> None:
        """End the session that has been idle for longest. Raises FullError."""
        session = self._longest_idle()
        if session is None:
            raise FullError(f"all {self.capacity} sessions are in use")
        await self._close(session, "pressure")

    def _longest_idle(self) -> Session | None:
        idle = [session for session in self.all if session.idle > SPARED]
        return max(idle, key=lambda session: session.idle, default=None)

    async def _close(self, session: Session, reason: str) -> Ended:
        """Take a session out, kill it, note what was."""
        self._living.pop(session.id, None)
        await session.end(reason)
        if session.generation not in self._ended:
            ended = self._ended[session.generation] = session.ended()
            ENDED.labels(reason).inc()
            session.forget()
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)
            log.info("sandbox.session_ended", session=session.id, reason=ended.reason, seconds=round(ended.seconds, 1))
        return self._ended[session.generation]

    async def _keep_warm(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while len(self._warm) < self._settings.warm and processes.available_memory() > RESERVE:
                try:
                    async with self._starting:
                        self._warm.append(await self._start_one())
                except (StartError, OSError) as error:
                    log.warning("sandbox.not_started", problem=str(error))
                    await asyncio.sleep(RETRY_S)

    async def _look_after(self) -> None:
        """End those whose time is over, those that have died, and under pressure those that nobody uses."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for session in self.all:
                reason = self._over(session)
                if reason is not None:
                    await self._close(session, reason)
            if processes.available_memory() < RESERVE:
                with contextlib.suppress(FullError):
                    await self._make_room()
            self._wanted.set()

    def _over(self, session: Session) -> str | None:
        if not session.interpreter.is_alive:
            return session.interpreter.ended or "died"
        if session.is_busy:
            return None
        if session.age > self._settings.lifetime - LAST_MOMENTS:
            return "expired"
        return "idle" if session.idle > session.idle_timeout else None


def _by_memory() -> int:
    return max(1, min(MOST, int(processes.available_memory() * SHARE / EACH)))
