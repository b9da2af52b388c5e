"""Everything that can be configured, and the only reader of the environment.

Each field is set by `ASSISTANTD_<FIELD>` in the environment, in a `.env` file of the working directory, or by a file of
that name in SECRETS, where container engines put secrets; what is named first wins. `load()` answers with a `Settings`
or raises `SettingsError`, whose message is one line that names the variable, so that a process with a bad setting ends
before it has begun anything.
"""

import base64
import binascii
import difflib
import json
import os
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from shared.crashpoints import Point
from shared.sentinel import SCHEME, Watched, is_watched

PREFIX = "ASSISTANTD_"
AWS = "AWS_"  # the prefix of what belongs to S3
SANDBOX_PREFIX = f"{PREFIX}SANDBOX_"
KEY_PREFIX = "sk-assistantd-"  # how our own keys begin: told apart from a model provider's at a glance
SECRETS = Path("/run/secrets")  # files in small letters: assistantd_model_api_key
MASTER_KEY_SIZE = 32  # bytes: AES-256
OPENAI_URL = "https://api.openai.com/v1"


class SettingsError(Exception):
    """A setting is missing or unusable; the message is one line naming its variable."""


def _seconds(value: Any) -> Any:
    """Numbers are seconds, whole or not: `10`, `0.5`."""
    try:
        return value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    except (TypeError, ValueError):
        raise ValueError("expected a number of seconds") from None


def _object(value: Any) -> Any:
    """A JSON object in a string; the message of a parser says less than this one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('expected a JSON object, such as {"gpt-4": "my-model", "*": "my-model"}') from None


def _watched(value: Any) -> Any:
    """An address of Sentinels, if it is one, has to be whole. The value is never shown: there are passwords in it."""
    if isinstance(value, str) and is_watched(value):
        Watched.parse(value)
    return value


def _place(value: Any) -> Any:
    """Where bytes are stored. The value is never shown: somebody may have put a secret into it."""
    if value is None:
        return None
    url = urlsplit(str(value))
    if url.scheme not in ("file", "s3"):
        raise ValueError("expected file:///directory or s3://bucket/prefix")
    if url.query or url.fragment or "@" in url.netloc:
        raise ValueError("expected nothing but a place: region, endpoint and credentials are set by AWS_… variables")
    if url.scheme == "file" and (url.netloc or not url.path.startswith("/")):
        raise ValueError("expected file:// and an absolute path, with three slashes: file:///var/lib/files")
    if url.scheme == "s3" and not url.netloc:
        raise ValueError("expected the name of a bucket: s3://bucket/prefix")
    return value


def _master_keys(value: Any) -> Any:
    """Keys of 32 bytes. They are never shown."""
    for place, text in enumerate(value.split(",") if isinstance(value, str) else (), 1):
        try:
            size = len(base64.b64decode(text.strip(), validate=True))
        except binascii.Error:
            size = 0
        if size != MASTER_KEY_SIZE:
            raise ValueError(
                f"key {place} is not {MASTER_KEY_SIZE} bytes in base64: `openssl rand -base64 32` makes one"
            )
    return value


def _file(value: Any) -> Any:
    """A file that is there. Its whole path: children work in another directory."""
    if value is None:
        return None
    path = Path(value).absolute()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _authorities(value: Any) -> Any:
    """Such a file with certificates in it."""
    path = _file(value)
    if path is not None:
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            raise ValueError(f"{path} holds no certificates: {error}") from None
    return path


ExistingFile = Annotated[Path, BeforeValidator(_file)]
Authorities = Annotated[Path, BeforeValidator(_authorities)]


def _aws(*names: str) -> AliasChoices:
    """Under the names that Amazon's own tools read. The last is the field's, for overrides."""
    return AliasChoices(*names[:-1], names[-1].upper(), names[-1])


Seconds = Annotated[timedelta, BeforeValidator(_seconds)]


def _url(*schemes: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value is not None and urlsplit(str(value)).scheme not in schemes:
            raise ValueError(f"expected a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return value

    return BeforeValidator(check)


def _urls(*schemes: str) -> BeforeValidator:
    """Several, separated by commas."""

    def check(value: Any) -> Any:
        if value is not None and any(urlsplit(url).scheme not in schemes for url in str(value).split(",")):
            begins = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ValueError(f"expected URLs that begin with {begins}, separated by commas")
        return value

    return BeforeValidator(check)


class WithFiles(BaseSettings):
    """Settings that may also be files in SECRETS, which need not exist."""

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = SecretsSettingsSource(settings_cls, SECRETS) if SECRETS.is_dir() else file_secret_settings
        return init_settings, env_settings, dotenv_settings, files


class Settings(WithFiles):
    """One process's configuration, validated and frozen."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    database_url: Annotated[str, _url("postgresql")] = Field(description="Postgres 16 or later with pgvector")
    redis_url: Annotated[str, _url("redis", "rediss", "unix", SCHEME), BeforeValidator(_watched)] = Field(
        description="Redis 6.2 or later, or Valkey"
    )
    data_dir: Path = Field(default=Path("data"), description="uploaded and generated files live below it")

    blob_url: Annotated[str | None, BeforeValidator(_place)] = Field(
        default=None, description="another place for files: file:///directory or s3://bucket/prefix"
    )
    aws_endpoint_url: Annotated[str | None, _url("http", "https")] = Field(
        default=None,
        validation_alias=_aws("AWS_ENDPOINT_URL_S3", "aws_endpoint_url"),
        description="a server that speaks S3 and isn't Amazon's",
    )
    aws_region: str | None = Field(
        default=None, validation_alias=_aws("AWS_REGION", "AWS_DEFAULT_REGION", "aws_region")
    )
    aws_access_key_id: str | None = Field(default=None, repr=False, validation_alias=_aws("aws_access_key_id"))
    aws_secret_access_key: SecretStr | None = Field(default=None, validation_alias=_aws("aws_secret_access_key"))
    aws_session_token: SecretStr | None = Field(default=None, validation_alias=_aws("aws_session_token"))
    aws_ca_bundle: Path | None = Field(
        default=None,
        validation_alias=_aws("aws_ca_bundle"),
        description="certificates of the authorities that the bucket's server may have its own from",
    )

    tls_certificate: ExistingFile | None = Field(
        default=None, description="what the API (and the embedder) shows to clients, with those between it and its root"
    )
    tls_key: ExistingFile | None = Field(default=None, description="the key of that certificate, without a password")
    ca_file: Authorities | None = Field(
        default=None,
        description="certificates of authorities to trust besides the public ones: for models, embeddings, reranker "
        "and sandbox",
    )

    encryption_keys: Annotated[SecretStr | None, BeforeValidator(_master_keys)] = Field(
        default=None,
        description="32 bytes in base64, or several such, separated by commas; the first one seals content and files",
    )

    model_base_url: Annotated[str | None, _url("http", "https")] = Field(
        default=None, description="an OpenAI-compatible endpoint, up to and including its /v1"
    )
    model_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices(f"{PREFIX}MODEL_API_KEY", "model_api_key"),
        description="sent to that endpoint as a bearer token",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"),
        description="with no MODEL_BASE_URL: use api.openai.com with this key",
    )
    model_aliases: Annotated[dict[str, str], NoDecode, BeforeValidator(_object)] = Field(
        default_factory=dict, description='JSON: requested model to upstream model, "*" for any other'
    )
    model_timeout: Seconds = Field(default=timedelta(seconds=120), description="longest silence of the model")

    context_tokens: int = Field(
        default=100_000, ge=1000, description="of a request; what a model takes, less its answer"
    )
    model_attempts: int = Field(default=4, ge=1, le=100, description="tries to get a first word from the model")
    model_pause: Seconds = Field(default=timedelta(seconds=0.5), description="before the second try; doubles, to 8 s")

    trace_model: bool = Field(
        default=False, description="tell the model endpoint of our traces (a traceparent header: ids, nothing else)"
    )

    search_language: Annotated[str, StringConstraints(pattern="^[a-z_]+$")] = Field(
        default="english", description="of files put into new stores: a text search configuration of Postgres"
    )
    embedding_base_url: Annotated[str | None, _url("http", "https")] = Field(
        default=None,
        description="an OpenAI-compatible endpoint for embeddings; without one, search goes by words alone",
    )
    embedding_api_key: SecretStr | None = Field(default=None, description="sent to that endpoint as a bearer token")
    embedding_model: str | None = Field(default=None, description="what it calls its model")
    embedding_dimensions: int | None = Field(
        default=None, ge=1, le=16_000, description="asked for; without it, as many as the model has"
    )
    embedding_window: int = Field(default=800, ge=50, description="tokens of a text that make one vector, at most")
    embedding_batch: int = Field(default=64, ge=1, le=2048, description="texts of one request")
    reranker_base_url: Annotated[str | None, _url("http", "https")] = Field(
        default=None, description="an endpoint that answers POST /rerank: a second opinion on what a search found"
    )
    reranker_api_key: SecretStr | None = Field(default=None, description="sent to that endpoint as a bearer token")
    reranker_model: str | None = Field(default=None, description="what it calls its model")
    rewrite_model: str | None = Field(
        default=None, description="the model endpoint's name of a model that says questions anew, for `rewrite_query`"
    )

    sandbox_url: Annotated[str | None, _urls("http", "https")] = Field(
        default=None,
        description="the code interpreter's service, or several, separated by commas; without, runs that call it fail",
    )
    sandbox_secret: SecretStr | None = Field(default=None, description="shared with that service")

    run_expires_after: Seconds = Field(default=timedelta(seconds=600), description="from creation to `expired`")
    run_max_attempts: int = Field(default=3, ge=1, description="crashes of a worker that one run may cost")
    project_concurrency: int | None = Field(
        default=None, ge=1, description="runs of one project held at once, unless it has a limit of its own"
    )
    limits_without_redis: Literal["admit", "refuse"] = Field(
        default="admit", description="requests of limited projects while Redis can't count them"
    )
    lease_duration: Seconds = Field(default=timedelta(seconds=10), description="silence after which a worker is dead")
    worker_concurrency: int = Field(default=1000, ge=1, le=10_000, description="runs that one process holds at once")
    ingest_memory: int = Field(default=2048, ge=512, description="MiB of address space that reading a file may take")
    ingest_timeout: Seconds = Field(default=timedelta(seconds=600), description="processor time that it may take")
    drain_timeout: Seconds = Field(default=timedelta(seconds=25), description="for turns to end after SIGTERM")
    database_pool: int = Field(default=10, ge=2, le=200, description="connections to Postgres a process")

    log_format: Literal["console", "json"] = Field(default="console", description="for people or for machines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info")
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="where this process answers Prometheus; without one, nowhere"
    )
    metrics_host: str = Field(default="127.0.0.1", description="the address for it; whoever reaches it may ask")
    prices: Path | None = Field(default=None, description="a list of prices in place of shared/usage/prices.toml")
    crash_at: Point | None = Field(default=None, description="for tests: where a process dies")
    notify_socket: str | None = Field(
        default=None,
        validation_alias=AliasChoices("NOTIFY_SOCKET", "notify_socket"),
        description="systemd's readiness protocol; set by a supervisor, never by hand",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        for name in ("run_expires_after", "lease_duration", "drain_timeout", "ingest_timeout", "model_timeout"):
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"{PREFIX}{name.upper()}: must be more than 0 seconds")
        if (self.embedding_base_url is None) != (self.embedding_model is None):
            raise ValueError(f"{PREFIX}EMBEDDING_BASE_URL and {PREFIX}EMBEDDING_MODEL: give both or neither")
        if (self.reranker_base_url is None) != (self.reranker_model is None):
            raise ValueError(f"{PREFIX}RERANKER_BASE_URL and {PREFIX}RERANKER_MODEL: give both or neither")
        if (self.sandbox_url is None) != (self.sandbox_secret is None):
            raise ValueError(f"{PREFIX}SANDBOX_URL and {PREFIX}SANDBOX_SECRET: give both or neither")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"{PREFIX}TLS_CERTIFICATE and {PREFIX}TLS_KEY: give both or neither")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set together or not at all")
        return self

    @property
    def upstream(self) -> tuple[str, str] | None:
        """Base URL and key of the configured model endpoint; None where none is configured.

        One of our own keys in OPENAI_API_KEY is a client's setting that leaked into the server's environment
        (`source DATA_DIR/env` does that) and never a provider's key.
        """
        key = self.model_api_key or self.openai_api_key
        ours = key is not None and key.get_secret_value().startswith(KEY_PREFIX)
        if self.model_base_url is not None:
            return self.model_base_url, "none" if key is None or ours else key.get_secret_value()
        if key is None or ours:
            return None
        return OPENAI_URL, key.get_secret_value()

    @property
    def embeddings(self) -> tuple[str, str, str] | None:
        """Base URL, key and model of the configured endpoint for embeddings; None where none is configured."""
        if self.embedding_base_url is None or self.embedding_model is None:
            return None
        key = self.embedding_api_key
        return self.embedding_base_url, "none" if key is None else key.get_secret_value(), self.embedding_model


class Given(WithFiles):
    """What is given at all of the settings that an embedded stack can provide itself."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    database_url: str | None = None
    redis_url: str | None = None
    data_dir: Path | None = None
    encryption_keys: SecretStr | None = None


class Telemetry(BaseSettings):
    """What OpenTelemetry's own variables ask for. They are read from the environment alone, as its SDK does. The
    others, of headers, sampler and batches, it reads itself.
    """

    model_config = SettingsConfigDict(env_prefix="OTEL_", env_ignore_empty=True, extra="ignore", frozen=True)

    sdk_disabled: str = "false"
    traces_exporter: Literal["otlp", "none"] | None = None
    exporter_otlp_endpoint: str | None = None
    exporter_otlp_traces_endpoint: str | None = None
    exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    exporter_otlp_traces_protocol: Literal["http/protobuf"] = "http/protobuf"
    instrumentation_genai_capture_message_content: str = "false"

    @property
    def wants_traces(self) -> bool:
        """An endpoint or an exporter is named, and nothing says that there shall be none."""
        if self.sdk_disabled.lower() == "true" or self.traces_exporter == "none":
            return False
        return bool(self.traces_exporter or self.exporter_otlp_endpoint or self.exporter_otlp_traces_endpoint)

    @property
    def wants_content(self) -> bool:
        """What is said may stand in spans."""
        return self.instrumentation_genai_capture_message_content.lower() in ("true", "span_only", "span_and_event")


def telemetry() -> Telemetry:
    """Read OTEL_*. Raises SettingsError, for instance where spans shall go over gRPC, which needs more libraries."""
    try:
        return Telemetry()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(f"OTEL_{str(problem['loc'][0]).upper()}: {problem['msg']}") from None


def load(**overrides: Any) -> Settings:
    """Read the environment and `.env`; `overrides` (field names) win over both. Raises SettingsError."""
    _refuse_unknown()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        message = problem["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in problem["loc"])
        if not where:
            raise SettingsError(message) from None
        variable = where if where.isupper() else f"{PREFIX}{where.upper()}"
        if problem["type"] == "missing":
            description = Settings.model_fields[where].description
            raise SettingsError(f"{variable} is not set ({description})") from None
        raise SettingsError(f"{variable}: {message}") from None


def _refuse_unknown() -> None:
    """A misspelt setting would be accepted and ignored: name it instead."""
    known = {name for field in Settings.model_fields for name in _variables(field)}
    given = sorted({*os.environ, *dotenv_values(".env")})
    for variable in given:
        if variable.startswith(SANDBOX_PREFIX) and variable in os.environ:
            continue  # the service's own, which reads no .env; see worker/sandbox/settings.py
        if variable.startswith(PREFIX) and variable not in known:
            close = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{variable} is not a setting of assistantd{hint}")
    if f"{PREFIX}BLOB_URL" in given:
        _refuse_misspelt({name for name in known if name.startswith(AWS)}, given)


def _refuse_misspelt(known: set[str], given: Sequence[str]) -> None:
    """Amazon's tools read many variables that we don't know: only what looks like one of ours is refused."""
    for variable in given:
        if variable.startswith(AWS) and not variable.startswith(tuple(known)):
            close = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if close:
                raise SettingsError(f"{variable} is not a setting of assistantd; did you mean {close[0]}?")


def _variables(field: str) -> set[str]:
    """The environment's names of a field."""
    alias = Settings.model_fields[field].validation_alias
    if not isinstance(alias, AliasChoices):
        return {f"{PREFIX}{field.upper()}"}
    return {choice for choice in alias.choices if isinstance(choice, str) and choice.isupper()}
