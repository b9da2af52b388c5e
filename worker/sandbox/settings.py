"""What the service is told. No `.env` file is read, and no credential may be in sight: there is code about."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from shared import settings as ours
from shared.settings import PREFIX, SANDBOX_PREFIX, ExistingFile, Seconds, SettingsError, WithFiles

SHORTEST_SECRET = 16
CREDENTIALS = (
    *(f"{PREFIX}{name}" for name in ("DATABASE_URL", "REDIS_URL", "MODEL_API_KEY", "EMBEDDING_API_KEY")),
    f"{PREFIX}RERANKER_API_KEY",
    "OPENAI_API_KEY",
    "PGPASSWORD",
)


def _secret(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if len(text) < SHORTEST_SECRET:
        raise ValueError(f"expected at least {SHORTEST_SECRET} characters, such as: openssl rand -hex 24")
    return value


class SandboxSettings(WithFiles):
    """One service's configuration: `ASSISTANTD_SANDBOX_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=SANDBOX_PREFIX, extra="ignore", frozen=True)

    secret: Annotated[SecretStr, BeforeValidator(_secret)] = Field(description="what clients send as a bearer token")
    environment: Path = Field(description="made by `assistantd sandbox-environment`")
    state: Path = Field(description="a directory of the service's own; emptied at each start")
    minimum: Literal["landlock", "bwrap"] = Field(default="bwrap", description="the weakest level it may run at")
    level: Literal["landlock", "bwrap"] | None = Field(default=None, description="this level and no other")
    capacity: int | None = Field(default=None, ge=1, le=2000, description="sessions held at once; default by memory")
    warm: int = Field(default=2, ge=0, le=50, description="interpreters that wait for a session")
    idle_timeout: Seconds = Field(default=timedelta(minutes=20), description="without a call, until a session ends")
    lifetime: Seconds = Field(default=timedelta(hours=1), description="of a session; the original's unit of billing")
    drain_timeout: Seconds = Field(default=timedelta(seconds=10), description="for calls to end after SIGTERM")
    certificate: ExistingFile | None = Field(default=None, description="what it shows to workers, to speak TLS")
    key: ExistingFile | None = Field(default=None, description="the key of that certificate, without a password")
    memory_mb: int = Field(default=1024, ge=256, description="of one session")
    call_timeout: Seconds = Field(default=timedelta(seconds=120), description="of a call that asks for none")

    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="where it answers Prometheus, if at all"
    )
    metrics_host: str = Field(default="127.0.0.1", description="the address for it; whoever reaches it may ask")

    log_format: Literal["console", "json"] = Field(
        default="console", validation_alias=AliasChoices(f"{PREFIX}LOG_FORMAT", "log_format")
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias=AliasChoices(f"{PREFIX}LOG_LEVEL", "log_level")
    )
    notify_socket: str | None = Field(default=None, validation_alias=AliasChoices("NOTIFY_SOCKET", "notify_socket"))


def load(defaults: Mapping[str, Any]) -> SandboxSettings:
    """Read the environment, which wins over `defaults`. Raises SettingsError, also where it holds a credential."""
    for name in CREDENTIALS:
        if os.environ.get(name):
            raise SettingsError(f"{name} is set: the sandbox service must not hold credentials (env -u {name} …)")
        if (file := ours.SECRETS / name.lower()).exists():
            raise SettingsError(f"{file} is there: the sandbox service must not hold credentials")
    known = {f"{SANDBOX_PREFIX}{name.upper()}" for name in SandboxSettings.model_fields} | {f"{SANDBOX_PREFIX}URL"}
    for name in os.environ:
        if name.startswith(SANDBOX_PREFIX) and name not in known:
            raise SettingsError(f"{name} is not a setting of the sandbox service")
    try:
        unset = {name: value for name, value in defaults.items() if f"{SANDBOX_PREFIX}{name.upper()}" not in os.environ}
        return SandboxSettings(**unset)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = str(problem["loc"][0])
        if problem["type"] == "missing":
            raise SettingsError(f"{SANDBOX_PREFIX}{field.upper()} is not set ({_description(field)})") from None
        raise SettingsError(
            f"{SANDBOX_PREFIX}{field.upper()}: {problem['msg'].removeprefix('Value error, ')}"
        ) from None


def _description(field: str) -> str | None:
    return SandboxSettings.model_fields[field].description
