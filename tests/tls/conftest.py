"""A system that reaches nothing but over TLS, and is reached over it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx2
import pytest
from openai import AsyncOpenAI

from infra.embedded.postgres import Postgres
from tests.bucket import new_bucket, s3_server
from tests.scripted_model import ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import System, create_database, redis_apart
from tests.tls.certificates import NAME, Authority
from tests.tls.terminator import Terminator

EMBEDDER = "scripted-embeddings"


class End(Protocol):
    """Where TLS ends."""

    @property
    def port(self) -> int:
        """On loopback."""
        ...


@pytest.fixture(scope="package")
def authority(room: Path) -> Authority:
    root = room / "tls"
    root.mkdir(exist_ok=True)
    return Authority(root)


@dataclass(frozen=True)
class Ends:
    """Where TLS ends, in front of each server; and where the bucket's server is behind it."""

    postgres: Terminator
    redis: Terminator
    model: Terminator
    embeddings: Terminator
    bucket: Terminator
    bucket_url: str

    @property
    def all(self) -> dict[str, Terminator]:
        """By what is behind them."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Terminator)}


@pytest.fixture(scope="package")
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    scripted = ScriptedEmbeddings()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture(scope="package")
def ends(
    room: Path,
    authority: Authority,
    postgres: Postgres,
    redis_url: str,
    model: ScriptedModel,
    embeddings: ScriptedEmbeddings,
) -> Iterator[Ends]:
    with ExitStack() as stack:
        bucket = stack.enter_context(s3_server(room / "tls-s3.log"))

        def end(url: str, *, of_postgres: bool = False) -> Terminator:
            return stack.enter_context(Terminator(place_of(url), authority.context(), postgres=of_postgres))

        yield Ends(
            postgres=end(postgres.url, of_postgres=True),
            redis=end(redis_url),
            model=end(model.base_url),
            embeddings=end(embeddings.base_url),
            bucket=end(bucket),
            bucket_url=bucket,
        )


@pytest.fixture(scope="package")
async def secure(
    room: Path, authority: Authority, ends: Ends, postgres: Postgres, redis_url: str, model: ScriptedModel
) -> AsyncIterator[System]:
    """API and worker: reached over TLS, reaching everything over TLS."""
    root = room / "secure"
    root.mkdir()
    bucket = await new_bucket(ends.bucket_url)
    certificate, key = authority.files()
    settings = {
        "ASSISTANTD_TLS_CERTIFICATE": str(certificate),
        "ASSISTANTD_TLS_KEY": str(key),
        "ASSISTANTD_CA_FILE": str(authority.file),
        "ASSISTANTD_EMBEDDING_BASE_URL": over_tls("http://x/v1", ends.embeddings, "https"),
        "ASSISTANTD_EMBEDDING_MODEL": EMBEDDER,
        **bucket.settings,
        "AWS_ENDPOINT_URL_S3": over_tls(bucket.endpoint_url, ends.bucket, "https"),
        "AWS_CA_BUNDLE": str(authority.file),
        "FLOWER_UNAUTHENTICATED_API": "true",
    }
    system = System(
        root,
        postgres_url(create_database(postgres.url, "secure"), ends.postgres, authority),
        redis_url_of(redis_apart(redis_url), ends.redis, authority),
        over_tls(model.base_url, ends.model, "https"),
        settings,
    )
    await asyncio.to_thread(system.start)
    system.base_url = system.base_url.replace("http://127.0.0.1", f"https://{NAME}")
    yield system
    await asyncio.to_thread(system.stop)


@pytest.fixture
async def client(secure: System, authority: Authority) -> AsyncIterator[AsyncOpenAI]:
    http = httpx2.AsyncClient(verify=authority.trusting())
    key = await secure.key("secure")
    async with AsyncOpenAI(base_url=secure.base_url, api_key=key, max_retries=0, http_client=http) as speaking:
        yield speaking


def place_of(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def over_tls(url: str, end: End, scheme: str) -> str:
    """The same address, where TLS ends before it."""
    parts = urlsplit(url)
    credentials, _, _ = parts.netloc.rpartition("@")
    return parts._replace(scheme=scheme, netloc=f"{credentials}{'@' if credentials else ''}{NAME}:{end.port}").geturl()


def postgres_url(url: str, end: End, authority: Authority) -> str:
    return f"{over_tls(url, end, 'postgresql')}?sslmode=verify-full&sslrootcert={authority.file}"


def redis_url_of(url: str, end: End, authority: Authority) -> str:
    return f"{over_tls(url, end, 'rediss')}?ssl_ca_certs={authority.file}"
