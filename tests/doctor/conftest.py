"""Servers of the doctor's own: tests spoil them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from infra.embedded.postgres import Postgres
from infra.embedded.valkey import Valkey
from shared import ids
from shared.settings import Settings
from tests.scripted_model import ScriptedModel
from tests.system import create_database


@pytest.fixture(scope="session")
def own_valkey(room: Path) -> Iterator[Valkey]:
    server = Valkey(room / "doctors-valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def configured(own_valkey: Valkey) -> Iterator["redis.Redis"]:
    """Its server, to be configured otherwise for a test."""
    with redis.Redis.from_url(own_valkey.url, protocol=2) as client:
        yield client
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")


@pytest.fixture(scope="session")
def doctors_database(postgres: Postgres) -> str:
    return create_database(postgres.url, ids.new("key").lower())


@pytest.fixture
def settings(doctors_database: str, own_valkey: Valkey, model: ScriptedModel, tmp_path: Path) -> Settings:
    """Of a server that lacks nothing but a sandbox."""
    return Settings(
        database_url=doctors_database,
        redis_url=own_valkey.url,
        data_dir=tmp_path,
        model_base_url=model.base_url,
    )
