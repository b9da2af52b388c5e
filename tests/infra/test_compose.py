"""The files for containers, read as text: no engine is needed to see that they keep their promises."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from infra.cli import app
from infra.sandbox import seccomp
from worker.embedder import facts as embedder

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "infra" / "docker" / "Dockerfile").read_text()
WHOLE: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = WHOLE["services"]
OURS = ("migrate", "api", "worker", "ingest", "embedder", "sandbox", "flower")
SECRET = re.compile(r"PASSWORD|SECRET|KEY|AUTH|TOKEN")
STAGES: dict[str, str] = {name: base for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)}


def of_networks(name: str) -> set[str]:
    return {service for service, it in SERVICES.items() if name in it["networks"]}


def test_every_part_is_there() -> None:
    assert set(SERVICES) == {"postgres", "valkey", *OURS, "prometheus", "grafana"}
    assert {name for name, service in SERVICES.items() if service.get("profiles")} == {"prometheus", "grafana"}


def test_every_secret_has_to_be_set() -> None:
    variables = dict(re.findall(r"(?<!\$)\$\{(\w+)(:?[-?])?", COMPOSE))
    secrets = {name: kind for name, kind in variables.items() if SECRET.search(name)}
    assert len(secrets) >= 6
    # compose would ask for Grafana's even where nobody wants Grafana, so its entrypoint does
    assert secrets.pop("GRAFANA_PASSWORD") == "-"
    assert "{GF_SECURITY_ADMIN_PASSWORD:?" in SERVICES["grafana"]["entrypoint"][-1]
    assert set(secrets.values()) == {":?"}


def test_ports_are_published_on_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_nobody_gets_a_password_that_it_does_not_need() -> None:
    assert set(SERVICES["migrate"]["environment"]) == {"ASSISTANTD_DATABASE_URL"}
    assert set(SERVICES["flower"]["environment"]) == {"ASSISTANTD_REDIS_URL", "FLOWER_BASIC_AUTH"}
    for variable, wanted in {
        "AWS_SECRET_ACCESS_KEY": {"api", "worker", "ingest"},
        "OTEL_EXPORTER_OTLP_HEADERS": {"api", "worker", "ingest"},
        "ASSISTANTD_DATABASE_URL": {"migrate", "api", "worker", "ingest"},
        "ASSISTANTD_MODEL_API_KEY": {"api", "worker"},
        "ASSISTANTD_EMBEDDING_API_KEY": {"api", "worker", "ingest", "embedder"},
        "ASSISTANTD_SANDBOX_SECRET": {"worker", "sandbox"},
    }.items():
        assert {name for name, it in SERVICES.items() if variable in it.get("environment", {})} == wanted, variable


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert "cap_add" not in service or name == "postgres"
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["networks"]
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", OURS)
def test_commands_of_ours_exist(name: str) -> None:
    service = SERVICES[name]
    assert service["build"]["target"] in STAGES
    assert service["image"] == f"assistantd-{service['build']['target']}"
    command, *options = service["command"]
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert all(option in shown.stdout for option in options if option.startswith("--"))


def test_the_sandbox_meets_workers_and_nobody_else() -> None:
    assert of_networks("sandbox") == {"worker", "sandbox"}
    assert SERVICES["sandbox"]["networks"] == ["sandbox"]
    assert WHOLE["networks"]["sandbox"] == {"internal": True}
    assert "ports" not in SERVICES["sandbox"]
    assert set(SERVICES["sandbox"]["environment"]) == {"ASSISTANTD_SANDBOX_SECRET", "ASSISTANTD_SANDBOX_MINIMUM"}
    assert SERVICES["worker"]["environment"]["ASSISTANTD_SANDBOX_URL"] == "http://sandbox:8100"


def test_vectors_are_those_of_the_embedder() -> None:
    assert of_networks("vectors") == {"api", "worker", "ingest", "embedder", "prometheus"}
    assert SERVICES["embedder"]["networks"] == ["vectors"]
    assert f":-{embedder.NAME}}}" in SERVICES["ingest"]["environment"]["ASSISTANTD_EMBEDDING_MODEL"]
    assert f":-{embedder.WINDOW}}}" in SERVICES["ingest"]["environment"]["ASSISTANTD_EMBEDDING_WINDOW"]


def test_databases_are_reached_from_within_alone() -> None:
    assert WHOLE["networks"]["data"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["valkey"]["networks"] == ["data"]


def test_stopping_is_given_longer_than_draining() -> None:
    for name in ("api", "worker", "ingest"):
        assert SERVICES[name]["stop_grace_period"] == "35s"


def test_every_service_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == set()
    asked = {name: it["healthcheck"].get("test", [])[1:] for name, it in SERVICES.items() if name in OURS}
    assert asked.pop("migrate") == []
    for command in asked.values():
        assert command[:2] == ["assistantd", "healthcheck"]
        assert f'CMD ["{command[0]}", "{command[1]}", "{command[2]}"]' in DOCKERFILE or command[2] == "flower"


def test_the_profile_is_what_the_code_says() -> None:
    """`python -m infra.sandbox.seccomp > infra/docker/sandbox-seccomp.json` makes it."""
    assert "seccomp=infra/docker/sandbox-seccomp.json" in SERVICES["sandbox"]["security_opt"]
    assert json.loads((ROOT / "infra" / "docker" / "sandbox-seccomp.json").read_text()) == seccomp.profile()
    allowed = {name for rule in seccomp.profile()["syscalls"] for name in rule["names"]}
    assert not allowed & {"bpf", "keyctl", "ptrace", "perf_event_open", "init_module", "kexec_load", "io_uring_setup"}


def inherited(stage: str) -> str:
    """A stage's instructions, after those of the stages that it is built on."""
    own = DOCKERFILE.split(f"AS {stage}\n")[1].split("\nFROM ")[0]
    return (inherited(STAGES[stage]) if STAGES[stage] in STAGES else "") + own


@pytest.mark.parametrize("target", ["api", "worker", "ingest", "embedder", "sandbox"])
def test_images_run_as_an_ordinary_user_under_tini(target: str) -> None:
    text = inherited(target)
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE) == ['["tini", "--", "assistantd"]']
    assert len(re.findall(r"^HEALTHCHECK ", text, re.MULTILINE)) == 1


def test_images_are_locked_and_have_no_embedded_servers() -> None:
    syncs = [line for line in DOCKERFILE.splitlines() if "uv sync" in line]
    assert len(syncs) == 4
    assert all("--locked" in line for line in syncs)
    assert all("--no-default-groups" in line or "--only-group sandbox-service" in line for line in syncs)
    assert not re.search(r"--group embedded|--all-groups", DOCKERFILE)
    assert [line.count("--group") for line in syncs if "--no-default-groups" in line] == [0, 0, 1]


WITH_THESE_ALONE = """
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions
owners = packages_distributions()

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        distributions = {owner.lower().replace("_", "-") for owner in owners.get(name.partition(".")[0], [])}
        if distributions and not distributions & {"assistantd", *sys.argv[1:]}:
            raise ModuleNotFoundError(f"no module named {name}")

sys.meta_path.insert(0, Missing())
import infra.cli, infra.cli.health, infra.cli.sandbox, infra.environment, infra.stack.configuration
import shared.logs, urllib.request, worker.sandbox.serve, worker.sandbox.settings
"""


def test_the_sandbox_image_has_all_that_its_service_loads() -> None:
    """Its packages are a list of their own in pyproject.toml: one that is missing would be missed at its start."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    waiting = [Requirement(line) for line in groups["sandbox-service"] if isinstance(line, str)]
    installed: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name not in installed and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            installed.add(name)
            waiting += [Requirement(line) for line in requires(name) or []]
    assert not installed & {"psycopg", "sqlalchemy", "redis", "celery", "openai", "aiobotocore"}
    command = [sys.executable, "-c", WITH_THESE_ALONE, *sorted(installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_context_has_no_secret_and_no_environment() -> None:
    lines = (ROOT / "infra" / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert "**/.venv" in lines
    assert not any(line.startswith("!.") for line in lines)
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    assert os.access(ROOT / "infra" / "docker" / "build.sh", os.X_OK)
