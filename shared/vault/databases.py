"""The database of a process, with the vault that its settings name."""

from contextlib import suppress

from shared.database import Database
from shared.settings import Settings
from shared.vault.contents import Contents
from shared.vault.masters import NoMasterKey
from shared.vault.opened import DamagedError
from shared.vault.statements import ONE_BY_EACH
from shared.vault.vault import ShreddedError, vault_of


def database_of(settings: Settings, pool_size: int | None = None) -> Database:
    """Nothing is asked of it yet. Close it at the end."""
    database = Database(settings.database_url, pool_size or settings.database_pool)
    if settings.encryption_keys is not None:
        database.keys = Database(settings.database_url, pool_size=1)
        database.contents = Contents(vault_of(settings, database.keys))
    return database


async def require_keys(database: Database) -> None:
    """Raises NoMasterKey if there are data keys in use that this process can't open, and others may; MastersAway if
    that can't be known at the moment. What was opened within a minute is not asked for again.
    """
    vault = database.contents.vault
    for row in await database.all(ONE_BY_EACH):
        if vault is None:
            raise NoMasterKey("content is sealed, and ASSISTANTD_ENCRYPTION_KEYS is not set")
        with suppress(DamagedError, ShreddedError):  # nobody can, and other projects go on
            await vault.find(row["id"])
