"""What test_pool.py sees and moves: a worker process, its broker, its stage and its events."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from celery import Celery
from redis import Redis

from infra.embedded.valkey import Valkey

ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=15)


class Stage:
    """The server on which tasks tell what they do, and on which tests let them go on."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._redis = Redis.from_url(url, socket_timeout=None, decode_responses=True)

    def sees(self, event: str, *names: str, within: timedelta = PATIENCE) -> str:
        """Wait until every name told this event, each once; returns the last one's value."""
        value = ""
        for name in names:
            answer = self._redis.blpop([f"{event}:{name}"], timeout=within.total_seconds())
            assert answer is not None, f"{name!r} did not tell {event!r} within {within}"
            value = str(answer[1])
        return value

    def has_seen(self, event: str, name: str) -> bool:
        return self._redis.llen(f"{event}:{name}") > 0

    def lets_go(self, *names: str) -> None:
        for name in names:
            self._redis.rpush(f"go:{name}", "")

    def forget(self, *keys: str) -> None:
        self._redis.delete(*keys)

    def close(self) -> None:
        self._redis.close()


class Worker:
    """A Celery worker process on a queue of its own; its log is shown when something awaited does not happen."""

    def __init__(
        self, broker: Valkey, stage: Stage, name: str, log: Path, *, no_ack: bool = False, **configuration: Any
    ) -> None:
        self.broker = broker
        self.name = name
        self.log = log
        self.app = Celery(broker=broker.url, set_as_current=False)
        self.app.conf.task_default_queue = name
        environment = os.environ | {
            "BROKER_URL": broker.url,
            "STAGE_URL": stage.url,
            "CONFIGURATION": json.dumps(configuration | {"task_default_queue": name}),
        }
        command = [sys.executable, "-m", "celery", "-A", "tests.worker.pool_app", "worker", "-E", "-l", "INFO"]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--without-gossip", "--without-mingle", "-n", f"{name}@pool"],
                cwd=ROOT,
                env=environment | ({"NO_ACK_QUEUE": "1"} if no_ack else {}),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        self.until(lambda: "ready." in self.log.read_text(), "the worker is ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.app.close()
        if error is not None:
            error.add_note(f"worker {self.name} logged:\n{self.log.read_text()[-6000:]}")

    def send(self, task: str, *args: str, **options: Any) -> str:
        """Send a task of pool_app; returns its id."""
        return self.app.send_task(f"tests.worker.pool_app.{task}", args, **options).id

    def hold(self, *names: str, **options: Any) -> list[str]:
        return [self.send("hold", name, **options) for name in names]

    def waiting(self) -> int:
        """Messages that nobody has taken."""
        with Redis.from_url(self.broker.url) as redis:
            return redis.llen(self.name)

    def unacknowledged(self) -> int:
        """Messages that were taken and not acknowledged."""
        with Redis.from_url(self.broker.url, decode_responses=True) as redis:
            return sum(json.loads(message)[2] == self.name for message in redis.hvals("unacked"))

    def pool_info(self) -> dict[str, Any]:
        answer = self.app.control.inspect([f"{self.name}@pool"], timeout=5).stats()
        assert answer is not None, "the worker does not answer"
        return answer[f"{self.name}@pool"]["pool"]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def exit_code(self, within: timedelta = PATIENCE) -> int:
        """Wait for the end of the process."""
        return self.process.wait(within.total_seconds())

    def logs(self, text: str) -> None:
        """Wait until the log contains a text."""
        self.until(lambda: text in self.log.read_text(), f"the log says {text!r}")

    @staticmethod
    def until(holds: Callable[[], object], what: str, within: timedelta = PATIENCE) -> None:
        """For conditions that nobody signals: look again and again."""
        end = time.monotonic() + within.total_seconds()
        while not holds():
            assert time.monotonic() < end, f"not within {within}: {what}"
            time.sleep(0.02)


class Events:
    """The task events that workers publish, collected in a thread."""

    def __init__(self, broker: Valkey) -> None:
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._app = Celery(broker=broker.url, set_as_current=False)
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="events")
        self._thread.start()
        assert self._listening.wait(10), "no worker sends its heartbeat"

    def _collect(self) -> None:
        with self._app.connection_for_read() as connection:
            self._receiver = self._app.events.Receiver(connection, handlers={"*": self._events.put})
            for _ in self._receiver.itercapture(limit=None, timeout=None, wakeup=False):
                self._listening.set()

    def of(self, task_id: str, kind: str) -> dict[str, Any]:
        """Wait for an event of a task; whatever came before it is dropped."""
        return self.all_of({task_id}, kind)[task_id]

    def all_of(self, task_ids: set[str], kind: str, within: timedelta = PATIENCE) -> dict[str, dict[str, Any]]:
        """Wait for an event of each task, in any order; whatever else comes is dropped."""
        end = time.monotonic() + within.total_seconds()
        found: dict[str, dict[str, Any]] = {}
        dropped: list[str] = []
        while found.keys() != task_ids:
            try:
                event = self._events.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} of {task_ids - found.keys()} within {within}; {dropped=}") from None
            if event.get("uuid") in task_ids and event["type"] == kind:
                found[event["uuid"]] = event
            else:
                dropped.append(event["type"])
        return found

    def close(self) -> None:
        self._receiver.should_stop = True
        self._thread.join()
        self._app.close()
