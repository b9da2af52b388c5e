"""Data keys, unwrapped and at hand."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.audit.actor import Actor
from shared.audit.entries import entry
from shared.database import Executor, Row
from shared.settings import Settings
from shared.vault import statements
from shared.vault.masters import MasterKeys, Masters, NoMasterKey
from shared.vault.opened import Opened

DATA_KEY_SIZE = 32  # bytes: AES-256
REMEMBERED_FOR_S = 60.0
MAX_REMEMBERED = 10_000
UNUSED = timedelta(hours=7)
"""After which nothing is sealed by a retired key any more: longer than storing one blob may take (`STORED_WITHIN`)."""
AT_ONCE = 100


class ShreddedError(LookupError):
    """The data key is gone, and what it sealed with it."""


class Vault:
    """The data keys of all projects, each remembered for a minute: as long may a deleted one go on to open things."""

    def __init__(self, db: Executor, masters: Masters) -> None:
        self._db = db
        self._masters = masters
        self._current: dict[str, tuple[Opened, float]] = {}
        self._known: dict[UUID, tuple[Opened, float]] = {}
        self._of_organization: tuple[bytes, float] | None = None

    @property
    def master(self) -> str:
        """The name of the master key in use."""
        return self._masters.current

    async def current(self, project_id: str) -> Opened:
        """The key that seals what is the project's now; made if it has none. Raises NoMasterKey, ShreddedError."""
        remembered = self._current.get(project_id)
        if remembered is not None and remembered[1] > time.monotonic():
            return remembered[0]
        rows = await self._db.all(statements.OF_PROJECT, {"project_id": project_id})
        if not _in_use(rows):
            await self._db.all(statements.ADD, await self.new_key(project_id))
            rows = await self._db.all(statements.OF_PROJECT, {"project_id": project_id})
        if not _in_use(rows):
            raise ShreddedError(f"the project {project_id} is gone")
        for retired in rows[1:]:  # so that rows find theirs at hand
            with suppress(NoMasterKey):
                self._remember(await self.open(retired))
        opened = await self.open(rows[0])
        self._current[project_id] = self._remember(opened)
        return opened

    def at_hand(self, key_id: UUID) -> Opened:
        """The key of that id if it is remembered. Raises LookupError."""
        opened = self._remembered(key_id)
        if opened is None:
            raise LookupError(f"the data key {key_id} has to be asked for")
        return opened

    async def find(self, key_id: UUID) -> Opened:
        """The key of that id. Raises ShreddedError, NoMasterKey."""
        if (opened := self._remembered(key_id)) is not None:
            return opened
        row = await self._db.one(statements.FIND, {"id": key_id})
        if row is None:
            raise ShreddedError(f"the data key {key_id} is gone")
        return self._remember(await self.open(row))[0]

    async def of_organization(self) -> bytes | None:
        """The key that is no project's, by which clients' keys are hashed; None if there is none yet. Raises
        NoMasterKey.
        """
        if self._of_organization is None or self._of_organization[1] <= time.monotonic():
            row = await self._db.one(statements.OF_ORGANIZATION)
            if row is None:
                return None
            self._of_organization = await self.unwrap(row), time.monotonic() + REMEMBERED_FOR_S
        return self._of_organization[0]

    async def rewrap(self, by: Actor) -> int:
        """Wrap by the current master key what others wrapped; returns how many data keys. Raises NoMasterKey.

        A crash leaves the rest as it was, and every key can be opened by one of the two at every moment.
        """
        count = 0
        while rows := await self._db.all(statements.BY_OTHERS, {"master": self._masters.current, "at_most": AT_ONCE}):
            for row in rows:
                wrapped = await self._masters.wrap(await self.unwrap(row), _bound_to(row["id"]))
                told = entry(by, "data_key.rewrapped", str(row["id"]), row["project_id"])
                params = {"id": row["id"], "wrapped": wrapped, "master": self._masters.current, "entry": told}
                done = await self._db.one(statements.REWRAP, {**params, "former": row["master"]})
                count += done is not None
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
        """A key that nobody has yet, wrapped: the parameters of the statements that add one."""
        key_id = uuid4()
        wrapped = await self._masters.wrap(os.urandom(DATA_KEY_SIZE), _bound_to(key_id))
        return {"id": key_id, "project_id": project_id, "master": self._masters.current, "wrapped": wrapped}

    async def open(self, row: Row) -> Opened:
        """The project's data key of this row. Raises NoMasterKey."""
        return Opened(row["id"], row["project_id"], await self.unwrap(row))

    async def unwrap(self, row: Row) -> bytes:
        """What is wrapped in this row. Raises NoMasterKey."""
        return await self._masters.unwrap(row["master"], bytes(row["wrapped"]), _bound_to(row["id"]))

    def _remembered(self, key_id: UUID) -> Opened | None:
        opened, until = self._known.get(key_id, (None, 0.0))
        return opened if until > time.monotonic() else None

    def _remember(self, opened: Opened) -> tuple[Opened, float]:
        for known in (self._current, self._known):
            if len(known) >= MAX_REMEMBERED:
                known.clear()
        entry = self._known[opened.id] = opened, time.monotonic() + REMEMBERED_FOR_S
        return entry


def vault_of(settings: Settings, db: Executor) -> Vault | None:
    """That of this process, if its settings have master keys."""
    keys = settings.encryption_keys
    return None if keys is None else Vault(db, MasterKeys.parse(keys.get_secret_value()))


def _in_use(rows: Sequence[Row]) -> bool:
    """Is the first of them in use?"""
    return bool(rows) and rows[0]["retired_at"] is None


def _bound_to(key_id: UUID) -> bytes:
    """So that the wrapped key of one row can't be put into another."""
    return b"assistantd data key " + key_id.bytes
