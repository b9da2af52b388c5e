"""The database of a process, with the vault that its settings name."""

from shared.database import Database
from shared.settings import Settings
from shared.vault.contents import Contents
from shared.vault.vault import vault_of


def database_of(settings: Settings, pool_size: int | None = None) -> Database:
    """Nothing is asked of it yet. Close it at the end."""
    database = Database(settings.database_url, pool_size or settings.database_pool)
    database.contents = Contents(vault_of(settings, database))
    return database
