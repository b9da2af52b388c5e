"""The role that tenants are in, on servers where we may make it, where we may not, and where many try at once."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from api.app import create_app
from infra.embedded.postgres import Postgres
from shared.database import Database
from shared.migrations import upgrade
from shared.settings import Settings, SettingsError
from tests.tenancy.rows import MINE, THEIRS, fill
from tests.tenancy.test_connections import everybody_is_who_they_are

GRANT = "GRANT assistantd_tenant TO {role} WITH INHERIT FALSE, SET TRUE"


@pytest.fixture
def server(room: Path, tmp_path: Path) -> Iterator[Postgres]:
    """One on which nobody has been before."""
    fresh = Postgres(room / tmp_path.name, settings={"fsync": "off"})
    fresh.start()
    yield fresh
    fresh.stop()


def execute(url: str, *statements: str, **names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            told = {name: sql.Identifier(value) for name, value in names.items()}
            connection.execute(sql.SQL(statement).format(**told))  # pyright: ignore[reportArgumentType] # it is ours


def database_of(server: Postgres, role: str, powers: str = "") -> str:
    """The URL of a database that belongs to a new role, which is no superuser."""
    create = f"CREATE ROLE {{role}} LOGIN PASSWORD 'secret' {powers}"
    execute(server.url, create, "CREATE DATABASE {role} OWNER {role}", role=role)
    url = make_url(server.url).set(database=role)
    execute(url.render_as_string(hide_password=False), "CREATE EXTENSION vector")
    return url.set(username=role, password="secret").render_as_string(hide_password=False)


async def walls_stand(url: str) -> None:
    async with Database(url, pool_size=2) as database:
        await fill(database, MINE, THEIRS)
        await everybody_is_who_they_are(database)


async def test_whoever_may_make_roles_makes_it(server: Postgres) -> None:
    url = database_of(server, "maker", "CREATEROLE")

    await asyncio.to_thread(upgrade, url)

    await walls_stand(url)


async def test_who_may_not_make_it_says_what_has_to_be_done(server: Postgres) -> None:
    url = database_of(server, "app_one")

    for said, done in (
        ("CREATE ROLE assistantd_tenant NOLOGIN NOINHERIT;", "CREATE ROLE assistantd_tenant NOLOGIN NOINHERIT"),
        (GRANT.format(role="app_one"), GRANT),
    ):
        with pytest.raises(SettingsError, match=said):
            await asyncio.to_thread(upgrade, url)
        execute(server.url, done, role="app_one")
    await asyncio.to_thread(upgrade, url)

    await walls_stand(url)


def test_the_command_says_it_in_a_line(server: Postgres) -> None:
    environment = {"ASSISTANTD_DATABASE_URL": database_of(server, "app_two"), "PATH": ""}
    command = [sys.executable, "-m", "infra.cli", "migrate"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "CREATE ROLE assistantd_tenant" in line


async def test_an_api_that_may_not_take_the_role_is_not_ready(server: Postgres, tmp_path: Path) -> None:
    """As where an upgrade has forgotten the role that serves: the roll-out stops there, and what is old goes on."""
    url = database_of(server, "app_three", "CREATEROLE")
    await asyncio.to_thread(upgrade, url)
    settings = Settings.model_validate(
        {"database_url": url, "redis_url": "redis://127.0.0.1:1/0", "data_dir": tmp_path}
    )
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        execute(url, "REVOKE assistantd_tenant FROM {role}", role="app_three")
        refused = await client.get("/readyz")

    assert refused.status_code == 503
    assert refused.json()["database"] == "ProgrammingError"


async def test_many_databases_of_a_server_are_migrated_at_once(server: Postgres) -> None:
    names = [f"one_of_many_{number}" for number in range(6)]
    for name in names:
        execute(server.url, "CREATE DATABASE {name}", name=name)
    urls = [f"{server.url.rsplit('/', 1)[0]}/{name}" for name in names]

    with ThreadPoolExecutor(len(urls)) as threads:
        processes = [threads.submit(_migrate, url) for url in urls]
    assert [process.result() for process in processes] == [0] * len(urls)

    for url in urls:
        await walls_stand(url)


def _migrate(url: str) -> int:
    command = [sys.executable, "-m", "infra.cli", "migrate"]
    return subprocess.run(command, env={"ASSISTANTD_DATABASE_URL": url, "PATH": ""}, check=False).returncode


async def test_a_role_that_stands_in_for_the_owner_is_the_owner_again(server: Postgres) -> None:
    """As while a password is exchanged: `ALTER ROLE … SET role` decides what a connection is at rest."""
    url = database_of(server, "app_old", "CREATEROLE")
    await asyncio.to_thread(upgrade, url)
    stands_in = "CREATE ROLE app_new LOGIN PASSWORD 'secret' IN ROLE app_old; ALTER ROLE app_new SET role app_old"
    execute(server.url, *stands_in.split("; "))

    await walls_stand(make_url(url).set(username="app_new").render_as_string(hide_password=False))
