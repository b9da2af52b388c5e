"""The files for containers, read as text: no engine is needed to see that they keep their promises."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from infra.cli import app

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "infra" / "docker" / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]


def test_every_part_is_there() -> None:
    assert set(SERVICES) == {"postgres", "valkey", "migrate", "api", "worker", "flower"}


def test_every_secret_has_to_be_set() -> None:
    variables = dict(re.findall(r"\$\{(\w+)(:?[-?])?", COMPOSE))
    assert {name for name, kind in variables.items() if kind != ":?"} == set()


def test_ports_are_published_on_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_nobody_gets_a_password_that_it_does_not_need() -> None:
    assert set(SERVICES["migrate"]["environment"]) == {"ASSISTANTD_DATABASE_URL"}
    holders = {name for name, service in SERVICES.items() if "AWS_SECRET_ACCESS_KEY" in service.get("environment", {})}
    assert holders == {"api", "worker"}
    assert set(SERVICES["flower"]["environment"]) == {"ASSISTANTD_REDIS_URL", "FLOWER_BASIC_AUTH"}


@pytest.mark.parametrize("name", ["migrate", "api", "worker", "flower"])
def test_ours_are_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    shown = CliRunner().invoke(app, [service["command"][0], "--help"])
    assert shown.exit_code == 0


def test_every_service_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"api"}
    assert 'HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["assistantd", "healthcheck", "api"]' in (
        DOCKERFILE
    )


def test_the_image_runs_as_an_ordinary_user_without_embedded_servers() -> None:
    assert "\nUSER assistantd\n" in DOCKERFILE
    syncs = [line for line in DOCKERFILE.splitlines() if "uv sync" in line]
    assert syncs
    assert all("--locked --no-default-groups" in line for line in syncs)
