"""Data keys, unwrapped and at hand."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row
from shared.settings import Settings
from shared.vault import statements
from shared.vault.masters import MasterKeys, Masters, MastersAway, NoMasterKey
from shared.vault.opened import DamagedError, Opened

DATA_KEY_SIZE = 32  # bytes: AES-256
REMEMBERED_FOR_S = 60.0
MAX_REMEMBERED = 10_000
ASKED_WITHIN_S = 5.0
"""How long whoever keeps the master keys may take. A claim waits for it, whose lease is longer."""
UNUSED = timedelta(hours=7)
"""After which nothing is sealed by a retired key any more: longer than storing one blob may take (`STORED_WITHIN`)."""
AT_ONCE = 100
ORGANIZATION = ""  # in place of a project's id, in memory: whose the key is that is no project's


class ShreddedError(LookupError):
    """The data key is gone, and what it sealed with it."""


class _NoKeyYetError(Exception):
    """The organization has no key."""


class Vault:
    """The data keys of all projects, each remembered for a minute: as long may a deleted one go on to open things.

    Then it is dropped. However many want one that isn't remembered, it is asked for once.
    """

    def __init__(self, db: Executor, masters: Masters) -> None:
        self._db = db
        self._masters = masters
        self._current: dict[str, tuple[Opened, float]] = {}
        self._known: dict[UUID, tuple[Opened, float]] = {}
        self._asked: dict[Hashable, asyncio.Task[Opened]] = {}

    @property
    def master(self) -> str:
        """The name of the master key in use."""
        return self._masters.current

    async def current(self, project_id: str) -> Opened:
        """The key that seals what is the project's now; made if it has none. Raises NoMasterKey, DamagedError,
        ShreddedError.
        """
        remembered = self._current.get(project_id)
        if remembered is not None and remembered[1] > time.monotonic():
            return remembered[0]
        return await self._together(project_id, lambda: self._current_of(project_id))

    async def _current_of(self, project_id: str) -> Opened:
        since = time.monotonic()
        rows = await self._db.all(statements.OF_PROJECT, {"project_id": project_id})
        if not _in_use(rows):
            await self._db.all(statements.ADD, await self.new_key(project_id))
            rows = await self._db.all(statements.OF_PROJECT, {"project_id": project_id})
        if not _in_use(rows):
            raise ShreddedError(f"the project {project_id} is gone")
        opened = await self.open(rows[0])
        self._current[project_id] = self._remember(opened, since)
        for retired in rows[1:]:  # so that rows find theirs at hand
            try:
                self._remember(await self.open(retired), since)
            except MastersAway:
                break
            except (NoMasterKey, DamagedError):
                continue
        return opened

    def at_hand(self, key_id: UUID) -> Opened:
        """The key of that id if it is remembered. Raises LookupError."""
        opened = self._remembered(key_id)
        if opened is None:
            raise LookupError(f"the data key {key_id} has to be asked for")
        return opened

    async def find(self, key_id: UUID) -> Opened:
        """The key of that id. Raises ShreddedError, NoMasterKey, DamagedError."""
        if (opened := self._remembered(key_id)) is not None:
            return opened
        return await self._together(key_id, lambda: self._found(key_id))

    async def _found(self, key_id: UUID) -> Opened:
        since = time.monotonic()
        row = await self._db.one(statements.FIND, {"id": key_id})
        if row is None:
            raise ShreddedError(f"the data key {key_id} is gone")
        return self._remember(await self.open(row), since)[0]

    async def of_organization(self) -> bytes | None:
        """The key that is no project's, by which clients' keys are hashed; None if there is none yet. Raises
        NoMasterKey, DamagedError.
        """
        remembered = self._current.get(ORGANIZATION)
        if remembered is not None and remembered[1] > time.monotonic():
            return remembered[0].secret
        try:
            return (await self._together(ORGANIZATION, self._of_organization)).secret
        except _NoKeyYetError:
            return None

    async def _of_organization(self) -> Opened:
        since = time.monotonic()
        row = await self._db.one(statements.OF_ORGANIZATION)
        if row is None:
            raise _NoKeyYetError
        opened = await self.open(row)
        self._current[ORGANIZATION] = self._remember(opened, since)
        return opened

    async def rewrap(self, by: Actor) -> int:
        """Wrap by the current master key what others wrapped; returns how many data keys. Raises NoMasterKey, and
        DamagedError, which names the keys that are, once all the others have been wrapped.

        A crash leaves the rest as it was, and every key can be opened by one of the two at every moment.
        """
        count, damaged = 0, list[UUID]()
        others = {"master": self._masters.current, "at_most": AT_ONCE}
        while rows := await self._db.all(statements.BY_OTHERS, {**others, "but": damaged}):
            for row in rows:
                try:
                    secret = (await self.open(row)).secret
                except DamagedError:
                    damaged.append(row["id"])
                    continue
                wrapped = await _in_time(self._masters.wrap(secret, _bound_to(row["id"])))
                told = entry(by, "data_key.rewrapped", str(row["id"]), row["project_id"])
                params = {"id": row["id"], "wrapped": wrapped, "master": self._masters.current, "entry": told}
                done = await self._db.one(statements.REWRAP, {**params, "former": row["master"]})
                count += done is not None
        if damaged:
            named = ", ".join(map(str, damaged))
            raise DamagedError(f"{count} data keys rewrapped; these are damaged, and left as they were: {named}")
        return count

    async def retire(self, by: Actor) -> int:
        """Let every project begin a new key; returns of how many. Other processes go on with theirs for a minute.

        A crash leaves the rest in use.
        """
        self._current.clear()
        count = 0
        for row in await self._db.all(statements.IN_USE):
            told = entry(by, "data_key.retired", str(row["id"]), row["project_id"])
            count += await self._db.one(statements.RETIRE, {"id": row["id"], "entry": told}) is not None
        return count

    async def forget(self, by: Actor) -> int:
        """Forget keys that were retired long ago. Whoever calls it has seen that nothing is sealed by them."""
        count = 0
        for row in await self._db.all(statements.UNUSED, {"unused": UNUSED}):
            told = entry(by, "data_key.deleted", str(row["id"]), row["project_id"])
            count += await self._db.one(statements.FORGET, {"id": row["id"], "entry": told}) is not None
        return count

    async def count(self) -> Sequence[Row]:
        """`in_use` and `retired` keys by `master`."""
        return await self._db.all(statements.COUNT)

    async def new_key(self, project_id: str | None) -> dict[str, Any]:
        """A key that nobody has yet, wrapped: the parameters of the statements that add one. Raises NoMasterKey."""
        key_id = uuid4()
        wrapped = await _in_time(self._masters.wrap(os.urandom(DATA_KEY_SIZE), _bound_to(key_id)))
        return {"id": key_id, "project_id": project_id, "master": self._masters.current, "wrapped": wrapped}

    async def open(self, row: Row) -> Opened:
        """The data key of this row. Raises NoMasterKey, DamagedError."""
        try:
            asked = self._masters.unwrap(row["master"], bytes(row["wrapped"]), _bound_to(row["id"]))
            secret = await _in_time(asked)
        except DamagedError as error:
            raise DamagedError(f"the data key {row['id']} is damaged: {error}") from None
        return Opened(row["id"], row["project_id"] or ORGANIZATION, secret)

    def _remembered(self, key_id: UUID) -> Opened | None:
        opened, until = self._known.get(key_id, (None, 0.0))
        return opened if until > time.monotonic() else None

    def _remember(self, opened: Opened, since: float) -> tuple[Opened, float]:
        """For a minute since its row was asked for: a slow answer keeps no key alive that was deleted meanwhile."""
        for known in (self._current, self._known):
            if len(known) >= MAX_REMEMBERED:
                known.clear()
        entry = self._known[opened.id] = opened, since + REMEMBERED_FOR_S
        asyncio.get_running_loop().call_at(entry[1], self._drop, entry)
        return entry

    def _drop(self, entry: tuple[Opened, float]) -> None:
        opened, _ = entry
        if self._known.get(opened.id) is entry:
            del self._known[opened.id]
        if self._current.get(opened.project_id) is entry:
            del self._current[opened.project_id]

    async def _together(self, what: Hashable, ask: Callable[[], Coroutine[Any, Any, Opened]]) -> Opened:
        """What somebody asks for already, or does now. Whoever stops to wait for it leaves it to the others."""
        task = self._asked.get(what)
        if task is None:
            task = self._asked[what] = asyncio.create_task(ask())
            task.add_done_callback(lambda done: self._answered(what, done))
        return await asyncio.shield(task)

    def _answered(self, what: Hashable, task: asyncio.Task[Opened]) -> None:
        del self._asked[what]
        if not task.cancelled():
            task.exception()  # nobody may be there any more to hear of it


def vault_of(settings: Settings, db: Executor) -> Vault | None:
    """That of this process, if its settings have master keys."""
    keys = settings.encryption_keys
    return None if keys is None else Vault(db, MasterKeys.parse(keys.get_secret_value()))


async def _in_time(answer: Awaitable[bytes]) -> bytes:
    """Raises MastersAway where it takes too long."""
    try:
        async with asyncio.timeout(ASKED_WITHIN_S):
            return await answer
    except TimeoutError:
        raise MastersAway(f"who keeps the master keys did not answer within {ASKED_WITHIN_S:g} seconds") from None


def _in_use(rows: Sequence[Row]) -> bool:
    """Is the first of them in use?"""
    return bool(rows) and rows[0]["retired_at"] is None


def _bound_to(key_id: UUID) -> bytes:
    """So that the wrapped key of one row can't be put into another."""
    return b"assistantd data key " + key_id.bytes
