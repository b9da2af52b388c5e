"""Kinds of Redis: servers behind a Sentinel, one of which dies; and a cluster, which is refused."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from typing_extensions import override

from infra.embedded.postgres import Postgres
from infra.embedded.process import LOOPBACK
from infra.embedded.valkey import Valkey
from shared.redis import refuse_cluster
from shared.settings import SettingsError
from tests.api.test_runs import run_to_end
from tests.ports import free_port
from tests.scripted_model import Gate, Say, ScriptedModel
from tests.system import Project, System, create_database, until

PASSWORD = "of-all-servers-of-these-tests"
NAME = "assistants"


class Configured(Valkey):
    """A server whose password others know, and with more to its configuration."""

    def __init__(self, state: Path, *more: str) -> None:
        super().__init__(state)
        self.password = PASSWORD
        self._more = (f"masterauth {PASSWORD}", *more)

    @override
    def _configuration(self) -> str:
        return "\n".join([super()._configuration(), *self._more])


class Sentinel(Configured):
    """Its configuration is a file, which it writes to."""

    @override
    def _prepare(self) -> None:
        super()._prepare()
        path = self.state / "valkeydata" / "sentinel.conf"
        lines = [f"bind {LOOPBACK}", f"port {self.port}", f"requirepass {PASSWORD}", *self._more[1:]]
        path.write_text("\n".join(lines))
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    @override
    def _command(self) -> Sequence[str | Path]:
        return [self._program(), self.state / "valkeydata" / "sentinel.conf", "--sentinel"]


@dataclass
class Group:
    """A master, its replica, and who watches them."""

    master: Configured
    replica: Configured
    sentinel: Sentinel

    @property
    def url(self) -> str:
        return f"sentinel://:{PASSWORD}@{LOOPBACK}:{self.sentinel.port}/{NAME}/3?sentinel_password={PASSWORD}"

    def ask(self, *words: str) -> object:
        with redis.Redis.from_url(self.sentinel.url) as client:
            return client.execute_command("SENTINEL", *words)

    def knows_the_replica(self) -> bool:
        return str(self.replica.port) in str(self.ask("REPLICAS", NAME))

    def has_moved(self) -> bool:
        return str(self.replica.port) in str(self.ask("GET-MASTER-ADDR-BY-NAME", NAME))


@pytest.fixture
def group(state: Path) -> Iterator[Group]:
    for name in ("master", "replica", "sentinel"):
        (state / name).mkdir(mode=0o711)
    master = Configured(state / "master")
    replica = Configured(state / "replica", f"replicaof {LOOPBACK} {master.port}")
    sentinel = Sentinel(
        state / "sentinel",
        f"sentinel monitor {NAME} {LOOPBACK} {master.port} 1",
        f"sentinel auth-pass {NAME} {PASSWORD}",
        f"sentinel down-after-milliseconds {NAME} 1000",
        f"sentinel failover-timeout {NAME} 5000",
    )
    made = Group(master, replica, sentinel)
    for server in (master, replica, sentinel):
        server.start()
    yield made
    for server in (sentinel, replica, master):
        server.stop()


async def test_runs_go_on_when_sentinel_has_another_master(
    group: Group, room: Path, postgres: Postgres, model: ScriptedModel
) -> None:
    root = room / "watched"
    root.mkdir()
    await until(group.knows_the_replica)
    system = System(root, create_database(postgres.url, "watched"), group.url, model.base_url)
    try:
        system.start()
        async with Project.of(system) as project:
            beta, gate = project.client.beta, Gate()
            name = model.script(Say(["One."]), Say(["Two ", gate, "halves."]), Say(["Three."]))
            assistant = await beta.assistants.create(model=name)
            thread = await beta.threads.create(messages=[{"role": "user", "content": "Well?"}])
            assert (await run_to_end(project, assistant, thread)).status == "completed"
            held = await beta.threads.create_and_run(assistant_id=assistant.id)
            await model.requested(name, 2)

            group.master.kill()
            await until(group.has_moved)
            gate.open()

            await until(lambda: system.query("SELECT status FROM runs WHERE id = %s", held.id) == [("completed",)])
            assert (await run_to_end(project, assistant, thread)).status == "completed"
    finally:
        system.stop()


def test_a_cluster_is_refused_in_one_line(state: Path) -> None:
    server = Configured(state, "cluster-enabled yes", f"cluster-port {free_port()}")
    server.start()
    try:
        url = server.url
        with pytest.raises(SettingsError, match="this is a Redis Cluster"):
            refuse_cluster(url)
        for command in ("api", "worker", "flower"):
            done = subprocess.run(
                [sys.executable, "-m", "infra.cli", command],
                env={
                    "PATH": os.environ["PATH"],
                    "ASSISTANTD_DATABASE_URL": "postgresql://127.0.0.1:9/none",
                    "ASSISTANTD_REDIS_URL": url,
                    "ASSISTANTD_MODEL_BASE_URL": "http://127.0.0.1:9/v1",
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 2, done.stderr
            assert done.stderr.startswith("ASSISTANTD_REDIS_URL: this is a Redis Cluster")
            assert done.stderr.count("\n") == 1
            assert PASSWORD not in done.stderr
    finally:
        server.stop()


def test_what_does_not_answer_is_not_refused(redis_url: str) -> None:
    refuse_cluster(redis_url)
    refuse_cluster(f"redis://{LOOPBACK}:{free_port()}/0")
    refuse_cluster(f"sentinel://{LOOPBACK}:{free_port()}/{NAME}")
