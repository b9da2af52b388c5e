"""`assistantd doctor` against the real things, each in order and each out of order in every way that it knows."""

import asyncio
import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url, text

from infra.doctor import clock, postgres, services
from infra.doctor import redis as redis_examination
from infra.doctor.finding import Finding, Level
from infra.embedded.postgres import Postgres
from shared import ids
from shared.database import Database
from shared.files.stores import depot_of
from shared.settings import Settings
from shared.vault.masters import MasterKeys
from shared.vault.vault import Vault
from tests.sandbox.service import SandboxService, require
from tests.scripted_model import Fail, Hang, Say, ScriptedModel
from tests.scripted_model.embeddings import ScriptedEmbeddings
from tests.system import ENCRYPTION_KEY, create_database

if TYPE_CHECKING:
    import redis

NOWHERE = "127.0.0.1:1"


async def found(findings: AsyncIterator[Finding]) -> dict[str, Finding]:
    return {finding.what: finding async for finding in findings}


def levels(findings: dict[str, Finding]) -> dict[str, str]:
    return {what: str(finding.level) for what, finding in findings.items()}


def altered(settings: Settings, **fields: Any) -> Settings:
    return settings.model_copy(update=fields)


async def test_a_database_in_order(settings: Settings) -> None:
    told = await found(postgres.examine(settings))
    assert levels(told) == dict.fromkeys(
        ("postgres", "pgvector", "migrations", "wall", "search", "indexes", "connections"), "ok"
    )
    assert told["postgres"].told.startswith("18.")


async def test_a_database_that_is_away(settings: Settings) -> None:
    told = await found(postgres.examine(altered(settings, database_url=f"postgresql://app:hidden@{NOWHERE}/none")))
    assert levels(told) == {"postgres": "FAIL"}
    assert "ASSISTANTD_DATABASE_URL" in told["postgres"].told
    assert "hidden" not in told["postgres"].told


async def test_an_old_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one version of each here: what is too old is told by asking for more."""
    monkeypatch.setattr(postgres, "OLDEST", 99)
    monkeypatch.setattr(postgres, "OLDEST_VECTOR", (99, 0))
    told = await found(postgres.examine(settings))
    assert told["postgres"].level is Level.FAIL
    assert "99 or later" in told["postgres"].told
    assert "ALTER EXTENSION vector UPDATE" in told["pgvector"].told


async def test_a_database_that_was_not_migrated(settings: Settings, postgres_url: str) -> None:
    name = ids.new("key").lower()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    url = f"{postgres_url.rsplit('/', 1)[0]}/{name}"
    told = await found(postgres.examine(altered(settings, database_url=url)))
    assert levels(told) | {"pgvector": "FAIL", "migrations": "FAIL"} == levels(told)
    for what in ("pgvector", "migrations"):
        assert "assistantd migrate" in told[what].told


@pytest.mark.parametrize(("version", "says"), [("0009", "this version needs"), ("9999", "newer than this version")])
async def test_another_schema(settings: Settings, version: str, says: str) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        (head,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        connection.execute("UPDATE alembic_version SET version_num = %s", [version])
        try:
            told = await found(postgres.examine(settings))
        finally:
            connection.execute("UPDATE alembic_version SET version_num = %s", [head])
    assert told["migrations"].level is Level.FAIL
    assert version in told["migrations"].told
    assert says in told["migrations"].told


async def test_a_language_that_postgres_does_not_know(settings: Settings) -> None:
    told = await found(postgres.examine(altered(settings, search_language="klingon")))
    assert told["search"].level is Level.FAIL
    assert "klingon" in told["search"].told
    assert "english" in told["search"].told


async def test_tables_that_are_somebody_elses(settings: Settings) -> None:
    role = ids.new("key").lower()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        for statement in (
            "CREATE ROLE {} LOGIN PASSWORD 'secret'",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(role)))
    url = make_url(settings.database_url).set(username=role, password="secret").render_as_string(hide_password=False)
    told = await found(postgres.examine(altered(settings, database_url=url)))
    assert told["indexes"].level is Level.WARN
    assert "does not own the tables" in told["indexes"].told


async def test_a_role_that_can_not_keep_projects_apart(settings: Settings) -> None:
    """It has to become another one, and must not be restricted as that one is."""
    role = ids.new("key").lower()
    url = make_url(settings.database_url).set(username=role, password="secret").render_as_string(hide_password=False)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:

        async def told(statement: LiteralString) -> Finding:
            connection.execute(sql.SQL(statement).format(sql.Identifier(role)))
            return (await found(postgres.examine(altered(settings, database_url=url))))["wall"]

        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(role)))
        stranger = await told("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}")
        assert stranger.level is Level.FAIL
        assert f"GRANT assistantd_tenant TO {role} WITH INHERIT FALSE, SET TRUE" in stranger.told
        restricted = await told("GRANT assistantd_tenant TO {} WITH INHERIT TRUE, SET TRUE")
        assert restricted.level is Level.FAIL
        assert "restricted as assistantd_tenant is" in restricted.told
        assert (await told("GRANT assistantd_tenant TO {} WITH INHERIT FALSE, SET TRUE")).level is Level.OK


async def test_too_few_connections(settings: Settings) -> None:
    told = await found(postgres.examine(altered(settings, database_pool=200)))
    assert told["connections"].level is Level.WARN


async def test_a_redis_in_order(settings: Settings) -> None:
    told = await found(redis_examination.examine(settings))
    assert levels(told) == dict.fromkeys(("redis", "memory", "persistence"), "ok")
    assert told["redis"].told.startswith("Valkey 9")


async def test_a_redis_that_is_away(settings: Settings) -> None:
    told = await found(redis_examination.examine(altered(settings, redis_url=f"redis://:hidden@{NOWHERE}/0")))
    assert levels(told) == {"redis": "FAIL"}
    assert "hidden" not in told["redis"].told


async def test_a_redis_that_forgets(settings: Settings, configured: "redis.Redis") -> None:
    configured.config_set("maxmemory-policy", "allkeys-lru")
    configured.config_set("appendonly", "no")
    told = await found(redis_examination.examine(settings))
    assert told["memory"].level is Level.FAIL
    assert "allkeys-lru" in told["memory"].told
    assert told["persistence"].level is Level.WARN


async def test_an_old_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_examination, "OLDEST", (99, 0))
    told = await found(redis_examination.examine(settings))
    assert "Redis 99.0 or later" in told["redis"].told


async def test_a_wrong_password(settings: Settings, own_valkey: Any) -> None:
    url = own_valkey.url.replace(own_valkey.password, "wrong")
    told = await found(redis_examination.examine(altered(settings, redis_url=url)))
    assert levels(told) == {"redis": "FAIL"}


async def test_clocks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(await found(clock.examine(settings))) == {"clocks": "ok"}
    plain = time.time
    monkeypatch.setattr(time, "time", lambda: plain() + 30)
    told = await found(clock.examine(settings))
    assert told["clocks"].level is Level.WARN
    apart = [float(offset) for offset in re.findall(r"(?:Postgres|Redis) (\S+) s", told["clocks"].told)]
    assert apart == [pytest.approx(-30, abs=1)] * 2


async def test_files(settings: Settings, tmp_path: Path) -> None:
    assert levels(await found(services.examine_files(settings))) == {"files": "ok"}
    assert [blob.key async for blob in depot_of(settings).list()] == []

    (tmp_path / "occupied").write_text("")
    told = await found(services.examine_files(altered(settings, data_dir=tmp_path / "occupied")))
    assert levels(told) == {"files": "FAIL"}
    assert "ASSISTANTD_DATA_DIR" in told["files"].told


@pytest.mark.parametrize("key", [ENCRYPTION_KEY, None, base64.b64encode(bytes(32)).decode()])
async def test_keys_to_files(settings: Settings, key: str | None) -> None:
    async with Database(settings.database_url) as db:
        await db.all(text("INSERT INTO projects (id, name) VALUES ('proj_doctor', 'doctor') ON CONFLICT DO NOTHING"))
        await Vault(db, MasterKeys.parse(ENCRYPTION_KEY)).current("proj_doctor")

    told = await found(services.examine_encryption(altered(settings, encryption_keys=key and SecretStr(key))))

    assert levels(told) == {"encryption": "ok" if key == ENCRYPTION_KEY else "FAIL"}
    says = "can be opened" if key == ENCRYPTION_KEY else "not among ASSISTANTD_ENCRYPTION_KEYS"
    assert says in told["encryption"].told


async def test_no_keys_to_files(settings: Settings, postgres_url: str) -> None:
    url = create_database(postgres_url, ids.new("key").lower())

    told = await found(services.examine_encryption(altered(settings, database_url=url, encryption_keys=None)))

    assert levels(told) == {"encryption": "ok"}
    assert "files are stored as they are" in told["encryption"].told


async def test_the_model_is_asked(settings: Settings, model: ScriptedModel) -> None:
    name = model.script(Say("OK."), Fail(500, "out of order"))
    aliased = altered(settings, model_aliases={"mine": name})

    assert levels(await found(services.examine_model(aliased, "mine"))) == {"model": "ok"}
    assert len(model.requests(name)) == 1

    told = await found(services.examine_model(aliased, None))
    assert levels(told) == {"model": "FAIL"}
    assert "out of order" in told["model"].told


@pytest.mark.parametrize(
    ("turn", "says"), [(Fail(401, "no"), "ASSISTANTD_MODEL_API_KEY"), (Fail(404, "no such model"), "no such model")]
)
async def test_a_model_that_refuses(settings: Settings, model: ScriptedModel, turn: Any, says: str) -> None:
    told = await found(services.examine_model(settings, model.script(turn)))
    assert levels(told) == {"model": "FAIL"}
    assert says in told["model"].told


async def test_a_model_that_never_answers(settings: Settings, model: ScriptedModel) -> None:
    impatient = altered(settings, model_timeout=timedelta(seconds=0.2))
    told = await found(services.examine_model(impatient, model.script(Hang())))
    assert "ASSISTANTD_MODEL_TIMEOUT" in told["model"].told


async def test_no_model(settings: Settings) -> None:
    for lacking in (altered(settings, model_base_url=None), altered(settings, model_base_url=f"http://{NOWHERE}/v1")):
        told = await found(services.examine_model(lacking, "any"))
        assert levels(told) == {"model": "FAIL"}
        assert "ASSISTANTD_MODEL_BASE_URL" in told["model"].told


@pytest.fixture
async def embeddings() -> AsyncIterator[ScriptedEmbeddings]:
    made = ScriptedEmbeddings()
    await made.start()
    yield made
    await made.stop()


async def test_embeddings(settings: Settings, embeddings: ScriptedEmbeddings) -> None:
    assert levels(await found(services.examine_embeddings(settings))) == {"embeddings": "ok"}
    there = altered(settings, embedding_base_url=embeddings.base_url, embedding_model="scripted")
    told = await found(services.examine_embeddings(there))
    assert f"{embeddings.dimensions} dimensions" in told["embeddings"].told
    assert len(embeddings.requests) == 1

    embeddings.refused = "sentence"
    assert levels(await found(services.examine_embeddings(there))) == {"embeddings": "FAIL"}
    other = altered(there, embedding_dimensions=7)
    embeddings.refused = None
    told = await found(services.examine_embeddings(other))
    assert f"{embeddings.dimensions} dimensions in place of 7" in told["embeddings"].told
    embeddings.away = True
    assert "503" in (await found(services.examine_embeddings(there)))["embeddings"].told


async def test_a_reranker(settings: Settings, embeddings: ScriptedEmbeddings) -> None:
    assert await found(services.examine_reranker(settings)) == {}
    there = altered(settings, reranker_base_url=embeddings.base_url, reranker_model="scripted")
    assert levels(await found(services.examine_reranker(there))) == {"reranker": "ok"}
    embeddings.away = True
    told = await found(services.examine_reranker(there))
    assert levels(told) == {"reranker": "FAIL"}
    assert "503" in told["reranker"].told


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="assistantd-sandbox-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize(("level", "finding"), [("bwrap", "ok"), ("landlock", "warn")])
async def test_the_sandbox(settings: Settings, place: Path, level: str, finding: str) -> None:
    require(level)
    service = SandboxService(place, level=level, minimum=level, warm=0).start()
    try:
        there = altered(settings, sandbox_url=service.url, sandbox_secret=SecretStr(service.secret))
        told = await found(services.examine_sandbox(there))
        assert levels(told) == {"sandbox": finding}
        assert level in told["sandbox"].told

        told = await found(services.examine_sandbox(altered(there, sandbox_secret=SecretStr("wrong"))))
        assert "ASSISTANTD_SANDBOX_SECRET" in told["sandbox"].told
    finally:
        service.stop()
    told = await found(services.examine_sandbox(there))
    assert levels(told) == {"sandbox": "FAIL"}


async def test_no_sandbox(settings: Settings) -> None:
    assert levels(await found(services.examine_sandbox(settings))) == {"sandbox": "warn"}


def doctor(settings: Settings, cwd: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    variables = {
        "ASSISTANTD_DATABASE_URL": settings.database_url,
        "ASSISTANTD_REDIS_URL": settings.redis_url,
        "ASSISTANTD_DATA_DIR": str(settings.data_dir),
        "ASSISTANTD_MODEL_BASE_URL": str(settings.model_base_url),
        "ASSISTANTD_MODEL_API_KEY": "sk-never-shown",
        "ASSISTANTD_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        **more,
    }
    return subprocess.run(
        [sys.executable, "-P", "-m", "infra.cli", "doctor", *arguments],
        env={**os.environ, **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command(settings: Settings, model: ScriptedModel, tmp_path: Path) -> None:
    """One line a finding, for people and for `grep FAIL`; the status says whether there is one."""
    name = model.script(Say("OK."))
    done = await asyncio.to_thread(doctor, settings, tmp_path, "--model", name)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == [
        *("postgres", "pgvector", "migrations", "wall", "search", "indexes", "connections"),
        *("redis", "memory", "persistence", "clocks", "files", "encryption", "model", "embeddings", "sandbox"),
    ]

    away = f"redis://:{'hidden'}@{NOWHERE}/0"
    done = await asyncio.to_thread(doctor, settings, tmp_path, "--model", name, ASSISTANTD_REDIS_URL=away)
    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAIL")] == ["redis", "model"]
    for secret in ("hidden", "sk-never-shown"):
        assert secret not in done.stdout + done.stderr


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    return postgres.url
