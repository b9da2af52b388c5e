"""Who shows a certificate of another authority, an expired one or one for another name, or speaks an older TLS, is not
spoken to; and is named with what is wrong.
"""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import get_args

import httpx2
import pytest
from kombu.exceptions import OperationalError
from pydantic import SecretStr

from infra.doctor import postgres, services
from infra.doctor import redis as redis_examination
from infra.doctor.finding import Finding, Level
from shared.queue import celery_app
from shared.settings import Settings
from tests.bucket import KEY, REGION, SECRET
from tests.ports import free_port
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import System
from tests.tls.certificates import Authority, Flaw, agreed
from tests.tls.conftest import EMBEDDER, End, over_tls, place_of, postgres_url, redis_url_of
from tests.tls.outdated import Outdated
from tests.tls.terminator import Terminator
from worker.models.client import ModelClient, Patience
from worker.models.errors import ModelError

SAYS: dict[Flaw, tuple[str, ...]] = {
    "another authority": ("unable to get local issuer certificate", "self-signed certificate", "certificate verify"),
    "expired": ("certificate has expired", "certificate verify failed"),  # libpq says no more
    "another name": ("ostname mismatch", "does not match host name", "not valid for"),
    "TLS 1.1": ("alert protocol version",),
}


Examination = tuple[Settings, Callable[[Settings], AsyncIterator[Finding]]]


def at(settings: Settings, authority: Authority, end: End) -> dict[str, Examination]:
    """Of each thing that we speak to: settings by which it is behind that end, and what the doctor says then."""

    def altered(**fields: object) -> Settings:
        return settings.model_copy(update={"ca_file": authority.file, **fields})

    https = over_tls("http://x/v1", end, "https")
    return {
        "postgres": (altered(database_url=postgres_url("postgresql://app:x@x/x", end, authority)), postgres.examine),
        "redis": (altered(redis_url=redis_url_of("redis://:x@x/0", end, authority)), redis_examination.examine),
        "model": (altered(model_base_url=https), lambda one: services.examine_model(one, "x")),
        "embeddings": (
            altered(embedding_base_url=https, embedding_model=EMBEDDER),
            services.examine_embeddings,
        ),
        "reranker": (altered(reranker_base_url=https, reranker_model="x"), services.examine_reranker),
        "bucket": (
            altered(
                blob_url="s3://files/x",
                aws_endpoint_url=https.removesuffix("/v1"),
                aws_region=REGION,
                aws_access_key_id=KEY,
                aws_secret_access_key=SecretStr(SECRET),
                aws_ca_bundle=authority.file,
            ),
            services.examine_files,
        ),
        "sandbox": (
            altered(sandbox_url=https.removesuffix("/v1"), sandbox_secret=SecretStr("x" * 16)),
            services.examine_sandbox,
        ),
    }


KINDS = ("postgres", "redis", "model", "embeddings", "reranker", "bucket", "sandbox")


@pytest.fixture
def settings(secure: System, tmp_path: Path) -> Settings:
    return Settings(database_url=secure.database_url, redis_url=secure.redis_url, data_dir=tmp_path)


@pytest.fixture(params=get_args(Flaw))
def flaw(request: pytest.FixtureRequest) -> Flaw:
    return request.param


def flawed(
    authority: Authority, flaw: Flaw, embeddings: ScriptedEmbeddings, *, of_postgres: bool
) -> Terminator | Outdated:
    """Where TLS ends before a server, with that flaw."""
    context = authority.context(flaw)
    if flaw == "TLS 1.1":
        return Outdated(context, postgres=of_postgres)
    return Terminator(place_of(embeddings.base_url), context, postgres=of_postgres)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_with_a_flaw(
    settings: Settings, authority: Authority, embeddings: ScriptedEmbeddings, kind: str, flaw: Flaw
) -> None:
    """It would answer: nothing but the flaw is wrong."""
    with flawed(authority, flaw, embeddings, of_postgres=kind == "postgres") as end:
        configured, examine = at(settings, authority, end)[kind]
        finding = await anext(examine(configured))
        assert finding.level is Level.FAIL
        assert any(words in finding.told for words in SAYS[flaw]), finding.told
        assert end.heard == 0, "nothing was said to it"


async def test_an_authority_that_nobody_named(settings: Settings, embeddings: ScriptedEmbeddings, room: Path) -> None:
    root = room / "strangers"
    root.mkdir(exist_ok=True)
    stranger = Authority(root)
    with Terminator(place_of(embeddings.base_url), stranger.context()) as end:
        for kind in ("model", "embeddings", "reranker", "sandbox"):
            configured, examine = at(settings, stranger, end)[kind]
            finding = await anext(examine(configured.model_copy(update={"ca_file": None})))
            assert finding.level is Level.FAIL
            assert "its certificate is not trusted" in finding.told


def test_a_client_that_speaks_an_older_tls_is_refused(secure: System, authority: Authority) -> None:
    """By the API; there is somebody who takes it."""
    older = authority.trusting_older(ssl.TLSVersion.TLSv1_1)
    _, port = place_of(secure.base_url)
    with pytest.raises(ssl.SSLError):
        agreed(port, older)
    assert agreed(port, authority.trusting_older(ssl.TLSVersion.TLSv1_2)) == "TLSv1.2"
    with Outdated(authority.context("TLS 1.1"), postgres=False) as takes_it:
        assert agreed(takes_it.port, older) == "TLSv1.1"


async def of_broker(settings: Settings) -> str:
    """Celery's own connection, which messages come by; how it is refused."""

    def connect() -> None:
        with celery_app(settings).connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=10)

    with pytest.raises(OperationalError) as error:
        await asyncio.to_thread(connect)
    return str(error.value)


async def of_worker(settings: Settings) -> str:
    """How a worker, which speaks to models by another client than the doctor, is refused; it does not try again."""
    client = ModelClient(settings)
    with pytest.raises(ModelError) as error:
        _ = [chunk async for chunk in client.stream({"model": "x", "messages": []}, Patience(3, timedelta(0)))]
    await client.close()
    assert not error.value.retryable
    assert "ASSISTANTD_CA_FILE" in error.value.message
    return error.value.message


@pytest.mark.parametrize(("kind", "refused"), [("redis", of_broker), ("model", of_worker)])
async def test_a_server_with_a_flaw_that_others_than_the_doctor_speak_to(
    settings: Settings,
    authority: Authority,
    embeddings: ScriptedEmbeddings,
    kind: str,
    refused: Callable[[Settings], Awaitable[str]],
    flaw: Flaw,
) -> None:
    with flawed(authority, flaw, embeddings, of_postgres=False) as end:
        told = await refused(at(settings, authority, end)[kind][0])
        assert any(words in told or words.upper().replace(" ", "_") in told for words in SAYS[flaw]), told
        assert end.heard == 0, "nothing was said to it"


async def test_who_speaks_plainly_is_refused(secure: System) -> None:
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get(secure.base_url.replace("https", "http"))


@pytest.fixture
def files(authority: Authority, room: Path) -> dict[str, str]:
    certificate, key = authority.files()
    other = room / "another-key"
    other.mkdir(exist_ok=True)
    _, another = Authority(other).files()
    nothing = room / "nothing.pem"
    nothing.write_text("nothing")
    return {"certificate": str(certificate), "key": str(key), "another": str(another), "nothing": str(nothing)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"TLS_CERTIFICATE": "certificate"}, "ASSISTANTD_TLS_CERTIFICATE and ASSISTANTD_TLS_KEY: give both or neither"),
        ({"TLS_CERTIFICATE": "certificate", "TLS_KEY": "/none.pem"}, "ASSISTANTD_TLS_KEY: there is no file /none.pem"),
        ({"TLS_CERTIFICATE": "certificate", "TLS_KEY": "another"}, "ASSISTANTD_TLS_KEY can't be used: "),
        ({"TLS_CERTIFICATE": "nothing", "TLS_KEY": "key"}, "ASSISTANTD_TLS_KEY can't be used: "),
        ({"CA_FILE": "nothing"}, "nothing.pem holds no certificates"),
    ],
)
def test_settings_that_can_not_be_used(secure: System, files: dict[str, str], given: dict[str, str], says: str) -> None:
    ours = ("ASSISTANTD_TLS", "ASSISTANTD_CA")
    plain = {name: value for name, value in secure.environment().items() if not name.startswith(ours)}
    named = {f"ASSISTANTD_{name}": files.get(value, value) for name, value in given.items()}
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "api", "--port", str(free_port())],
        capture_output=True,
        text=True,
        check=False,
        env={**plain, **named},
        timeout=60,
    )

    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
