"""Alembic's migrations of our tables, in the package so that they ship with it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError

from shared.assistants.rows import Assistant
from shared.audit.rows import AuditEntry, AuditLink
from shared.code_sessions.rows import CodeSession, SandboxPlace
from shared.database import driver_url
from shared.embeddings.rows import EmbeddingSpace
from shared.files.rows import File
from shared.idempotency.rows import IdempotencyKey
from shared.projects.rows import AdminKey, ApiKey, Project, RateLimit, ServiceAccount
from shared.removals.rows import Removal
from shared.runs.rows import Run, RunStep
from shared.settings import SettingsError
from shared.threads.rows import Message, Thread, ThreadActivity
from shared.uploads.rows import Upload, UploadPart
from shared.usage.rows import Budget, CodeHour, UsageBytes, UsageFact, UsageMinute, UsageOfAssistant
from shared.vault.rows import DataKey
from shared.vector_stores.rows import Chunk, FileBatch, Passage, RemovedFile, StoreFile, VectorStore

TABLES = (
    Project,
    DataKey,
    RateLimit,
    ServiceAccount,
    ApiKey,
    AdminKey,
    Assistant,
    Thread,
    ThreadActivity,
    Message,
    Run,
    RunStep,
    File,
    Upload,
    UploadPart,
    IdempotencyKey,
    EmbeddingSpace,
    VectorStore,
    FileBatch,
    StoreFile,
    RemovedFile,
    Chunk,
    Passage,
    CodeSession,
    SandboxPlace,
    UsageFact,
    UsageMinute,
    UsageOfAssistant,
    UsageBytes,
    CodeHour,
    Budget,
    AuditEntry,
    AuditLink,
    Removal,
)
"""Every table there is, parents first."""


def upgrade(database_url: str) -> None:
    """Bring the database to the newest schema. Running it twice, or from two processes at once, is harmless.

    Raises SettingsError if the server doesn't let us, with what its administrator may do about it.
    """
    try:
        command.upgrade(config(database_url), "head")
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise SettingsError(f"The database refuses to be migrated: {error.orig.diag.message_primary}") from None
        raise


def config(database_url: str) -> Config:
    """Alembic's configuration without an ini file."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    settings.attributes["url"] = driver_url(database_url)
    return settings
