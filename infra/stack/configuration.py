"""Which settings a command works with, and how they get to child processes."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from infra.stack.directory import DataDirectory, default
from shared.settings import AWS, PREFIX, Given, Settings, SettingsError, load

DATABASE, REDIS, MODEL = f"{PREFIX}DATABASE_URL", f"{PREFIX}REDIS_URL", f"{PREFIX}MODEL_"
EMBEDDING, RERANKER, ENCRYPTION = f"{PREFIX}EMBEDDING_", f"{PREFIX}RERANKER_", f"{PREFIX}ENCRYPTION_"
TLS = f"{PREFIX}TLS_"
TRACES = "OTEL_"  # there may be a key in its headers

_AWS = {name for name in Settings.model_fields if name.startswith(AWS.lower())}


def data_directory(chosen: Path | None) -> DataDirectory:
    """The directory named on the command line, else in the settings, else this user's own."""
    return DataDirectory(chosen or Given().data_dir or default())


def settings_for(chosen: Path | None, *, without_database: bool = False, without_redis: bool = False) -> Settings:
    """The settings of a single process: servers that are not configured are those of the running stack.

    Raises SettingsError, also where a server is neither configured nor running; one that the process can do without
    gets an address that leads nowhere.
    """
    given = Given()
    overrides: dict[str, Any] = {}
    if given.database_url is None:
        overrides["database_url"] = "postgresql://" if without_database else None
    if given.redis_url is None:
        overrides["redis_url"] = "redis://" if without_redis else None
    missing = [name for name, url in overrides.items() if url is None]
    if missing:
        directory = data_directory(chosen)
        facts = directory.running()
        if facts is None:
            raise SettingsError(f"{PREFIX}{missing[0].upper()} is not set and no stack is running on {directory.root}")
        overrides |= {"data_dir": directory.root} | {name: getattr(facts, name) for name in missing}
        if given.encryption_keys is None and directory.encryption_key.exists():
            overrides["encryption_keys"] = directory.encryption_key.read_text()
    elif chosen is not None:
        overrides["data_dir"] = chosen.resolve()
    return load(**overrides)


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """A child's environment: ours without any setting, then exactly those of `settings`, then `more`.

    What stands in a `.env` file here becomes explicit: children run in another directory.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "OPENAI_", "FLOWER_"))}
    given = {
        f"{PREFIX}{name.upper()}": _spell(getattr(settings, name))
        for name in settings.model_fields_set
        - {*_AWS, "openai_api_key", "model_base_url", "model_api_key", "notify_socket"}
    }
    given |= {name.upper(): _spell(getattr(settings, name)) for name in settings.model_fields_set & _AWS}
    if settings.upstream is not None:
        given[f"{PREFIX}MODEL_BASE_URL"], given[f"{PREFIX}MODEL_API_KEY"] = settings.upstream
    return {**kept, **given, **more}


def without(variables: dict[str, str], *prefixes: str) -> dict[str, str]:
    """The same environment less some variables: a process gets no password that it doesn't need."""
    return {name: value for name, value in variables.items() if not name.startswith(prefixes)}


def _spell(value: Any) -> str:
    """A value as the settings would read it."""
    match value:
        case timedelta():
            return str(value.total_seconds())
        case SecretStr():
            return value.get_secret_value()
        case dict():
            return json.dumps(value)
        case _:
            return str(value)
